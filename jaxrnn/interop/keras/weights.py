"""The arrays of a cell, in the order and the layout of keras."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ...arguments.checks import shapes
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
from ...wrappers.noise import Dropout, VariationalDropout
from ...wrappers.two_biases import TwoBiases
from ..layers import reordered

SAME = Elman, LSTM, ConvLSTM, Dense, Embedding  # names and layouts are ours
WITHOUT = Activation, Dropout, VariationalDropout
NAMES = "kernel", "recurrent_kernel", "bias", "embedding"  # the order of keras


def leaves_of(call: str, cell: Cell) -> Iterator[Cell]:
    """The cells that have arrays, in order; raises for one that is no layer of keras."""
    if type(cell) in (Stack, Bidirectional):
        for inner in cell.cells:  # pyright: ignore[reportAttributeAccessIssue]
            yield from leaves_of(call, inner)
        return
    inner = cell.cell if isinstance(cell, TwoBiases) else cell
    two = isinstance(cell, TwoBiases)
    fields = [
        field
        for field in ("projection_size", "clip", "peephole_init", "recurrent_kernel_size")
        if getattr(inner, field, None) is not None
    ]
    if getattr(inner, "recurrent_dilation", 1) != 1:
        fields.append("recurrent_dilation")
    known = type(inner) is GRU or (not two and type(inner) in SAME + WITHOUT)
    if not known or fields or (two and not has_rows(inner)):
        which = f" with {fields[0]}" if fields else ""
        raise ValueError(
            f"{call}: keras has no layer for {cell}{which}; expected Elman, LSTM, GRU, "
            "TwoBiases(GRU), cells.ConvLSTM, Dense, Embedding, dropouts, Activation, and "
            "Stack and Bidirectional of them"
        )
    if type(cell) not in WITHOUT:
        yield cell


def params_of(cell: Cell, arrays: Iterator[dict[str, np.ndarray]]) -> Any:
    """Params of all cells, from the arrays of those that have some."""
    if isinstance(cell, Stack | Bidirectional):
        return tuple(params_of(inner, arrays) for inner in cell.cells)
    return () if type(cell) in WITHOUT else next(arrays)


def arrays_of(cell: Cell, params: Any) -> list[np.ndarray]:
    """The arrays of all cells, in order."""
    if isinstance(cell, Stack | Bidirectional):
        both = zip(cell.cells, params, strict=True)
        return [array for inner, own in both for array in arrays_of(inner, own)]
    return [] if type(cell) in WITHOUT else to_keras(cell, params)


def shapes_of(cell: Cell) -> dict[str, tuple[int, ...]]:
    """By name, the arrays that keras has for a cell, in its order."""
    own: Any = jax.eval_shape(cell.init, jax.random.key(0))
    of = {name: shapes(own[name]) for name in NAMES if name in own}
    gru = cell.cell if isinstance(cell, TwoBiases) else cell
    if has_rows(gru):
        of["bias"] = (2, *of["bias"])
    return of


def from_keras(cell: Cell, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The params of one cell."""
    gru = cell.cell if isinstance(cell, TwoBiases) else cell
    if not isinstance(gru, GRU):
        return arrays
    params = {name: reordered(array, "zrn", "rzn") for name, array in arrays.items()}
    if not has_rows(gru):
        return params
    side_x, side_h = params["bias"]
    if isinstance(cell, TwoBiases):
        return params | {"bias": side_x, "recurrent_bias": side_h}
    gates = 2 * gru.hidden_size
    folded = np.concatenate([side_x[:gates] + side_h[:gates], side_x[gates:]])
    return params | {"bias": folded, "recurrent_bias": side_h[gates:]}


def to_keras(cell: Cell, params: Any) -> list[np.ndarray]:
    """The inverse: the arrays of one cell, in order."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    gru = cell.cell if isinstance(cell, TwoBiases) else cell
    if has_rows(gru):
        side_x, side_h = params["bias"], params["recurrent_bias"]
        zeros = np.zeros_like(side_x)[: side_x.size - side_h.size]
        params["bias"] = np.stack([side_x, np.concatenate([zeros, side_h])])
    if isinstance(gru, GRU):
        params = {
            name: reordered(leaf, "rzn", "zrn")
            for name, leaf in params.items()
            if name in NAMES
        }
    return [params[name] for name in NAMES if name in params]


def has_rows(cell: Cell) -> bool:
    """Whether the bias of keras has two rows: of x W, and of h U."""
    return isinstance(cell, GRU) and cell.reset_after and cell.use_bias
