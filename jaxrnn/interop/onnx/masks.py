"""Lengths of sequences in a graph, and the masks that follow from them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .axes import Size, size_of
from .structure import signal
from .values import (
    UNKNOWN,
    Constant,
    Empty,
    Given,
    Mask,
    Node,
    Signal,
    State,
    Ticks,
    Value,
)


def lengths_of(node: Node, value: Value, time: Any, batch: Any) -> str | None:
    """The input of the graph that the lengths are, or None where they are T."""
    if value is None:
        return None
    if isinstance(value, Constant):
        if value.is_all(Size(time)) or value.is_all(size_of(time)):
            return None
        node.refuse(
            "the lengths are constants of the model, expected an input of it, for which "
            "unroll takes lengths="
        )
    if not (isinstance(value, Signal) and value.integer and not value.parts):
        node.refuse("the lengths are computed, expected an input of the model")
    return value.source


def where(node: Node, condition: Value, x: Value, y: Value) -> Value:
    if isinstance(condition, Constant) and condition.known:
        if condition.is_all(True) or condition.is_all(False):
            return x if condition.is_all(True) else y
    if isinstance(condition, Mask) and isinstance(y, Constant) and y.is_all(0):
        return with_lengths(node, signal(node, x), condition.lengths)
    given = isinstance(x, Constant | Given) or (isinstance(x, Signal) and not x.parts)
    final = isinstance(y, State) or (isinstance(y, Signal) and y.last)
    if isinstance(condition, Empty) and given and final:
        return y  # an empty sequence gives its initial carry back, as unroll does
    node.refuse("expected zeros past the lengths, or a final carry of empty sequences")


def with_lengths(node: Node, x: Signal, lengths: str | None) -> Signal:
    if x.lengths is not UNKNOWN and x.lengths != lengths:
        node.refuse(
            f"the lengths are {lengths or 'T'}, and of the nodes before "
            f"{x.lengths or 'T'}; unroll has the same for all"
        )
    return replace(x, lengths=lengths)


def equal(node: Node, a: Value, b: Value) -> Value:
    if isinstance(b, Constant) and b.known and b.is_all(0):
        if not isinstance(a, Constant) or a.array.dtype == object:
            return Empty()
    if isinstance(a, Constant) and isinstance(b, Constant):
        below = [isinstance(y, int | np.integer) and y < 0 for y in b.array.flat]
        if all(below):  # no size is
            return Constant(np.array(False))
    node.refuse("its outcome depends on the inputs")


def count(node: Node, start: Value, limit: Value, delta: Value) -> Value:
    entries = [value.array.item() for value in (start, limit, delta)]
    if entries[0] == 0 and isinstance(entries[1], Size) and entries[2] == 1:
        return Ticks(entries[1].group)
    node.refuse("expected 0, 1, ..., T-1")


def less(node: Node, a: Value, b: Value) -> Value:
    if node.op == "Greater":
        a, b = b, a
    if not isinstance(a, Ticks):
        node.refuse("expected a comparison of steps with lengths")
    return Mask(lengths_of(node, b, a.time, None))


MASKS: dict[str, Callable[..., Value]] = {
    "Where": where,
    "Equal": equal,
    "Range": count,
    "Less": less,
    "Greater": less,
}
