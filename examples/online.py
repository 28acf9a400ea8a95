"""Learning online: gradients that run forward, against backpropagation through time.

Two streams that never end, each learned from at every step, once, by every method: copy
memory, whose sequences follow each other without a gap, and the Santa Fe laser, one value
ahead. Backpropagation through time waits: it learns from whole windows, once in each.
Then, for a network before training, how well each method knows what a step did to the
losses of later steps.

    python examples/online.py
    python examples/online.py --quick

Copy: Hochreiter and Schmidhuber, 1997; Arjovsky, Shah and Bengio, 2016, here of three
symbols and two blanks. Laser: as `forecast.py`, `pip install -e ".[examples]"`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from matplotlib.figure import Figure
from options import data_file, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import GRU, RFLO, RTRL, UORO, Dense, EProp, OneStep, Scan, SnAp, Stack

METHODS = {
    "RTRL": RTRL(),
    "SnAp(1)": SnAp(1),
    "UORO": UORO(),
    "e-prop": EProp(),
    "RFLO, random feedback": RFLO(random_feedback=True),
    "one step": OneStep(),
}
SYMBOLS, WORD, BLANKS = 4, 3, 2  # of copy: the alphabet, how many are said again
WINDOW, BATCH = 32, 8  # steps that backpropagation waits for; streams side by side
WINDOWS = {
    f"BPTT, a window of {WINDOW}": Scan(),
    "BPTT, truncated at 4": Scan(truncate=4),
}
LEARNING_RATE, LEAST = 3e-3, 1e-5  # LEAST: smaller losses are drawn as this one
STYLES = dict(zip(WINDOWS, ("k-", "k:"), strict=True))


def copy_stream(key: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """(steps, BATCH, ...): symbols, blanks, a sign, and the symbols again."""
    period = 2 * WORD + BLANKS + 1
    count = -(-steps // period)
    words = jax.random.randint(key, (count, WORD, BATCH), 1, SYMBOLS + 1)
    blank = jnp.zeros((count, period, BATCH), int)
    xs = blank.at[:, :WORD].set(words).at[:, -WORD - 1].set(SYMBOLS + 1)
    targets = blank.at[:, -WORD:].set(words)
    flat = lambda leaf: leaf.reshape(-1, BATCH)[:steps]  # noqa: E731
    return jax.nn.one_hot(flat(xs), SYMBOLS + 2), flat(targets)


def laser_stream(key: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """The series from BATCH places on, round and round; the target is the next value."""
    file = data_file("reservoirpy", "reservoirpy/datasets/santafe_laser.npy", "examples")
    series = np.load(file, allow_pickle=False)[:, 0].astype(np.float32)
    series = jnp.asarray((series - series.mean()) / series.std())
    first = jax.random.randint(key, (BATCH,), 0, len(series))
    places = first[None] + jnp.arange(steps + 1)[:, None]
    values = series[places % len(series)][..., None]
    return values[:-1], values[1:]


def symbol_loss(y: jax.Array, target: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(y, target)


def value_loss(y: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.sum((y - target) ** 2)


STREAMS: dict[str, Any] = {
    "copy": (copy_stream, symbol_loss, SYMBOLS + 2, SYMBOLS + 1),
    "laser": (laser_stream, value_loss, 1, 1),
}
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LEARNING_RATE))


def learned(params: Any, moments: Any, gradients: Any) -> tuple[Any, Any]:
    gradients = jax.tree.map(lambda leaf: leaf / BATCH, gradients)
    updates, moments = OPTIMIZER.update(gradients, moments)
    return optax.apply_updates(params, updates), moments


@partial(jax.jit, static_argnames=("loss", "cell", "method"))
def online(loss, cell, method, params, xs, targets, key) -> jax.Array:
    """The loss of every step of a stream that is learned from at every step."""
    state = jaxrnn.online_init(cell, params, xs[0], method=method, method_key=key)

    def step(learner, row):
        state, params, moments = learner
        state, found = jaxrnn.online_step(loss, params, state, *row)
        params, moments = learned(params, moments, found.gradients)
        return (state, params, moments), found.loss.mean()

    learner = state, params, OPTIMIZER.init(params)
    return jax.lax.scan(step, learner, (xs, targets))[1]


@partial(jax.jit, static_argnames=("loss", "cell", "method"))
def in_windows(loss, cell, method, params, xs, targets) -> jax.Array:
    """The same of a stream that is learned from once in a window, by backpropagation."""

    def step(learner, rows):
        carry, params, moments = learner

        def total(params):
            after, ys = jaxrnn.unroll(cell, params, rows[0], carry, method=method)
            losses = jax.vmap(jax.vmap(loss))(ys, rows[1])
            return losses.sum() / WINDOW, (after, losses.mean(1))

        gradients, (carry, losses) = jax.grad(total, has_aux=True)(params)
        return (carry, *learned(params, moments, gradients)), losses

    cut = lambda leaf: leaf.reshape(-1, WINDOW, *leaf.shape[1:])  # noqa: E731
    carry = jaxrnn.batched_carry(cell, params, (BATCH,))
    learner = carry, params, OPTIMIZER.init(params)
    return jax.lax.scan(step, learner, (cut(xs), cut(targets)))[1].reshape(-1)


def draw(curves: dict, lags: dict, smooth: int) -> Figure:
    """Losses {stream: {method: (run, step)}}, and lags {method: OnlineLags}."""
    figure = Figure((15, 5), layout="constrained")
    *panels, axes = figure.subplots(1, 3)
    names = {"copy": "cross-entropy (nats a step)", "laser": "squared error"}
    for panel, (stream, methods) in zip(panels, curves.items(), strict=True):
        for name, runs in methods.items():
            smoothed = np.mean(runs, 0)[: len(runs[0]) // smooth * smooth]
            smoothed = np.maximum(smoothed.reshape(-1, smooth).mean(1), LEAST)
            steps = smooth * (np.arange(len(smoothed)) + 0.5)
            panel.plot(steps, smoothed, STYLES.get(name, "-"), label=name)
        panel.set(xlabel="steps of the stream", ylabel=names[stream], yscale="log")
        panel.set_title(f"{stream}: learned while it passes (lower is better)")
    for name, found in lags.items():
        axes.plot(np.arange(len(found.cosine)), found.cosine, label=name)
    axes.set(
        xlabel="lag (steps)", ylabel="cosine with the exact gradient", ylim=(-0.55, 1.05)
    )
    axes.set_title("What is known of a past step (copy, untrained)")
    handles = panels[0].get_legend_handles_labels()  # the same colours on the right
    figure.legend(*handles, loc="outside lower center", ncols=8, fontsize="small")
    return figure


def main() -> None:
    parser = options(__doc__, steps=40_000, seeds=3)
    parser.add_argument("--hidden-size", type=whole(1), default=32, help="of the GRU")
    args = parsed(parser, steps=8000, seeds=1, hidden_size=16)
    steps = max(args.steps // WINDOW, 1) * WINDOW
    curves: dict[str, dict[str, list]] = {}
    H = args.hidden_size
    with progress() as bars:
        for stream, (sample, loss, inputs, outputs) in STREAMS.items():
            cell = Stack((GRU(inputs, H), Dense(H, outputs)))
            every = [*METHODS, *WINDOWS]
            bar = bars.add_task(stream, total=args.seeds * len(every), note="")
            curves[stream] = {name: [] for name in every}
            for seed in range(args.seed, args.seed + args.seeds):
                init, data, own = jax.random.split(jax.random.key(seed), 3)
                params, rows = cell.init(init), sample(data, steps)
                for name in every:
                    bars.update(bar, note=name)
                    if name in METHODS:
                        run = loss, cell, METHODS[name], params, *rows, own
                        losses = online(*run)
                    else:
                        losses = in_windows(loss, cell, WINDOWS[name], params, *rows)
                    curves[stream][name].append(np.asarray(losses))
                    bars.advance(bar)
    cell = Stack((GRU(SYMBOLS + 2, H), Dense(H, SYMBOLS + 1)))
    xs, targets = copy_stream(jax.random.key(args.seed), 40)
    run = symbol_loss, cell, cell.init(jax.random.key(args.seed)), xs, targets
    lags = {
        name: jaxrnn.online_lags(
            *run, at=15, method=method, method_key=jax.random.key(0), samples=20
        )
        for name, method in METHODS.items()
    }
    last = max(steps // 10, 1)
    title = f"Mean loss over the last {last} of {steps} steps"
    table = Table("method", *STREAMS, "cosine at lag 0", "5", "20", box=None, title=title)
    for name in [*METHODS, *WINDOWS]:
        row = [
            mean_and_spread((r[-last:].mean() for r in curves[s][name]), 4)
            for s in STREAMS
        ]
        found = lags.get(name)
        row += [f"{found.cosine[k]:.2f}" if found else "" for k in (0, 5, 20)]
        table.add_row(name, *row)
    rich.print(
        table,
        f"Backpropagation learns once in {WINDOW} steps, the others at every step; Adam "
        f"at {LEARNING_RATE} for all. Cosines: with the exact gradient, of what one step "
        "did to the loss so many steps later, before training.",
    )
    draw(curves, lags, smooth=max(steps // 60, 1)).savefig(
        args.out / "online.png", dpi=110
    )
    kept = {
        stream: {name: [run[-last:].mean() for run in runs] for name, runs in own.items()}
        for stream, own in curves.items()
    }
    save(args, losses=kept, lags={name: found._asdict() for name, found in lags.items()})
    print(f"Figure and numbers: {args.out}/online.png and results.json")


if __name__ == "__main__":
    main()
