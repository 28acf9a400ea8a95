"""How far back does a gradient reach? Elman, GRU and LSTM on real text.

Trains character models of equal hidden size on the same text and measures, before and
after training, how strongly the loss of one prediction depends on the state k steps
earlier: ||dL_T / dh_(T-k)||, averaged over a held-out batch. Prints bits per character
beside references, a table of norms, and saves a figure and every number.

    python examples/gradient_norms.py
    python examples/gradient_norms.py --text book.txt --cells gru lstm --length 200

The default text is the Python language reference that ships with Python itself.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
import optax
from options import fail, whole
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress
from rich.table import Table
from text_data import bits_per_character, losses_of, read_text, references, split, windows

import jaxrnn
from jaxrnn import Dense, Embedding, Stack, initializers

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

EMBEDDING = 32
HELD_OUT_WINDOWS = 64
CELLS = {
    "elman-uniform": partial(jaxrnn.Elman, recurrent_init=initializers.uniform),
    "elman-orthogonal": partial(jaxrnn.Elman, recurrent_init=initializers.orthogonal),
    "gru": jaxrnn.GRU,
    "lstm": jaxrnn.LSTM,
}
LINES = {  # the leaves of each cell's carry
    "elman-uniform": ("Elman, uniform",),
    "elman-orthogonal": ("Elman, orthogonal",),
    "gru": ("GRU",),
    "lstm": ("LSTM, h", "LSTM, c"),
}
COLOURS = {
    "Elman, uniform": "#0072b2",
    "Elman, orthogonal": "#56b4e9",
    "GRU": "#009e73",
    "LSTM, h": "#d55e00",
    "LSTM, c": "#cc79a7",
}


# The model: one unroll for training, one for the score, one call for the gradients.


@partial(jax.jit, static_argnames=("cell", "optimizer"))
def train_step(
    cell: jaxrnn.Cell, optimizer: Any, params: Any, state: Any, window: jax.Array
) -> tuple[Any, Any, jax.Array]:
    def loss(params: Any) -> jax.Array:
        return losses_of(cell, params, window)[1].mean()

    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state, value


@partial(jax.jit, static_argnames="cell")
def norms_in_time(cell: jaxrnn.Cell, params: Any, window: jax.Array) -> list[jax.Array]:
    """||dL_T / dcarry_t|| as an array (time, example), for each leaf of the carry."""

    def last_loss(logits: jax.Array) -> jax.Array:
        labels = window[-1]
        return optax.softmax_cross_entropy_with_integer_labels(logits[-1], labels).sum()

    return jax.tree.leaves(jaxrnn.gradient_norms(last_loss, cell, params, window[:-1]))


def norms_by_lag(cell: jaxrnn.Cell, params: Any, window: jax.Array, name: str) -> dict:
    """Line -> ||dL_T / dcarry_(T-k)|| as an array (lag, example)."""
    leaves = norms_in_time(cell, params, window)
    lines = zip(LINES[name], leaves, strict=True)
    return {line: np.asarray(leaf)[::-1] for line, leaf in lines}


# What is shown.


def first_below(norms: np.ndarray, fraction: float = 0.01) -> int | None:
    """The lag at which the mean falls below a fraction of its first value above zero."""
    mean = norms.mean(axis=1)
    start = int(np.argmax(mean > 0))
    below = np.flatnonzero(mean[start:] < fraction * mean[start])
    return start + int(below[0]) if below.size else None


def shown_lags(length: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50, ... and the last."""
    lags = [0] + [m * 10**e for e in range(9) for m in (1, 2, 5)]
    return [lag for lag in lags if lag < length - 1] + [length - 1]


