"""What a cell reads at every step and never changes: a part of its carry."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax


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
        >>> class Toward(jaxrnn.Cell):
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
