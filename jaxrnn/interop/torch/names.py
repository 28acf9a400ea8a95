"""A state dict of torch: names, tensors, and the cell that they speak of."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...cell import Cell
from ...cells import GRU, LSTM, Dense, Elman, Embedding
from .. import layers, rows

Shapes = dict[str, tuple[int, ...]]


def dotted(prefix: str) -> str:
    return f"{prefix}." if prefix and not prefix.endswith(".") else prefix


def under(call: str, source: Mapping[str, Any], prefix: str) -> dict[str, jax.Array]:
    """The arrays of the keys that begin with the prefix, by the rest of the key."""
    weights = {
        str(key).removeprefix(prefix): as_array(call, f"{key!r}", value)
        for key, value in source.items()
        if str(key).startswith(prefix)
    }
    if not weights:
        begins = {f"{str(key).rpartition('.')[0]}." for key in source} - {"."}
        there = f"expected one of {listed(begins)}" if begins else f"but {listed(source)}"
        raise ValueError(
            f"{call}: of {len(source)} keys none begins with the prefix {prefix!r}, "
            f"{there}"
        )
    return weights


def as_array(call: str, name: str, value: Any) -> jax.Array:
    """A tensor or an array as one of JAX, and never the same memory."""
    if hasattr(value, "detach"):
        try:
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":  # NumPy has none
                value = jnp.asarray(value.float().numpy(), jnp.bfloat16)
            else:
                value = value.numpy()
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(
                f"{call}: {name} is a tensor without plain numbers, expected a dense one "
                f"of floats ({str(error).splitlines()[0]})"
            ) from error
    if isinstance(value, Mapping):
        raise TypeError(
            f"{call}: {name} is a {type(value).__name__}, expected a tensor or an array: "
            f"of a checkpoint that holds a state dict, give that: source[{name}]"
        )
    value = layers.floats(call, name, value)
    return value if isinstance(value, jax.Array) else jnp.array(value)


def as_numpy(array: Any) -> np.ndarray:
    """An array that `torch.from_numpy` takes: of its own memory, in a dtype of NumPy."""
    array = np.array(array, order="C")
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 6} more" * (len(names) > 6)
    return f"{', '.join(map(repr, names[:6])) or 'none'}{more}"


def shapes_of(call: str, cell: Any, one: bool) -> Shapes:
    """The keys of the module that the cell is, with their shapes."""
    if type(cell) is Embedding:
        return {"weight": (cell.vocabulary, cell.features)}
    if type(cell) is Dense:
        bias = {"bias": (cell.output_size,)} if cell.use_bias else {}
        return {"weight": (cell.output_size, cell.input_size), **bias}
    network = rows.network_of(call, cell)
    return {
        name + suffix: shape
        for way, suffix in zip(
            rows.ways_of(network), suffixes_of(network, one), strict=True
        )
        for name, shape in rows.shapes_of(way).items()
    }


def suffixes_of(network: rows.Network, one: bool) -> list[str]:
    """Of the names of weights, in the order of directions; `one`: of an nn.GRUCell."""
    ways = ["", "_reverse"][: 1 + network.both]
    suffixes = [f"_l{layer}{way}" for layer in range(network.layers) for way in ways]
    return [""] if one and len(suffixes) == 1 else suffixes


def check_shapes(
    call: str, cell: Cell, weights: dict[str, Any], shapes: Shapes, prefix: str
) -> None:
    missing, unknown = shapes.keys() - weights.keys(), weights.keys() - shapes.keys()
    if missing or unknown:
        raise ValueError(
            f"{call}: the keys under the prefix {prefix!r} are not those of {cell}: "
            f"{listed(missing)} missing, {listed(unknown)} not understood; `prefix` "
            "names one module, and `cell` its layers"
        )
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(
                f"{call}: {prefix + name!r} has shape {weights[name].shape}, expected "
                f"{shape} for {cell}"
            )


def found(call: str, weights: dict[str, Any], prefix: str) -> Cell:
    """The cell that names and shapes speak of."""
    shape = {name: array.shape for name, array in weights.items()}
    if shape.keys() == {"weight", "bias"} and len(shape["weight"]) == 2:
        return Dense(shape["weight"][1], shape["weight"][0])
    if shape.keys() == {"weight"}:
        raise ValueError(
            f"{call}: {prefix + 'weight'!r} alone may be that of an nn.Embedding or of "
            "an nn.Linear(bias=False): give cell=Embedding(vocabulary, features) or "
            "cell=Dense(input_size, output_size, use_bias=False)"
        )
    suffix = "" if "weight_ih" in shape else "_l0"
    kernel, recurrent = (shape.get(f"weight_{name}{suffix}", ()) for name in ("ih", "hh"))
    if len(kernel) != 2 or len(recurrent) != 2:
        raise ValueError(
            f"{call}: the keys under the prefix {prefix!r} are {listed(shape)}, expected "
            "'weight_ih_l0' and 'weight_hh_l0', with those beside them, or 'weight' and "
            "'bias' of an nn.Linear: `prefix` names one module"
        )
    projection = shape.get(f"weight_hr{suffix}")
    hidden = projection[-1] if projection else recurrent[1]
    sizes, use_bias = (kernel[1], hidden), f"bias_ih{suffix}" in shape
    if kernel[0] == 4 * hidden:
        size = projection[0] if projection else None
        first = LSTM(*sizes, projection_size=size, use_bias=use_bias)
    elif kernel[0] == 3 * hidden:
        first = GRU(*sizes, use_bias=use_bias)
    elif kernel[0] == hidden:
        first = Elman(*sizes, use_bias=use_bias)
    else:
        raise ValueError(
            f"{call}: {prefix + 'weight_ih' + suffix!r} has shape {kernel}, expected 1, "
            f"3 or 4 times {hidden} rows: those of an nn.RNN, nn.GRU or nn.LSTM"
        )
    layers = max(1, sum(f"weight_ih_l{index}" in shape for index in range(len(shape))))
    network = rows.Network(first, layers, "weight_ih_l0_reverse" in shape)
    if type(first) is Elman:
        raise ValueError(
            f"{call}: a state dict does not say whether an nn.RNN is one of tanh or of "
            f'relu: give cell={rows.cell_of(network)}, or the same with activation="relu"'
        )
    return rows.cell_of(network)
