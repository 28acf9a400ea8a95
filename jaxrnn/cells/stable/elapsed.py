"""Inputs that come at irregular times."""

import dataclasses
from typing import Any, NamedTuple

from ...arguments.numbers import check_flags, check_positive
from ...cell import Cell


class Timed(NamedTuple):
    """An input x [I] and the time [] that has elapsed since the one before.

    For `timed` cells: `jaxrnn.unroll(cell, params, Timed(xs, elapsed))` with xs
    (T, *batch, I) and elapsed (T, *batch).
    """

    x: Any
    elapsed: Any


class Elapsing(Cell):
    """A cell to which time is an input: of every step (`timed`), or one for all."""

    input_size: int
    hidden_size: int
    _: dataclasses.KW_ONLY
    timed: bool = False
    elapsed: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "timed")
        check_positive(self, "elapsed")

    @property
    def input_shape(self) -> Any:
        x = (self.input_size,)
        return Timed(x, ()) if self.timed else x

    def parts(self, value: Any) -> tuple[Any, Any]:
        """What is timed, and its time."""
        return value if self.timed else (value, self.elapsed)
