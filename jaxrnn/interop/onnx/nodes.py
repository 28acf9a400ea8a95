"""A cell as nodes of ONNX: combinators, wrappers, cells without memory."""

import operator
from typing import Any

from ...cell import Cell
from ...cells import Activation, Dense, Embedding
from ...cells.activations import activation_of
from ...combinators import Bidirectional, DenseSkip, Stack, concatenate
from ...wrappers import (
    ClipCarryGradient,
    Dropout,
    LearnedCarry,
    Residual,
    Reversed,
    TwoBiases,
    VariationalDropout,
    WeightDrop,
    Wrapper,
)
from .activations import Elu, HardSigmoid, LeakyRelu, ThresholdedRelu
from .graph import Graph, Place, refuse
from .recurrent import ACTIVATIONS, Direction, direction_of, recurrent

# Of these, evaluation sees the cell inside alone; biases are summed where they stand.
TRANSPARENT = ClipCarryGradient, TwoBiases, WeightDrop, Wrapper

# These have their numbers, alpha and beta, as the attributes of their nodes.
NUMBERED = Elu, HardSigmoid, LeakyRelu, ThresholdedRelu

# What is a node, and none of ONNX's activations inside of recurrent nodes.
ELEMENTWISE: dict[str, tuple[str, dict[str, Any]]] = ACTIVATIONS | {
    "identity": ("Identity", {}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
}


def sequence(
    graph: Graph,
    cell: Cell,
    params: Any,
    carry: Any,
    x: str,
    place: Place,
    reverse: bool = False,
) -> str:
    """The name of the outputs [T, batch, O] of a cell; see `Cell.sequence`."""
    cell, params = _inside(cell, params)
    if type(cell) is Reversed:
        return sequence(graph, cell.cell, params, carry, x, place, not reverse)
    if type(cell) in (Stack, DenseSkip):
        return _layers(graph, cell, params, carry, x, place, reverse)
    if type(cell) is Residual:
        y = sequence(graph, cell.cell, params, carry, x, place, reverse)
        return graph.node("Add", [x, y], f"{place}/residual")
    if type(cell) is Bidirectional:
        return _bidirectional(graph, cell, params, carry, x, place, reverse)
    if type(cell) is Dense:
        y = graph.node(
            "MatMul", [x, _weight(graph, place, params, "kernel")], f"{place}/xW"
        )
        return _with_bias(graph, y, params, place)
    if type(cell) is Embedding:
        table = _weight(graph, place, params, "embedding")
        return graph.node("Gather", [table, x], f"{place}/ys", axis=0)
    if type(cell) is Activation:
        return _elementwise(graph, cell, x, place)
    if type(cell) in (Dropout, VariationalDropout):
        return x
    own = direction_of(cell, params, carry, place)
    if own is None:
        refuse(
            place, cell, "ONNX has no operator for it; interop.onnx.dump says for which"
        )
    Y = recurrent(graph, x, {place: own}, place, "reverse" if reverse else "forward")
    return graph.node("Squeeze", [Y, graph.number(1)], f"{place}/ys")


def _inside(cell: Cell, params: Any) -> tuple[Cell, Any]:
    """The cell, out of wrappers that change nothing in evaluation."""
    while type(cell) in TRANSPARENT or type(cell) is LearnedCarry:
        if type(cell) is LearnedCarry:
            params = params["cell"]
        cell = cell.cell  # pyright: ignore[reportAttributeAccessIssue]
    return cell, params


def _weight(graph: Graph, place: Place, params: Any, name: str) -> str:
    return graph.weight(f"{place}/{name}", params[name])


def _with_bias(graph: Graph, y: str, params: Any, place: Place) -> str:
    for name in ("bias", "recurrent_bias"):
        if name in params:
            bias = _weight(graph, place, params, name)
            y = graph.node("Add", [y, bias], f"{place}/plus_{name}")
    return y


def _elementwise(graph: Graph, cell: Activation, x: str, place: Place) -> str:
    for name, (op, attributes) in ELEMENTWISE.items():
        if cell.activation == name or cell.activation is activation_of(name):
            return graph.node(op, [x], f"{place}/ys", **attributes)
    if type(cell.activation) in NUMBERED:
        op, numbers = type(cell.activation).__name__, vars(cell.activation)
        return graph.node(op, [x], f"{place}/ys", **numbers)
    known = ", ".join(map(repr, ELEMENTWISE))
    refuse(place, cell, f"no single node of ONNX is {cell.activation!r}, only {known}")


def _layers(
    graph: Graph, cell: Any, params: Any, carry: Any, x: str, place: Place, reverse: bool
) -> str:
    ys, skip = [], type(cell) is DenseSkip
    for index, (inner, own, start) in enumerate(
        zip(cell.cells, params, carry, strict=True)
    ):
        at = place.inside(index)
        inputs = ys[-1] if ys else x
        if ys and skip:
            inputs = graph.node("Concat", [x, ys[-1]], f"{at}/xs", axis=-1)
        ys.append(sequence(graph, inner, own, start, inputs, at, reverse))
    return graph.node("Concat", ys, f"{place}/ys", axis=-1) if skip else ys[-1]


def _bidirectional(
    graph: Graph,
    cell: Bidirectional,
    params: Any,
    carry: Any,
    x: str,
    place: Place,
    reverse: bool,
) -> str:
    if cell.merge not in (concatenate, operator.add):
        merge = f"merge={cell.merge!r}"
        refuse(
            place, cell, f"only concatenate and operator.add are nodes, and not {merge}"
        )
    together = cell.merge is concatenate
    places = place.inside("forward"), place.inside("backward")
    given = list(zip(places, cell.cells, params, carry, strict=True))
    directions = {} if reverse else _directions(given)
    if directions:
        Y = recurrent(graph, x, directions, place, "bidirectional")
        if not together:
            axes = [Y, graph.number(1)]
            return graph.node("ReduceSum", axes, f"{place}/ys", keepdims=0)
        last = graph.node("Transpose", [Y], f"{place}/Y_last", perm=[0, 2, 1, 3])
        hidden_size = len(directions[places[0]].recurrent_kernel)
        shape = graph.number(0, 0, 2 * hidden_size)
        return graph.node("Reshape", [last, shape], f"{place}/ys")
    ys = [
        sequence(graph, one, own, start, x, at, reverse != (at == places[1]))
        for at, one, own, start in given
    ]
    if not together:
        return graph.node("Add", ys, f"{place}/ys")
    return graph.node("Concat", ys, f"{place}/ys", axis=-1)


def _directions(given: list[tuple]) -> dict[Place, Direction]:
    """Those of one node, or none."""
    made = {
        at: direction_of(*_inside(one, own), start, at) for at, one, own, start in given
    }
    both = {at: one for at, one in made.items() if one is not None}
    forward, backward = made.values()
    if forward is None or backward is None or not forward.with_one(backward):
        return {}
    return both
