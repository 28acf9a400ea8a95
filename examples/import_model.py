"""A model of torch, keras or ONNX comes in: what it is, and how its gradients fade.

Prints the network layer by layer and its gradient report, and draws the report. Without a
file it makes a small model with each library that is installed, and takes those.

    python examples/import_model.py
    python examples/import_model.py --onnx model.onnx --keras model.keras
    python examples/import_model.py --torch model.pt --embedding e. --prefix rnn. head.

A file of torch is a state dict, from `torch.save` or of safetensors, which does not say
what its modules are: name them in the order in which x meets them. The loss is the sum of
squares of the outputs and the inputs are noise, which tells what the weights do to
gradients; for what your task makes of them take its own data and loss.
"""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
from options import fail, whole

import jaxrnn
from jaxrnn import GRU, LSTM, Dense, Embedding, Stack
from jaxrnn.interop import keras, onnx, torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

os.environ.setdefault("KERAS_BACKEND", "jax")


def read(library: str, path: Path, args: Any) -> tuple[jaxrnn.Cell, Any]:
    """The cell, and its params."""
    if library != "torch":
        return {"keras": keras, "onnx": onnx}[library].load(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        state: Any = load_file(path)
    else:
        from torch import load

        state = load(path, map_location="cpu", weights_only=True)
    layers = [torch.load(state, prefix=prefix) for prefix in args.prefix]
    if args.embedding is not None:
        vocabulary, features = state[f"{args.embedding}weight"].shape
        embedding = Embedding(vocabulary, features)
        layers.insert(0, torch.load(state, embedding, prefix=args.embedding))
    if len(layers) == 1:
        return layers[0]
    return Stack(tuple(cell for cell, _ in layers)), tuple(own for _, own in layers)


def made(library: str, folder: Path) -> Path:
    """A small model, as the library writes it."""
    if library == "torch":
        from torch import manual_seed, nn, save

        manual_seed(0)
        path = folder / "model.pt"
        save(nn.LSTM(3, 16, num_layers=2).state_dict(), path)
    elif library == "keras":
        from keras import Sequential, layers, utils

        utils.set_random_seed(0)
        path, gru = folder / "model.keras", layers.GRU(16, return_sequences=True)
        Sequential([layers.Input((None, 3)), gru, layers.Dense(2)]).save(path)
    else:
        from onnx import save

        cell = Stack((Embedding(20, 8), GRU(8, 16), LSTM(16, 16), Dense(16, 20)))
        path = folder / "model.onnx"
        save(onnx.dump(cell, cell.init(jax.random.key(0))), path)
    return path


def measure(cell: jaxrnn.Cell, params: Any, length: int, ax: Any) -> str:
    """With noise, or symbols where an `Embedding` is the first layer; draws in `ax`."""
    key, shape = jax.random.key(0), (length, 8)
    if cell.input_shape == ():
        xs = jax.random.randint(key, shape, 0, len(jax.tree.leaves(params)[0]))
    else:
        xs = jax.random.normal(key, (*shape, *cell.input_shape))

    def losses(ys: jax.Array) -> jax.Array:
        return jnp.sum(ys**2, tuple(range(2, ys.ndim)))

    try:
        options = {"sample_key": key, "max_lag": length // 2}
        report = jaxrnn.gradient_report(losses, cell, params, xs, **options)
        report.plot(ax)
    except TypeError as error:  # two directions have no lags
        middle = lambda ys: jnp.sum(losses(ys)[length // 2])  # noqa: E731
        norms = jaxrnn.gradient_norms(middle, cell, params, xs)
        jaxrnn.plotting.gradient_norms(norms, ax)
        return f"{error}\nThe figure shows the gradient of the output at {length // 2}."
    return str(report)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Models of torch, keras and ONNX, and how their gradients fade.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.error = fail
    add, out = parser.add_argument, Path("outputs/import_model")
    add("--torch", type=Path, help="a state dict: .pt, .pth or .safetensors")
    add("--prefix", nargs="+", default=[""], help="what keys of its modules begin with")
    add("--embedding", help="the prefix of an Embedding in front of them")
    add("--keras", type=Path, help="a .keras file")
    add("--onnx", type=Path, help="an .onnx file")
    add("--length", type=whole(4), default=200, help="steps of the inputs")
    add("--quick", action="store_true", help="40 steps")
    add("--out", type=Path, default=out, help="folder for the figure")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    libraries = "torch", "keras", "onnx"
    files = {name: getattr(args, name) for name in libraries if getattr(args, name)}
    if not files:
        there = [name for name in libraries if importlib.util.find_spec(name)]
        files = {name: made(name, args.out) for name in there}
    if not files:
        fail(f"no file is given, and none of {', '.join(libraries)} is installed")
    width = {"figsize": (6 * len(files), 4.5), "layout": "constrained"}
    _, axes = plt.subplots(1, len(files), squeeze=False, **width)
    for ax, (library, path) in zip(axes[0], files.items(), strict=True):
        try:
            cell, params = read(library, path, args)
        except (ImportError, KeyError, OSError, TypeError, ValueError) as error:
            fail(f"{path}: {error}")
        print(f"{library}: {path}\n")
        stack = (cell, params) if isinstance(cell, Stack) else (Stack((cell,)), (params,))
        for layer, own in zip(stack[0].cells, stack[1], strict=True):
            size = sum(leaf.size for leaf in jax.tree.leaves(own))
            print(f"    {layer}, {size:,} parameters")
        print(f"\n{measure(cell, params, 40 if args.quick else args.length, ax)}\n")
        ax.set_title(f"{library}: {path.name}")
    plt.savefig(args.out / "import_model.png", dpi=110)
    print(f"Figure: {args.out / 'import_model.png'}")


if __name__ == "__main__":
    main()
