"""Recurrent cells and layers of flax.nnx, in and out."""

from typing import Any

import jax
import jax.numpy as jnp

from ...cells import GRU, LSTM, Dense, Elman, Embedding
from ...cells.activations import activation_of
from ..layers import Layer
from ..options import (
    check_cell,
    check_defaults,
    check_dtype,
    check_starts_at_zeros,
    named,
)

LOAD, DUMP = "interop.nnx.load", "interop.nnx.dump"


def read(module: Any, where: str) -> Layer:
    """A cell of a module that is one."""
    from flax import nnx

    name = type(module).__name__
    if getattr(nnx, name, None) is not type(module) or name not in READERS:
        raise ValueError(
            f"{LOAD}: {where} is {name}, expected one of {', '.join(READERS)}"
        )
    check_starts_at_zeros(LOAD, where, module.carry_init)
    return READERS[name](module, where)


def _functions(module: Any, where: str) -> dict[str, Any]:
    fields = {"activation": "activation_fn", "gate_activation": "gate_fn"}
    return {
        ours: named(LOAD, f"{where}.{field}", getattr(module, field))
        for ours, field in fields.items()
        if hasattr(module, field)
    }


def linear(module: Any, where: str) -> tuple[Any, Any]:
    """The kernel and the bias, or None, of a Linear."""
    from flax import nnx
    from flax.nnx.nn.dtypes import promote_dtype

    if type(module) is not nnx.Linear:
        raise ValueError(
            f"{LOAD}: {where} is {type(module).__name__}, expected nnx.Linear itself"
        )
    options: dict[str, Any] = {"precision": None, "preferred_element_type": None}
    options |= {"dot_general": jax.lax.dot_general, "promote_dtype": promote_dtype}
    check_defaults(LOAD, where, module, options)
    kernel, bias = (
        None if leaf is None else jnp.asarray(leaf[...])
        for leaf in (module.kernel, module.bias)
    )
    check_dtype(LOAD, where, module.dtype, kernel, bias)
    return kernel, bias


def _affine(module: Any, where: str, *names: str) -> tuple[Any, Any]:
    """Kernels side by side, and biases: zeros where there is none, if there is any."""
    pairs = [linear(getattr(module, name), f"{where}.{name}") for name in names]
    biases = [
        jnp.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
        for kernel, bias in pairs
    ]
    kernel = jnp.concatenate([kernel for kernel, _ in pairs], -1)
    return kernel, jnp.concatenate(biases, -1)


def _params(module: Any, where: str, inputs: str, hidden: str) -> dict[str, Any]:
    kernel, first = _affine(module, where, *inputs.split())
    recurrent, second = _affine(module, where, *hidden.split())
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": first + second}


def _sizes(module: Any) -> tuple[int, int]:
    return module.in_features, module.hidden_features


def _lstm(module: Any, where: str) -> Layer:
    params = _params(module, where, "ii if_ ig io", "hi hf hg ho")
    return LSTM(*_sizes(module), **_functions(module, where)), params


def _fused_lstm(module: Any, where: str) -> Layer:
    params = _params(module, where, "dense_i", "dense_h")
    return LSTM(*_sizes(module), **_functions(module, where)), params


def _elman(module: Any, where: str) -> Layer:
    params = _params(module, where, "dense_i", "dense_h")
    if module.residual:  # act(x W + h U + b + h)
        recurrent = params["recurrent_kernel"]
        ones = jnp.eye(len(recurrent), dtype=recurrent.dtype)
        params["recurrent_kernel"] = recurrent + ones
    return Elman(*_sizes(module), **_functions(module, where)), params


def _gru(module: Any, where: str) -> Layer:
    kernel, bias = _affine(module, where, "dense_i")
    recurrent, second = _affine(module, where, "dense_h")
    r, z, n = jnp.split(second, 3)  # n's stands inside the reset
    inner = getattr(module, "hn_bias", None)
    params = {
        "kernel": kernel,
        "recurrent_kernel": recurrent,
        "bias": bias + jnp.concatenate([r, z, jnp.zeros_like(n)]),
        "recurrent_bias": n if inner is None else n + jnp.asarray(inner[...]),
    }
    return GRU(*_sizes(module), **_functions(module, where)), params


