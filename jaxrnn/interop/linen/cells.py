"""Recurrent cells of flax.linen, in and out."""

from typing import Any

import jax
import jax.numpy as jnp

from ...cells import GRU, LSTM, MGU, UGRNN, ConvLSTM, Elman
from ...cells.activations import activation_of
from ...wrappers import TwoBiases
from ..layers import Layer
from ..options import check_cell, check_dtype, check_starts_at_zeros, named
from . import convolutional
from .reading import LOAD, Given, Source, refuse


def read(source: Source, given: Given) -> Layer:
    """A cell of a module that is one."""
    from flax import linen as nn

    module, name = source.module, type(source.module).__name__
    if getattr(nn, name, None) is not type(module) or name not in READERS:
        refuse(source, f"one of {', '.join(READERS)}")
    check_starts_at_zeros(LOAD, source.where, module.carry_init)
    cell, params = READERS[name](source, given)
    check_dtype(LOAD, source.where, module.dtype, *jax.tree.leaves(source.params))
    return cell, params


def shown(cell: Any) -> tuple[int, ...]:
    """The shape of one step's output."""
    inner: Any = cell.cell if type(cell) is TwoBiases else cell
    places = inner.places if type(inner) is ConvLSTM else ()
    return (*places, inner.hidden_size)


def _functions(source: Source) -> dict[str, Any]:
    fields = {"activation": "activation_fn", "gate_activation": "gate_fn"}
    return {
        ours: named(LOAD, f"{source.where}.{field}", getattr(source.module, field))
        for ours, field in fields.items()
        if hasattr(source.module, field)
    }


def _sizes(source: Source, kernel: Any) -> tuple[int, int]:
    return kernel.shape[-2], source.module.features


def _lstm(source: Source, given: Given) -> Layer:
    inputs = dict.fromkeys(("ii", "if", "ig", "io"), "kernel")
    recurrent = dict.fromkeys(("hi", "hf", "hg", "ho"), "kernel bias")
    source.expect_gates(**inputs, **recurrent)
    params = {
        "kernel": source.blocks("ii if ig io", "kernel"),
        "recurrent_kernel": source.blocks("hi hf hg ho", "kernel"),
        "bias": source.blocks("hi hf hg ho", "bias"),
    }
    return LSTM(*_sizes(source, params["kernel"]), **_functions(source)), params


def _gru(source: Source, given: Given) -> Layer:
    inputs = dict.fromkeys(("ir", "iz", "in"), "kernel bias")
    source.expect_gates(**inputs, hr="kernel", hz="kernel", hn="kernel bias")
    params = {
        "kernel": source.blocks("ir iz in", "kernel"),
        "recurrent_kernel": source.blocks("hr hz hn", "kernel"),
        "bias": source.blocks("ir iz in", "bias"),
        "recurrent_bias": source.blocks("hn", "bias"),
    }
    return GRU(*_sizes(source, params["kernel"]), **_functions(source)), params


def _elman(source: Source, given: Given) -> Layer:
    source.expect_gates(i="kernel bias", h="kernel")
    params = {
        "kernel": source.blocks("i", "kernel"),
        "recurrent_kernel": source.blocks("h", "kernel"),
        "bias": source.blocks("i", "bias"),
    }
    if source.module.residual:  # act(x W + h U + b + h)
        recurrent = params["recurrent_kernel"]
        params["recurrent_kernel"] = recurrent + jnp.eye(
            len(recurrent), dtype=recurrent.dtype
        )
    return Elman(*_sizes(source, params["kernel"]), **_functions(source)), params


def _mgu(source: Source, given: Given) -> Layer:
    functions = _functions(source)
    if functions != {"activation": "tanh", "gate_activation": "sigmoid"}:
        raise ValueError(
            f"{LOAD}: {source.where} has activation_fn={functions['activation']!r} and "
            f"gate_fn={functions['gate_activation']!r}, expected tanh and sigmoid: "
            "cells.MGU and cells.UGRNN have no others"
        )
    inputs = dict.fromkeys(("if", "in"), "kernel bias")
    reset = source.module.reset_gate
    source.expect_gates(**inputs, hf="kernel", hn="kernel bias" if reset else "kernel")
    params = {
        "kernel": source.blocks("if in", "kernel"),
        "recurrent_kernel": source.blocks("hf hn", "kernel"),
        "bias": source.blocks("if in", "bias"),
    }
    sizes = _sizes(source, params["kernel"])
    if not reset:
        return UGRNN(*sizes), params
    params = {name: _negated(leaf) for name, leaf in params.items()}  # i = 1 - f
    params["recurrent_bias"] = source.blocks("hn", "bias")
    return MGU(*sizes, reset_after=True), params


