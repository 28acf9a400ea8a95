"""What is computed: shapes, cells, weights and inputs, the same in every process.

NumPy alone makes them, from a fixed seed, so that a process needs no other library than
the one that it measures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

FORWARD, TRAINING = "forward", "training"
GATES = {"elman": 1, "lstm": 4, "gru": 3, "gru_before": 3}
TITLES = {
    "elman": "Elman (tanh)",
    "lstm": "LSTM",
    "gru": "GRU, reset after the product",
    "gru_before": "GRU, reset before the product",
}
SHAPES = (
    (512, 1, 128, 128),
    (1024, 16, 64, 64),
    (128, 32, 256, 256),
    (100, 64, 512, 512),
    (300, 12, 40, 200),
    (35, 20, 650, 650),
    (784, 100, 1, 128),
    (2000, 4, 32, 256),
)
QUICK_CELLS = ("lstm",)
QUICK_SHAPES = ((64, 16, 128, 128),)

Params = tuple[tuple[dict[str, Any], ...], ...]  # [layer][direction][name]


@dataclass(frozen=True)
class Case:
    """Layers of one cell, of H units each, over B sequences of T steps of I features."""

    cell: str
    T: int
    B: int
    I: int
    H: int
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False  # sequences of different lengths

    def __str__(self) -> str:
        layers = f", {self.layers} layers" if self.layers > 1 else ""
        return f"{self.cell} {self.T},{self.B},{self.I},{self.H}{layers}"

    @property
    def products(self) -> int:
        """The floating-point operations of a single layer's matrix products, forward."""
        return 2 * self.T * self.B * GATES[self.cell] * self.H * (self.I + self.H)


def weights(case: Case) -> Params:
    """Parameters in jaxrnn's layout: a dict for each direction of each layer.

    All are uniform between -1 and 1 over the root of H, where a recurrent net of random
    weights forgets, so that float32 errors do not grow over a thousand steps. The GRU's
    `recurrent_bias` is zero: one of the peers has no such parameter.
    """
    random = np.random.default_rng(0)
    bound, width = case.H**-0.5, GATES[case.cell] * case.H
    directions = 2 if case.bidirectional else 1

    def one(inputs: int) -> dict[str, Any]:
        shapes = {
            "kernel": (inputs, width),
            "recurrent_kernel": (case.H, width),
            "bias": (width,),
        }
        params = {
            name: random.uniform(-bound, bound, shape).astype(np.float32)
            for name, shape in shapes.items()
        }
        if case.cell == "gru":
            params["recurrent_bias"] = np.zeros(case.H, np.float32)
        return params

    sizes = [case.I] + [directions * case.H] * (case.layers - 1)
    return tuple(tuple(one(size) for _ in range(directions)) for size in sizes)


def inputs(case: Case) -> np.ndarray:
    """Standard normal, (T, B, I)."""
    random = np.random.default_rng(1)
    return random.standard_normal((case.T, case.B, case.I), np.float32)


def lengths(case: Case) -> np.ndarray | None:
    """Anything from a quarter of T to T, in no order; one sequence has all T steps."""
    if not case.ragged:
        return None
    random = np.random.default_rng(2)
    drawn = random.integers(max(1, case.T // 4), case.T + 1, case.B)
    drawn[case.B // 2] = case.T
    return drawn.astype(np.int32)


def named(params: Params) -> Iterator[tuple[str, Any]]:
    """The leaves with a name each, the same for every library."""
    for layer, directions in enumerate(params):
        for direction, leaves in enumerate(directions):
            for name, leaf in leaves.items():
                yield f"gradient of {name}, layer {layer}, direction {direction}", leaf