def norm_table(title: str, norms: dict[str, np.ndarray], length: int) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", title_style="bold")
    table.add_column("lag k", justify="right")
    for line in norms:
        table.add_column(line, justify="right", no_wrap=True)
    means = [values.mean(axis=1) for values in norms.values()]
    for lag in shown_lags(length):
        row = [f"{mean[lag]:.1e}" if mean[lag] else "0" for mean in means]
        table.add_row(str(lag), *row)
    table.add_section()
    below = [first_below(values) for values in norms.values()]
    last = [f"> {length - 1}" if lag is None else str(lag) for lag in below]
    table.add_row("1% at k", *last)
    return table


def draw(results: dict, path: Path, length: int, what: str) -> None:
    """One line a cell over the lag, dashed before training and solid after it."""
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    lags, means = np.arange(length), []
    for result in results.values():
        for moment, style in (("before", "--"), ("after", "-")):
            for line, norms in result[moment].items():
                low, high = np.percentile(norms, (25, 75), axis=1)
                mean = norms.mean(axis=1)
                shown = mean > 0  # zero has no place on a log axis
                label = line if moment == "after" else None
                axes.plot(
                    lags[shown], mean[shown], style, color=COLOURS[line], label=label
                )
                axes.fill_between(
                    lags, low, high, where=shown, color=COLOURS[line], alpha=0.12, lw=0
                )
                means.append(mean[shown])
    axes.plot([], [], "k--", label="before training")
    axes.plot([], [], "k-", label="after training")
    axes.fill_between(
        [], [], color="k", alpha=0.12, lw=0, label="middle half of the windows"
    )
    peak = max(mean.max() for mean in means)
    lowest = max(min(mean.min() for mean in means), peak * 1e-8)
    axes.set(
        yscale="log",
        ylim=(lowest / 3, peak * 5),
        xlim=(0, length - 1),
        xlabel="lag k (characters between the state and the prediction)",
        ylabel=r"$\|\partial L_T / \partial\,\mathrm{carry}_{T-k}\|$  (nats per unit)",
        title="How far back does the loss of one prediction reach?",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.supxlabel(
        "$L_T$: cross-entropy of one predicted character. Lines: mean over "
        f"{HELD_OUT_WINDOWS} held-out windows,\nruled by the few windows whose gradient "
        f"reaches far; bands: the middle half of them.\n{what}",
        fontsize=8,
    )
    axes.legend(fontsize=9, ncols=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


# The program.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="How far back do gradients reach? Elman, GRU, LSTM on real text.",
        epilog="The defaults take about two minutes on two CPU cores.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.error = fail  # one line, without the usage
    add = parser.add_argument
    out = Path("outputs/gradient_norms")
    add("--text", type=Path, help="a UTF-8 file; None: Python's own reference manual")
    add("--cells", nargs="+", choices=CELLS, default=list(CELLS), help="what to train")
    add("--hidden-size", type=whole(1), default=128, help="hidden units of every cell")
    add("--length", type=whole(2), default=100, help="characters in a window")
    add("--batch-size", type=whole(1), default=32, help="windows in a training step")
    add("--steps", type=whole(1), default=600, help="training steps of every cell")
    add("--seed", type=whole(0), default=0, help="of parameters and windows")
    add("--quick", action="store_true", help="a tenth of the steps: about a minute")
    add("--out", type=Path, default=out, help="folder for the figure and the numbers")
    return parser.parse_args()


def study(name: str, args: Any, data: tuple, steps: int, progress: Progress) -> dict:
    """Train one cell; what is known of it, as far as it got."""
    train, test, alphabet = data
    task = progress.add_task(name, total=steps, note="")
    V, H = len(alphabet), args.hidden_size
    cell = Stack((Embedding(V, EMBEDDING), CELLS[name](EMBEDDING, H), Dense(H, V)))
    params = jax.jit(cell.init)(jax.random.key(args.seed))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(8e-3))
    state = optimizer.init(params)
    held_out = next(windows(test, args.length, HELD_OUT_WINDOWS, args.seed))
    result: dict[str, Any] = {"before": norms_by_lag(cell, params, held_out, name)}
    batches = windows(train, args.length, args.batch_size, args.seed)
    losses: list[float] = []
    try:
        for step in range(steps):
            params, state, loss = train_step(
                cell, optimizer, params, state, next(batches)
            )
            losses.append(float(loss))
            note = ""
            if step % 10 == 9:
                value = float(np.mean(losses[-10:]))
                note = f"loss {value:.3f} nats, {value / np.log(2):.3f} bits a character"
                progress.update(task, note=note)
            progress.advance(task)
    except KeyboardInterrupt:
        pass  # the steps done until here are measured below
    result["steps"] = len(losses)
    result["losses_nats"] = losses
    result["bits_per_character"] = bits_per_character(cell, params, test)
    result["after"] = norms_by_lag(cell, params, held_out, name)
    return result


def main() -> None:
    args = arguments()
    steps = max(args.steps // 10, 1) if args.quick else args.steps
    text = read_text(args.text)
    data = train, test, alphabet = split(text, args.length)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot make the folder {args.out}: {error.strerror}")
    what = (
        f"{args.text.name if args.text else 'pydoc_data.topics'}: {len(train):,} "
        f"characters to train on, {len(test):,} held out, {len(alphabet)} symbols\n"
        f"hidden size {args.hidden_size}, {steps} steps of {args.batch_size} windows of "
        f"{args.length} characters, seed {args.seed}"
    )
    console = Console(width=max(Console().width, 80), highlight=False)
    console.print(what)
    results: dict[str, dict] = {}
    stopped = None
    columns = "{task.description:17}", BarColumn(20), MofNCompleteColumn()
    progress = Progress(*columns, "{task.fields[note]}", console=Console(stderr=True))
    try:
        with progress:
            known = references(text, train, test, len(alphabet))
            for name in dict.fromkeys(args.cells):
                result = study(name, args, data, steps, progress)
                results[name] = result
                if result["steps"] < steps:
                    stopped = f"in step {result['steps']} of {steps} of {name}"
                    break
    except KeyboardInterrupt:
        if not results:
            print("Interrupted before anything was measured.", file=sys.stderr)
            raise SystemExit(130) from None
        stopped = f"after {', '.join(results)}"
    if stopped:
        console.print(f"\nInterrupted {stopped}: what follows was done until then.")

    score = Table(title="Bits per held-out character", box=box.SIMPLE)
    score.add_column("model")
    score.add_column("bits", justify="right")
    for name, bits in known.items():
        score.add_row(f"{name} (reference)", f"{bits:.3f}")
    for name, result in results.items():
        score.add_row(name, f"{result['bits_per_character']:.3f}")
    console.print(score)
    for moment in ("before", "after"):
        norms = {k: v for result in results.values() for k, v in result[moment].items()}
        title = f"||dL_T/dcarry_(T-k)|| {moment} training"
        console.print(norm_table(title, norms, args.length))
    console.print(
        f"L_T is the loss of one prediction, k how many characters before it the state "
        f"was left; means over {HELD_OUT_WINDOWS} held-out windows, in nats per unit of "
        "state. 1% at k: the first lag at which the mean is below 1% of its value at k = "
        "0. An LSTM's c is read through h, which is held fixed: its first value is that "
        "at k = 1. bz2 and xz have seen all of the text before, a network only its carry."
    )

    draw(results, args.out / "gradient_norms.png", args.length, what)
    numbers = {
        "arguments": vars(args),
        "steps": steps,
        "versions": {"python": sys.version.split()[0], "jax": jax.__version__},
        "references_bits_per_character": known,
        "axes_of_before_and_after": ["lag", "held-out window"],
        "cells": results,
    }
    (args.out / "gradient_norms.json").write_text(
        json.dumps(
            numbers, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v)
        )
    )
    console.print(f"Figure and numbers: {args.out}/gradient_norms.png and .json")
    raise SystemExit(130 if stopped else 0)


if __name__ == "__main__":
    main()
