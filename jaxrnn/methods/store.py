"""A row written into a buffer that a loop carries."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

store_p = Primitive("store")


def store(buffer: jax.Array, row: jax.Array, at: jax.Array) -> jax.Array:
    """The buffer with `row` at the index `at` of its first axis.

    As `jax.lax.dynamic_update_index_in_dim`, which `jax.vmap` makes a scatter; this stays
    a write in place.
    """
    return store_p.bind(buffer, row, at, axis=0)


def _write(buffer: Any, row: Any, at: Any, *, axis: int) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(buffer, row, at, axis)


def _shape(*avals: Any, axis: int) -> Any:
    return jax.make_jaxpr(lambda *args: _write(*args, axis=axis))(*avals).out_avals[0]


def _batch(args: Any, axes: Any, *, axis: int) -> tuple[Any, int]:
    (*arrays, at), (*moves, none) = args, axes
    assert none is None, "all examples are at the same step"
    (size, *_) = [x.shape[i] for x, i in zip(arrays, moves, strict=True) if i is not None]
    buffer, row = (
        jnp.broadcast_to(x, (size, *x.shape)) if i is None else jnp.moveaxis(x, i, 0)
        for x, i in zip(arrays, moves, strict=True)
    )
    return store_p.bind(buffer, row, at, axis=axis + 1), 0


store_p.def_impl(_write)
store_p.def_abstract_eval(_shape)
batching.primitive_batchers[store_p] = _batch
mlir.register_lowering(store_p, mlir.lower_fun(_write, multiple_results=False))
