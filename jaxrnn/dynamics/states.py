"""States that are searched, as vectors, and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.dtypes import promoted
from ..cell import Cell
from ..context import contexts


def states_of(
    name: str, cell: Cell, params: Any, x: Any, starts: Any, x_axes: int
) -> tuple[Any, jax.ShapeDtypeStruct]:
    """The starts as `(count, ...)`, in the dtypes of a step's result, and one of them."""
    initial = jax.eval_shape(cell.initial_carry, params)
    if contexts(initial):
        raise TypeError(
            f"{name}: the carry of {cell} holds a Context, which is no state: search the "
            "cell inside of it"
        )
    leaves, states = jax.tree.leaves(initial), jax.tree.leaves(cell.is_state(initial))
    moves = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]
    if not all(moves):
        raise TypeError(
            f"{name}: the carry of {cell} has leaves of integers, "
            f"{checks.shapes(initial)} in all: a step that counts never "
            "stands still; search the cell inside of it"
        )
    if not any(states):
        raise TypeError(f"{name}: {cell} has no state to search: its carry is {initial}")
    starts = native(name, "starts", starts)
    given = jax.tree.leaves(starts)
    axes = jnp.ndim(given[0]) - len(leaves[0].shape) if given else 0
    batch = jnp.shape(given[0])[:axes] if axes > 0 else ()
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*batch, *leaf.shape), leaf.dtype), initial
    )
    if axes < 1 or 0 in batch or not checks.alike(starts, expected):
        raise ValueError(
            f"{name}: starts has the shapes {checks.shapes(starts)}, expected states "
            f"with an axis or more in front of {checks.shapes(initial)}, the carry of "
            f"{cell}, and one state at least: those of trajectory(cell, params, xs)"
        )

    def advance(carry: Any, x: Any) -> Any:
        ready = cell.prepare(params)
        return cell.step(ready, carry, cell.project(ready, x))

    def one(leaf: Any, axes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(jnp.shape(leaf)[axes:], jnp.result_type(leaf))

    example = jax.tree.map(lambda leaf: one(leaf, x_axes), x)
    like = jax.tree.map(lambda leaf: one(leaf, axes), starts)
    try:
        for _ in range(2):  # until the step has the dtypes at which it is at rest
            like = jax.eval_shape(advance, like, example)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from error
    for leaf in jax.tree.leaves(like):
        if promoted(leaf.dtype, "float32") != leaf.dtype:
            raise TypeError(
                f"{name}: the carry of {cell} has the dtype {leaf.dtype}, in which no "
                "point can be told: cast params, x and starts to float32"
            )

    def rows(leaf: Any, to: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.reshape(jnp.asarray(leaf, to.dtype), (-1, *to.shape))

    return jax.tree.map(rows, starts, like), like


def carries_of(vectors: np.ndarray, like: Any) -> Any:
    """Vectors `(count, n)` as carries again: `flat` backwards."""
    at = 0

    def take(leaf: Any) -> np.ndarray:
        nonlocal at
        size = int(np.prod(leaf.shape))
        part, at = vectors[:, at : at + size], at + size
        return part.reshape(len(vectors), *leaf.shape)

    def of(leaf: Any) -> np.ndarray:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            real, imaginary = take(leaf), take(leaf)
            return (real + 1j * imaginary).astype(leaf.dtype)
        return take(leaf).astype(leaf.dtype)

    return jax.tree.map(of, like)
