"""Gradients over 10,000 steps: one step after another, or all of them at once.

An LRU and a GRU learn to add two marked numbers, the first of which stands thousands of
steps before the answer. Each is trained by every method that suits it, from the same
parameters and on the same sequences, in turns: `Scan` goes through time, `Associative`
and `Newton` solve for all steps at once. Losses are the same, times are not. Shows too
how far gradients reach, and how many iterations Newton's method takes.

    python examples/long_memory.py          # after pip install -e ".[examples]"
    python examples/long_memory.py --quick

On a processor `Scan` is the fastest: the others are for accelerators. Adding: Hochreiter
and Schmidhuber, 1997. Initial values for long memories, the same for all methods: rings
of eigenvalues, Orvieto et al., 2023; biases of gates, Tallec and Ollivier, 2018.
"""

import time
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from jax.flatten_util import ravel_pytree
from matplotlib.figure import Figure
from memory_tasks import adding
from options import mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import GRU, Associative, Dense, Newton, Scan, Stack, cells, initializers

# What is left at every step adds up over all that are remembered: hence the tolerance.
METHODS = {"LRU": (Scan(), Associative()), "GRU": (Scan(), Newton(tolerance=1e-6))}
SIZES, RATES = {"LRU": 32, "GRU": 16}, {"LRU": 1.5e-2, "GRU": 2e-2}  # H; first of Adam
BATCH, PROBES = 16, 4  # sequences to train on, and to measure on
WHEN = "the cell's own initial values", "before training", "after training"


def model_of(name: str, T: int, own: bool = False) -> Stack:
    """For memories of up to T steps, or with the cell's own initial values."""
    H, bias_init = SIZES[name], initializers.zeros
    long = dict(bias_init=initializers.Chrono(T))
    if name == "LRU":  # without gates: at first little but marked numbers passes the relu
        long = dict(r_min=1 - 10 / T, r_max=1 - 0.5 / T, max_phase=1 / T)
        bias_init = initializers.Uniform(-1.0, -0.9)
    cell = {"LRU": cells.LRU, "GRU": GRU}[name](H, H, **{} if own else long)
    encoder = Dense(2, H, bias_init=bias_init), jaxrnn.Activation("relu")
    return Stack((*encoder, cell, Dense(H, 1)))


def study(name: str, args, bars) -> dict:
    """One cell by all its methods, from all seeds beside each other: (..., seed, ...)."""
    model, methods, task = model_of(name, args.length), METHODS[name], adding(args.length)
    adam = optax.adam(optax.cosine_decay_schedule(RATES[name], args.steps))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)

    def train_step(method, state, key, step):
        xs, targets = task.sample(jax.random.fold_in(key, step), BATCH)

        def loss(params):
            return task.loss(jaxrnn.unroll(model, params, xs, method=method)[1], targets)

        value, gradient = jax.value_and_grad(loss)(state[0])
        updates, moments = optimizer.update(gradient, state[1])
        state = optax.apply_updates(state[0], updates), moments
        return state, value, ravel_pytree(gradient)[0]

    @jax.jit
    @jax.vmap
    def measured(params, key):
        """How the answer depends on the state by lag; Newton's iterations; exponent."""
        xs, _ = task.sample(jax.random.fold_in(key, args.steps), PROBES)
        norms = jaxrnn.gradient_norms(lambda ys: jnp.sum(ys[-1]), model, params, xs)
        found = jaxrnn.newton_report(model, params, xs)
        profile = reduce(jnp.hypot, jax.tree.leaves(norms)).mean(1)[::-1]
        iterations = jnp.max(jnp.stack(jax.tree.leaves(found.iterations)))
        return dict(profile=profile, iterations=iterations, exponent=found.exponent.max())

    bar = bars.add_task(name, total=args.steps, note="compiling")
    keys = jax.vmap(jax.random.key)(args.seed + jnp.arange(args.seeds))
    params = jax.vmap(model.init)(keys)
    states = dict.fromkeys(methods, (params, jax.vmap(optimizer.init)(params)))
    steps = {m: jax.jit(jax.vmap(partial(train_step, m), (0, 0, None))) for m in methods}
    steps = {m: step.lower(states[m], keys, 0).compile() for m, step in steps.items()}
    found = {m: [] for m in methods}
    for step in range(args.steps):
        for m in methods[:: 1 - step % 2 * 2]:  # to and fro
            begin = time.perf_counter()
            states[m], *outcome = jax.block_until_ready(steps[m](states[m], keys, step))
            found[m].append((time.perf_counter() - begin, *outcome))
        bars.update(bar, advance=1, note=f"loss {found[m][-1][1].mean():.4f}")
    rows = {}
    for m in methods:
        seconds, losses, gradients = zip(*found[m], strict=True)
        row = dict(ms=1e3 * np.median(seconds), losses=losses, gradient=gradients[0])
        rows[str(m)] = {name: np.array(value) for name, value in row.items()}
    own = jax.vmap(model_of(name, args.length, own=True).init)(keys)
    each = zip(WHEN, (own, params, states[methods[0]][0]), strict=True)
    return rows | {when: measured(one, keys) for when, one in each}


