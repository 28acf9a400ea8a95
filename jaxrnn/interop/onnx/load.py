"""Cells and params of the recurrent nodes of an ONNX model."""

import os
from typing import Any

from ...cell import Cell
from ...combinators import Bidirectional
from ...wrappers import Residual, Reversed
from ..layers import loaded
from .layer import layer
from .reader import Reader
from .values import CALL, Constant, Node, Part, Signal, State, joined


def load(source: Any, *, node: str | None = None) -> tuple[Cell, Any]:
    """The cell and the params of an ONNX model: one of its nodes, or all in a chain.

        ONNX                            jaxrnn
        RNN                             Elman
        GRU, linear_before_reset = 1    GRU, its Rb_h as recurrent_bias
        GRU, linear_before_reset = 0    GRU(reset_after=False)
        LSTM                            LSTM
        LSTM with P                     cells.PeepholeLSTM
        LSTM with input_forget          cells.CoupledLSTM, where f = sigmoid(-a_i)
        LSTM with clip, h unlike g      OnnxLSTM, as with both P and input_forget
        direction bidirectional         Bidirectional
        direction reverse               Reversed
        no B                            use_bias=False
        clip                            Clipped around the activations of gates and of g
        activations, alpha, beta        their names, or LeakyRelu(0.1) and the like
        initial_h, initial_c            constants of which one is not zero: LearnedCarry
        MatMul, Gemm, Add               Dense
        Gather from a constant          Embedding
        Relu, Softmax, ...              Activation
        Add of two sequences            Residual, or Bidirectional(..., operator.add)
        Concat of two directions        Bidirectional

    Gates are reordered, and the two halves of B are summed, but for Rb_h inside of the
    reset; no other weight changes. What rearranges alone (Transpose, Reshape, Squeeze,
    Unsqueeze, Slice, Split, Concat, Expand, casts, masks of lengths) is followed, and
    what is not understood is refused.

    The cell takes and gives (T, *batch, features), whatever the axes of the model are:
    `layout` and transposes concern its call alone. Features of two directions are side by
    side, forward ones first. Inputs of the model that are sequence_lens, initial_h and
    initial_c are the arguments `lengths` and `carry` of `unroll`, where a node of two
    directions has its initial_h[0] in carry[0]. Where a model goes on with the last step
    alone, such as Y_h of a forward node, the cell shows every step, of which
    `jaxrnn.last(ys, lengths)` is the model's.

    What differs. ONNX has zeros for Y_h and Y_c of an empty sequence, which here gives
    its initial carry back. Past the lengths there are zeros behind every layer; in a
    model a Dense has its bias there. An `Embedding` has NaN for negative symbols. Dropout
    is left out. A float32 attribute is read as the shortest decimal of it. Where the
    specification is silent it is as onnxruntime: clip does not act on c' before the last
    activation of an LSTM, input_forget makes f = 1 - i, ThresholdedRelu is zero at alpha
    itself, and alpha and beta are lists of those that take one. What is not given there
    is the default that the specification and onnxruntime share, or refused.

    Args:
        source: an `onnx.ModelProto`, or the path of a file.
        node: the name of a single RNN, LSTM or GRU node, or of its first output, in place
            of all that the model has. An initial state that is no constant is then the
            caller's.

    Returns:
        `(cell, params)`, for several layers a `Stack`.

    Raises:
        TypeError: for a source that is none.
        ValueError: for a node or an attribute that no cell has, by its name; nodes that
            are no chain; weights that are no constants; lengths that are.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.onnx
        >>> cell = jaxrnn.Stack((jaxrnn.Reversed(jaxrnn.LSTM(3, 5)), jaxrnn.Dense(5, 2)))
        >>> model = jaxrnn.interop.onnx.dump(cell, cell.init(jax.random.key(0)))
        >>> again, params = jaxrnn.interop.onnx.load(model)
        >>> print(again == cell)
        True
    """
    reader = Reader(_model(source))
    if not reader.recurrent:
        loops = [str(one) for one in reader.nodes if one.op in ("Loop", "Scan")]
        raise ValueError(
            f"{CALL}: the model has no RNN, LSTM or GRU node"
            + "".join(f", only {one}: load it from its own library" for one in loops[:1])
        )
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
    weights, found = reader.weights(node)
    if isinstance(found["lengths"], Constant):
        node.refuse(
            "the lengths are constants of the model, expected an input of it, for which "
            "unroll takes lengths="
        )
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
