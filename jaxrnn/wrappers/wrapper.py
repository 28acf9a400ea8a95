"""What every cell around one other cell starts from."""

from typing import Any

import jax

from ..arguments.keys import Keys
from ..cell import Cell, check_cell, refuse_single_step


class Wrapper(Cell[Any, Any, Any]):
    """A cell around another, and nothing more: the base of those that change something.

        params, carry, drive, y: those of `cell`

    A subclass overrides what it changes, and hands keys on to `project`; one with params
    of its own overrides every function, as `LearnedCarry` does. One that changes what
    happens to a whole sequence overrides `sequence`; without that, its `step` runs over
    the sequence and `cell` is one joint state (see `Cell.sequence`). One that overrides
    `sequence` but not `step` exists over whole sequences only, and a single step is
    refused.

    Args:
        cell: the cell inside.

    Raises:
        TypeError: if `cell` is no cell; at a single step that nothing defines.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class Doubled(jaxrnn.Wrapper):
        ...     def output(self, params, carry, drive):
        ...         return 2 * self.cell.output(params, carry, drive)
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 3))
        >>> _, ys = jaxrnn.unroll(cell, params, xs)
        >>> _, doubled = jaxrnn.unroll(Doubled(cell), params, xs)
        >>> print(bool(jnp.all(doubled == 2 * ys)))
        True
    """

    cell: Cell

    def __post_init__(self) -> None:
        super().__post_init__()
        check_cell(type(self).__name__, self.cell)

    @property
    def input_shape(self) -> Any:
        return self.cell.input_shape

    def init(self, key: jax.Array) -> Any:
        return self.cell.init(key)

    def initial_carry(self, params: Any) -> Any:
        return self.cell.initial_carry(params)

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        return self.cell.prepare(params, key)

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params, x, keys)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        if type(self).sequence is not Cell.sequence:
            refuse_single_step(self)
        return self.cell.step(params, carry, drive)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.output(params, carry, drive)

    def gates(self, params: Any, carry: Any, drive: Any) -> dict[str, jax.Array]:
        return self.cell.gates(params, carry, drive)

    def is_state(self, carry: Any) -> Any:
        return self.cell.is_state(carry)


def check_one_cell(wrapper: Wrapper) -> None:
    """Raise unless a wrapper is around a cell that is not made of several."""
    inner = wrapper.cell
    while isinstance(inner, Wrapper):
        inner = inner.cell
    if type(inner).sequence is not Cell.sequence:
        name = type(wrapper).__name__
        raise TypeError(
            f"{name}: cell is {wrapper.cell}, a combinator of cells, expected one of "
            f"them: put {name} around each inside the combinator"
        )
