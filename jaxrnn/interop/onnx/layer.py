"""One recurrent node of ONNX as a cell and its params."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ...cells import GRU, LSTM, CoupledLSTM, Elman, PeepholeLSTM
from ...cells.activations import Activation
from ...cells.lstm import LSTMCarry
from ...combinators import Bidirectional
from ...wrappers import LearnedCarry, Reversed
from ..layers import Layer, reordered
from .activations import LABELS, Clipped, activations, decimal
from .cells import OnnxLSTM

# By operator: its gates in its order, and its activations where it names none.
GATES = {"RNN": "h", "LSTM": "iofc", "GRU": "zrh"}
USUAL = {
    "RNN": ("Tanh",),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
}
COMMON = {
    "activations",
    "activation_alpha",
    "activation_beta",
    "clip",
    "direction",
    "hidden_size",
    "layout",
    "output_sequence",  # of the first version: whether there is a Y
}
OWN = {"RNN": set(), "LSTM": {"input_forget"}, "GRU": {"linear_before_reset"}}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
ODD = "sigmoid", "onnx_hard_sigmoid", "hard_sigmoid"  # 1 - f(x) = f(-x)


class Weights(NamedTuple):
    """The constants of a node, its directions first; None where it has none."""

    W: np.ndarray  # [D, G H, I]
    R: np.ndarray  # [D, G H, H]
    B: np.ndarray | None = None  # [D, 2 G H]
    P: np.ndarray | None = None  # [D, 3 H]
    h: np.ndarray | None = None  # [D, H]
    c: np.ndarray | None = None  # [D, H]


def layer(where: str, op: str, attributes: Mapping[str, Any], weights: Weights) -> Layer:
    """The cell and the params of a node; `where` begins what is said of it in errors."""
    unknown = attributes.keys() - COMMON - OWN[op]
    if unknown:
        raise ValueError(f"{where}: no {op} of ONNX has the attribute {min(unknown)!r}")
    direction = attributes.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise ValueError(
            f"{where}: direction is {direction!r}, expected one of "
            f"{', '.join(map(repr, DIRECTIONS))}"
        )
    count, size = DIRECTIONS[direction], weights.R.shape[-1]
    _check(where, op, attributes, weights, count, size)
    functions = _activations(where, op, attributes, count)
    every = []
    for index in range(count):
        own: list[Any] = [None if array is None else array[index] for array in weights]
        one = Weights(*own)
        used = functions[index * len(USUAL[op]) : (index + 1) * len(USUAL[op])]
        every.append(MAKERS[op](attributes, used, one))
    cell, params = every[0]
    if direction == "reverse":
        cell = Reversed(cell)
    elif count == 2:
        cell, params = Bidirectional(every[0][0], every[1][0]), (params, every[1][1])
    carry = _carry(weights, op)
    if carry is None:
        return cell, params
    return LearnedCarry(cell), {
        "cell": params,
        "carry": carry if count == 2 else carry[0],
    }


def _check(
    where: str,
    op: str,
    attributes: Mapping[str, Any],
    weights: Weights,
    count: int,
    size: int,
) -> None:
    """Raise unless all shapes are those of one node."""
    hidden = attributes.get("hidden_size", size)
    if hidden != size:
        raise ValueError(
            f"{where}: hidden_size is {hidden}, but R has the shape {weights.R.shape}"
        )
    rows = len(GATES[op]) * size
    expected = {
        "W": (count, rows, weights.W.shape[-1]),
        "R": (count, rows, size),
        "B": (count, 2 * rows),
        "P": (count, 3 * size),
        "h": (count, size),
        "c": (count, size),
    }
    for name, array in weights._asdict().items():
        if array is not None and array.shape != expected[name]:
            raise ValueError(
                f"{where}: {name} has the shape {array.shape}, expected {expected[name]}"
            )


def _activations(
    where: str, op: str, attributes: Mapping[str, Any], count: int
) -> list[Activation]:
    """All of a node, its clip in those of the gates and the candidate."""
    usual = count * USUAL[op]
    names = attributes.get("activations", usual)
    if op == "RNN" and len(names) == 2:  # the default that its schema writes
        names = names[:count]
    if len(names) != len(usual):
        raise ValueError(
            f"{where}: activations is {', '.join(names)}, expected {len(usual)} of them"
        )
    numbers = (attributes.get(f"activation_{label}", ()) for label in LABELS)
    functions = activations(where, names, *numbers)
    clip = attributes.get("clip")
    if clip is None:
        return functions
    if not clip > 0:
        raise ValueError(f"{where}: clip is {clip}, expected a positive number")
    shown = len(USUAL["LSTM"]) - 1 if op == "LSTM" else None  # it sees c as it is
    return [
        function if index % len(USUAL[op]) == shown else Clipped(function, decimal(clip))
        for index, function in enumerate(functions)
    ]


def _carry(weights: Weights, op: str) -> Any:
    """Of each direction; None where all of it is zero."""
    given = [weights.h, weights.c]
    if not any(array is not None and array.any() for array in given):
        return None
    like = np.zeros((len(weights.W), weights.R.shape[-1]), weights.W.dtype)
    h, c = (list(jnp.asarray(like if array is None else array)) for array in given)
    return tuple(map(LSTMCarry, h, c)) if op == "LSTM" else tuple(h)


def _params(weights: Weights, source: str, target: str) -> dict[str, np.ndarray]:
    """Kernels, and both halves of the bias, with the gates in another order."""
    parts = {"kernel": weights.W.T, "recurrent_kernel": weights.R.T}
    if weights.B is not None:
        parts["bias"], parts["second"] = np.split(weights.B, 2)
    return {name: reordered(array, source, target) for name, array in parts.items()}


def _summed(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "second" not in params:
        return params
    second = params.pop("second")
    return params | {"bias": params["bias"] + second}


def _sizes(weights: Weights) -> dict[str, Any]:
    return {
        "input_size": weights.W.shape[-1],
        "hidden_size": weights.R.shape[-1],
        "use_bias": weights.B is not None,
    }


def _rnn(attributes: Any, functions: list, weights: Weights) -> Layer:
    cell = Elman(**_sizes(weights), activation=functions[0])
    return cell, _summed(_params(weights, "h", "h"))


def _gru(attributes: Any, functions: list, weights: Weights) -> Layer:
    after, (gate, act) = attributes.get("linear_before_reset", 0) != 0, functions
    own = {"reset_after": after, "activation": act, "gate_activation": gate}
    params = _params(weights, "zrh", "rzh")
    if after and "second" in params:
        cut = 2 * weights.R.shape[-1]
        second = params.pop("second")
        params["recurrent_bias"] = second[cut:]
        params["bias"] = params["bias"].copy()
        params["bias"][:cut] += second[:cut]
    return GRU(**_sizes(weights), **own), _summed(params)


def _lstm(attributes: Any, functions: list, weights: Weights) -> Layer:
    gate, act, show = functions
    sizes = _sizes(weights)
    own: dict[str, Any] = {"activation": act, "gate_activation": gate}
    coupled, peepholes = attributes.get("input_forget", 0) != 0, weights.P is not None
    order = "ico" if coupled else "ifco"
    params = _summed(_params(weights, "iofc", order))
    if peepholes:
        gates = "io" if coupled else "ifo"
        params["peephole"] = reordered(weights.P, "iof", gates)
    if act != show or (coupled and (peepholes or gate not in ODD)):
        own |= {"output_activation": show, "coupled": coupled, "peepholes": peepholes}
        return OnnxLSTM(**sizes, **own), params
    if coupled:  # f = 1 - gate(a) is gate(-a)
        cut = weights.R.shape[-1]
        for name, array in params.items():
            negated = [-array[..., :cut], array[..., cut:]]
            params[name] = np.concatenate(negated, -1)
        return CoupledLSTM(**sizes, **own), params
    return (PeepholeLSTM if peepholes else LSTM)(**sizes, **own), params


MAKERS = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru}
