"""Cells and params of the recurrent nodes of an ONNX model."""

import os
from typing import Any

from ...cell import Cell
from ...combinators import Bidirectional
from ...wrappers import Residual, Reversed
from ..layers import loaded
from .layer import layer
from .reader import Reader
from .values import CALL, Node, Part, Signal, State, joined


def load(source: Any, *, node: str | None = None) -> tuple[Cell, Any]:
    """The cell and the params of an ONNX model."""
    reader = Reader(_model(source))
    if not reader.recurrent:
        raise ValueError(f"{CALL}: the model has no RNN, LSTM or GRU node")
    cell, params = _chain(reader) if node is None else _single(reader, node)
    return loaded(CALL, cell, params)


def _model(source: Any) -> Any:
    import onnx

    if isinstance(source, onnx.ModelProto):
        return source
    if isinstance(source, str | os.PathLike):
        return onnx.load(source)
    raise TypeError(
        f"{CALL}: source is of type {type(source).__name__}, expected an "
        "onnx.ModelProto or the path of a file"
    )


def _single(reader: Reader, name: str) -> Any:
    """One node by itself."""
    known = {node.label: node for node in reader.recurrent}
    if name not in known:
        raise ValueError(
            f"{CALL}: node is {name!r}, expected one of {', '.join(map(repr, known))}"
        )
    node = known[name]
    reader.read(reader.edges(node, "W", "R", "B", "P"))
    for edge in reader.edges(node, "h", "c"):
        try:
            reader.read([edge])
        except ValueError:  # of what other nodes make: a carry that the caller gives
            reader.values.setdefault(edge, None)
    weights, _ = reader.weights(node)
    return layer(f"{CALL}: {node}", node.op, node.attributes, weights)


def _chain(reader: Reader) -> Any:
    """All nodes of the graph, one after the other."""
    reader.read(reader.outputs)
    made = {
        name: value
        for name in reader.outputs
        if isinstance(value := reader.values[name], Signal | State)
    }
    if not made:
        raise ValueError(f"{CALL}: no output of the model is a sequence")
    whole = max((value.parts for value in made.values()), key=_extent)
    (cell, params), nodes = joined(whole)
    for name, value in made.items():
        if isinstance(value, State) or _is_carry(value):
            continue
        if value.parts != whole:
            raise ValueError(
                f"{CALL}: the output {name!r} is another sequence than that of all "
                f"layers: take it out of the model's outputs, or "
                + _remedy(reader.recurrent)
            )
        _ordered(name, value)
    missing = [node for node in reader.recurrent if node.made[0] not in nodes]
    if missing:
        raise ValueError(
            f"{CALL}: {missing[0]} stands in no chain with the others: "
            + _remedy(reader.recurrent)
        )
    return cell, params


def _extent(parts: tuple[Part, ...]) -> tuple[int, int]:
    return len(joined(parts)[1]) if parts else 0, len(parts)


def _is_carry(value: Signal) -> bool:
    """Whether it is what a node leaves, which unroll returns beside the outputs."""
    kinds = Residual, Bidirectional, Reversed  # their last outputs are no carries
    last = value.parts[-1] if value.parts else None
    return (
        value.last
        and last is not None
        and bool(last.nodes)
        and type(last.cell) not in kinds
    )


def _remedy(nodes: list[Node]) -> str:
    names = ", ".join(repr(node.label) for node in nodes)
    return f"take single nodes, node= one of {names}"


def _ordered(name: str, value: Signal) -> None:
    """Raise unless the features stand in the order of the cell's."""
    features = value.features or ()
    there = [axis for group in value.axes for axis in group if axis in features]
    if tuple(there) != features:
        raise ValueError(
            f"{CALL}: the output {name!r} has its features in another order than a cell "
            "has them: those of one direction come first"
        )
