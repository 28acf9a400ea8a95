"""A start that is learned."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from .wrapper import Wrapper


class LearnedCarry(Wrapper):
    """A cell whose initial carry is a parameter.

        params = {"cell": those of the cell, "carry": the initial carry}

    The carry starts as the cell's own, zeros for most. `unroll` begins with it unless a
    carry is given, and every reset returns to it; gradients reach it on both ways. Leaves
    that are no state (`Cell.is_state`) are not learned: None stands for them. Those of
    integers that are become parameters, which `jax.grad` refuses without `allow_int`.

    Args:
        cell: any cell, or combinator.

    Raises:
        TypeError: if `cell` is no cell.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LearnedCarry(jaxrnn.GRU(3, 5))
        >>> params = cell.init(jax.random.key(0))
        >>> params["carry"] = jnp.full(5, 0.1)
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((0, 2, 3)))
        >>> print(carry.shape, float(carry[0, 0]))
        (2, 5) 0.10000000149011612
    """

    def init(self, key: jax.Array) -> dict[str, Any]:
        params = self.cell.init(key)
        carry = self.cell.initial_carry(params)
        # Copies: buffers of their own, of which each may be donated.
        learned = lambda leaf, is_state: jnp.array(leaf) if is_state else None  # noqa: E731
        carry = jax.tree.map(learned, carry, self.cell.is_state(carry))
        return {"cell": params, "carry": carry}

    def initial_carry(self, params: dict[str, Any]) -> Any:
        own = self.cell.initial_carry(params["cell"])
        learned = jax.tree.leaves(params["carry"])
        leaves, treedef = jax.tree.flatten(own)
        state = jax.tree.leaves(self.cell.is_state(own))
        given = iter(learned)
        return treedef.unflatten(
            next(given) if is_state else leaf
            for leaf, is_state in zip(leaves, state, strict=True)
        )

    def prepare(
        self, params: dict[str, Any], key: jax.Array | None = None
    ) -> dict[str, Any]:
        return params | {"cell": self.cell.prepare(params["cell"], key)}

    def sequence(
        self, params: dict[str, Any], carry: Any, xs: Any, run: Any
    ) -> tuple[Any, Any]:
        return self.cell.sequence(params["cell"], carry, xs, run)

    def project(self, params: dict[str, Any], x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params["cell"], x, keys)

    def step(self, params: dict[str, Any], carry: Any, drive: Any) -> Any:
        return self.cell.step(params["cell"], carry, drive)

    def output(self, params: dict[str, Any], carry: Any, drive: Any) -> Any:
        return self.cell.output(params["cell"], carry, drive)

    def gates(self, params: dict[str, Any], carry: Any, drive: Any) -> dict:
        return self.cell.gates(params["cell"], carry, drive)
