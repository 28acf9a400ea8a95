"""What every cell made of several others starts from."""

from typing import Any

import jax

from ..arguments.keys import Keys
from ..cell import Cell, check_cell, refuse_single_step


class Combinator(Cell[tuple, tuple, Any]):
    """Several cells: the base of those that say what a sequence makes of them.

        params, carry = one entry a cell, in tuples

    A subclass has a field `cells` (or a property of that name) and defines `sequence`,
    which hands `run[i]` to the cell i: see `Cell.sequence`. Unless it defines `project`,
    `step` and `output` too, it exists over whole sequences only, and a single step is
    refused; in a `project` of its own, the keys of the cell i are `keys.child(i)`.

    Raises:
        ValueError: without cells.
        TypeError: if an entry is no cell; at a single step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class Sum(jaxrnn.Combinator):
        ...     cells: tuple
        ...     def sequence(self, params, carry, xs, run):
        ...         carries, total = [], 0
        ...         for i, cell in enumerate(self.cells):
        ...             out, ys = cell.sequence(params[i], carry[i], xs, run[i])
        ...             carries.append(out)
        ...             total = total + ys
        ...         return tuple(carries), total
        >>> cell = Sum((jaxrnn.GRU(3, 5), jaxrnn.LSTM(3, 5)))
        >>> params = cell.init(jax.random.key(0))
        >>> (h, (h2, c2)), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(h.shape, c2.shape, ys.shape)
        (5,) (5,) (7, 5)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not isinstance(self.cells, tuple):
            raise TypeError(f"{name}: cells is {self.cells!r}, expected a tuple of cells")
        if not self.cells:
            raise ValueError(f"{name}: cells is empty, expected at least one cell")
        for index, cell in enumerate(self.cells):
            if not isinstance(cell, Cell):
                raise TypeError(f"{name}: cells[{index}] is {cell!r}, expected a cell")
            check_cell(name, cell)

    def _cells(self) -> tuple[Cell, ...]:
        """The cells inside: of a subclass, a field or a property."""
        raise TypeError(
            f"{type(self).__name__} has no cells: give it a field or a property `cells`, "
            "a tuple of cells"
        )

    cells = property(_cells)  # as `Cell.input_shape`

    @property
    def input_shape(self) -> Any:
        # Cells that take any shape keep it: the others then see an x of the same.
        shapes = (cell.input_shape for cell in self.cells)
        return next((shape for shape in shapes if shape is not ...), ...)

    def init(self, key: jax.Array) -> tuple:
        keys = jax.random.split(key, len(self.cells))
        pairs = zip(self.cells, keys, strict=True)
        return tuple(cell.init(cell_key) for cell, cell_key in pairs)

    def initial_carry(self, params: tuple) -> tuple:
        pairs = zip(self.cells, params, strict=True)
        return tuple(cell.initial_carry(cell_params) for cell, cell_params in pairs)

    def prepare(self, params: tuple, key: jax.Array | None = None) -> tuple:
        return tuple(
            cell.prepare(p, None if key is None else jax.random.fold_in(key, index))
            for index, (cell, p) in enumerate(zip(self.cells, params, strict=True))
        )

    def is_state(self, carry: tuple) -> tuple:
        pairs = zip(self.cells, carry, strict=True)
        return tuple(cell.is_state(own) for cell, own in pairs)

    def sequence(self, params: tuple, carry: tuple, xs: Any, run: Any) -> tuple:
        raise TypeError(
            f"{type(self).__name__} defines no `sequence`: what does it make of a whole "
            "sequence, out of those of its cells?"
        )

    def project(self, params: tuple, x: Any, keys: Keys | None = None) -> Any:
        refuse_single_step(self)

    def step(self, params: tuple, carry: tuple, drive: Any) -> Any:
        refuse_single_step(self)

    def output(self, params: tuple, carry: tuple, drive: Any) -> Any:
        refuse_single_step(self)
