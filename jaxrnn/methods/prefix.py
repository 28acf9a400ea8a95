"""h_t = A_t h_(t-1) + b_t, for all t at once: a prefix of matrices over blocks of time.

    in a block of few steps   h and A_t ... A_1, from zero, in a loop; all blocks beside
                              each other
    over the blocks           (A, h) after (A', h') is (A A', A h' + h): the state with
                              which every block begins, in log2 of them rounds
    in a block, again         every h, from there

The gradient is the same recurrence backwards, lambda_t = A_(t+1)^T lambda_(t+1) + hbar_t,
and so it is solved: `jax.lax.custom_linear_solve` takes all derivatives of what is given
and of the solution alone, never those of the way to it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.varying import varying_with
from .segments import divisor

Leaves = list[Any]
Operator = Callable[[Any, Leaves], Leaves]  # A_t v, of row t and v


class Blocks(NamedTuple):
    """How time is cut: blocks of so many steps, spread over an axis of a mesh or not."""

    steps: int
    axis: str | None = None

    def cut(self, T: int) -> tuple[int, int]:
        """How many blocks there are, and the steps of one."""
        if not isinstance(T, int):
            raise ValueError(
                f"Associative: of a symbolic number of steps, {T}, the rounds cannot be "
                "told: export it for a number of steps, or take Scan()"
            )
        if self.axis is None:
            length = min(self.steps, T)
            return -(-T // length), length
        devices = _devices(self.axis)
        if T % devices:
            raise ValueError(
                f"Associative: time has {T} steps, expected a multiple of the {devices} "
                f"devices of the mesh axis {self.axis!r}: pad, and give lengths"
            )
        length = divisor(T // devices, self.steps)
        return T // length, length


def _devices(axis: str) -> int:
    mesh = jax.sharding.get_abstract_mesh()
    if axis not in mesh.axis_names or axis in mesh.manual_axes:
        inside = axis in mesh.manual_axes
        raise ValueError(
            f"Associative: time_axis is {axis!r}, expected an axis of the mesh that "
            f"jax.set_mesh has set, which has {mesh.axis_names}"
            + (": call unroll outside of jax.shard_map, it has its own" if inside else "")
        )
    return mesh.shape[axis]


def solved(
    operator: Operator,
    rows: Any,
    first: Leaves,
    offsets: Leaves,
    form: Any,
    blocks: Blocks,
    *,
    way: Operator | None = None,
) -> Leaves:
    """Every h, leaves `(T, ...)`, by the state before the first step and the b_t.

    `way` is the operator for the way to the solution, of which no derivative is taken.
    """
    way = way or operator
    row = jax.tree.map(lambda leaf: leaf[0], rows)
    start = operator(row, first)
    b = [
        leaf.at[0].set(form.plus(leaf[0], x))
        for leaf, x in zip(offsets, start, strict=True)
    ]
    floating = all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in first)
    if not floating or not form.linear:
        return prefix(way, rows, b, form, blocks)

    def matvec(h: Leaves) -> Leaves:
        # Rolled, which takes one row from a neighbour where time is over devices.
        before = [jnp.roll(x, 1, 0).at[0].set(jnp.zeros_like(x[0])) for x in h]
        steps = jax.vmap(operator)(rows, before)
        return [x - y for x, y in zip(h, steps, strict=True)]

    def forward(_: Any, b: Leaves) -> Leaves:
        return prefix(way, rows, b, form, blocks)

    def backward(_: Any, bar: Leaves) -> Leaves:
        def transposed(row: Any, bar: Leaves) -> Leaves:
            return jax.linear_transpose(lambda v: way(row, v), first)(bar)[0]

        # A_(t+1) for A_t; that of the last meets nothing.
        later = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, 0), rows)
        return prefix(transposed, later, bar, form, blocks, reverse=True)

    return jax.lax.custom_linear_solve(matvec, b, forward, backward)


def prefix(
    operator: Operator,
    rows: Any,
    b: Leaves,
    form: Any,
    blocks: Blocks,
    *,
    reverse: bool = False,
) -> Leaves:
    """Every h, from zero: the first row, or in reverse the last, meets nothing."""
    T = b[0].shape[0]
    count, length = blocks.cut(T)
    missing = count * length - T

    def filled(leaf: Any, more: Any) -> Any:
        more = jnp.broadcast_to(more, (missing, *leaf.shape[1:]))
        return jnp.concatenate([leaf, more]) if missing else leaf

    def cut(leaf: Any) -> Any:
        return jnp.swapaxes(leaf.reshape(count, length, *leaf.shape[1:]), 0, 1)

    def joined(leaf: Any) -> Any:
        return jnp.swapaxes(leaf, 0, 1).reshape(count * length, *leaf.shape[2:])[:T]

    rows = jax.tree.map(lambda leaf: cut(filled(leaf, leaf[-1])), rows)
    timed = rows, [cut(filled(leaf, form.zero(leaf[0]))) for leaf in b]
    step = jax.vmap(operator)
    zeros = [form.zero(leaf[0]) for leaf in timed[1]]
    one = [leaf[0] for leaf in zeros]

    over = functools.partial(jax.lax.scan, reverse=reverse)

    def advance(h: Leaves, inputs: Any) -> tuple[Leaves, Leaves]:
        row, b = inputs
        new = [form.plus(x, y) for x, y in zip(step(row, h), b, strict=True)]
        return new, new

    if count == 1:
        return [*map(joined, over(advance, zeros, timed)[1])]

    def local(state: Any, inputs: Any) -> tuple[Any, Any]:
        h, columns = state
        h, _ = advance(h, inputs)
        columns = jax.vmap(step, (None, 1), 1)(inputs[0], columns)
        return (h, columns), None

    columns = [
        jnp.broadcast_to(leaf, (count, *leaf.shape)).astype(like.dtype)
        for leaf, like in zip(form.basis(one), zeros, strict=True)
    ]
    columns = varying_with((zeros, timed), columns)
    (h, columns), _ = over(local, (zeros, columns), timed)
    pairs = jax.vmap(form.scaled)(columns), jax.vmap(form.packed)(h)
    starts = _starts(pairs, form, blocks, reverse)
    starts = jax.vmap(lambda packed: form.unpacked(packed, one))(starts)
    return [*map(joined, over(advance, starts, timed)[1])]


def _starts(pairs: Any, form: Any, blocks: Blocks, reverse: bool) -> Any:
    """The state with which every block begins."""

    @jax.vmap
    def join(first: Any, second: Any) -> Any:
        (A, h), (B, g) = first, second
        return form.after(B, A), form.plus(form.times(B, h), g)

    scan = functools.partial(jax.lax.associative_scan, join, reverse=reverse)

    def shifted(begin: Any, ends: Any) -> Any:
        parts = [ends[1:], begin[None]] if reverse else [begin[None], ends[:-1]]
        return jnp.concatenate(parts)

    if blocks.axis is None:
        _, ends = scan(pairs)
        return shifted(form.zero(ends[0]), ends)

    def piece(pairs: Any) -> Any:
        """Of one device, which learns from the others one pair of each, once."""
        matrices, ends = scan(pairs)
        last = jax.tree.map(lambda leaf: leaf[0 if reverse else -1], (matrices, ends))
        every = jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, blocks.axis), last)
        _, before = scan(every)
        here = jax.lax.axis_index(blocks.axis)
        begin = shifted(form.zero(before[0]), before)[here]
        moved = jax.vmap(lambda A, h: form.plus(form.times(A, begin), h))(matrices, ends)
        return shifted(begin, moved)

    spec = jax.sharding.PartitionSpec(blocks.axis)
    return jax.shard_map(piece, in_specs=spec, out_specs=spec, axis_names={blocks.axis})(
        pairs
    )
