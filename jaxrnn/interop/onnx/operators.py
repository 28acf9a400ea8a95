"""Operators that are layers, and those that choose or join sequences."""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...cells import Activation, Dense, Embedding
from ...combinators import Bidirectional, concatenate
from ...wrappers import Residual, Reversed
from .activations import NUMBERED, PLAIN, activation
from .axes import Axis, Size, group, size_of
from .masks import MASKS
from .structure import STRUCTURE, numbers, option, part, reading, signal
from .values import Constant, Given, Node, Part, Signal, State, Value, joined

FAR = 2**31 - 1  # from here on, an end of Slice is that of the axis


def gather(node: Node, data: Value, indices: Value) -> Value:
    axis = node.attributes.get("axis", 0)
    if isinstance(data, Constant) and isinstance(indices, Constant):
        return Constant(np.asarray(np.take(data.array, indices.array, axis)))
    if isinstance(data, Constant):
        return _embedding(node, data, signal(node, indices), axis)
    if isinstance(data, Signal) and data.time is not None and not data.last:
        return _chosen(node, data, axis, numbers(node, indices, "indices"))
    if isinstance(data, Signal) and data.last and data.axes[axis] == ():
        if indices.array.ndim or indices.array.item() not in (0, -1):
            node.refuse("it chooses what is not there")
        kept = list(data.axes)
        del kept[axis]
        return replace(data, axes=tuple(kept))
    return part(node, data)


def _embedding(node: Node, table: Constant, x: Signal, axis: int) -> Signal:
    if axis != 0 or table.array.ndim != 2 or not x.integer or x.features is not None:
        node.refuse("expected rows of a matrix, by symbols")
    size, features = table.array.shape
    cell, own = Embedding(size, features), group(f"{node.outputs[0]}_y", features)
    x = replace(x, axes=(*x.axes, ()))
    return x.then(Part(cell, {"embedding": table.array}), own)


def _chosen(node: Node, x: Signal, axis: int, indices: list[Any]) -> Signal:
    """The last step of a sequence."""
    size, chosen = size_of(x.axes[axis]), indices[0]
    kept = list(x.axes)
    del kept[axis]
    if len(indices) == 1 and x.axes[axis] == () and chosen in (0, -1):
        return replace(x, axes=tuple(kept))
    if len(indices) != 1 or x.axes[axis] != x.time or chosen not in (-1, _last(size)):
        node.refuse("of a sequence only the last step can be chosen")
    return replace(x, axes=tuple(kept), last=True)


def _last(size: int | None) -> int:
    return -1 if size is None else size - 1


def slice_(node: Node, x: Value, *others: Value) -> Value:
    inputs = (x, *others)
    starts, ends = (
        option(node, inputs, index, name) or []
        for index, name in ((1, "starts"), (2, "ends"))
    )
    axes = option(node, inputs, 3, "axes") or list(range(len(starts)))
    steps = option(node, inputs, 4, "steps") or [1] * len(starts)
    cuts = list(zip(axes, starts, ends, steps, strict=True))
    if isinstance(x, Constant):
        return _sliced(node, x, cuts)
    if not isinstance(x, Signal) or x.time is None:
        return part(node, x)
    for axis, start, end, step in cuts:
        size = size_of(x.axes[axis])
        whole = end if isinstance(end, Size) else end >= (size or FAR)
        if step == 1 and start == 0 and whole:
            continue
        if x.axes[axis] != x.time or x.last or step != 1 or not whole:
            node.refuse("of a sequence only the last step can be cut out")
        if start not in (-1, _last(size)):
            node.refuse("of a sequence only the last step can be cut out")
        kept = list(x.axes)
        kept[axis] = ()
        x = replace(x, axes=tuple(kept), last=True)
    return x


def _sliced(node: Node, x: Constant, cuts: list[tuple]) -> Constant:
    array, dims = x.array, list(x.dims)
    for axis, start, end, step in cuts:
        if isinstance(dims[axis], Size):
            if step == 1 and start == 0 and (isinstance(end, Size) or end >= FAR):
                continue
            node.refuse("it cuts along an axis of unknown size")
        kept = slice(start, None if isinstance(end, Size) else end, step)
        array = array[(slice(None),) * (axis % array.ndim) + (kept,)]
        dims[axis] = array.shape[axis]
    return Constant(array, None if x.given is None else tuple(dims))


def concat(node: Node, *inputs: Value) -> Value:
    axis = node.attributes["axis"]
    if all(isinstance(x, Constant) for x in inputs):
        return Constant(np.concatenate([x.array for x in inputs], axis))
    if all(isinstance(x, State) or (isinstance(x, Signal) and x.last) for x in inputs):
        if not all(isinstance(x, Signal) and x.axes[axis] == x.features for x in inputs):
            return State(max((x.parts for x in inputs), key=len), str(node))
    if any(isinstance(x, Given) for x in inputs):
        node.refuse("it joins parts of an input")
    if len(inputs) != 2:
        node.refuse(f"it joins {len(inputs)} sequences, expected those of two directions")
    a, b = (signal(node, x) for x in inputs)
    directions = a.axes[axis] == b.axes[axis] == ()
    if not directions and (a.axes[axis] != a.features or b.axes[axis] != b.features):
        node.refuse("expected outputs of two directions, joined along the features")
    return _both(node, a, b, axis, concatenate)


def add(node: Node, a: Value, b: Value) -> Value:
    if isinstance(a, Constant):
        a, b = b, a
    if isinstance(b, Constant):
        return _biased(node, signal(node, a), b)
    a, b = sorted((signal(node, a), signal(node, b)), key=lambda x: len(x.parts))
    if a.parts == b.parts[: len(a.parts)] and len(a.parts) < len(b.parts):
        (cell, params), nodes = joined(b.parts[len(a.parts) :])
        _alike(node, a, b)
        parts = (*a.parts, Part(Residual(cell), params, nodes))
        return replace(b, parts=parts)
    return _both(node, a, b, None, operator.add)