READERS = {
    "OptimizedLSTMCell": _fused_lstm,
    "LSTMCell": _lstm,
    "GRUCell": _gru,
    "SimpleCell": _elman,
}


def read_linear(module: Any, where: str) -> Layer:
    kernel, bias = linear(module, where)
    params = {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
    sizes = module.in_features, module.out_features
    return Dense(*sizes, use_bias=bias is not None), params


def read_embed(module: Any, where: str) -> Layer:
    from flax.nnx.nn.dtypes import promote_dtype

    check_defaults(LOAD, where, module, {"promote_dtype": promote_dtype})
    embedding = jnp.asarray(module.embedding[...])
    check_dtype(LOAD, where, module.dtype, embedding)
    return Embedding(module.num_embeddings, module.features), {"embedding": embedding}


def write(cell: Any, params: Any) -> Any:
    """The module of a recurrent cell."""
    if type(cell) not in WRITERS:
        raise ValueError(
            f"{DUMP}: {cell} has no counterpart in flax.nnx, expected an LSTM, GRU or "
            "Elman, Dense, Embedding, Dropout, Bidirectional or Reversed of recurrent "
            "cells, or a Stack of these"
        )
    return WRITERS[type(cell)](cell, params)


def _made(kind: Any, cell: Any, params: Any, **options: Any) -> Any:
    """A module whose `dense_i` and `dense_h` have the kernels of a cell."""
    from flax import nnx

    fields = {"activation": "activation_fn", "gate_activation": "gate_fn"}
    functions = {
        theirs: activation_of(getattr(cell, ours))
        for ours, theirs in fields.items()
        if hasattr(cell, ours)
    }
    dtype = params["kernel"].dtype
    options |= {"param_dtype": dtype, "rngs": nnx.Rngs(0)}
    module = kind(cell.input_size, cell.hidden_size, **functions, **options)
    module.dense_i.kernel[...] = params["kernel"]
    module.dense_h.kernel[...] = params["recurrent_kernel"]
    side = module.dense_h if module.dense_i.bias is None else module.dense_i
    side.bias[...] = params.get("bias", jnp.zeros(side.bias.shape, dtype))
    return module


def _write_lstm(cell: LSTM, params: Any) -> Any:
    from flax import nnx

    free = {"activation": ..., "gate_activation": ..., "use_bias": ...}
    check_cell(DUMP, cell, "OptimizedLSTMCell of flax.nnx", **free)
    return _made(nnx.OptimizedLSTMCell, cell, params)


def _write_elman(cell: Elman, params: Any) -> Any:
    from flax import nnx

    check_cell(DUMP, cell, "SimpleCell of flax.nnx", activation=..., use_bias=...)
    return _made(nnx.SimpleCell, cell, params, dtype=None)  # or it were float32


def _write_gru(cell: GRU, params: Any) -> Any:
    from flax import nnx

    free = {"activation": ..., "gate_activation": ..., "use_bias": ...}
    check_cell(DUMP, cell, "GRUCell of flax.nnx", **free)
    module, inner = _made(nnx.GRUCell, cell, params), params.get("recurrent_bias")
    if inner is None:
        return module
    if getattr(module, "hn_bias", None) is not None:
        module.hn_bias[...] = inner
    elif bool(jnp.any(inner)):
        raise ValueError(
            f"{DUMP}: recurrent_bias of {cell} is not zero, and GRUCell of this flax.nnx "
            "has no bias inside its reset: interop.linen has"
        )
    return module


WRITERS = {LSTM: _write_lstm, GRU: _write_gru, Elman: _write_elman}


def write_dense(cell: Dense, params: Any) -> Any:
    from flax import nnx

    options = {"use_bias": cell.use_bias, "param_dtype": params["kernel"].dtype}
    module = nnx.Linear(cell.input_size, cell.output_size, **options, rngs=nnx.Rngs(0))
    module.kernel[...] = params["kernel"]
    if module.bias is not None:
        module.bias[...] = params["bias"]
    return module


def write_embedding(cell: Embedding, params: Any) -> Any:
    from flax import nnx

    embedding, sizes = params["embedding"], (cell.vocabulary, cell.features)
    module = nnx.Embed(*sizes, param_dtype=embedding.dtype, rngs=nnx.Rngs(0))
    module.embedding[...] = embedding
    return module
