"""Which cells a layer of keras is."""

import operator
from collections.abc import Callable
from typing import Any

from ...cell import Cell
from ...cells.convolutional.conv_lstm import ConvLSTM
from ...cells.dense import Dense
from ...cells.elementwise import Activation
from ...cells.elman import Elman
from ...cells.embedding import Embedding
from ...cells.gru import GRU
from ...cells.lstm import LSTM
from ...combinators.bidirectional import Bidirectional
from ...combinators.layers import Stack
from ...combinators.merges import concatenate
from ...wrappers.noise import Dropout, VariationalDropout
from .functions import activation_of, average
from .refusal import refuse

MERGES = {
    "concat": concatenate,
    "sum": operator.add,
    "mul": operator.mul,
    "ave": average,
}
KNOWN = (
    "SimpleRNN, LSTM, GRU, RNN, ConvLSTM1D to 3D, Bidirectional, Dense, TimeDistributed, "
    "Embedding, Dropout, SpatialDropout1D, Activation"
)


def cell_of(layers: list[Any]) -> Cell:
    """One cell for layers in a row."""
    cells = [cell for layer in layers for cell in cells_of(layer)]
    _check_dtypes([part for layer in layers for part in _parts(layer)])
    kinds = {type(part).__name__: part for layer in layers for part in _parts(layer)}
    if "Dense" in kinds and any(name.startswith("ConvLSTM") for name in kinds):
        refuse(
            kinds["Dense"],
            "is in a row with a ConvLSTM, at every place: a Dense of ours reads vectors",
            "load the layers one by one",
        )
    return in_a_row(cells)


def in_a_row(cells: list[Cell]) -> Cell:
    """A `Stack`, or the only one as it is."""
    return cells[0] if len(cells) == 1 else Stack(tuple(cells))


def _kinds() -> dict[type, Callable[..., list[Cell]]]:
    """How every layer is read."""
    import keras

    return {
        keras.layers.SimpleRNN: _recurrent,
        keras.layers.LSTM: _recurrent,
        keras.layers.GRU: _recurrent,
        keras.layers.RNN: _recurrent,
        keras.layers.ConvLSTM1D: _recurrent,
        keras.layers.ConvLSTM2D: _recurrent,
        keras.layers.ConvLSTM3D: _recurrent,
        keras.layers.Bidirectional: _bidirectional,
        keras.layers.Dense: _dense,
        keras.layers.TimeDistributed: _time_distributed,
        keras.layers.Embedding: _embedding,
        keras.layers.Dropout: _dropout,
        keras.layers.SpatialDropout1D: _dropout,
        keras.layers.Activation: _activation,
    }


def cells_of(layer: Any) -> list[Cell]:
    """The cells of one layer, in a row."""
    kinds = _kinds()
    if type(layer) not in kinds:
        refuse(layer, "is no layer that a cell is known for", f"there are: {KNOWN}")
    if not layer.built:
        refuse(layer, "is not built", "call it once, or its build(shape)")
    if getattr(layer, "lora_enabled", False):
        refuse(layer, "has weights of LoRA beside its own", "merge them before")
    return kinds[type(layer)](layer)


def _parts(layer: Any) -> list[Any]:
    """The layer, and the layers and cells inside of it."""
    inner = ("cell", "layer", "forward_layer", "backward_layer")
    parts = [getattr(layer, name) for name in inner if hasattr(layer, name)]
    parts += list(getattr(layer, "cells", []))
    return [layer] + [one for part in parts for one in _parts(part)]


def _check_dtypes(parts: list[Any]) -> None:
    first = parts[0].dtype_policy.compute_dtype
    for part in parts:
        policy = part.dtype_policy
        if getattr(policy, "quantization_mode", None):
            refuse(part, f"is quantized, {policy.name!r}", "load the model before that")
        if policy.compute_dtype != policy.variable_dtype:
            refuse(
                part,
                f"computes in {policy.compute_dtype} with weights in "
                f"{policy.variable_dtype}",
            )
        if policy.compute_dtype != first:
            refuse(part, f"computes in {policy.compute_dtype}, a layer before in {first}")


def _recurrent(layer: Any, backwards: bool = False) -> list[Cell]:
    if layer.go_backwards != backwards:
        refuse(
            layer,
            f"has go_backwards={layer.go_backwards}, which is said to `unroll`",
            "give cell=, and unroll(..., reverse=True)",
        )
    if layer.zero_output_for_mask and not layer.return_sequences:
        refuse(
            layer,
            "has zero_output_for_mask=True and return_sequences=False, and shows zeros "
            "where the last step is masked",
        )
    return _step(layer, layer.cell)


