"""Two directions in a graph: of one node, or of two that are joined."""

import operator
from dataclasses import replace
from typing import Any

from ...combinators import Bidirectional, concatenate
from ...wrappers import LearnedCarry, Reversed
from .axes import Axis, Group, group, size_of
from .structure import option, signal
from .values import Node, Part, Signal, Value, joined


def both(node: Node, a: Signal, b: Signal, axis: int | None, merge: Any) -> Signal:
    """Two signals of one input, as two directions."""
    shared = 0
    for one, two in zip(a.parts, b.parts, strict=False):
        if one is not two:
            break
        shared += 1
    if not (len(a.parts) > shared < len(b.parts)) or a.source != b.source:
        node.refuse("expected two sequences that cells make of one")
    alike(node, a, b, axis is None or a.axes[axis] == ())
    if (a.time, a.batch, a.lengths, a.last) != (b.time, b.batch, b.lengths, b.last):
        node.refuse("the two sequences have another time, batch or lengths")
    (first, params), nodes = joined(a.parts[shared:])
    (second, others), more = joined(b.parts[shared:])
    second = second.cell if isinstance(second, Reversed) else Reversed(second)
    both = Bidirectional(first, second, merge)
    made = Part(both, (params, others), nodes | more)
    axes, features = list(a.axes), a.features or ()
    if axis is not None:
        name = node.outputs[0]
        if axes[axis] == ():
            axes[axis] = (Axis(f"{name}_D", 2),)
            features = axes[axis] + features
        else:
            sizes = size_of(features), size_of(b.features or ())
            features = group(f"{name}_y", sum(size or 0 for size in sizes))
            axes[axis] = features
    parts = (*a.parts[:shared], made)
    return replace(a, axes=tuple(axes), parts=parts, features=features)


def alike(node: Node, a: Signal, b: Signal, features: bool = True) -> None:
    """Raise unless the axes of both are the same, the features by their number."""
    own = a.features if a.features is not None else a.axes[-1]
    pairs = zip(a.axes, b.axes, strict=False)
    same = all(one == two or (one, two) == (own, b.features) for one, two in pairs)
    sizes = size_of(own), size_of(b.features or ())
    differ = features and sizes[0] not in (None, sizes[1])
    if not same or len(a.axes) != len(b.axes) or differ:
        node.refuse("the two sequences have other axes")


def _of_one_node(x: Signal) -> Any:
    """The part of a node of two directions, if they still are apart in the signal."""
    part: Any = x.parts[-1] if x.parts else None
    cell = part and (part.cell.cell if _learned(part) else part.cell)
    is_whole = type(cell) is Bidirectional and cell.merge is concatenate
    return part if is_whole and (x.features or ())[:1] == both_of(part) else None


def both_of(part: Part) -> Group:
    """The axis of the directions of a node."""
    return group(f"{min(part.nodes)}_D", 2)


def _learned(part: Any) -> bool:
    return type(part.cell) is LearnedCarry


def one_of(x: Signal, axis: int, index: int) -> Signal | None:
    """One direction of a node that has two; None if the axis is another."""
    part, features = _of_one_node(x), x.features or ()
    if part is None or x.axes[axis] != features[:1] or index not in (0, 1, -1, -2):
        return None
    index %= 2
    if _learned(part):
        cell = LearnedCarry(part.cell.cell.cells[index])
        params = {name: tree[index] for name, tree in part.params.items()}
    else:
        cell, params = part.cell.cells[index], part.params[index]
    own = Part(Reversed(cell) if index else cell, params, part.nodes)
    axes = list(x.axes)
    axes[axis] = ()
    parts = (*x.parts[:-1], own)
    return replace(x, axes=tuple(axes), parts=parts, features=features[1:])


def reduce_sum(node: Node, x: Value, *others: Value) -> Value:
    """The sum of two directions."""
    axes = option(node, (x, *others), 1, "axes") or []
    x = signal(node, x)
    part, directions = _of_one_node(x), (x.features or ())[:1]
    if part is None or len(axes) != 1 or x.axes[axes[0]] != directions:
        node.refuse("expected the sum of two directions")
    if _learned(part):
        cell = LearnedCarry(replace(part.cell.cell, merge=operator.add))
    else:
        cell = replace(part.cell, merge=operator.add)
    kept = list(x.axes)
    kept[axes[0]] = ()
    if not node.attributes.get("keepdims", 1):
        del kept[axes[0]]
    parts = (*x.parts[:-1], Part(cell, part.params, part.nodes))
    return replace(x, axes=tuple(kept), parts=parts, features=(x.features or ())[1:])