def table_of(results: dict, args) -> Table:
    heads = "ms a step", "loss, % of a guess", "first gradient differs", "losses differ"
    table, norm = Table("cell", "method", *heads, box=None), np.linalg.norm
    for name, result in results.items():
        for m in map(str, METHODS[name]):
            row, scan = result[m], result["Scan()"]
            last = row["losses"][-max(args.steps // 10, 1) :].mean(0)
            percent = mean_and_spread(100 * last / adding(args.length).guess, 1)
            gradient = norm(row["gradient"] - scan["gradient"]) / norm(scan["gradient"])
            apart = gradient, np.abs(row["losses"] / scan["losses"] - 1).max()
            shown = f"{row['ms']:.1f}", percent, *(f"{value:.0e}" for value in apart)
            table.add_row(name, m, *shown)
    return table


def said(result: dict, when: str, T: int) -> str:
    count, exponent = (result[when][key].max() for key in ("iterations", "exponent"))
    return f"{when}: Newton {count} iterations, exponent {T * exponent:.1f} / T"


def draw(results: dict, args) -> Figure:
    figure, T = Figure((14, 4.5 * len(results)), layout="constrained"), args.length
    panels = figure.subplots(len(results), 2, squeeze=False)
    for (name, result), (left, right) in zip(results.items(), panels, strict=True):
        looks = dict(c="0.8", lw=6), dict(c="C3")
        for m, look in zip(map(str, METHODS[name]), looks, strict=True):
            label = f"{m}: {result[m]['ms']:.0f} ms a step"
            left.plot(result[m]["losses"].mean(1), label=label, **look)
        left.axhline(adding(T).guess, c="k", ls=":", label="a guess without memory")
        left.set(yscale="log", xlabel="training step", ylabel="mean squared error")
        left.set(title=f"{name}: the same training by two methods")
        left.legend()
        lines = {said(result, when, T): result[when]["profile"].T for when in WHEN}
        title = f"{name}: how the answer depends on the state k steps before it"
        jaxrnn.plotting.lag_profile(lines, right, title=title)
        right.set(ylabel="gradient of the answer in the state, first = 1")
        right.set(xscale="log", xlim=(1, T), ylim=(1e-9, 5))
    return figure


def main() -> None:
    parser = options(__doc__, steps=300, seeds=1)
    add, every = parser.add_argument, list(METHODS)
    add("--cells", nargs="+", choices=every, default=every, help="what to train")
    add("--length", type=whole(20), default=10_000, help="steps of a sequence")
    args = parsed(parser, steps=200, length=1000)
    with progress() as bars:
        results = {name: study(name, args, bars) for name in args.cells}
    rich.print(table_of(results, args))
    for name, result in results.items():
        print(*(f"{name}, {said(result, when, args.length)}" for when in WHEN), sep="\n")
    draw(results, args).savefig(args.out / "long_memory.png", dpi=110)
    save(args, results=results)
    print(f"Figure and numbers: {args.out}/long_memory.png and results.json")


if __name__ == "__main__":
    main()
