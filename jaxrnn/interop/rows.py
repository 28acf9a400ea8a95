"""Layers of torch and of cuDNN: gates in rows, two biases, and all layers alike.

    weight_ih = kernel^T          [G H, I]        bias_ih + bias_hh = bias      [G H]
    weight_hh = recurrent_kernel^T [G H, H]       weight_hr = projection^T      [P, H]

Blocks are in our order: i, f, g, o and r, z, n. Directions stand in a row: the first
layer's forward one, its backward one, the second layer's forward one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from ..cell import Cell, check_cell
from ..cells import GRU, LSTM, Elman
from ..cells.activations import activation_of
from ..combinators import Bidirectional, Stack, concatenate
from ..wrappers import Dropout, TwoBiases

CELLS = Elman, LSTM, GRU
SIZES = "input_size", "hidden_size", "use_bias", "projection_size"
SPOKEN = {activation_of(name): name for name in ("tanh", "relu", "sigmoid")}


class Network(NamedTuple):
    """Layers that differ in nothing but the input of the first."""

    first: Any  # one direction of the first layer, its initializers those of a new cell
    layers: int
    both: bool  # directions


def cell_of(network: Network, rate: float = 0.0) -> Cell:
    """The cell of a network, with dropout between its layers."""
    one, cells = network.first, []
    for index in range(network.layers):
        if index and rate:
            cells.append(Dropout(rate))
        cells.append(Bidirectional(one, one) if network.both else one)
        one = above(network)
    return cells[0] if len(cells) == 1 else Stack(tuple(cells))


def above(network: Network) -> Any:
    """One direction of any layer but the first."""
    read = (1 + network.both) * network.first.state_size
    return dataclasses.replace(network.first, input_size=read)


def ways_of(network: Network) -> list[Any]:
    """Every direction of every layer, in plain cells."""
    first, others = network.first, above(network)
    ways = [first] + [others] * (network.layers - 1)
    return [way for way in ways for _ in range(1 + network.both)]


def network_of(call: str, cell: Cell) -> Network:
    """What a cell is as a network; raises if it is none."""
    check_cell(call, cell)
    flat = _flat(cell)
    layers = [layer for layer in flat if type(layer) is not Dropout]
    rates = {layer.rate for layer in flat if type(layer) is Dropout}
    between = all(type(layer) is Dropout for layer in flat[1::2])
    alternate = between and len(flat) == 2 * len(layers) - 1
    if rates and not (alternate and len(rates) == 1):
        raise ValueError(
            f"{call}: Dropout in {cell}, expected between every two layers, at one rate, "
            "and at no other place"
        )
    both = type(layers[0]) is Bidirectional
    network = Network(_plain(call, _ways(call, layers[0])[0]), len(layers), both)
    expected = network.first
    for layer in layers:
        ways = [_plain(call, way) for way in _ways(call, layer)]
        if ways != [expected] * (1 + both):
            raise ValueError(
                f"{call}: {layer} stands where {expected} is expected"
                f"{', in both directions' * both}: the layers of one module are alike; "
                "take those that are not one by one"
            )
        expected = above(network)
    return network


def _flat(cell: Cell) -> list[Any]:
    if type(cell) is not Stack:
        return [cell]
    return [layer for inner in cell.cells for layer in _flat(inner)]


def _ways(call: str, layer: Any) -> tuple[Any, ...]:
    """Its cells, one a direction."""
    if type(layer) is not Bidirectional:
        return (layer,)
    if layer.merge is not concatenate:
        raise ValueError(
            f"{call}: merge of {layer} is {layer.merge!r}, expected jaxrnn.concatenate: "
            "there is no other"
        )
    return layer.cells


def _plain(call: str, cell: Any) -> Any:
    """The cell by what its numbers depend on; raises for what only ours have."""
    inner = bare(cell)
    if type(inner) not in CELLS:
        raise ValueError(
            f"{call}: {cell} has no counterpart there, expected an Elman, LSTM or GRU, "
            "TwoBiases around one, Bidirectional, or a Stack of such layers that are "
            "alike, with Dropout between them"
        )
    kept = {name: getattr(inner, name) for name in SIZES if hasattr(inner, name)}
    for field in dataclasses.fields(inner):
        value = getattr(inner, field.name)
        if field.name in SIZES or field.name.endswith("_init"):
            continue
        if field.name.endswith("activation"):
            value = SPOKEN.get(activation_of(value), value)
        may = [field.default]
        if type(inner) is Elman and field.name == "activation":
            may.append("relu")
            kept["activation"] = value
        if value not in may:
            raise ValueError(
                f"{call}: {field.name} of {inner} is {value!r}, expected "
                f"{' or '.join(map(repr, may))}: there is no other"
            )
    size = kept.get("projection_size")
    if size is not None and size >= inner.hidden_size:
        raise ValueError(
            f"{call}: projection_size of {inner} is {size}, expected less than the "
            "hidden_size"
        )
    return type(inner)(**kept)


def bare(cell: Any) -> Any:
    """The cell inside `TwoBiases`, or the cell."""
    return cell.cell if type(cell) is TwoBiases else cell


def has_two(cell: Any) -> bool:
    """Whether the bias of a cell is a sum of two there."""
    return type(cell) in CELLS and cell.use_bias


def directions(cell: Any, tree: Any) -> list[tuple[Any, Any]]:
    """Every direction of every layer, with what is its own of params or a carry."""
    if isinstance(cell, Stack | Bidirectional):
        pairs = zip(cell.cells, tree, strict=True)
        return [way for inner, own in pairs for way in directions(inner, own)]
    return [] if isinstance(cell, Dropout) else [(cell, tree)]


def in_place(cell: Any, make: Callable[[Any], Any]) -> Any:
    """What `make` gives for every direction, in the structure of params or a carry."""
    if isinstance(cell, Stack | Bidirectional):
        return tuple(in_place(inner, make) for inner in cell.cells)
    return () if isinstance(cell, Dropout) else make(cell)


def shapes_of(cell: Any) -> dict[str, tuple[int, ...]]:
    """The weights of one direction, in torch's order."""
    inner = bare(cell)
    rows = len(inner.blocks) * inner.hidden_size
    shapes = {
        "weight_ih": (rows, inner.input_size),
        "weight_hh": (rows, inner.state_size),
    }
    if inner.use_bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if getattr(inner, "projection_size", None):
        shapes["weight_hr"] = inner.projection_size, inner.hidden_size
    return shapes


