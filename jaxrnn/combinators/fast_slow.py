"""Fast cells that take turns within a time step, and a slow one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.checks import is_shape, shapes
from ..arguments.keys import Keys
from ..cell import Cell, as_input
from .combinator import Combinator


class FastSlowCarry(NamedTuple):
    """The state that the fast cells hand on, that of the slow cell, and the output."""

    fast: Any
    slow: Any
    y: Any  # no state: the last fast cell has just shown it


class FastSlow(Combinator):
    """Several steps of fast cells in one time step, with a slow cell between the first.

        s_1 = fast_1(s, x)           the fast cells share one state s, and hand it on
        c'  = slow(c, y_1)           the slow cell reads the output of the first
        s_2 = fast_2(s_1, y_slow)    the second reads the output of the slow one
        s_i = fast_i(s_(i-1), 0)     the others read zeros
        s'  = s_k,  y = y_k

    so that the slow state has one update a step and the fast one k. Params are a tuple,
    those of the fast cells in their order and of the slow one; the carry is
    `FastSlowCarry(fast, slow, y)`, where y, kept for the output, is no state. Mujika,
    Meier and Steger, "Fast-slow recurrent neural networks", NeurIPS 2017, arXiv
    1705.08639, with LSTMs.

    Args:
        fast: two cells or more, whose carries have the same structure and shapes; the
            shared state begins as that of the first.
        slow: a cell.

    Raises:
        TypeError: if an entry is no cell.
        ValueError: for fewer than two fast cells, or if their carries differ, or have no
            leaves.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> fast = jaxrnn.LSTM(3, 5), jaxrnn.LSTM(4, 5), jaxrnn.LSTM(1, 5)
        >>> cell = jaxrnn.FastSlow(fast, jaxrnn.LSTM(5, 4))
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(carry.slow.c.shape, ys.shape)
        (2, 4) (7, 2, 5)
    """

    fast: tuple[Cell, ...]
    slow: Cell

    def __post_init__(self) -> None:
        Cell.__post_init__(self)
        if not isinstance(self.fast, tuple) or len(self.fast) < 2:
            raise ValueError(
                f"FastSlow: fast is {self.fast!r}, expected a tuple of at least two cells"
            )
        super().__post_init__()
        carries = [_carry(cell) for cell in self.fast]
        if not jax.tree.leaves(carries[0]):
            raise ValueError(
                f"FastSlow: fast[0] is {self.fast[0]}, which carries nothing, expected a "
                "cell with a state, which the fast cells share"
            )
        for index, carry in enumerate(carries):
            if carry != carries[0]:
                raise ValueError(
                    "FastSlow: the fast cells share one state, but the carry of "
                    f"fast[{index}] has the shapes {shapes(carry)}, that of fast[0] "
                    f"{shapes(carries[0])}: give them the same hidden_size"
                )

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (*self.fast, self.slow)

    @property
    def input_shape(self) -> Any:
        return self.fast[0].input_shape

    def initial_carry(self, params: tuple) -> FastSlowCarry:
        *fast, slow = super().initial_carry(params)

        def last(params: Any, carry: Any) -> Any:
            cell, dtype = self.fast[-1], jax.tree.leaves(carry)[0].dtype
            params = cell.prepare(params)
            drive = cell.project(params, _nothing(cell, dtype))
            return cell.output(params, carry, drive)

        like = jax.eval_shape(last, params[len(self.fast) - 1], fast[-1])
        y = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return FastSlowCarry(fast[0], slow, y)

    def is_state(self, carry: FastSlowCarry) -> FastSlowCarry:
        return FastSlowCarry(
            self.fast[0].is_state(carry.fast),
            self.slow.is_state(carry.slow),
            jax.tree.map(lambda _: False, carry.y),
        )

    sequence = Cell.sequence  # a cell of its own, which steps as one

    def project(self, params: tuple, x: Any, keys: Keys | None = None) -> Any:
        # The others project inside the step.
        return self.fast[0].project(params[0], x, keys and keys.child(0)), keys

    def step(self, params: tuple, carry: FastSlowCarry, drive: Any) -> FastSlowCarry:
        first, keys = drive

        def advance(index: int, state: Any, x: Any) -> tuple[Any, Any]:
            cell, own = self.cells[index], params[index]
            inner = cell.project(own, x, keys and keys.child(index))
            state = cell.step(own, state, inner)
            return state, as_input(cell.output(own, state, inner), x)

        fast = self.fast[0].step(params[0], carry.fast, first)
        y = self.fast[0].output(params[0], fast, first)
        slow, y = advance(len(self.fast), carry.slow, y)
        for index in range(1, len(self.fast)):
            fast, y = advance(index, fast, y)
            if index + 1 < len(self.fast):
                dtype = jax.tree.leaves(y)[0].dtype
                y = _nothing(self.fast[index + 1], dtype)
        return FastSlowCarry(fast, slow, y)

    def output(self, params: tuple, carry: FastSlowCarry, drive: Any) -> Any:
        return carry.y


def _carry(cell: Cell) -> Any:
    """The shapes of its carry."""
    return jax.eval_shape(lambda: cell.initial_carry(cell.init(jax.random.key(0))))


def _nothing(cell: Cell, dtype: Any) -> Any:
    """An x of zeros."""
    zeros = lambda shape: jnp.zeros(shape, dtype)  # noqa: E731
    return jax.tree.map(zeros, cell.input_shape, is_leaf=is_shape)
