"""The operators RNN, LSTM and GRU of ONNX: of a cell, of two in two directions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...cell import Cell
from ...cells import GRU, LSTM, CoupledLSTM, Elman, PeepholeLSTM
from ...cells.activations import activation_of
from ...cells.lstm import LSTMCarry
from ..layers import reordered
from .activations import NUMBERED, Clipped
from .cells import OnnxLSTM
from .graph import Graph, Place, refuse

Function = tuple[str, dict[str, float]]  # ONNX's name, and its alpha and beta

# Those of jaxrnn by name; those of `activations` have ONNX's own.
ACTIVATIONS: dict[str, Function] = {
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "relu": ("Relu", {}),
    "identity": ("Affine", {"alpha": 1.0, "beta": 0.0}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "onnx_hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "softplus": ("Softplus", {}),
    "soft_sign": ("Softsign", {}),
}


@dataclass(frozen=True)
class Direction:
    """What one direction of a node is made of, with G gates in the order of ONNX."""

    op: str
    attributes: dict[str, Any]
    activations: list[Function]
    kernel: np.ndarray  # [I, G H]
    recurrent_kernel: np.ndarray  # [H, G H]
    bias: np.ndarray | None  # [2 G H], both halves
    peephole: np.ndarray | None  # [3 H]
    carry: Any  # one array [H], or LSTMCarry

    @property
    def hidden_size(self) -> int:
        return len(self.recurrent_kernel)

    def with_one(self, other: "Direction") -> bool:
        """Whether one node can be both."""

        def common(one: Direction) -> tuple:
            there = one.bias is None, one.peephole is None
            sizes = one.kernel.shape, one.recurrent_kernel.shape
            # Of onnxruntime's RNN, alpha stands elsewhere than in LSTM and GRU.
            names = [name for name, _ in one.activations] if one.op == "RNN" else None
            return one.op, one.attributes, sizes, there, names

        return common(self) == common(other)


def direction_of(cell: Cell, params: Any, carry: Any, place: Place) -> Direction | None:
    """Of a cell that is one of ONNX's; None of any other."""
    make = MAKERS.get(type(cell))
    return None if make is None else make(cell, params, carry, place)


def _activations(
    cell: Any, fields: tuple[str, ...], place: Place
) -> tuple[list[Function], dict[str, Any]]:
    """Those of the fields, and the attribute clip, which is one for all."""
    values = [getattr(cell, field) for field in fields]
    clips = {value.clip if isinstance(value, Clipped) else None for value in values}
    if len(clips) > 1:
        reason = f"ONNX's clip is one for {' and '.join(fields)}, and these differ in it"
        refuse(place, cell, reason)
    made = [
        _activation(cell, field, value, place)
        for field, value in zip(fields, values, strict=True)
    ]
    return made, {} if clips == {None} else {"clip": clips.pop()}


def _activation(cell: Any, field: str, value: Any, place: Place) -> Function:
    if isinstance(value, Clipped):
        value = value.activation
    if type(value) in (taker for taker, _ in NUMBERED.values()):
        letters = [letter for letter in ("alpha", "beta") if hasattr(value, letter)]
        return type(value).__name__, {one: getattr(value, one) for one in letters}
    for name, known in ACTIVATIONS.items():
        if value == name or value is activation_of(name):
            return known
    known = ", ".join(map(repr, ACTIVATIONS))
    reason = f"{field} is {value!r}, expected one that ONNX's operators have: {known}"
    refuse(place, cell, reason)


def _bias(params: Any, order: Callable[[Any], np.ndarray]) -> np.ndarray | None:
    """Both halves, the second zeros where the params have one bias."""
    if "bias" not in params:
        return None
    bias = np.asarray(params["bias"])
    second = np.asarray(params.get("recurrent_bias", bias[:0]))
    second = np.concatenate([np.zeros_like(bias[second.size :]), second])
    return np.concatenate([order(bias), order(second)])


def _made(
    op: str,
    activations: list[Function],
    params: Any,
    carry: Any,
    order: Callable[[Any], np.ndarray] = np.asarray,
    **attributes: Any,
) -> Direction:
    kernels = order(params["kernel"]), order(params["recurrent_kernel"])
    bias = _bias(params, order)
    return Direction(op, attributes, activations, *kernels, bias, None, carry)


def _rnn(cell: Elman, params: Any, carry: Any, place: Place) -> Direction:
    activations, clip = _activations(cell, ("activation",), place)
    return _made("RNN", activations, params, carry, **clip)


def _gru(cell: GRU, params: Any, carry: Any, place: Place) -> Direction:
    def order(array: Any) -> np.ndarray:
        return reordered(array, "rzn", "zrn")

    activations, clip = _activations(cell, ("gate_activation", "activation"), place)
    after = int(cell.reset_after)
    return _made(
        "GRU", activations, params, carry, order, linear_before_reset=after, **clip
    )


