"""A connection around a cell."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import alike, shapes
from ..arguments.keys import Keys
from ..cell import as_input
from .wrapper import Wrapper


class Residual(Wrapper):
    """The input, added to the outputs of a cell.

        y = x + y_cell

    Params and carry are those of the cell. He et al., "Deep residual learning for image
    recognition", CVPR 2016, arXiv 1512.03385.

    Args:
        cell: any cell, or combinator, whose outputs have the shape of its inputs.

    Raises:
        TypeError: if `cell` is no cell.
        ValueError: at the first evaluation, if x and the outputs differ in shape.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Residual(jaxrnn.GRU(5, 5))
        >>> params = cell.init(jax.random.key(0))
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 5)))
        >>> print(ys.shape)
        (7, 2, 5)
    """

    def sequence(self, params: Any, carry: Any, xs: Any, run: Any) -> tuple:
        carry, ys = self.cell.sequence(params, carry, xs, run)
        return carry, run.map(self._sum, xs, ys)

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return x, self.cell.project(params, x, keys)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.step(params, carry, drive[1])

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        x, drive = drive
        return self._sum(x, as_input(self.cell.output(params, carry, drive), x))

    def gates(self, params: Any, carry: Any, drive: Any) -> dict[str, jax.Array]:
        return self.cell.gates(params, carry, drive[1])

    def _sum(self, x: Any, y: Any) -> Any:
        if not alike(x, y):
            raise ValueError(
                f"Residual: x has shape {shapes(x)}, and the output of {self.cell} "
                f"{shapes(y)}, expected the same; put a Dense behind the cell, in a Stack"
            )
        return jax.tree.map(jnp.add, x, y)
