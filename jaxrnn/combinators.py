"""Cells made of cells."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from .cell import Cell, Keys, as_input
from .checks import check_cell


class StackDrive(NamedTuple):
    """What a step of a `Stack` needs besides its carry."""

    x: Any  # the dtype of x is that of the first layer's output
    first: Any  # the first layer's drive
    keys: Keys | None  # the other layers project inside the step


@jax.tree_util.register_static
@dataclass(frozen=True)
class Stack(Cell[tuple, tuple, StackDrive]):
    """Layers: each cell reads the outputs of the one before it.

        x_(l+1) = y_l        y = y_L

    Params and carry are tuples, one entry a cell. Over a sequence the cells are evaluated
    one after the other, each with its whole sequence at once, so that every layer's
    projection is one product.

    Args:
        cells: a tuple or list of cells, the one that reads x first.

    Raises:
        ValueError: without cells.
        TypeError: if an entry is no cell.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack([jaxrnn.GRU(3, 5), jaxrnn.LSTM(5, 4)])
        >>> params = cell.init(jax.random.key(0))
        >>> (h, (h2, c2)), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(h.shape, c2.shape, ys.shape)
        (5,) (4,) (7, 4)
    """

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.cells, tuple):
            raise TypeError(f"Stack: cells is {self.cells!r}, expected a tuple of cells")
        if not self.cells:
            raise ValueError("Stack: cells is empty, expected at least one cell")
        for index, cell in enumerate(self.cells):
            if not isinstance(cell, Cell):
                raise TypeError(f"Stack: cells[{index}] is {cell!r}, expected a cell")
            check_cell("Stack", cell)

    @property
    def input_shape(self) -> Any:
        return self.cells[0].input_shape

    def init(self, key: jax.Array) -> tuple:
        keys = jax.random.split(key, len(self.cells))
        return tuple(
            cell.init(cell_key) for cell, cell_key in zip(self.cells, keys, strict=True)
        )

    def initial_carry(self, params: tuple) -> tuple:
        return tuple(
            cell.initial_carry(p) for cell, p in zip(self.cells, params, strict=True)
        )

    def prepare(self, params: tuple, key: jax.Array | None = None) -> tuple:
        return tuple(
            cell.prepare(p, None if key is None else jax.random.fold_in(key, index))
            for index, (cell, p) in enumerate(zip(self.cells, params, strict=True))
        )

    def sequence(self, params: tuple, carry: tuple, xs: Any, run: Any) -> tuple:
        carries = []
        for index, cell in enumerate(self.cells):
            out, xs = cell.sequence(params[index], carry[index], xs, run[index])
            carries.append(out)
        return tuple(carries), xs

    # One step at a time: the layers above the first project inside the step.

    def project(self, params: tuple, x: Any, keys: Keys | None = None) -> StackDrive:
        first = self.cells[0].project(params[0], x, keys and keys.child(0))
        return StackDrive(x=x, first=first, keys=keys)

    def step(self, params: tuple, carry: tuple, drive: StackDrive) -> tuple:
        new, x, inner = [], drive.x, drive.first
        for index, cell in enumerate(self.cells):
            if index > 0:
                inner = self._inner_drive(index, params, x, drive)
            new.append(cell.step(params[index], carry[index], inner))
            x = as_input(cell.output(params[index], new[index], inner), x)
        return tuple(new)

    def output(self, params: tuple, carry: tuple, drive: StackDrive) -> Any:
        x, inner = drive.x, drive.first
        for index, cell in enumerate(self.cells):
            if index > 0:
                inner = self._inner_drive(index, params, x, drive)
            x = as_input(cell.output(params[index], carry[index], inner), x)
        return x

    def _inner_drive(self, index: int, params: tuple, x: Any, drive: StackDrive) -> Any:
        keys = drive.keys and drive.keys.child(index)
        return self.cells[index].project(params[index], x, keys)
