"""Every figure of gradients in `jaxrnn.plotting`, of two trained character models.

An Elman network and a stack of two LSTM layers learn the Python language reference, which
ships with Python itself (PSF licence); the figures are of text that they have not seen.

    python examples/gallery.py
    python examples/gallery.py --quick --out outputs/gallery
"""

import argparse
import string
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from gradient_norms import EMBEDDING, train_step
from options import whole
from rich.progress import track
from text_data import read_text, split, windows

import jaxrnn
from jaxrnn import LSTM, Dense, Elman, Embedding, Stack, plotting

matplotlib.use("Agg")

LENGTH = 80  # characters of a window
LAGS = 40


def trained(cell: jaxrnn.Cell, symbols: np.ndarray, args: Any, what: str) -> tuple:
    """Parameters before and after training."""
    before = params = jax.jit(cell.init)(jax.random.key(args.seed))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3))
    state = optimizer.init(params)
    batches = windows(symbols, LENGTH, 32, args.seed)
    for _ in track(range(args.steps), what):
        params, state, _ = train_step(cell, optimizer, params, state, next(batches))
    return before, params


def nats(ys: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(ys, labels)


def figures(args: Any) -> dict[str, Any]:
    """By name, the axes."""
    train, test, alphabet = split(read_text(None), LENGTH)
    V, H = len(alphabet), args.hidden_size
    elman = Stack((Embedding(V, EMBEDDING), Elman(EMBEDDING, H), Dense(H, V)))
    layers = LSTM(EMBEDDING, H), LSTM(H, H)
    lstms = Stack((Embedding(V, EMBEDDING), *layers, Dense(H, V)))
    elmans = trained(elman, train, args, "Elman")
    deep = trained(lstms, train, args, "two LSTM layers")
    window = next(windows(test, LENGTH, 64, args.seed))
    xs, labels = window[:-1], window[1:]
    text = jnp.asarray(test[:2000])
    drawn = {}

    def last(ys: jax.Array) -> jax.Array:
        return nats(ys[-1], labels[-1]).sum()

    norms = {}
    for moment, params in zip(("before", "after"), deep, strict=True):
        _, *both, _ = jaxrnn.gradient_norms(last, lstms, params, xs)
        for layer, carry in enumerate(both, 1):
            norms[f"layer {layer}, {moment} training"] = carry.h
    drawn["gradient_norms"] = plotting.gradient_norms(
        norms, title="Two LSTM layers: the last character's loss, in every h"
    )

    step_losses = partial(nats, labels=labels)
    report = jaxrnn.gradient_report(
        step_losses, lstms, deep[1], xs, sample_key=jax.random.key(0), max_lag=LAGS
    )
    print(report)
    drawn["lag_profile"] = report.plot()

    # One sentence, its characters beside the picture.
    start = 400
    some = jnp.asarray(test[start : start + 37])
    reach = jaxrnn.gradient_map(partial(nats, labels=some[1:]), lstms, deep[1], some[:-1])
    ax = plotting.gradient_map(
        reach[1].c, title="Which characters' states a loss learns from: layer 1, c"
    )
    ax.figure.set_size_inches(8.5, 7.2)
    letters = [alphabet[i] for i in some]
    letters = [a if a in string.printable[:94] else "\N{MIDDLE DOT}" for a in letters]
    look = {"fontsize": 11, "family": "monospace"}
    ax.set_xticks(range(len(reach[1].c)), letters[:-1], **look)
    ax.set_yticks(range(len(reach[1].c)), letters[1:], **look)
    ax.set_xlabel("state after reading ...")
    ax.set_ylabel("loss of predicting ...")
    drawn["gradient_map"] = ax

    jacobians = jaxrnn.step_jacobians(elman, elmans[1], text[:400])
    logs = jaxrnn.product_singular_values(jacobians, LAGS)
    drawn["singular_values"] = plotting.singular_values(
        logs, title="Elman after training: products of its steps' Jacobians"
    )

    spectra = {
        moment: jaxrnn.lyapunov_spectrum(elman, params, text)
        for moment, params in zip(("before", "after"), elmans, strict=True)
    }
    drawn["lyapunov_spectrum"] = plotting.lyapunov_spectrum(
        {f"{moment} training": spectrum for moment, spectrum in spectra.items()}
    )

    gates = jaxrnn.gate_activations(lstms, deep[1], xs)
    drawn["gate_histogram"] = plotting.gate_histogram(
        gates[2]["f"], title="Forget gates of layer 2 after training"
    )

    drawn["eigenvalues"] = plotting.eigenvalues(
        {
            f"{moment} training": params[1]["recurrent_kernel"]
            for moment, params in zip(("before", "after"), elmans, strict=True)
        },
        title="Elman: eigenvalues of the recurrent kernel",
    )
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Figures of gradients and gates, of trained character models.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    out = Path("outputs/gallery")
    add = parser.add_argument
    add("--hidden-size", type=whole(1), default=64, help="of every layer")
    add("--steps", type=whole(1), default=600, help="training steps of each model")
    add("--seed", type=whole(0), default=0, help="of parameters and windows")
    add("--quick", action="store_true", help="30 steps by default")
    add("--out", type=Path, default=out, help="folder for the figures")
    args = parser.parse_args()
    if args.quick:
        parser.set_defaults(steps=30)
        args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --out: no folder {args.out}: {error.strerror}")
    for name, ax in figures(args).items():
        ax.figure.savefig(args.out / f"{name}.png", dpi=100)
    print(f"Figures: {args.out}")


if __name__ == "__main__":
    main()
