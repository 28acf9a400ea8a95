"""Operators that move numbers and change none: axes, and sizes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .axes import Size, regrouped, size_of
from .values import (
    Constant,
    Empty,
    Given,
    Mask,
    Node,
    Signal,
    State,
    Value,
)

FLOATS, INTEGERS = {1, 11}, {6, 7}  # float and double, int32 and int64


def numbers(node: Node, value: Value, name: str) -> list[Any]:
    """Of a constant: ints, and sizes where they are not known."""
    if not isinstance(value, Constant) or not value.whole:
        node.refuse(f"{name} is no constant, expected one")
    return [
        entry if isinstance(entry, Size) else int(entry)
        for entry in np.atleast_1d(value.array)
    ]


def option(node: Node, inputs: tuple, index: int, name: str) -> list[int] | None:
    """What older opsets have as an attribute, and newer ones as an input."""
    if name in node.attributes:
        return list(np.atleast_1d(node.attributes[name]))
    value = inputs[index] if index < len(inputs) else None
    return None if value is None else numbers(node, value, name)


def identity(node: Node, x: Value, *others: Value) -> Value:
    return x


def dropout(node: Node, x: Value, *others: Value) -> Value:
    training = others[1] if len(others) > 1 else None
    if training is not None and not (
        isinstance(training, Constant) and training.is_all(False)
    ):
        node.refuse("training_mode is not False, expected a model for inference")
    return x


def cast(node: Node, x: Value) -> Value:
    to = node.attributes["to"]
    if isinstance(x, Signal):
        source = not x.parts
        if to in INTEGERS and (x.integer or source):
            return replace(x, integer=True)  # symbols, which come as integers
        if to in FLOATS and not x.integer:
            return x
    elif to in FLOATS | INTEGERS and not isinstance(x, Mask | Empty):
        return x
    node.refuse(f"a cast to the type {to} changes numbers")


def transpose(node: Node, x: Value) -> Value:
    if isinstance(x, State | Given):
        return x
    if isinstance(x, Constant):
        order = node.attributes.get("perm", range(len(x.dims))[::-1])
        return Constant(np.transpose(x.array, order), tuple(x.dims[i] for i in order))
    x = signal(node, x)
    order = node.attributes.get("perm", range(len(x.axes))[::-1])
    return replace(x, axes=tuple(x.axes[i] for i in order))


def signal(node: Node, value: Value) -> Signal:
    """The value, if it is one that layers make."""
    if isinstance(value, State):
        node.refuse(
            f"it takes the final carry of the node {value.node!r}, and a cell passes on "
            "outputs alone; take single nodes: interop.onnx.load(source, node=...)"
        )
    if not isinstance(value, Signal):
        node.refuse("its inputs are not understood")
    return value


def reading(node: Node, x: Signal, size: int | None = None) -> Signal:
    """The signal, if its last axis is its features, in their order."""
    if not x.axes:
        node.refuse("it gets a single number")
    last = x.axes[-1]
    others = set((x.time or ()) + (x.batch or ()))
    if others & set(last) or x.features not in (None, last):
        node.refuse("the last axis is not that of the features, or has them in disorder")
    if size is not None and size_of(last) not in (None, size):
        node.refuse(f"it gets {size_of(last)} features, but its weights are for {size}")
    return x


def squeeze(node: Node, x: Value, *others: Value) -> Value:
    if not isinstance(x, Signal | Constant):
        return x
    axes = option(node, (x, *others), 1, "axes")
    if isinstance(x, Constant):
        count = x.array.ndim
        where = [i for i in range(count) if x.dims[i] == 1] if axes is None else axes
        gone = {index % count for index in where}
        kept = tuple(dim for index, dim in enumerate(x.dims) if index not in gone)
        return Constant(np.squeeze(x.array, tuple(gone)), kept)
    count = len(x.axes)
    if axes is None:
        axes = [index for index in range(count) if x.axes[index] == ()]
    gone = {index % count for index in axes}
    for index in gone:
        if x.axes[index] != ():
            node.refuse(f"axis {index} is not known to be of size 1")
    kept = tuple(axis for index, axis in enumerate(x.axes) if index not in gone)
    return replace(x, axes=kept)


def unsqueeze(node: Node, x: Value, *others: Value) -> Value:
    if not isinstance(x, Signal | Constant):
        return x
    axes = option(node, (x, *others), 1, "axes") or []
    before = x.dims if isinstance(x, Constant) else x.axes
    count, old = len(before) + len(axes), iter(before)
    new = {index % count for index in axes}
    if isinstance(x, Constant):
        dims = tuple(1 if index in new else next(old) for index in range(count))
        return Constant(np.expand_dims(x.array, tuple(axes)), dims)
    return replace(x, axes=tuple(() if i in new else next(old) for i in range(count)))


def reshape(node: Node, x: Value, *others: Value) -> Value:
    if isinstance(x, State | Given):
        return x
    shape = option(node, (x, *others), 1, "shape") or []
    if isinstance(x, Constant):
        if x.whole and all(isinstance(want, int) for want in shape):
            return Constant(x.array.reshape(shape))
        node.refuse("the shape of a constant depends on the inputs")
    x = signal(node, x)
    axes = regrouped(x.axes, shape, not node.attributes.get("allowzero", 0))
    if axes is None:
        node.refuse(f"{_shown(x)} cannot be followed into the shape {_listed(shape)}")
    return replace(x, axes=axes)


def flatten(node: Node, x: Value) -> Value:
    x, cut = signal(node, x), node.attributes.get("axis", 1)
    halves = x.axes[:cut], x.axes[cut:]
    return replace(x, axes=tuple(sum(half, ()) for half in halves))


def shape(node: Node, x: Value) -> Value:
    if not isinstance(x, Signal | Constant):
        node.refuse("the shape of this is not known")
    dims = list(x.dims() if isinstance(x, Signal) else x.dims)
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return Constant(_objects(dims[start:end]))


def _objects(entries: list[Any]) -> np.ndarray:
    if all(isinstance(entry, int) for entry in entries):
        return np.array(entries, "int64")
    array = np.empty(len(entries), object)
    for index, entry in enumerate(entries):
        array[index] = entry
    return array


def expand(node: Node, x: Value, shape: Value) -> Value:
    if not isinstance(x, Constant):
        return signal(node, x) if _keeps(x, numbers(node, shape, "shape")) else None
    wanted = numbers(node, shape, "shape")
    sizes = [want if isinstance(want, int) else 1 for want in wanted]
    array = np.broadcast_to(x.array, np.broadcast_shapes(x.array.shape, sizes))
    wanted = [None] * (array.ndim - len(wanted)) + wanted
    pairs = zip(array.shape, wanted, strict=True)
    given = (want if isinstance(want, Size) else size for size, want in pairs)
    return Constant(array, tuple(given))


def _keeps(x: Value, shape: list[Any]) -> bool:
    """Whether an expansion adds nothing to an input of the graph."""
    return isinstance(x, Signal) and not x.parts and len(shape) == len(x.axes)


def constant_of_shape(node: Node, shape: Value) -> Value:
    value = node.attributes.get("value", np.zeros(1, "float32"))
    scalar = Constant(np.asarray(value).reshape(()))
    return expand(node, scalar, shape)


def multiply(node: Node, a: Value, b: Value) -> Value:
    if isinstance(a, Constant) and isinstance(b, Constant):
        try:
            return Constant(np.multiply(a.array, b.array, dtype=object))
        except TypeError:
            pass
    node.refuse("there is no cell for it")


def product(node: Node, x: Value, *others: Value) -> Value:
    axes = option(node, (x, *others), 1, "axes")
    if not isinstance(x, Constant) or axes not in (None, [0]):
        node.refuse("expected the product of sizes")
    made: Any = 1
    for one in numbers(node, x, "data"):
        made = made * one
    keep = node.attributes.get("keepdims", 1)
    return Constant(_objects([made]).reshape((1,) if keep else ()))


def part(node: Node, x: Value) -> Value:
    """Of a carry; nothing else has parts."""
    if isinstance(x, State | Given):
        return x
    if isinstance(x, Signal) and not x.parts:
        return Given(x.source)
    node.refuse("a cell does not cut its sequence into parts")


def _shown(x: Signal) -> str:
    return _listed(x.dims())


def _listed(shape: list[Any]) -> str:
    def one(want: Any) -> str:
        if isinstance(want, Size):
            return " * ".join(axis.name for axis in want.group)
        return str(want)

    return f"[{', '.join(map(one, shape))}]"


STRUCTURE: dict[str, Callable[..., Value]] = {
    "Identity": identity,
    "Dropout": dropout,
    "Cast": cast,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Reshape": reshape,
    "Flatten": flatten,
    "Shape": shape,
    "Expand": expand,
    "ConstantOfShape": constant_of_shape,
    "Mul": multiply,
    "ReduceProd": product,
}
