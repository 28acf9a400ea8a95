"""Sequences in segments of time: what is computed, kept and cut, a segment at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Segment = Callable[[Any, Any], tuple[Any, Any]]


def detached(carry: Any, condition: Any) -> Any:
    """The same values, without a gradient where the condition holds."""
    return jax.tree.map(
        lambda leaf: jnp.where(condition, jax.lax.stop_gradient(leaf), leaf), carry
    )


def over_segments(
    segment: Segment,
    carry: Any,
    xs: Any,
    *,
    steps: int,
    length: int,
    reverse: bool,
    truncate: int | None,
    cut: Callable[[Any, Any], Any] = detached,
) -> tuple[Any, Any]:
    """`segment(carry, xs) -> (carry, ys)` over segments of `length` steps.

    The last segment, in input order, has what remains. With `truncate`, a multiple of
    `length`, the carry is `cut(carry, condition)` at its multiples.
    """
    if length == steps:
        return segment(carry, xs)
    count, rest = divmod(steps, length)
    if not isinstance(rest, int):
        raise ValueError(
            f"Scan: segments of {length} steps of a symbolic number of them, {steps}, "
            f"expected a multiple: export with symbolic_shape('{length}*n, ...')"
        )
    if isinstance(count, int) and count + (rest > 0) <= 1:
        return segment(carry, xs)

    # The carry comes into segment i over the boundary i, or in reverse i + 1.
    begins = jnp.arange(count) * length
    edges = begins + int(reverse) * length
    inside = (edges > 0) & (edges < steps)
    crossed = None if truncate is None else inside & (edges % truncate == 0)
    tail = jax.tree.map(lambda x: x[count * length :], xs)
    # Where they fit, segments are views. Else they are taken where they lie: to part
    # them from the rest would copy all that is kept.
    part = lambda x: x.reshape(count, length, *x.shape[1:])  # noqa: E731
    whole = None if rest else jax.tree.map(part, xs)

    def taken(begin: Any) -> Any:
        at = begin.astype("uint32")  # no step asks whether it is negative
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, at, length), xs)

    def advance(carry: Any, inputs: Any) -> tuple[Any, Any]:
        x, begin, crossed = inputs
        x = taken(begin) if rest else x
        return segment(carry if crossed is None else cut(carry, crossed), x)

    def remaining(carry: Any) -> tuple[Any, Any]:
        if truncate is not None and not reverse and (count * length) % truncate == 0:
            carry = cut(carry, True)
        return segment(carry, tail)

    last = None
    if rest and reverse:
        carry, last = remaining(carry)
    carry, ys = jax.lax.scan(advance, carry, (whole, begins, crossed), reverse=reverse)
    ys = jax.tree.map(lambda y: y.reshape(count * length, *y.shape[2:]), ys)
    if rest and not reverse:
        carry, last = remaining(carry)
    if rest:
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, last)
    return carry, ys


def divisor(number: int, most: int) -> int:
    """The greatest divisor of a number that is at most `most`."""
    return max(k for k in range(1, min(number, most) + 1) if number % k == 0)


def near(steps: int, wanted: int | None) -> int:
    """A length of segments: a divisor of `steps` in (wanted / 2, wanted], or wanted.

    All of them where one of the two is not known, in a program that is exported with a
    symbolic size.
    """
    if wanted is None or not isinstance(steps, int):
        return steps
    wanted = max(1, min(steps, wanted))
    exact = divisor(steps, wanted)
    return exact if 2 * exact > wanted else wanted


def within(window: int, wanted: int | None) -> int:
    """A length of segments that divides a window: near `wanted`, or all of the window."""
    if wanted is None:
        return window
    exact = divisor(window, max(1, wanted))
    return exact if 2 * exact > wanted else window


def bytes_of(avals: Sequence[Any]) -> int:
    return sum(aval.size * aval.dtype.itemsize for aval in avals)