def _lstm(cell: Any, params: Any, carry: LSTMCarry, place: Place) -> Direction:
    if getattr(cell, "projection_size", None) is not None:
        refuse(place, cell, "ONNX's LSTM has no projection_size; leave it None")
    if getattr(cell, "clip", None) is not None:
        refuse(place, cell, "ONNX's clip bounds what activations get, not c as clip does")
    activations, clip = _activations(cell, ("gate_activation", "activation"), place)
    name = "output_activation" if type(cell) is OnnxLSTM else "activation"
    shown = getattr(cell, name)
    if isinstance(shown, Clipped):
        reason = f"{name} is {shown!r}, and onnxruntime's clip is not for what shows c'"
        refuse(place, cell, f"{reason}; take an interop.onnx.OnnxLSTM without")
    activations.append(_activation(cell, name, shown, place))
    if type(cell) is CoupledLSTM:
        _check_symmetric(cell, activations[0], place)
        attributes, order = {"input_forget": 1}, _of_coupled
    elif type(cell) is OnnxLSTM and cell.coupled:
        attributes, order = {"input_forget": 1}, _without_f
    else:
        attributes, order = {}, lambda array: reordered(array, "ifgo", "iofg")
    made = _made("LSTM", activations, params, carry, order, **attributes, **clip)
    if "peephole" not in params:
        return made
    peephole = np.split(np.asarray(params["peephole"]), 2 if attributes else 3)
    parts = peephole[0], peephole[-1], 0 * peephole[0] if attributes else peephole[1]
    return replace(made, peephole=np.concatenate(parts))


def _of_coupled(array: Any) -> np.ndarray:
    """f, g, o as i, o, f, g, where f is not read: i = 1 - act(x) = act(-x)."""
    f, g, o = np.split(np.asarray(array), 3, -1)
    return np.concatenate([-f, o, np.zeros_like(f), g], -1)


def _without_f(array: Any) -> np.ndarray:
    i, g, o = np.split(np.asarray(array), 3, -1)
    return np.concatenate([i, o, np.zeros_like(i), g], -1)


def _check_symmetric(cell: CoupledLSTM, function: Function, place: Place) -> None:
    name, numbers = function
    if name != "Sigmoid" and not (name == "HardSigmoid" and numbers["beta"] == 0.5):
        reason = "gate_activation has no act(-x) = 1 - act(x), by which i is made of f"
        refuse(place, cell, f"{reason}; take a sigmoid")


MAKERS: dict[type[Cell], Any] = {
    Elman: _rnn,
    GRU: _gru,
    LSTM: _lstm,
    PeepholeLSTM: _lstm,
    CoupledLSTM: _lstm,
    OnnxLSTM: _lstm,
}


def recurrent(
    graph: Graph, x: str, directions: dict[Place, Direction], place: Place, which: str
) -> str:
    """The node of one direction or two: the name of its Y, [T, D, batch, H]."""
    every = list(directions.values())
    first = every[0]

    def stacked(name: str, arrays: list[Any]) -> list[str]:
        if arrays[0] is None:
            return [""]
        return [graph.weight(f"{place}/{name}", np.stack(arrays))]

    states = "hc" if first.op == "LSTM" else "h"
    carries = {at: _carry(graph, one, at, states) for at, one in directions.items()}
    inputs = [
        x,
        *stacked("kernel", [one.kernel.T for one in every]),
        *stacked("recurrent_kernel", [one.recurrent_kernel.T for one in every]),
        *stacked("bias", [one.bias for one in every]),
        "valid_lengths",
        *(_initial(graph, carries, place, state) for state in states),
        *stacked("peephole", [one.peephole for one in every]),
    ]
    Y, *lasts = graph.nodes_of(
        first.op,
        inputs if inputs[-1] else inputs[:-1],
        [f"{place}/{name}" for name in ("Y", "Y_h", "Y_c")[: 1 + len(states)]],
        direction=which,
        hidden_size=len(first.recurrent_kernel),
        **first.attributes,
        **_listed(every),
    )
    for index, (at, own) in enumerate(carries.items()):
        for state, last in zip(states, lasts, strict=True):
            # ONNX has zeros after an empty sequence.
            one = [last, graph.number(index, scalar=True)]
            after = graph.node("Gather", one, f"{at}/last_{state}", axis=0)
            final = ["is_empty", own[state], after]
            graph.node("Where", final, f"final_{at.leaf(state)}")
    return Y


def _carry(graph: Graph, one: Direction, at: Place, states: str) -> dict[str, str]:
    leaves = one.carry if len(states) > 1 else [one.carry]
    return {
        state: graph.initial(at.leaf(state), leaf)
        for state, leaf in zip(states, leaves, strict=True)
    }


def _initial(graph: Graph, carries: dict, place: Place, state: str) -> str:
    """Of all directions, [D, batch, H]."""
    rows = [
        graph.node("Unsqueeze", [own[state], graph.number(0)], f"{at}/initial_{state}")
        for at, own in carries.items()
    ]
    if len(rows) == 1:
        return rows[0]
    return graph.node("Concat", rows, f"{place}/initial_{state}", axis=0)


def _listed(directions: list[Direction]) -> dict[str, list]:
    """The attributes: alpha and beta are lists of those that have one."""
    every = [own for direction in directions for own in direction.activations]
    attributes: dict[str, list] = {"activations": [name for name, _ in every]}
    for letter in ("alpha", "beta"):
        values = [given[letter] for _, given in every if letter in given]
        if values:
            attributes[f"activation_{letter}"] = values
    return attributes
