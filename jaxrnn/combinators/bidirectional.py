"""Two directions of one sequence."""

from collections.abc import Callable
from typing import Any

from ..arguments.checks import shapes
from ..cell import Cell
from .combinator import Combinator
from .merges import concatenate


class Bidirectional(Combinator):
    """A cell that reads a sequence forward and another that reads it backward.

        y_t = merge(y_forward_t, y_backward_t)

    Params and carry are the tuple (forward, backward); the final carry of the backward
    cell is the one after the first step. With lengths or a mask, the backward cell starts
    at each example's own last valid step. It exists only over whole sequences: a single
    step of it is an error, and a sequence cut into pieces is not the sequence. Schuster
    and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal
    Processing 45, 1997.

    Args:
        forward, backward: cells, or combinators, of the same input.
        merge: a function of both outputs of one example at one step, such as
            `concatenate` or `operator.add`; masked steps are zero after it.

    Raises:
        TypeError: if an entry is no cell, or merge no function; at a single step.
        ValueError: if the cells read inputs of other shapes.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Bidirectional(jaxrnn.LSTM(3, 5), jaxrnn.LSTM(3, 5))
        >>> params = cell.init(jax.random.key(0))
        >>> lengths = jnp.array([7, 4])
        >>> (forward, backward), ys = jaxrnn.unroll(
        ...     cell, params, jnp.ones((7, 2, 3)), lengths=lengths
        ... )
        >>> print(backward.h.shape, ys.shape, bool(ys[4:, 1].any()))
        (2, 5) (7, 2, 10) False
    """

    forward: Cell
    backward: Cell
    merge: Callable[[Any, Any], Any] = concatenate

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.merge) or isinstance(self.merge, Cell):
            raise TypeError(
                f"Bidirectional: merge is {self.merge!r}, expected a function of both "
                "outputs such as jaxrnn.concatenate"
            )
        both = [self.forward.input_shape, self.backward.input_shape]
        if ... not in both and both[0] != both[1]:
            raise ValueError(
                "Bidirectional: forward and backward read the same x, but have the "
                f"input_shapes {both[0]} and {both[1]}"
            )

    @property
    def cells(self) -> tuple[Cell, Cell]:
        return self.forward, self.backward

    def sequence(self, params: tuple, carry: tuple, xs: Any, run: Any) -> tuple:
        forward, ys = self.forward.sequence(params[0], carry[0], xs, run[0])
        backward, ys_backward = self.backward.sequence(
            params[1], carry[1], xs, run[1].backwards()
        )
        return (forward, backward), run.map(self._merged, ys, ys_backward)

    def _merged(self, forward: Any, backward: Any) -> Any:
        try:
            return self.merge(forward, backward)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"Bidirectional: merge={self.merge!r} cannot take outputs of the shapes "
                f"{shapes(forward)} and {shapes(backward)} of one step ({error})"
            ) from error
