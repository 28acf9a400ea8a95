"""A call of a module: sequences as flax lays them out, evaluated as `unroll` does."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import as_array, native
from ..cell import Cell, check_cell
from ..combinators.bidirectional import Bidirectional
from ..context import contexts
from ..unrolling.call import call_of, evaluate
from ..unrolling.streams import clipped
from ..wrappers.reversed import Reversed
from .noise import draws


class Layout(NamedTuple):
    """Where the axes are, and in which order the outputs come out."""

    time_major: bool  # (T, *batch, ...); else (*batch, T, ...)
    reverse: bool
    keep_order: bool  # outputs in input order; else in that of the run


def leading(call: str, cell: Cell, inputs: Any, time_major: bool) -> tuple[int, ...]:
    """(T, *batch), of inputs in either layout."""
    check_cell(call, cell)
    axes = "T, *batch" if time_major else "*batch, T"
    shape = checks.leading_shape(call, "inputs", cell, inputs, axes)
    if not shape:
        raise ValueError(
            f"{call}: inputs has shape {checks.shapes(inputs)}, expected an axis of time "
            f"before {cell.input_shape} for {cell}"
        )
    return shape if time_major else (shape[-1], *shape[:-1])


def run(
    call: str,
    cell: Cell,
    params: Any,
    inputs: Any,
    carry: Any,
    layout: Layout,
    *,
    lengths: Any,
    mask: Any,
    resets: Any,
    key: Callable[[], Any],
    method: Any,
) -> tuple[Any, Any]:
    """`unroll`, for inputs, mask, resets and outputs in the layout.

    `key` is asked for a key, or for None, only if the cell makes anything of one.
    """
    inputs = native(call, "inputs", inputs)
    params = checks.check_params(call, cell, params)
    T, *batch = leading(call, cell, inputs, layout.time_major)
    axis = 0 if layout.time_major else len(batch)
    lengths = _shaped(call, "seq_lengths", lengths, tuple(batch), "(*batch)")
    steps = (T, *batch) if layout.time_major else (*batch, T)
    axes = "(T, *batch)" if layout.time_major else "(*batch, T)"
    mask = _shaped(call, "mask", mask, steps, axes)
    resets = _shaped(call, "resets", resets, steps, axes)
    in_order = layout.keep_order or not layout.reverse
    if mask is not None and not in_order:
        raise ValueError(
            f"{call}: reverse=True with a mask and keep_order=False: where padding would "
            "lie among outputs in the order of the run is open; take keep_order=True, or "
            "seq_lengths"
        )

    def first(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axis, 0), tree)

    xs, mask, resets = (
        tree if axis == 0 else first(tree) for tree in (inputs, mask, resets)
    )
    if carry is not None:
        carry = checks.check_carry(call, cell, params, carry, tuple(batch))
        checks.check_contexts(call, cell, carry, tuple(batch))
    drawn = key() if draws(cell, params, xs, carry, len(batch)) else None
    streams = lengths, mask, resets
    carry, ys = evaluate(
        call_of(call, cell, params, xs, carry, *streams, layout.reverse, drawn, method)
    )
    if not in_order:
        ys = jax.tree.map(lambda leaf: _turned(leaf, lengths), ys)
    return carry, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, axis), ys)


def _shaped(call: str, name: str, value: Any, shape: tuple[int, ...], axes: str) -> Any:
    if value is None:
        return None
    value = as_array(call, name, value)
    if value.shape != shape:
        raise ValueError(
            f"{call}: {name} has shape {value.shape}, expected {shape}, {axes}, as the "
            "inputs have these axes"
        )
    return value


def _turned(ys: jax.Array, lengths: Any) -> jax.Array:
    """The valid steps in the other order, the padding where it was."""
    if lengths is None:
        return jnp.flip(ys, 0)
    T = ys.shape[0]
    lengths = clipped(lengths, T)
    steps = jnp.arange(T, dtype="int32").reshape((T,) + (1,) * lengths.ndim)
    steps = jnp.broadcast_to(steps, (T, *lengths.shape))
    order = jnp.where(steps < lengths[None], lengths[None] - 1 - steps, steps)
    order = order.reshape(order.shape + (1,) * (ys.ndim - order.ndim))
    return jnp.take_along_axis(ys, order, axis=0, mode="clip")


def check_kept(
    call: str, cell: Cell, params: Any, carry: Any, batch: tuple[int, ...], remedy: str
) -> Any:
    """The carry that the call before has left, if these inputs have its batch axes."""
    expected = jax.tree.leaves(jax.eval_shape(cell.initial_carry, params))
    for leaf, one in zip(jax.tree.leaves(carry), expected, strict=True):
        had = jnp.shape(leaf)[: jnp.ndim(leaf) - one.ndim]
        if had != batch:
            raise ValueError(
                f"{call}: the carry kept from the call before has the batch axes {had}, "
                f"these inputs have {batch}; {remedy}"
            )
    return carry


def check_stateful(call: str, cell: Cell, params: Any) -> None:
    """Raise for a cell whose carry cannot go on in the next call."""
    if contexts(jax.eval_shape(cell.initial_carry, params)):
        raise ValueError(
            f"{call}: stateful=True, but the carry of {cell} holds a Context, which no "
            "call begins with; pass the carry on with initial_carry and return_carry"
        )
    if _reads_backward(cell):
        raise ValueError(
            f"{call}: stateful=True, but {cell} reads backward: pieces of a "
            "sequence are not the sequence; give it whole ones"
        )


def _reads_backward(cell: Any) -> bool:
    if isinstance(cell, tuple):
        return any(map(_reads_backward, cell))
    if not isinstance(cell, Cell):
        return False
    inner = vars(cell).values()
    return isinstance(cell, Bidirectional | Reversed) or any(map(_reads_backward, inner))


def cast(params: Any, dtype: Any) -> Any:
    """Floating leaves in the dtype; None: as they are."""

    def of(leaf: Any) -> Any:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return params if dtype is None else jax.tree.map(of, params)