def read(cell: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """The params of one direction."""
    params = {
        "kernel": weights["weight_ih"].T,
        "recurrent_kernel": weights["weight_hh"].T,
    }
    if "weight_hr" in weights:
        params["projection"] = weights["weight_hr"].T
    if "bias_ih" not in weights:
        return params
    first, second = weights["bias_ih"], weights["bias_hh"]
    if type(cell) is TwoBiases:
        return params | {"bias": first, "recurrent_bias": second}
    if type(cell) is not GRU:
        return params | {"bias": first + second}
    cut = 2 * cell.hidden_size  # b_hn stands inside the reset, and stays by itself
    bias = jnp.concatenate([first[:cut] + second[:cut], first[cut:]])
    return params | {"bias": bias, "recurrent_bias": second[cut:]}


def written(params: dict[str, Any]) -> dict[str, Any]:
    """The weights of one direction: the inverse of `read`."""
    weights = {
        "weight_ih": params["kernel"].T,
        "weight_hh": params["recurrent_kernel"].T,
    }
    if "bias" in params:
        first = params["bias"]
        own = params.get("recurrent_bias", first[:0])
        second = jnp.pad(own, (first.size - own.size, 0))
        weights |= {"bias_ih": first, "bias_hh": second}
    if "projection" in params:
        weights["weight_hr"] = params["projection"].T
    return weights
