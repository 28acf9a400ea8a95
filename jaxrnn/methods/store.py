"""Rows written into a buffer that a loop carries."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

store_p = Primitive("store")


def store(buffer: jax.Array, rows: jax.Array, at: jax.Array) -> jax.Array:
    """The buffer with `rows` from the index `at` of its first axis on.

    As `jax.lax.dynamic_update_slice_in_dim`, which `jax.vmap` makes a scatter; this stays
    a write in place. `at` is unsigned, so that no step asks whether it is negative.
    """
    return store_p.bind(buffer, rows, at, axis=0)


def _write(buffer: Any, rows: Any, at: Any, *, axis: int) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(buffer, rows, at, axis)


def _shape(buffer: Any, rows: Any, at: Any, *, axis: int) -> Any:
    assert buffer.dtype == rows.dtype and buffer.ndim == rows.ndim, (buffer, rows)
    return buffer


def _batch(args: Any, axes: Any, *, axis: int) -> tuple[Any, int]:
    (*arrays, at), (*moves, none) = args, axes
    assert none is None, "all examples are at the same step"
    (size, *_) = [x.shape[i] for x, i in zip(arrays, moves, strict=True) if i is not None]
    buffer, rows = (
        jnp.broadcast_to(x, (size, *x.shape)) if i is None else jnp.moveaxis(x, i, 0)
        for x, i in zip(arrays, moves, strict=True)
    )
    return store_p.bind(buffer, rows, at, axis=axis + 1), 0


def _jvp(primals: Any, tangents: Any, *, axis: int) -> tuple[Any, Any]:
    (_, _, at), (dbuffer, drows, _) = primals, tangents
    moved = ad.instantiate_zeros(dbuffer), ad.instantiate_zeros(drows)
    return store_p.bind(*primals, axis=axis), store_p.bind(*moved, at, axis=axis)


def _transpose(gradient: Any, buffer: Any, rows: Any, at: Any, *, axis: int) -> list[Any]:
    """What was overwritten has no gradient."""
    gradient, of_buffer, of_rows = ad.instantiate_zeros(gradient), None, None
    aval = rows.aval if ad.is_undefined_primal(rows) else jax.typeof(rows)
    if ad.is_undefined_primal(buffer):
        blank = ad.instantiate_zeros(ad.Zero(aval))
        of_buffer = store_p.bind(gradient, blank, at, axis=axis)
    if ad.is_undefined_primal(rows):
        size = aval.shape[axis]
        of_rows = jax.lax.dynamic_slice_in_dim(gradient, at, size, axis)
    return [of_buffer, of_rows, None]


store_p.def_impl(_write)
store_p.def_abstract_eval(_shape)
batching.primitive_batchers[store_p] = _batch
ad.primitive_jvps[store_p] = _jvp
ad.primitive_transposes[store_p] = _transpose
mlir.register_lowering(store_p, mlir.lower_fun(_write, multiple_results=False))