def _alike(node: Node, a: Signal, b: Signal) -> None:
    """Raise unless the axes of both are the same, the features by their number."""
    features = a.features if a.features is not None else a.axes[-1]
    pairs = zip(a.axes, b.axes, strict=False)
    same = all(one == two or (one, two) == (features, b.features) for one, two in pairs)
    sizes = size_of(features), size_of(b.features or ())
    if not same or len(a.axes) != len(b.axes) or sizes[0] not in (None, sizes[1]):
        node.refuse("the two sequences have other axes")


def _both(node: Node, a: Signal, b: Signal, axis: int | None, merge: Any) -> Signal:
    """Two signals of one input, as two directions."""
    shared = 0
    for one, two in zip(a.parts, b.parts, strict=False):
        if one is not two:
            break
        shared += 1
    if not (len(a.parts) > shared < len(b.parts)) or a.source != b.source:
        node.refuse("expected two sequences that cells make of one")
    if axis is None or a.axes[axis] == ():  # else the sizes differ
        _alike(node, a, b)
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


def _biased(node: Node, x: Signal, bias: Constant) -> Signal:
    dense = x.parts[-1] if x.parts else None
    if dense is None or type(dense.cell) is not Dense or dense.cell.use_bias:
        node.refuse("a constant is added to what is no MatMul, which no cell does")
    size = dense.cell.output_size
    if bias.array.size != size or bias.array.shape[-1:] != (size,):
        node.refuse(f"a bias has the shape {bias.array.shape}, expected ({size},)")
    reading(node, x)
    params = dense.params | {"bias": bias.array.reshape(size)}
    cell = Dense(dense.cell.input_size, size)
    return replace(x, parts=(*x.parts[:-1], Part(cell, params)))


def matmul(node: Node, x: Value, W: Value) -> Value:
    return _dense(node, x, W, None)


def _dense(node: Node, x: Value, W: Value, bias: np.ndarray | None) -> Signal:
    if not (isinstance(W, Constant) and W.known and W.array.ndim == 2):
        node.refuse("its second input is no matrix of constants")
    size, units = W.array.shape
    x = reading(node, signal(node, x), size)
    params = {"kernel": W.array} | ({} if bias is None else {"bias": bias})
    cell = Dense(size, units, use_bias=bias is not None)
    return x.then(Part(cell, params), group(f"{node.outputs[0]}_y", units))


def gemm(node: Node, x: Value, W: Value, C: Value = None) -> Value:
    of = node.attributes
    if of.get("transA", 0) or not isinstance(W, Constant):
        node.refuse("expected a sequence and constants")
    kernel = W.array.T if of.get("transB", 0) else W.array
    kernel = (kernel * of.get("alpha", 1.0)).astype(kernel.dtype)
    bias = None
    if C is not None:
        units = kernel.shape[1]
        shapes = (), (1,), (1, 1), (units,), (1, units)
        if not isinstance(C, Constant) or C.array.shape not in shapes:
            node.refuse("its third input is no bias of constants")
        bias = (C.array * of.get("beta", 1.0)).astype(kernel.dtype)
        bias = np.broadcast_to(bias.reshape(-1), (units,))
    return _dense(node, x, Constant(kernel), bias)


def elementwise(node: Node, x: Value) -> Value:
    x, of = signal(node, x), node.attributes
    if node.op in PLAIN:
        function = activation(node.op, ())
    elif node.op in NUMBERED:
        defaults = NUMBERED[node.op][1]
        pairs = zip(("alpha", "beta"), defaults, strict=False)
        function = activation(node.op, [of.get(label, usual) for label, usual in pairs])
    else:
        x = reading(node, x)
        count, axis = len(x.axes), of.get("axis", -1 if node.opset >= 13 else 1)
        if axis % count != count - 1:
            node.refuse(f"axis is {axis}, expected that of the features, the last")
        function = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.op]
    return replace(x, parts=(*x.parts, Part(Activation(function), ())))


def reduce_sum(node: Node, x: Value, *others: Value) -> Value:
    """The sum of two directions."""
    axes = option(node, (x, *others), 1, "axes") or []
    x = signal(node, x)
    both = x.parts[-1] if x.parts else None
    directions = x.features[:1] if x.features else None
    if (
        both is None
        or type(both.cell) is not Bidirectional
        or both.cell.merge is not concatenate
        or len(axes) != 1
        or x.axes[axes[0]] != directions
        or len(x.features or ()) != 2
    ):
        node.refuse("expected the sum of two directions")
    cell = replace(both.cell, merge=operator.add)
    kept = list(x.axes)
    kept[axes[0]] = ()
    if not node.attributes.get("keepdims", 1):
        del kept[axes[0]]
    parts = (*x.parts[:-1], Part(cell, both.params, both.nodes))
    return replace(x, axes=tuple(kept), parts=parts, features=(x.features or ())[1:])


NAMED = (*PLAIN, *(name for name, (_, n) in NUMBERED.items() if None not in n))
OPERATORS: dict[str, Callable[..., Value]] = (
    STRUCTURE
    | MASKS
    | {
        "Gather": gather,
        "Slice": slice_,
        "Concat": concat,
        "Add": add,
        "MatMul": matmul,
        "Gemm": gemm,
        "ReduceSum": reduce_sum,
        **dict.fromkeys((*NAMED, "Softmax", "LogSoftmax"), elementwise),
    }
)
