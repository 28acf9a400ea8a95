"""A cell that steps more slowly than its inputs come."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from ..arguments.numbers import check_count
from .wrapper import Wrapper, check_one_cell


class MultiscaleCarry(NamedTuple):
    """The carry of the cell, and the steps since it has stepped, modulo the period."""

    cell: Any
    count: jax.Array  # no state


class Multiscale(Wrapper):
    """A cell that steps at every k-th step, and keeps its carry in between.

        carry' = step(carry, x)   where count = 0;   carry   elsewhere
        count' = (count + 1) mod period

    It steps at the first step, and at the first after a reset; the inputs of the others
    it does not see, and what it shows then is the output of the carry that it keeps.
    Params are those of the cell; the carry is `MultiscaleCarry(cell, count)`. Layers of a
    `Stack` with growing periods are a hierarchy of time scales: El Hihi and Bengio,
    "Hierarchical recurrent neural networks for long-term dependencies", NeurIPS 1995.

    Args:
        cell: a cell that steps, or a wrapper of one.
        period: k, in steps.

    Raises:
        TypeError: if `cell` is no cell, or made of several.
        ValueError: for a period that is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> slow = jaxrnn.Multiscale(jaxrnn.GRU(5, 4), period=3)
        >>> cell = jaxrnn.Stack((jaxrnn.GRU(3, 5), slow))
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(bool(jnp.all(ys[0] == ys[2])), bool(jnp.all(ys[2] == ys[3])))
        True False
    """

    period: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_cell(self)
        period = check_count("Multiscale", "period", self.period)
        object.__setattr__(self, "period", period)

    def initial_carry(self, params: Any) -> MultiscaleCarry:
        carry = self.cell.initial_carry(params)
        return MultiscaleCarry(carry, jnp.zeros((), "int32"))

    def is_state(self, carry: MultiscaleCarry) -> MultiscaleCarry:
        return MultiscaleCarry(self.cell.is_state(carry.cell), False)  # pyright: ignore

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params, x, keys)

    def step(self, params: Any, carry: MultiscaleCarry, drive: Any) -> MultiscaleCarry:
        stepped = self.cell.step(params, carry.cell, drive)
        keep = lambda new, old: jnp.where(carry.count == 0, new, old)  # noqa: E731
        count = (carry.count + 1) % self.period
        return MultiscaleCarry(jax.tree.map(keep, stepped, carry.cell), count)

    def output(self, params: Any, carry: MultiscaleCarry, drive: Any) -> Any:
        return self.cell.output(params, carry.cell, drive)

    def gates(self, params: Any, carry: MultiscaleCarry, drive: Any) -> dict:
        return self.cell.gates(params, carry.cell, drive)
