"""Gradient flossing: a tanh network learns a delayed task once it can remember.

At every step: are the signs read 20 and 10 steps ago the same? In a plain network the
gradient fades on the way, and it stays at chance. Flossing moves its largest Lyapunov
exponents to zero before training, without targets (`jaxrnn.lyapunov_penalty`). Controls:
other rates, an orthogonal kernel, and inputs a tenth as strong, which open it as well.

    python examples/flossing.py          # after pip install -e ".[examples]"
    python examples/flossing.py --quick

Engelken, "Gradient flossing: improving gradient descent through dynamic control of
Jacobians", NeurIPS 2023. Sequences are drawn here, new ones at every step. The delay,
rates and steps were chosen by errors in training, of seed 0.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from flossing_figure import draw, measured
from options import fail, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import Dense, Elman, Stack, initializers

BATCH, TEST, CHUNK, SOLVED, RATE = 16, 512, 50, 0.05, 1e-3
FLOSS_STEPS, FLOSS_BATCH, FLOSS_RATE = 60, 2, 3e-3  # what is flossed, and how fast


def weak(key: jax.Array, shape: tuple[int, ...], gates: Any) -> jax.Array:
    return 0.1 * initializers.lecun_normal(key, shape, gates)


GAUSS, ORTHOGONAL = initializers.lecun_normal, initializers.orthogonal
NETWORKS = {  # how the recurrent and the input kernel begin, rate, and whether flossed
    "flossed": (GAUSS, GAUSS, RATE, True),
    "plain": (GAUSS, GAUSS, RATE, False),
    "plain, a third of the rate": (GAUSS, GAUSS, RATE / 3, False),
    "plain, three times the rate": (GAUSS, GAUSS, RATE * 3, False),
    "orthogonal": (ORTHOGONAL, GAUSS, RATE, False),
    "plain, weak inputs": (GAUSS, weak, RATE, False),
    "orthogonal, weak inputs": (ORTHOGONAL, weak, RATE, False),
}
SHOWN = "flossed", "plain", "orthogonal", "plain, weak inputs"


def draw_sequences(key: jax.Array, delay: int, batch: int) -> tuple[jax.Array, jax.Array]:
    """Signs (3 delay, batch, 1); whether two differ, from step `delay` on, -1 before."""
    signs = jax.random.rademacher(key, (3 * delay, batch), jnp.float32)
    shifted = jnp.roll(signs, delay, axis=0) != jnp.roll(signs, delay // 2, axis=0)
    return signs[..., None], shifted.astype(int).at[:delay].set(-1)


def loss_and_error(params, model, key, delay, batch=BATCH) -> tuple[jax.Array, jax.Array]:
    xs, targets = draw_sequences(key, delay, batch)
    logits, targets = jaxrnn.unroll(model, params, xs)[1][delay:], targets[delay:]
    wrong = jnp.argmax(logits, axis=-1) != targets
    return jnp.mean(jaxrnn.cross_entropy(logits, targets)), jnp.mean(wrong)


def penalty(params, cell, key, k) -> tuple[jax.Array, jax.Array]:
    """What is flossed away: no targets, only signs to read."""
    xs = jax.random.rademacher(key, (FLOSS_STEPS, FLOSS_BATCH, 1), jnp.float32)
    return (value := jaxrnn.lyapunov_penalty(cell, params, xs, k=k, every=5)), value


def clipped(rate: Any) -> Any:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


@partial(jax.jit, static_argnames=("function", "cell", "size"))
def descend(function, cell, size, rate, state, keys):
    """One step for each key; also what is shown, of each step's own new sequences."""

    def step(state, key):
        params, moments = state
        slope = jax.value_and_grad(function, has_aux=True)
        (_, shown), gradient = slope(params, cell, key, size)
        updates, moments = clipped(rate).update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), shown

    return jax.lax.scan(step, state, keys)


def learned(run, params, rate, key, steps, note) -> tuple[Any, list[float]]:
    """The params after so many steps of `run`, and what was shown at each."""
    state, shown = (params, clipped(rate).init(params)), []
    keys = jax.random.split(key, steps)
    while len(shown) < steps:
        state, some = descend(*run, rate, state, keys[len(shown) :][:CHUNK])
        shown += np.asarray(some).tolist()
        note(advance=len(some), note=f"{np.mean(shown[-CHUNK:]):.3f}")
    return state[0], shown


def fit(recurrent, kernel, rate, floss, seed, args, note) -> dict[str, Any]:
    init, flossing, data, test = jax.random.split(jax.random.key(seed), 4)
    cell = Elman(1, args.hidden_size, recurrent_init=recurrent, kernel_init=kernel)
    model = Stack((cell, Dense(args.hidden_size, 2)))
    (params, readout), penalties = model.init(init), []
    if floss:
        run = penalty, cell, args.k
        params, penalties = learned(run, params, FLOSS_RATE, flossing, args.floss, note)
    start, sequences = (params, readout), draw_sequences(test, args.delay, BATCH)
    before = measured(model, start, *sequences, args.delay, args.k)
    run = loss_and_error, model, args.delay
    params, errors = learned(run, start, rate, data, args.steps, note)
    error = float(loss_and_error(params, model, test, args.delay, TEST)[1])
    return before | {"penalties": penalties, "errors": errors, "test": error}


def main() -> None:
    add = (parser := options(__doc__, steps=2000, seeds=5)).add_argument
    add("--hidden-size", type=whole(2), default=64, help="units")
    add("--delay", type=whole(2), default=20, help="steps back to the first sign")
    add("--k", type=whole(1), default=32, help="exponents that are moved to zero")
    add("--floss", type=whole(1), default=150, help="steps of flossing")
    args = parsed(parser, steps=700, seeds=1, floss=100)
    if args.k > args.hidden_size:
        fail(f"--k is {args.k}, expected at most --hidden-size, {args.hidden_size}")
    runs: dict[str, list[dict]] = {name: [] for name in NETWORKS}
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            total = len(NETWORKS) * args.steps + args.floss
            task = bars.add_task(f"seed {seed}", total=total, note="")
            for name, network in NETWORKS.items():
                note = partial(bars.update, task, description=f"seed {seed}, {name}")
                runs[name].append(fit(*network, seed=seed, args=args, note=note))
            save(args, solved=SOLVED, runs=runs)  # what there is, after each seed
            draw(args.out / "flossing.png", {name: runs[name] for name in SHOWN}, args)
    title = f"Wrong answers after {args.steps} steps, delay {args.delay}; chance is 50%"
    table = Table("network", "rate", "wrong, %", "learned it", box=None, title=title)
    for name, several in runs.items():
        errors = np.array([run["test"] for run in several])
        share, count = mean_and_spread(100 * errors, 1), int(np.sum(errors < SOLVED))
        table.add_row(
            name, f"{NETWORKS[name][2]:.1g}", share, f"{count} of {len(errors)}"
        )
    rich.print(table, f"Learned: less than {SOLVED:.0%} wrong, of {TEST} new sequences.")
    print(f"Figure and numbers: {args.out}/flossing.png and results.json")


if __name__ == "__main__":
    main()
