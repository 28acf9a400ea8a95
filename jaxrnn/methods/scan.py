"""Step after step, in one compiled loop."""

from dataclasses import dataclass
from typing import Any

import jax

from ..cell import Cell
from ..keys import Keys


@jax.tree_util.register_static
@dataclass(frozen=True)
class Scan:
    """One `jax.lax.scan` over time; gradients by autodiff through it, exact BPTT.

        carry_t = step(params, carry_(t-1), project(params, x_t))
        y_t     = output(params, carry_t, project(params, x_t))

    The loop calls `step` alone: `project` runs over all steps at once before it, and
    `output` after it. Works for every cell, and with every transformation of JAX.

    Args:
        unroll: steps in one iteration of the loop; more compile longer and may run
            faster, on accelerators above all.

    Raises:
        ValueError: if `unroll` is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> method = jaxrnn.Scan(unroll=4)
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((10, 3)), method=method)
        >>> print(ys.shape)
        (10, 5)
    """

    unroll: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.unroll, bool) or not (
            isinstance(self.unroll, int) and self.unroll > 0
        ):
            raise ValueError(f"Scan: unroll is {self.unroll!r}, expected a positive int")

    def __call__(
        self,
        cell: Cell,
        params: Any,
        carry: Any,
        xs: Any,
        keys: Keys | None,
        *,
        batch_ndim: int,
        reverse: bool,
    ) -> tuple[Any, Any]:
        """The final carry and the outputs of one cell.

        Args:
            cell: a cell that is no combinator over sequences.
            params: prepared.
            carry: leaves `(*batch, ...)`, in the dtype that `step` keeps.
            xs: leaves `(T, *batch, ...)`.
            keys: `Keys(sequence (*batch), step (T, *batch))` or None.
            batch_ndim: the number of batch axes.
            reverse: from the last step to the first, outputs in input order.
        """
        project = _over_batch(cell.project, batch_ndim)
        step = _over_batch(cell.step, batch_ndim)
        output = _over_batch(cell.output, batch_ndim)

        keys_axes = None if keys is None else Keys(sequence=None, step=0)  # pyright: ignore
        drive = jax.vmap(project, in_axes=(None, 0, keys_axes))(params, xs, keys)

        def advance(carry: Any, drive: Any) -> tuple[Any, Any]:
            carry = step(params, carry, drive)
            return carry, carry

        if jax.tree.leaves(carry):
            carry, carries = jax.lax.scan(
                advance, carry, drive, reverse=reverse, unroll=self.unroll
            )
        else:  # a cell without memory needs no loop
            carries = carry
        ys = jax.vmap(output, in_axes=(None, 0, 0))(params, carries, drive)
        return carry, ys


def _over_batch(function: Any, batch_ndim: int) -> Any:
    """`function(params, a, b)` with batch axes in front of the leaves of a and b."""
    for _ in range(batch_ndim):
        function = jax.vmap(function, in_axes=(None, 0, 0))
    return function
