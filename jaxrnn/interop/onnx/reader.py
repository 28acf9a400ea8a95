"""A graph, read in its order: what every node makes of what came before."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .axes import group
from .layer import GATES, Weights, layer
from .masks import lengths_of, with_lengths
from .operators import OPERATORS
from .structure import reading, signal
from .values import CALL, Constant, Given, Node, Part, Signal, State, Value

OURS = ("", "ai.onnx")
ARRAYS = {"W": 1, "R": 2, "B": 3, "lengths": 4, "h": 5, "c": 6, "P": 7}  # by input


class Reader:
    """The nodes of a model, and the values of its edges as far as they are asked for."""

    def __init__(self, model: Any) -> None:
        from onnx import inliner, numpy_helper

        if model.functions:
            model = inliner.inline_local_functions(model)
        graph = model.graph
        opsets = {one.domain: one.version for one in model.opset_import}
        self.opset = opsets.get("", opsets.get("ai.onnx", 1))
        self.values: dict[str, Value] = {"": None}
        self.nodes = [self._node(proto) for proto in graph.node]
        self.outputs = [value.name for value in graph.output]
        for value in graph.input:
            self.values[value.name] = self._input(value)
        for array in graph.initializer:  # of older models they are inputs too
            self.values[array.name] = Constant(numpy_helper.to_array(array))

    @property
    def recurrent(self) -> list[Node]:
        return [node for node in self.nodes if node.op in GATES]

    def read(self, names: Iterable[str]) -> None:
        """Find out the values of these edges."""
        wanted, needed = set(names), []
        for node in reversed(self.nodes):
            if wanted & set(node.made):
                needed.append(node)
                wanted |= set(node.inputs)
        for node in reversed(needed):
            if node.made[0] in self.values:
                continue
            for name in node.inputs:
                if name not in self.values:
                    node.refuse(f"its input {name!r} is not understood")
            made = self._made(node, tuple(self.values[name] for name in node.inputs))
            pairs = zip(node.outputs, made, strict=False)
            self.values.update({name: value for name, value in pairs if name})

    def weights(self, node: Node) -> tuple[Weights, dict[str, Value]]:
        """The constants of a recurrent node, and those of its inputs that are none."""
        names = dict.fromkeys(ARRAYS, "")
        for name, index in ARRAYS.items():
            if node.op != "LSTM" and name in ("c", "P"):
                continue
            names[name] = node.inputs[index] if index < len(node.inputs) else ""
        found = {name: self.values.get(edge) for name, edge in names.items()}
        arrays: dict[str, Any] = {}
        for name in ("W", "R", "B", "P"):
            value = found.pop(name)
            if value is not None and not (isinstance(value, Constant) and value.known):
                node.refuse(f"{name} is no constant, expected one")
            arrays[name] = None if value is None else value.array
        for name in ("W", "R"):
            if arrays[name] is None or arrays[name].ndim != 3:
                node.refuse(f"{name} is no array of three axes, expected one")
        for name in ("h", "c"):
            value = found[name]
            if isinstance(value, Constant):
                arrays[name] = self._carry(node, name, value)
        return Weights(**arrays), found

    def edges(self, node: Node, *names: str) -> list[str]:
        """The names of some inputs of a recurrent node."""
        places = [ARRAYS[name] for name in names]
        return [node.inputs[place] for place in places if place < len(node.inputs)]

    def _carry(self, node: Node, name: str, value: Constant) -> np.ndarray:
        """[D, H], of an initial carry that is the same for every example."""
        array = value.array
        if array.dtype == object or array.ndim != 3:
            node.refuse(f"initial_{name} has the shape {value.dims}, expected three axes")
        rows = array if node.attributes.get("layout", 0) else array.swapaxes(0, 1)
        if not all(np.array_equal(row, rows[0]) for row in rows):
            node.refuse(
                f"initial_{name} is a constant of each example, expected one for all: "
                "take it out of the model, and give it to unroll as carry="
            )
        return rows[0]

    def _node(self, proto: Any) -> Node:
        from onnx import AttributeProto, helper, numpy_helper

        def value(attribute: Any) -> Any:
            got = helper.get_attribute_value(attribute)
            if attribute.type == AttributeProto.TENSOR:
                return numpy_helper.to_array(got)
            if isinstance(got, bytes):
                return got.decode()
            if attribute.type == AttributeProto.STRINGS:
                return [one.decode() for one in got]
            return got

        op = proto.op_type if proto.domain in OURS else f"{proto.domain}.{proto.op_type}"
        attributes = {one.name: value(one) for one in proto.attribute}
        edges = tuple(proto.input), tuple(proto.output)
        return Node(op, proto.name, *edges, attributes, self.opset, proto)

    def _input(self, value: Any) -> Value:
        from onnx import TensorProto

        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            return Given(value.name)
        axes = []
        for index, dim in enumerate(tensor.shape.dim):
            size = dim.dim_value if dim.HasField("dim_value") else None
            axes.append(group(f"{value.name}_{index}", size))
        integer = tensor.elem_type not in (
            TensorProto.FLOAT,
            TensorProto.DOUBLE,
            TensorProto.FLOAT16,
            TensorProto.BFLOAT16,
        )
        return Signal(value.name, tuple(axes), integer)

    def _made(self, node: Node, inputs: tuple[Value, ...]) -> list[Value]:
        if node.op == "Constant" and "sparse_value" not in node.attributes:
            return [Constant(np.asarray(next(iter(node.attributes.values()))))]
        if node.op in GATES:
            return self._recurrent(node, inputs)
        constants = [value for value in inputs if value is not None]
        if constants and all(
            isinstance(one, Constant) and one.known for one in constants
        ):
            return self._folded(node, inputs)
        if node.op not in OPERATORS:
            node.refuse(
                "there is no cell for it; take single nodes: interop.onnx.load(source, "
                "node=...)"
            )
        made = OPERATORS[node.op](node, *inputs)
        if made is None:
            node.refuse("its outcome is not understood")
        return made if isinstance(made, list) else [made]

    def _folded(self, node: Node, inputs: tuple[Value, ...]) -> list[Value]:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        arrays = {
            name: value.array
            for name, value in zip(node.inputs, inputs, strict=True)
            if value is not None
        }
        nothing = helper.make_tensor_value_info
        edges = [nothing(name, 1, None) for name in arrays]
        outputs = [nothing(name, 1, None) for name in node.outputs if name]
        model = helper.make_model(
            helper.make_graph([node.proto], "constants", edges, outputs),
            opset_imports=[helper.make_opsetid("", self.opset)],
        )
        try:
            found = ReferenceEvaluator(model).run(None, arrays)
        except Exception as error:
            node.refuse(f"onnx cannot compute it ({error})")
        return [Constant(np.asarray(array)) for array in found]  # pyright: ignore

    def _recurrent(self, node: Node, inputs: tuple[Value, ...]) -> list[Value]:
        weights, found = self.weights(node)
        for name in ("h", "c"):
            given = found.get(name)
            is_input = isinstance(given, Signal) and not given.parts
            if (
                given is not None
                and not isinstance(given, Given | Constant)
                and not is_input
            ):
                node.refuse(
                    f"initial_{name} is made of other sequences, expected a constant or "
                    "an input of the model"
                )
        x = signal(node, inputs[0])
        if x.last or len(x.axes) != 3:
            node.refuse(f"X has {len(x.axes)} axes, expected time, batch and features")
        layout = node.attributes.get("layout", 0)
        first, second = x.axes[:2]
        time, batch = (second, first) if layout else (first, second)
        if x.time is not None and (x.time, x.batch) != (time, batch):
            node.refuse("time and batch are other axes than those of the nodes before")
        x = replace(x, time=time, batch=batch)
        x = with_lengths(node, x, lengths_of(node, found["lengths"], time, batch))
        x = reading(node, x, weights.W.shape[-1])
        cell, params = layer(f"{CALL}: {node}", node.op, node.attributes, weights)
        part = Part(cell, params, frozenset({node.made[0]}))
        count, (_, units) = len(weights.W), weights.R.shape[1:]
        D, H = (
            group(f"{node.made[0]}_{name}", n) for name, n in (("D", count), ("H", units))
        )
        parts, made = (*x.parts, part), replace(x, integer=False, features=D + H)
        axes = (batch, time, D, H) if layout else (time, D, batch, H)
        lasts = (batch, D, H) if layout else (D, batch, H)
        Y = replace(made, axes=axes, parts=parts)
        state = State(parts, node.label)
        direction = node.attributes.get("direction", "forward")
        last = replace(Y, axes=lasts, last=True) if direction == "forward" else state
        return [Y, last, state]
