"""The nodes and weights of an ONNX graph, while it is made."""

from typing import Any, NoReturn

import numpy as np

from ...cell import Cell

CALL = "interop.onnx.dump"


class Place(tuple[str, ...]):
    """Where a cell is, from the outside in: ("0", "forward")."""

    def inside(self, name: Any) -> "Place":
        return Place((*self, str(name)))

    def __str__(self) -> str:
        return "/".join(("layer_" * bool(self) + self[0], *self[1:])) if self else "layer"

    def leaf(self, name: str) -> str:
        """The name of a leaf of the carry."""
        return "_".join(("carry", *self, name))


def refuse(place: Place, cell: Cell, reason: str) -> NoReturn:
    """Raise, for what ONNX has no operator for."""
    raise ValueError(f"{CALL}: {place} is {cell}: {reason}")


class Graph:
    """Nodes in their order, and constants, each under a name of its own."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.carry: dict[str, np.ndarray] = {}  # defaults of the inputs, each [1, H]
        self._names: set[str] = set()

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node of one output, which has its name, and is returned."""
        return self.nodes_of(op, inputs, [name], **attributes)[0]

    def nodes_of(
        self, op: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """A node of several outputs, which has the name of the first."""
        from onnx import helper

        outputs = [self._own(name) for name in outputs]
        self.nodes.append(helper.make_node(op, inputs, outputs, outputs[0], **attributes))
        return outputs

    def weight(self, name: str, array: Any) -> str:
        """A constant of the graph's dtype."""
        name = self._own(name)
        self.constants[name] = np.ascontiguousarray(array, self.dtype)
        return name

    def number(self, *values: int, dtype: str = "int64", scalar: bool = False) -> str:
        """A constant of integers, one for all who ask: axes, sizes, an index."""
        name = "_".join((dtype, *map(str, values), *["scalar"] * scalar))
        self.constants[name] = np.array(values[0] if scalar else values, dtype)
        return name

    def initial(self, name: str, array: Any) -> str:
        """A leaf of the initial carry [batch, H], which is an input with a default."""
        self.carry[name] = np.asarray(array, self.dtype)[None]
        return self.node("Expand", [name, "batch_by_1"], f"{name}/expanded")

    def _own(self, name: str) -> str:
        own, count = name, 1
        while own in self._names:
            count += 1
            own = f"{name}_{count}"
        self._names.add(own)
        return own