def _step(layer: Any, cell: Any) -> list[Cell]:
    """Of what keras calls a cell."""
    import keras

    if type(cell) is keras.layers.StackedRNNCells:
        return [ours for inner in cell.cells for ours in _step(layer, inner)]
    of: dict[type, Callable[..., Cell]] = {
        keras.layers.SimpleRNNCell: _elman,
        keras.layers.LSTMCell: _lstm,
        keras.layers.GRUCell: _gru,
    }
    convolves = type(cell).__name__ == "ConvLSTMCell"
    if type(cell) not in of and not convolves:
        known = "SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells"
        refuse(layer, f"has cell={cell!r}, expected one of {known}")
    if type(cell) is not keras.layers.SimpleRNNCell and cell.recurrent_dropout:
        refuse(
            layer,
            f"has recurrent_dropout={cell.recurrent_dropout}, with a mask for each gate, "
            "where recurrent_dropout here has one for all",
        )
    if cell.dropout and (convolves or getattr(cell, "implementation", 2) == 1):
        refuse(
            layer,
            f"has dropout={cell.dropout} with a mask for each gate, where "
            "VariationalDropout has one for all",
        )
    for rate in ("dropout", "recurrent_dropout"):
        _check_rate(layer, rate, getattr(cell, rate))
    if convolves:
        return [_conv_lstm(layer, cell)]
    options: dict[str, Any] = dict(
        use_bias=cell.use_bias, activation=activation_of(cell, "activation")
    )
    noise = [VariationalDropout(cell.dropout)] if cell.dropout else []
    return [*noise, of[type(cell)](cell, cell.kernel.shape[0], options)]


def _check_rate(layer: Any, field: str, rate: float) -> None:
    if not 0 <= rate < 1:
        refuse(layer, f"has {field}={rate}, expected less than 1")


def _elman(cell: Any, input_size: int, options: dict[str, Any]) -> Cell:
    rate = cell.recurrent_dropout
    return Elman(input_size, cell.units, recurrent_dropout=rate, **options)


def _lstm(cell: Any, input_size: int, options: dict[str, Any]) -> Cell:
    gate = activation_of(cell, "recurrent_activation")
    return LSTM(input_size, cell.units, gate_activation=gate, **options)


def _gru(cell: Any, input_size: int, options: dict[str, Any]) -> Cell:
    options["gate_activation"] = activation_of(cell, "recurrent_activation")
    return GRU(input_size, cell.units, reset_after=cell.reset_after, **options)


def _conv_lstm(layer: Any, cell: Any) -> Cell:
    if cell.data_format != "channels_last":
        refuse(
            layer,
            f"has data_format={cell.data_format!r}, expected 'channels_last'",
            "its weights are the same: give cell=cells.ConvLSTM(...), and its channels "
            "last",
        )
    return ConvLSTM(
        (*cell.spatial_dims, cell.input_dim),
        cell.filters,
        kernel_size=cell.kernel_size,
        padding=cell.padding.upper(),
        strides=cell.strides,
        dilation=cell.dilation_rate,
        use_bias=cell.use_bias,
        activation=activation_of(cell, "activation"),
        gate_activation=activation_of(cell, "recurrent_activation"),
    )


def _bidirectional(layer: Any) -> list[Cell]:
    if layer.merge_mode not in MERGES:
        refuse(layer, f"has merge_mode={layer.merge_mode}, expected one of {[*MERGES]}")
    if not layer.return_sequences:
        refuse(
            layer,
            "has return_sequences=False, which joins the last step of one direction with "
            "the first of the other",
            "give cell=jaxrnn.Bidirectional(...), and join the final carries of both",
        )
    both = layer.forward_layer, layer.backward_layer
    for inner in both:
        if _kinds().get(type(inner)) is not _recurrent:
            refuse(
                layer, f"has a {type(inner).__name__} inside, expected a recurrent one"
            )
    forward = _recurrent(both[0])
    backward = _recurrent(both[1], backwards=True)
    merge = MERGES[layer.merge_mode]
    return [Bidirectional(in_a_row(forward), in_a_row(backward), merge)]


def _dense(layer: Any) -> list[Cell]:
    dense = Dense(*layer.kernel.shape, use_bias=layer.use_bias)
    activation = activation_of(layer, "activation")
    return [dense] if activation == "identity" else [dense, Activation(activation)]


def _time_distributed(layer: Any) -> list[Cell]:
    import keras

    if type(layer.layer) not in (keras.layers.Dense, keras.layers.Activation):
        inner = type(layer.layer).__name__
        refuse(layer, f"has a {inner} inside, expected a Dense or an Activation")
    return cells_of(layer.layer)


def _embedding(layer: Any) -> list[Cell]:
    return [Embedding(layer.input_dim, layer.output_dim)]


def _dropout(layer: Any) -> list[Cell]:
    _check_rate(layer, "rate", layer.rate)
    if type(layer).__name__ == "SpatialDropout1D":
        return [VariationalDropout(layer.rate)]
    if layer.noise_shape is not None:
        refuse(
            layer,
            f"has noise_shape={layer.noise_shape}, expected None",
            "a mask for all steps is that of SpatialDropout1D",
        )
    return [Dropout(layer.rate)]


def _activation(layer: Any) -> list[Cell]:
    return [Activation(activation_of(layer, "activation"))]
