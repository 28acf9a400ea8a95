"""A module of haiku as a cell has it, and back, for each kind there is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from ...cell import Cell
from ...cells import GRU, LSTM, ConvLSTM, Dense, Elman, Embedding
from ...wrappers import TwoBiases
from ..convolutions import check_convolutions
from ..forgetting import added, sorted_blocks
from ..options import check_cell

OF_TWO = Elman, ConvLSTM
Weights = Mapping[str, Mapping[str, Any]]  # of one kind: by the name inside, "" for none


class Kind(NamedTuple):
    """How one kind of module is named, and its params there and here."""

    name: str
    inside: tuple[str, ...]  # the modules that hold the params; "" for itself
    read: Callable[[Weights, bool], dict[str, Any]]  # of two biases, or of their sum
    write: Callable[[dict[str, Any]], dict[str, dict[str, Any]]]
    options: dict[str, Any]  # what haiku has where our default is another


def inner(cell: Any) -> Any:
    """The cell inside `TwoBiases`, or the cell."""
    return cell.cell if type(cell) is TwoBiases else cell


def has_two(cell: Any) -> bool:
    """Whether the bias of a cell is a sum of two in haiku."""
    return type(cell) in OF_TWO and cell.use_bias


def check(call: str, cell: Cell, **free: Any) -> None:
    """Raise for a cell, or an option of one, that haiku has not."""
    plain = inner(cell)
    if type(plain) not in KINDS or (plain is not cell and type(plain) not in OF_TWO):
        raise ValueError(
            f"{call}: {cell} has no counterpart in haiku, expected an LSTM, GRU, Elman, "
            "cells.ConvLSTM, Dense, Embedding, Dropout or Activation, or a Stack or "
            "DenseSkip of these"
        )
    if type(plain) is ConvLSTM:
        check_convolutions(call, plain, "ConvLSTM of haiku")
        return
    options = KINDS[type(plain)].options | {"use_bias": ...} | free
    check_cell(call, plain, f"{type(plain).__name__} of haiku", **options)


def _bias(params: dict[str, Any]) -> Any:
    if "bias" in params:
        return params["bias"]
    kernel = params["kernel"]
    return jnp.zeros(kernel.shape[-1:], kernel.dtype)


def _read_lstm(weights: Weights, two: bool) -> dict[str, Any]:
    w, b = (sorted_blocks(weights["linear"][leaf]) for leaf in "wb")
    kernel, recurrent = jnp.split(w, [w.shape[0] - w.shape[1] // 4])
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": added(b, 1)}


def _write_lstm(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    w = jnp.concatenate([params["kernel"], params["recurrent_kernel"]])
    b = added(_bias(params), -1)
    return {"linear": {"w": sorted_blocks(w), "b": sorted_blocks(b)}}


def _gru_blocks(leaf: Any) -> Any:
    """z, r, a with a z that writes as r, z, n with one that keeps."""
    z, r, a = jnp.split(leaf, 3, -1)
    return jnp.concatenate([r, -z, a], -1)


def _haiku_blocks(leaf: Any) -> Any:
    r, z, n = jnp.split(leaf, 3, -1)
    return jnp.concatenate([-z, r, n], -1)


def _read_gru(weights: Weights, two: bool) -> dict[str, Any]:
    names = {"kernel": "w_i", "recurrent_kernel": "w_h", "bias": "b"}
    return {name: _gru_blocks(weights[""][leaf]) for name, leaf in names.items()}


def _write_gru(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    w_i, w_h = params["kernel"], params["recurrent_kernel"]
    leaves = {"w_i": w_i, "w_h": w_h, "b": _bias(params)}
    return {"": {name: _haiku_blocks(leaf) for name, leaf in leaves.items()}}


def _read_elman(weights: Weights, two: bool) -> dict[str, Any]:
    x, h = weights["linear"], weights["linear_1"]
    params = {"kernel": x["w"], "recurrent_kernel": h["w"]}
    if two:
        return params | {"bias": x["b"], "recurrent_bias": h["b"]}
    return params | {"bias": x["b"] + h["b"] if "b" in h else x["b"]}


def _write_elman(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    h = {"w": params["recurrent_kernel"]}
    if "recurrent_bias" in params:
        h["b"] = params["recurrent_bias"]
    return {"linear": {"w": params["kernel"], "b": _bias(params)}, "linear_1": h}


def _read_conv(weights: Weights, two: bool) -> dict[str, Any]:
    sides = weights["input_to_hidden"], weights["hidden_to_hidden"]
    kernel, recurrent = (sorted_blocks(side["w"]) for side in sides)
    first, second = (sorted_blocks(side["b"]) for side in sides)
    params = {"kernel": kernel, "recurrent_kernel": recurrent}
    if two:
        return params | {"bias": added(first, 1), "recurrent_bias": second}
    return params | {"bias": added(first + second, 1)}


def _write_conv(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    first = added(_bias(params), -1)
    second = params.get("recurrent_bias", jnp.zeros_like(first))
    sides = {
        "input_to_hidden": (params["kernel"], first),
        "hidden_to_hidden": (params["recurrent_kernel"], second),
    }
    return {
        name: {"w": sorted_blocks(w), "b": sorted_blocks(b)}
        for name, (w, b) in sides.items()
    }


def _read_dense(weights: Weights, two: bool) -> dict[str, Any]:
    names, own = {"kernel": "w", "bias": "b"}, weights[""]
    return {
        name: own[leaf] for name, leaf in names.items() if leaf in own or name != "bias"
    }


def _write_dense(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = {"w": "kernel", "b": "bias"}
    return {"": {leaf: params[name] for leaf, name in names.items() if name in params}}


def _read_embedding(weights: Weights, two: bool) -> dict[str, Any]:
    return {"embedding": weights[""]["embeddings"]}


def _write_embedding(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"": {"embeddings": params["embedding"]}}


TWO_SIDES = "input_to_hidden", "hidden_to_hidden"
KINDS: dict[type, Kind] = {
    LSTM: Kind("lstm", ("linear",), _read_lstm, _write_lstm, {}),
    GRU: Kind("gru", ("",), _read_gru, _write_gru, {"reset_after": False}),
    Elman: Kind(
        "vanilla_rnn",
        ("linear", "linear_1"),
        _read_elman,
        _write_elman,
        {"activation": "relu"},
    ),
    ConvLSTM: Kind("conv{}_dlstm", TWO_SIDES, _read_conv, _write_conv, {}),
    Dense: Kind("linear", ("",), _read_dense, _write_dense, {}),
    Embedding: Kind("embed", ("",), _read_embedding, _write_embedding, {}),
}


def name_of(cell: Cell) -> str:
    """What haiku calls a module of its kind without a name."""
    plain = inner(cell)
    places = len(plain.input_shape) - 1
    return KINDS[type(plain)].name.format(places)


def read(call: str, params: Weights, name: str, kind: type, two: bool) -> dict[str, Any]:
    """The params of one module, as a cell of a kind has them."""
    paths = {
        inside: f"{name}/{inside}" if inside else name for inside in KINDS[kind].inside
    }
    try:
        weights = {inside: params[path] for inside, path in paths.items()}
        return KINDS[kind].read(weights, two)
    except (KeyError, ValueError, TypeError) as error:
        shapes = {
            path: {leaf: value.shape for leaf, value in params[path].items()}
            for path in paths.values()
            if path in params
        }
        what = "TwoBiases of " * two + kind.__name__
        raise ValueError(
            f"{call}: {name!r} is no {what}: of the modules {sorted(paths.values())} the "
            f"params hold {shapes}; give names= of modules among {sorted(params)}"
        ) from error


def written(cell: Cell, params: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The params of a cell, as modules under a name have them."""
    own = KINDS[type(inner(cell))].write(params)
    return {f"{name}/{inside}" if inside else name: own[inside] for inside in own}
