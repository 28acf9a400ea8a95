"""What every cell without memory starts from."""

from typing import Any, Generic, TypeVar

from ..cell import Cell

Params = TypeVar("Params")


class Memoryless(Cell[Params, tuple[()], Any], Generic[Params]):
    """A cell whose output is its drive: `project` is all of it, and the carry is `()`."""

    def initial_carry(self, params: Params) -> tuple[()]:
        return ()

    def step(self, params: Params, carry: tuple[()], drive: Any) -> tuple[()]:
        return carry

    def output(self, params: Params, carry: tuple[()], drive: Any) -> Any:
        return drive
