"""What a cell reads at every step and never changes: a part of its carry."""

import operator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from .cell import Cell
from .combinators import Wrapper
from .keys import Keys


@partial(jax.tree_util.register_dataclass, data_fields=["value"], meta_fields=[])
@dataclass(frozen=True)
class Context:
    """A part of a carry that no step changes, such as a source that is attended to.

    It stands in a carry like any other part, per example, batch axes first; `step`
    returns it as it came. It is no state: nothing of it is copied from step to step or
    kept for the backward pass, a reset leaves it, and a trajectory has it empty. A cell's
    `initial_carry` has `Context(None)` in its place, and whoever calls puts a context of
    any shape there.

    Args:
        value: a pytree of arrays.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from dataclasses import dataclass
        >>> @jax.tree_util.register_static
        ... @dataclass(frozen=True)
        ... class Toward(jaxrnn.Cell):
        ...     input_size: int
        ...     init = lambda self, key: ()
        ...     def initial_carry(self, params):
        ...         return jnp.zeros(self.input_size), jaxrnn.Context(None)
        ...     def step(self, params, carry, x):
        ...         h, goal = carry
        ...         return h + 0.5 * (goal.value - h) + x, goal
        ...     def output(self, params, carry, x):
        ...         return carry[0]
        >>> carry = jnp.zeros((2, 3)), jaxrnn.Context(jnp.ones((2, 3)))
        >>> _, ys = jaxrnn.unroll(Toward(3), (), jnp.zeros((4, 2, 3)), carry)
        >>> print(ys[:, 0, 0])
        [0.5    0.75   0.875  0.9375]
    """

    value: Any


def is_context(node: Any) -> bool:
    return isinstance(node, Context)


def contexts(tree: Any) -> list[Any]:
    """The values of all contexts in a carry."""
    nodes = jax.tree.leaves(tree, is_leaf=is_context)
    return [node.value for node in nodes if is_context(node)]


def emptied(tree: Any) -> Any:
    """The carry with empty contexts: its leaves are what steps change."""
    return jax.tree.map(
        lambda node: Context(None) if is_context(node) else node, tree, is_leaf=is_context
    )


def filled(tree: Any, values: list[Any]) -> Any:
    """The carry with these for its contexts."""
    rest = iter(values)
    return jax.tree.map(
        lambda node: Context(next(rest)) if is_context(node) else node,
        tree,
        is_leaf=is_context,
    )


@jax.tree_util.register_static
@dataclass(frozen=True)
class Held(Wrapper):
    """`cell` with params `(params, contexts)`, and a carry whose contexts are empty."""

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params[0], x, keys)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        params, held = params
        new = self.cell.step(params, filled(carry, held), drive)
        before, after = jax.tree.leaves(held), jax.tree.leaves(contexts(new))
        if len(before) != len(after) or any(map(operator.is_not, before, after)):
            raise TypeError(
                f"{self.cell}.step changes the Context in its carry, expected it as it "
                "came: what changes is state, and stands in the carry as it is"
            )
        return emptied(new)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        params, held = params
        return self.cell.output(params, filled(carry, held), drive)

    def gates(self, params: Any, carry: Any, drive: Any) -> dict[str, jax.Array]:
        params, held = params
        return self.cell.gates(params, filled(carry, held), drive)


def holding(cell: Cell, params: Any, values: list[Any]) -> tuple[Cell, Any, Any]:
    """The cell, its params and the axes of these that are batched, with contexts held."""
    if not values:
        return cell, params, None
    return Held(cell), (params, values), (None, 0)
