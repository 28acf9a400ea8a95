"""Some leaves of a tree as one real vector."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.dtypes import promoted


class Coordinates:
    """The coordinates of chosen leaves, of the shapes and dtypes of a tree.

    In the order of `jax.tree.leaves`, each in C order. A complex leaf has two parts, its
    real numbers and then its imaginary ones, so that every part is a real array.
    """

    def __init__(self, tree: Any, chosen: Sequence[bool]) -> None:
        leaves = jax.tree.leaves(tree)
        self.places = [i for i, one in enumerate(chosen) if one]
        self.leaves = [leaves[i] for i in self.places]
        self.complex = [is_complex(leaf) for leaf in self.leaves]
        self.parts_of: list[int] = []  # of every part, its leaf
        for i, two in enumerate(self.complex):
            self.parts_of += [i] * (1 + two)
        self.shapes = [tuple(self.leaves[i].shape) for i in self.parts_of]
        self.dtypes = [real_dtype(self.leaves[i]) for i in self.parts_of]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.size = sum(self.sizes)
        self.dtype = promoted(*self.dtypes) if self.dtypes else jnp.zeros(0).dtype

    def structs(self) -> list[jax.ShapeDtypeStruct]:
        """The shapes of the parts."""
        pairs = zip(self.shapes, self.dtypes, strict=True)
        return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in pairs]

    def parts(self, tree: Any) -> list[jax.Array]:
        """The parts of a tree."""
        leaves, parts = jax.tree.leaves(tree), []
        for place, two, like in zip(self.places, self.complex, self.leaves, strict=True):
            leaf = jnp.asarray(leaves[place], like.dtype)
            parts += [leaf.real, leaf.imag] if two else [leaf]
        return parts

    def whole(self, parts: Sequence[jax.Array], tree: Any) -> Any:
        """The tree, with these parts in place of its own."""
        leaves, treedef = jax.tree.flatten(tree)
        rest = iter(parts)
        for place, two, like in zip(self.places, self.complex, self.leaves, strict=True):
            leaf = jax.lax.complex(next(rest), next(rest)) if two else next(rest)
            leaves[place] = leaf.astype(like.dtype)
        return treedef.unflatten(leaves)

    def vector(self, parts: Sequence[jax.Array]) -> jax.Array:
        """The parts as one vector, behind any axes that they all have in front."""
        leading = parts[0].shape[: parts[0].ndim - len(self.shapes[0])] if parts else ()
        flat = [part.reshape(*leading, -1).astype(self.dtype) for part in parts]
        return jnp.concatenate(flat, -1) if flat else jnp.zeros(0, self.dtype)

    def split(self, vector: jax.Array) -> list[jax.Array]:
        """The parts of a vector."""
        ends = np.cumsum(self.sizes)
        pieces = jnp.split(vector, ends[:-1]) if self.sizes else []
        return [
            piece.reshape(shape).astype(dtype)
            for piece, shape, dtype in zip(pieces, self.shapes, self.dtypes, strict=True)
        ]

    def units(self) -> np.ndarray:
        """Of every coordinate the unit that it belongs to, as a number.

        Leaves of one shape are the states of the same units, one each.
        """
        numbers: dict[Any, int] = {}
        units = [
            numbers.setdefault((shape, k), len(numbers))
            for shape, size in zip(self.shapes, self.sizes, strict=True)
            for k in range(size)
        ]
        return np.asarray(units, int)


def is_complex(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.complexfloating)


def moves(leaf: Any) -> bool:
    """Whether a leaf can be differentiated."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def real_dtype(leaf: Any) -> Any:
    return jnp.finfo(leaf.dtype).dtype if is_complex(leaf) else jnp.dtype(leaf.dtype)
