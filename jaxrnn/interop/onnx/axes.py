"""The axes of a tensor in a graph, by what they are and not by where they stand.

An axis of a tensor is a group of axes side by side: two after a Reshape has joined them,
none where its size is 1. So every Transpose, Reshape, Squeeze and Unsqueeze is followed,
whatever T and the batch will be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Axis(NamedTuple):
    """One axis, never of size 1."""

    name: str
    size: int | None  # None: of any


Group = tuple[Axis, ...]
Axes = tuple[Group, ...]


@dataclass(frozen=True)
class Size:
    """The number of entries along a group, where it is not known."""

    group: Group

    def __mul__(self, other: Any) -> "Size":
        if isinstance(other, Size):
            return Size(self.group + other.group)
        if other == 1:
            return self
        return NotImplemented

    __rmul__ = __mul__


def group(name: str, size: int | None) -> Group:
    """One axis, or none where its size is 1."""
    return () if size == 1 else (Axis(name, size),)


def size_of(group: Group) -> int | None:
    """The number of entries, or None."""
    sizes = [axis.size for axis in group]
    return None if None in sizes else int(np.prod(sizes, dtype=int))  # pyright: ignore


def entry(group: Group) -> int | Size:
    """What Shape gives for a group."""
    size = size_of(group)
    return Size(group) if size is None else size


def regrouped(axes: Axes, shape: Sequence[Any], zeros: bool = True) -> Axes | None:
    """The axes after a Reshape to a shape of ints and sizes; None if they do not fit.

    Args:
        axes: those before.
        shape: with -1 for what is left, and 0 for the axis of before where `zeros`.
        zeros: whether 0 stands for that.
    """
    left = [axis for group in axes for axis in group]
    rest = shape.index(-1) if -1 in shape else None
    wanted = [
        Size(axes[index]) if zeros and want == 0 and index < len(axes) else want
        for index, want in enumerate(shape)
    ]
    front = wanted if rest is None else wanted[:rest]
    back = [] if rest is None else wanted[:rest:-1]
    before: list[Group] = []
    behind: list[Group] = []
    for want in front:
        taken = _taken(left, want, 1)
        if taken is None:
            return None
        before.append(taken)
        left = left[len(taken) :]
    for want in back:
        taken = _taken(left[::-1], want, -1)
        if taken is None:
            return None
        behind.insert(0, taken)
        left = left[: len(left) - len(taken)]
    if rest is None:
        return None if left else tuple(before)
    return (*before, tuple(left), *behind)


def _taken(left: list[Axis], want: Any, step: int) -> Group | None:
    """The first axes that are of the size wanted."""
    if isinstance(want, Size):
        group = tuple(left[: len(want.group)])[::step]
        return group if group == want.group else None
    size, count = 1, 0
    while size < want and count < len(left) and left[count].size is not None:
        size *= left[count].size or 0
        count += 1
    return tuple(left[:count])[::step] if size == want else None
