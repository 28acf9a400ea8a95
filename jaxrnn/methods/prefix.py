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

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Leaves = list[Any]
Operator = Callable[[Any, Leaves], Leaves]  # A_t v, of row t and v


def solved(
    operator: Operator, rows: Any, first: Leaves, offsets: Leaves, form: Any, block: int
) -> Leaves:
    """Every h, leaves `(T, ...)`, by the state before the first step and the b_t."""
    row = jax.tree.map(lambda leaf: leaf[0], rows)
    start = operator(row, first)
    b = [leaf.at[0].add(x) for leaf, x in zip(offsets, start, strict=True)]
    if not all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in first):
        return _prefix(operator, rows, b, form, block)

    def matvec(h: Leaves) -> Leaves:
        before = [jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]) for x in h]
        steps = jax.vmap(operator)(rows, before)
        return [x - y for x, y in zip(h, steps, strict=True)]

    def forward(_: Any, b: Leaves) -> Leaves:
        return _prefix(operator, rows, b, form, block)

    def backward(_: Any, bar: Leaves) -> Leaves:
        def transposed(row: Any, bar: Leaves) -> Leaves:
            return jax.linear_transpose(lambda v: operator(row, v), first)(bar)[0]

        # A_(t+1) for A_t; that of the last meets nothing.
        later = jax.tree.map(lambda leaf: _flip(jnp.roll(leaf, -1, 0)), rows)
        back = _prefix(transposed, later, [*map(_flip, bar)], form, block)
        return [*map(_flip, back)]

    return jax.lax.custom_linear_solve(matvec, b, forward, backward)


def _flip(leaf: Any) -> Any:
    return jnp.flip(leaf, 0)


def _prefix(operator: Operator, rows: Any, b: Leaves, form: Any, block: int) -> Leaves:
    """Every h, from zero: the first row meets nothing."""
    T = b[0].shape[0]
    length = min(block, T)
    count = -(-T // length)

    def cut(leaf: Any) -> Any:
        missing = count * length - T
        if missing:
            last = jnp.broadcast_to(leaf[-1:], (missing, *leaf.shape[1:]))
            leaf = jnp.concatenate([leaf, last])
        return jnp.swapaxes(leaf.reshape(count, length, *leaf.shape[1:]), 0, 1)

    def joined(leaf: Any) -> Any:
        return jnp.swapaxes(leaf, 0, 1).reshape(count * length, *leaf.shape[2:])[:T]

    timed = jax.tree.map(cut, rows), [*map(cut, b)]
    step = jax.vmap(operator)
    zeros = [jnp.zeros_like(leaf[0]) for leaf in timed[1]]
    one = [leaf[0] for leaf in zeros]

    def advance(h: Leaves, inputs: Any) -> tuple[Leaves, Leaves]:
        row, b = inputs
        new = [x + y for x, y in zip(step(row, h), b, strict=True)]
        return new, new

    if count == 1:
        return [*map(joined, jax.lax.scan(advance, zeros, timed)[1])]

    def local(state: Any, inputs: Any) -> tuple[Any, Any]:
        h, columns = state
        h, _ = advance(h, inputs)
        columns = jax.vmap(step, (None, 1), 1)(inputs[0], columns)
        return (h, columns), None

    basis = form.basis(one)
    columns = [
        jnp.broadcast_to(leaf, (count, *leaf.shape)).astype(like.dtype)
        for leaf, like in zip(basis, zeros, strict=True)
    ]
    (h, columns), _ = jax.lax.scan(local, (zeros, columns), timed)
    pairs = jax.vmap(form.matrix)(columns), jax.vmap(form.packed)(h)

    @jax.vmap
    def join(first: Any, second: Any) -> Any:
        (A, h), (B, g) = first, second
        return form.after(B, A), form.times(B, h) + g

    _, ends = jax.lax.associative_scan(join, pairs)
    starts = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
    starts = jax.vmap(lambda packed: form.unpacked(packed, one))(starts)
    return [*map(joined, jax.lax.scan(advance, starts, timed)[1])]
