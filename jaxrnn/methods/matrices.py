"""Matrices of a group of leaves: one number a unit, few, or one for several units.

A form knows the columns with which a matrix A is found out, A v for v in `basis`, and
how two of them, one after the other, are one. All is of one example.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.dtypes import promoted

Leaves = list[Any]


class Scaled(NamedTuple):
    """value 2^exponent: a product of many matrices, which would leave its dtype."""

    value: Any
    exponent: Any


class Linear:
    """What is added up is added up, from zero; of matrices with these two axes."""

    linear = True
    axes: tuple[int, ...] = ()

    def matrix(self, columns: Leaves) -> Any:
        raise NotImplementedError

    def product(self, second: Any, first: Any) -> Any:
        raise NotImplementedError

    def moved(self, matrix: Any, packed: Any) -> Any:
        """A v, of a matrix that is not scaled."""
        raise NotImplementedError

    def scaled(self, columns: Leaves) -> Any:
        """The matrix, for products of many of them."""
        return _scaled(self.matrix(columns), self.axes)

    def after(self, second: Any, first: Any) -> Any:
        if not isinstance(second, Scaled):
            return self.product(second, first)
        found = self.product(second.value, first.value)
        forgets = _size(second.value, self.axes) == 0  # though the first be NaN
        found = _scaled(jnp.where(forgets, jnp.zeros_like(found), found), self.axes)
        exponent = found.exponent + second.exponent + first.exponent
        none = _size(found.value, self.axes) == 0
        return Scaled(found.value, jnp.where(none, 0, exponent))

    def times(self, matrix: Any, packed: Any) -> Any:
        if not isinstance(matrix, Scaled):
            return self.moved(matrix, packed)
        found = self.moved(matrix.value, packed)
        none = _size(matrix.value, self.axes) == 0
        exponent = matrix.exponent
        if self.axes == (0, 1):
            exponent, none = exponent[0], none[0]
        half = exponent // 2
        # In two halves, of which neither leaves the dtype where the result does not.
        raised = found * _power(half, found) * _power(exponent - half, found)
        none = none | (found == 0)  # though 2^exponent be infinite
        return jnp.where(none, jnp.zeros_like(found), raised)

    def plus(self, a: Any, b: Any) -> Any:
        return a + b

    def zero(self, like: Any) -> Any:
        return jnp.zeros_like(like)


class Maximum:
    """max(c + a, b), of one leaf: a sum of maxima, from the lowest number there is."""

    linear = False

    def plus(self, a: Any, b: Any) -> Any:
        return jnp.maximum(a, b)

    def zero(self, like: Any) -> Any:
        return jnp.full_like(like, -jnp.inf)

    def basis(self, leaves: Leaves) -> Leaves:
        return [jnp.zeros((1, *leaves[0].shape), leaves[0].dtype)]

    def scaled(self, columns: Leaves) -> Any:
        return columns[0][0]

    def packed(self, leaves: Leaves) -> Any:
        return leaves[0]

    def unpacked(self, packed: Any, like: Leaves) -> Leaves:
        return [packed]

    def after(self, second: Any, first: Any) -> Any:
        return self.times(second, first)

    def times(self, matrix: Any, packed: Any) -> Any:
        return jnp.where(matrix == -jnp.inf, matrix, matrix + packed)


class Diagonal(Linear):
    """Of one leaf, along every axis on its own: A has the shape of the leaf."""

    def basis(self, leaves: Leaves) -> Leaves:
        return [jnp.ones((1, *leaves[0].shape), leaves[0].dtype)]

    def matrix(self, columns: Leaves) -> Any:
        return columns[0][0]

    def packed(self, leaves: Leaves) -> Any:
        return leaves[0]

    def unpacked(self, packed: Any, like: Leaves) -> Leaves:
        return [packed]

    def product(self, second: Any, first: Any) -> Any:
        return second * first

    def plainly(self, matrix: Any, packed: Any) -> Any:
        """A v as a product, which where A is zero has the derivative in it too."""
        return matrix * packed

    def moved(self, matrix: Any, packed: Any) -> Any:
        return _times(matrix, packed)


class Units(Linear):
    """Of k leaves of one shape that mix at every entry on its own: A [k, k, ...]."""

    axes = 0, 1

    def basis(self, leaves: Leaves) -> Leaves:
        k = len(leaves)
        one = jnp.eye(k).reshape((k, k) + (1,) * leaves[0].ndim)
        return [
            jnp.broadcast_to(one[j], (k, *leaf.shape)).astype(leaf.dtype)
            for j, leaf in enumerate(leaves)
        ]

    def matrix(self, columns: Leaves) -> Any:
        return jnp.stack(_alike(columns))

    def packed(self, leaves: Leaves) -> Any:
        return jnp.stack(_alike(leaves))

    def unpacked(self, packed: Any, like: Leaves) -> Leaves:
        return [one.astype(leaf.dtype) for one, leaf in zip(packed, like, strict=True)]

    def product(self, second: Any, first: Any) -> Any:
        return jnp.sum(second[:, :, None] * first[None], axis=1)

    def plainly(self, matrix: Any, packed: Any) -> Any:
        return jnp.sum(matrix * packed[None], axis=1)

    def moved(self, matrix: Any, packed: Any) -> Any:
        return jnp.sum(_times(matrix, packed[None]), axis=1)


class Mixing(Linear):
    """Of one leaf, along some axes: A [*others, n, n] on [*others, n, uniform].

    `uniform` axes are mixed by one matrix, so that the identity along them, where they
    are long enough, finds out A in one step.
    """

    axes = -2, -1

    def __init__(self, mixed: tuple[int, ...], uniform: tuple[int, ...]) -> None:
        self.mixed, self.uniform = mixed, uniform

    def _order(self, leaf: Any) -> list[int]:
        others = [i for i in range(leaf.ndim) if i not in (*self.mixed, *self.uniform)]
        return [*others, *self.mixed, *self.uniform]

    def _sizes(self, leaf: Any) -> tuple[tuple[int, ...], int, int]:
        others = len(leaf.shape) - len(self.mixed) - len(self.uniform)
        shape = [leaf.shape[i] for i in self._order(leaf)]
        n = math.prod(leaf.shape[i] for i in self.mixed)
        return tuple(shape[:others]), n, math.prod(leaf.shape[i] for i in self.uniform)

    def basis(self, leaves: Leaves) -> Leaves:
        (leaf,) = leaves
        others, n, u = self._sizes(leaf)
        runs = -(-n // u)
        eye = jnp.eye(n, runs * u, dtype=leaf.dtype).reshape(n, runs, u)
        eye = jnp.broadcast_to(
            jnp.moveaxis(eye, 1, 0).reshape(runs, *(1 for _ in others), n, u),
            (runs, *others, n, u),
        )
        return [jax.vmap(lambda one: self.unpacked(one, leaves)[0])(eye)]

    def matrix(self, columns: Leaves) -> Any:
        runs = jax.vmap(lambda one: self.packed([one]))(columns[0])
        matrix = jnp.concatenate([*runs], axis=-1)
        return matrix[..., : matrix.shape[-2]]

    def packed(self, leaves: Leaves) -> Any:
        (leaf,) = leaves
        others, n, u = self._sizes(leaf)
        return jnp.transpose(leaf, self._order(leaf)).reshape(*others, n, u)

    def unpacked(self, packed: Any, like: Leaves) -> Leaves:
        (leaf,), order = like, self._order(like[0])
        shape = [leaf.shape[i] for i in order]
        back = sorted(range(len(order)), key=lambda i: order[i])
        return [jnp.transpose(packed.reshape(shape), back)]

    def product(self, second: Any, first: Any) -> Any:
        return _exactly(second, first)

    def moved(self, matrix: Any, packed: Any) -> Any:
        return _exactly(matrix, packed)


class Dense(Linear):
    """Of all leaves together, as one vector: A [n, n]."""

    axes = -2, -1

    def basis(self, leaves: Leaves) -> Leaves:
        n = sum(leaf.size for leaf in leaves)
        return jax.vmap(lambda one: self.unpacked(one[:, None], leaves))(jnp.eye(n))

    def matrix(self, columns: Leaves) -> Any:
        return jax.vmap(self.packed)(columns)[..., 0].T

    def packed(self, leaves: Leaves) -> Any:
        return jnp.concatenate(_alike([jnp.ravel(leaf) for leaf in leaves]))[:, None]

    def unpacked(self, packed: Any, like: Leaves) -> Leaves:
        parts, at = [], 0
        for leaf in like:
            part = packed[at : at + leaf.size, 0]
            parts.append(part.reshape(leaf.shape).astype(leaf.dtype))
            at += leaf.size
        return parts

    def product(self, second: Any, first: Any) -> Any:
        return _exactly(second, first)

    def moved(self, matrix: Any, packed: Any) -> Any:
        return _exactly(matrix, packed)


# Products of many steps: accelerators would round what comes in to half of its digits.
_exactly = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _times(a: Any, b: Any) -> Any:
    """The product, which is zero where a is, as after a reset: even if b is NaN."""
    found = a * b
    return jnp.where(a == 0, jnp.zeros_like(found), found)


def _alike(leaves: Sequence[Any]) -> Leaves:
    """In a dtype that holds all of theirs."""
    widest = functools.reduce(promoted, [leaf.dtype for leaf in leaves])
    return [leaf.astype(widest) for leaf in leaves]


def _scaled(value: Any, axes: tuple[int, ...]) -> Any:
    """With its size, along these axes, near one, and the rest in an exponent of 2."""
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    size = _size(value, axes)
    info = jnp.finfo(size.dtype)
    bits = jax.lax.bitcast_convert_type(size, f"uint{info.bits}")
    exponent = (bits >> int(info.nmant)).astype("int32")  # 0 of what rounds to zero
    bias, highest = info.maxexp - 1, 2 * info.maxexp - 1
    known = (exponent > 0) & (exponent < highest)
    # By 2^-bias it would be multiplied by zero, on some processors.
    power = jnp.where(known, jnp.minimum(exponent - bias, bias - 1), 0)
    value = jnp.where(exponent > 0, value, jnp.zeros_like(value))
    return Scaled(value * _power(-power, value), power)


def _size(value: Any, axes: tuple[int, ...]) -> Any:
    """The largest part of a number along these axes, which stay, of one entry."""
    size = jnp.abs(jnp.real(value))
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        size = jnp.maximum(size, jnp.abs(jnp.imag(value)))
    return jnp.max(size, axes, keepdims=True) if axes else size


def _power(exponent: Any, like: Any) -> Any:
    """2^exponent, exactly, which exp2 is not; 0 and infinity out of range."""
    info = jnp.finfo(like.dtype)
    bits = jnp.clip(exponent + info.maxexp - 1, 0, 2 * info.maxexp - 1)
    bits = bits.astype(f"uint{info.bits}") << int(info.nmant)
    return jax.lax.bitcast_convert_type(bits, info.dtype).astype(like.dtype)
