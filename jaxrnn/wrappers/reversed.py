"""A cell that reads its sequence from the end."""

from typing import Any

from .wrapper import Wrapper


class Reversed(Wrapper):
    """A cell that reads a sequence backward, alone or between cells that read it forward.

        unroll(Reversed(cell), params, xs) = unroll(cell, params, xs, reverse=True)

    Params and carry are those of the cell; outputs stay in the order of the inputs, and
    the final carry is the one after the first step. With lengths or a mask it starts at
    each example's own last valid step. It exists only over whole sequences, as
    `Bidirectional` does: a single step of it is an error.

    Args:
        cell: any cell, or combinator.

    Raises:
        TypeError: if `cell` is no cell; at a single step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.GRU(3, 5), jaxrnn.Reversed(jaxrnn.LSTM(5, 4))))
        >>> params = cell.init(jax.random.key(0))
        >>> (h, (h2, c2)), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(ys.shape, bool(jnp.all(h2 == ys[0])))
        (7, 4) True
    """

    def sequence(self, params: Any, carry: Any, xs: Any, run: Any) -> tuple:
        return self.cell.sequence(params, carry, xs, run.backwards())
