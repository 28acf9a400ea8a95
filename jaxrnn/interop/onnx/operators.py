"""Operators that are layers, and those that choose or join sequences."""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...cells import Activation, Dense, Embedding
from ...combinators import concatenate
from ...wrappers import Residual
from .activations import LABELS, NUMBERED, PLAIN, activation
from .axes import Size, group, size_of
from .directions import alike, both, one_of, reduce_sum
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
    one = one_of(x, axis, chosen) if len(indices) == 1 else None
    if one is not None:
        return replace(one, axes=tuple(kept))
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
        if isinstance(end, Size):
            whole = end == Size(x.axes[axis])
        else:
            whole = end >= (size or FAR)
        if step == 1 and start == 0 and whole:
            continue
        one = one_of(x, axis, start) if not whole or start else None
        if one is not None and step == 1 and (whole or end == start + 1):
            x = one
            continue
        if x.axes[axis] != x.time or x.last or step != 1 or not whole:
            node.refuse("of a sequence only the last step can be cut out")
        if start not in (-1, _last(size)):
            node.refuse("of a sequence only the last step can be cut out")
        kept = list(x.axes)
        kept[axis] = ()
        x = replace(x, axes=tuple(kept), last=True)
    return x


def split(node: Node, x: Value, *others: Value) -> list[Value]:
    if not isinstance(x, Signal) or x.time is None:
        return [part(node, x)] * len(node.outputs)
    axis = node.attributes.get("axis", 0)
    found = [one_of(x, axis, index) for index in range(len(node.outputs))]
    if len(found) != 2 or None in found:
        node.refuse("a cell does not cut its sequence into parts")
    return found


def _sliced(node: Node, x: Constant, cuts: list[tuple]) -> Constant:
    array, dims = x.array, list(x.dims)
    for axis, start, end, step in cuts:
        to_the_end = end == dims[axis] or (isinstance(end, int) and end >= FAR)
        if isinstance(dims[axis], Size) and step == 1 and start == 0 and to_the_end:
            continue
        if isinstance(dims[axis], Size) or isinstance(end, Size):
            node.refuse("it cuts along an axis of unknown size")
        kept = slice(start, end, step)
        array = array[(slice(None),) * (axis % array.ndim) + (kept,)]
        dims[axis] = array.shape[axis]
    return Constant(array, None if x.given is None else tuple(dims))


def concat(node: Node, *inputs: Value) -> Value:
    axis = node.attributes["axis"]
    if all(isinstance(x, Constant) for x in inputs):
        dims = list(inputs[0].dims)
        dims[axis] = sum(x.array.shape[axis] for x in inputs)
        arrays = [x.array for x in inputs]
        if any(isinstance(x.dims[axis], Size) for x in inputs):
            node.refuse("it joins constants along an axis of unknown size")
        return Constant(np.concatenate(arrays, axis), tuple(dims))
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
    return both(node, a, b, axis, concatenate)


def add(node: Node, a: Value, b: Value) -> Value:
    if isinstance(a, Constant):
        a, b = b, a
    if isinstance(b, Constant):
        return _biased(node, signal(node, a), b)
    a, b = sorted((signal(node, a), signal(node, b)), key=lambda x: len(x.parts))
    if a.parts == b.parts[: len(a.parts)] and len(a.parts) < len(b.parts):
        (cell, params), nodes = joined(b.parts[len(a.parts) :])
        alike(node, a, b)
        parts = (*a.parts, Part(Residual(cell), params, nodes))
        return replace(b, parts=parts)
    return both(node, a, b, None, operator.add)


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
        defaults = DEFAULTS.get(node.op, NUMBERED[node.op][1])
        pairs = zip(LABELS, defaults, strict=False)
        function = activation(node.op, [of.get(label, usual) for label, usual in pairs])
    else:
        x = reading(node, x)
        count, axis = len(x.axes), of.get("axis", -1 if node.opset >= 13 else 1)
        if axis % count != count - 1:
            node.refuse(f"axis is {axis}, expected that of the features, the last")
        function = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.op]
    return replace(x, parts=(*x.parts, Part(Activation(function), ())))


DEFAULTS = {"ThresholdedRelu": (1.0,)}  # of the operator by itself
FUNCTIONS = PLAIN.keys() | NUMBERED.keys() - {"Affine", "ScaledTanh"}
OPERATORS: dict[str, Callable[..., Value]] = (
    STRUCTURE
    | MASKS
    | {
        "Gather": gather,
        "Slice": slice_,
        "Split": split,
        "Concat": concat,
        "Add": add,
        "MatMul": matmul,
        "Gemm": gemm,
        "ReduceSum": reduce_sum,
        **dict.fromkeys({*FUNCTIONS, "Softmax", "LogSoftmax"}, elementwise),
    }
)
