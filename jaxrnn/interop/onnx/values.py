"""What stands on the edges of a graph while it is read, and its nodes."""

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from ...cell import Cell
from ..layers import Layer, in_a_row
from .axes import Axes, Group, Size, entry

CALL = "interop.onnx.load"
UNKNOWN = object()  # lengths, as long as no node has said which


@dataclass(frozen=True, eq=False)
class Part:
    """One layer of what is loaded, and the outputs of the recurrent nodes in it."""

    cell: Cell
    params: Any
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Constant:
    """An array of the model, or of the sizes that Shape gives.

    Along a dimension of unknown size there is one entry, which stands for all.
    """

    array: np.ndarray
    given: tuple[Any, ...] | None = None

    @property
    def dims(self) -> tuple[Any, ...]:
        return self.array.shape if self.given is None else self.given

    @property
    def known(self) -> bool:
        """Whether it holds numbers alone, all that it has."""
        return self.array.dtype != object and self.dims == self.array.shape

    @property
    def whole(self) -> bool:
        """Whether it has all of its entries."""
        return self.dims == self.array.shape

    def is_all(self, value: Any) -> bool:
        return all(entry == value for entry in self.array.flat)


@dataclass(frozen=True)
class Signal:
    """A sequence: an input of the graph, or what layers have made of one."""

    source: str
    axes: Axes
    integer: bool = False
    parts: tuple[Part, ...] = ()
    features: Group | None = None  # None: not yet said by a node
    time: Group | None = None
    batch: Group | None = None
    last: bool = False  # its last step alone
    lengths: Any = field(default=UNKNOWN)

    def dims(self) -> list[int | Size]:
        return [entry(group) for group in self.axes]

    def then(self, part: Part, features: Group) -> "Signal":
        """With one more layer, whose outputs are the last axis."""
        axes = (*self.axes[:-1], features)
        parts = (*self.parts, part)
        return replace(self, axes=axes, parts=parts, features=features, integer=False)


@dataclass(frozen=True)
class State:
    """Of final carries, whatever is made of them."""

    parts: tuple[Part, ...]
    node: str


@dataclass(frozen=True)
class Given:
    """Of an input of the graph, a part: an initial carry that the caller gives."""

    source: str


@dataclass(frozen=True)
class Ticks:
    """0, 1, ..., T-1."""

    time: Group


@dataclass(frozen=True)
class Mask:
    """Whether a step comes before the length, an input of the graph; None: T."""

    lengths: str | None


@dataclass(frozen=True)
class Empty:
    """Whether a length is zero."""


Value = Any  # one of these


@dataclass(frozen=True)
class Node:
    """A node of the graph, its attributes as they are in Python."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    proto: Any = field(repr=False)

    @property
    def made(self) -> list[str]:
        """Its outputs, without those that it does not have."""
        return [name for name in self.outputs if name]

    @property
    def label(self) -> str:
        return self.name or self.made[0]

    def refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"{CALL}: {self}: {reason}")

    def __str__(self) -> str:
        return f"{self.op} node {self.label!r}"


def joined(parts: tuple[Part, ...]) -> tuple[Layer, frozenset[str]]:
    """Several layers as one, and the recurrent nodes in them."""
    nodes = frozenset[str]().union(*(part.nodes for part in parts))
    return in_a_row([(part.cell, part.params) for part in parts]), nodes
