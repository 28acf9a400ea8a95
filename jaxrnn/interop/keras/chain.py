"""The layers of a model, if they are in a row."""

from collections.abc import Iterator
from typing import Any

from .refusal import refuse

ONE_BY_ONE = "load the parts of the model one by one"


def in_order(source: Any) -> list[Any]:
    """The layers of a model, those of models inside of it too; of a layer, itself."""
    import keras

    layers = [
        layer
        for layer in _in_order(source)
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    if not layers:
        refuse(source, "has no layers", "expected at least one")
    for index, layer in enumerate(layers):
        if any(layer is other for other in layers[:index]):
            refuse(layer, "is there twice, with the same weights")
    return layers


def _in_order(source: Any) -> Iterator[Any]:
    import keras

    if type(source) is keras.Sequential:
        for layer in source.layers:
            yield from _in_order(layer)
    elif type(source).__name__ == "Functional":
        for layer in _backwards(source)[::-1]:
            yield from _in_order(layer)
    elif isinstance(source, keras.Model):
        refuse(
            source,
            "is a model whose layers are in its own `call`",
            "put them into a keras.Sequential, or give cell= and its get_weights()",
        )
    else:
        yield source


def _backwards(model: Any) -> list[Any]:
    """From the output of a functional model to its input, one layer after the other."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        refuse(
            model,
            f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs, and is no "
            "chain of layers",
            ONE_BY_ONE,
        )
    layers, tensor = [], model.outputs[0]
    while True:
        layer, call, output = tensor._keras_history
        node = layer._inbound_nodes[call]
        if node.is_input:
            return layers
        if output != 0:
            what = f"its output {output} is read, not its first"
            refuse(layer, f"is in no chain of layers: {what}", ONE_BY_ONE)
        tensor = _input_of(layer, node, model)
        layers.append(layer)


def _input_of(layer: Any, node: Any, model: Any) -> Any:
    """The one tensor that a layer reads."""
    import keras

    if not isinstance(layer, keras.Layer):
        refuse(layer, "is an operation between layers, and no layer", ONE_BY_ONE)
    kwargs = dict(node.arguments.kwargs)
    mask = kwargs.pop("mask", None)
    if mask is not None and not _is_of_symbols(mask, model):
        refuse(layer, "is called with a mask of its own", "give it to `unroll`")
    tensors = [tensor for tensor in node.input_tensors if tensor is not mask]
    if len(tensors) != 1:
        what = f"it reads {len(tensors)} tensors"
        refuse(layer, f"is in no chain of layers: {what}", ONE_BY_ONE)
    further = [*enumerate(node.arguments.args[1:], 1), *kwargs.items()]
    for name, value in further:
        # `training=False` is there by default, and a call of the model overrides it.
        if value is not None and value is not False and value is not tensors[0]:
            refuse(layer, f"is called with {name}={value!r}, expected its input alone")
    return tensors[0]


def _is_of_symbols(mask: Any, model: Any) -> bool:
    """Whether it is that of `Embedding(mask_zero=True)`, which `load` tells of."""
    source, call, _ = mask._keras_history
    arguments = source._inbound_nodes[call].arguments.args
    first = [node.operation for node in _readers(model) if node.operation is not source]
    zero = len(arguments) == 2 and arguments[0] is model.inputs[0] and arguments[1] == 0
    masks = all(getattr(layer, "mask_zero", False) for layer in first)
    return type(source).__name__ == "NotEqual" and zero and masks


def _readers(model: Any) -> list[Any]:
    """The calls that read the model's input."""
    return [
        node
        for layer in model.operations
        for node in layer._inbound_nodes
        if any(tensor is model.inputs[0] for tensor in node.input_tensors)
    ]