def _negated(leaf: Any) -> Any:
    gate, candidate = jnp.split(leaf, 2, -1)
    return jnp.concatenate([-gate, candidate], -1)


READERS = {
    "OptimizedLSTMCell": _lstm,
    "LSTMCell": _lstm,
    "GRUCell": _gru,
    "MGUCell": _mgu,
    "SimpleCell": _elman,
    "ConvLSTMCell": convolutional.read,
}


def write(call: str, cell: Any, params: Any) -> tuple[Any, dict[str, Any]]:
    """The module of a recurrent cell, and its params."""
    inner = cell.cell if type(cell) is TwoBiases else cell
    if type(inner) not in WRITERS or (inner is not cell and type(inner) is not ConvLSTM):
        raise ValueError(
            f"{call}: {cell} has no counterpart in flax.linen, expected an LSTM, GRU, "
            "Elman, cells.MGU, cells.UGRNN or cells.ConvLSTM, Dense, Embedding, Dropout, "
            "Bidirectional or Reversed of recurrent cells, or a Stack of these"
        )
    return WRITERS[type(inner)](call, inner, params)


def _options(cell: Any, params: Any) -> dict[str, Any]:
    fields = {"activation": "activation_fn", "gate_activation": "gate_fn"}
    options = {
        theirs: activation_of(getattr(cell, ours))
        for ours, theirs in fields.items()
        if hasattr(cell, ours)
    }
    return options | {"param_dtype": params["kernel"].dtype}


def _gates(leaf: Any, names: str) -> dict[str, Any]:
    gates = names.split()
    return dict(zip(gates, jnp.split(leaf, len(gates), -1), strict=True))


def _tree(params: Any, inputs: str, recurrent: str, bias: str) -> dict[str, Any]:
    """A module for each gate; the bias is with those of `bias`."""
    kernels = _gates(params["kernel"], inputs)
    kernels |= _gates(params["recurrent_kernel"], recurrent)
    tree = {gate: {"kernel": kernel} for gate, kernel in kernels.items()}
    for gate, leaf in _gates(_bias(params), bias).items():
        tree[gate]["bias"] = leaf
    return tree


def _bias(params: Any) -> Any:
    return params["bias"] if "bias" in params else jnp.zeros_like(params["kernel"][0])


def _write_lstm(call: str, cell: LSTM, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    free = {"activation": ..., "gate_activation": ..., "use_bias": ...}
    check_cell(call, cell, "flax's OptimizedLSTMCell", **free)
    tree = _tree(params, "ii if ig io", "hi hf hg ho", "hi hf hg ho")
    return nn.OptimizedLSTMCell(cell.hidden_size, **_options(cell, params)), tree


def _write_gru(call: str, cell: GRU, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    free = {"activation": ..., "gate_activation": ..., "use_bias": ...}
    check_cell(call, cell, "flax's GRUCell", **free)
    tree = _tree(params, "ir iz in", "hr hz hn", "ir iz in")
    tree["hn"]["bias"] = _recurrent_bias(cell, params)
    return nn.GRUCell(cell.hidden_size, **_options(cell, params)), tree


def _recurrent_bias(cell: Any, params: Any) -> Any:
    zeros = jnp.zeros(cell.hidden_size, params["kernel"].dtype)
    return params.get("recurrent_bias", zeros)


def _write_elman(call: str, cell: Elman, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    check_cell(call, cell, "flax's SimpleCell", activation=..., use_bias=...)
    tree = _tree(params, "i", "h", "i")
    return nn.SimpleCell(cell.hidden_size, **_options(cell, params)), tree


def _write_ugrnn(call: str, cell: UGRNN, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    check_cell(call, cell, "flax's MGUCell(reset_gate=False)", use_bias=...)
    tree = _tree(params, "if in", "hf hn", "if in")
    options = _options(cell, params)
    return nn.MGUCell(cell.hidden_size, reset_gate=False, **options), tree


def _write_mgu(call: str, cell: MGU, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    check_cell(call, cell, "flax's MGUCell", reset_after=True, use_bias=...)
    names = "kernel", "recurrent_kernel", "bias"
    negated = {name: _negated(params[name]) for name in names if name in params}
    tree = _tree(negated, "if in", "hf hn", "if in")
    tree["hn"]["bias"] = _recurrent_bias(cell, params)
    return nn.MGUCell(cell.hidden_size, **_options(cell, params)), tree


WRITERS = {
    LSTM: _write_lstm,
    GRU: _write_gru,
    Elman: _write_elman,
    MGU: _write_mgu,
    UGRNN: _write_ugrnn,
    ConvLSTM: convolutional.write,
}
