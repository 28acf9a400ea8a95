"""The cells of the zoo, by name, for I features and H units."""

from collections.abc import Callable

import jaxrnn
from jaxrnn import LSTM, FastSlow, Multiscale, cells

SIZES = ["input_size", "hidden_size"]


def is_plain(value: object) -> bool:
    """Whether it is a cell, and no base of some, that is made of I and H."""
    if not (isinstance(value, type) and issubclass(value, jaxrnn.Cell)):
        return False
    if value in (cells.Driven, cells.Gated, cells.Convolutional):
        return False
    return [*value.__signature__.parameters][:2] == SIZES


CELLS: dict[str, Callable[[int, int], jaxrnn.Cell]] = {
    **{name: value for name, value in vars(cells).items() if is_plain(value)},
    # Of the same numbers of features and units, at eight places.
    "ConvLSTM": lambda I, H: cells.ConvLSTM((8, I // 8), H // 8),
    "ConvGRU": lambda I, H: cells.ConvGRU((8, I // 8), H // 8),
    "MCLSTM": lambda I, H: cells.MCLSTM(1, I - 1, H),
    "FastSlow": lambda I, H: FastSlow((LSTM(I, H), LSTM(H, H)), LSTM(H, H)),
    "Multiscale": lambda I, H: Multiscale(LSTM(I, H), 4),
}
