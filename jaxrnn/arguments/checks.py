"""Checks at trace time: which call, which argument, what came, what was expected."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..context import contexts, emptied
from .arrays import matched, native


def names(dtypes: Sequence[Any]) -> str:
    """Dtypes, for a message."""
    return ", ".join(dtype.name for dtype in dtypes)


def shapes(tree: Any) -> Any:
    """The shape of every leaf; of a bare array, its shape."""
    return jax.tree.map(jnp.shape, tree)


def alike(a: Any, b: Any) -> bool:
    """Whether two trees have one structure, and their leaves the same shapes."""
    return jax.tree.structure(a) == jax.tree.structure(b) and shapes(a) == shapes(b)


@functools.lru_cache(maxsize=1024)
def _param_shapes(cell: Any) -> Any:
    return jax.eval_shape(cell.init, jax.eval_shape(lambda: jax.random.key(0)))


def check_params(call: str, cell: Any, params: Any) -> Any:
    """The params in the containers of `cell.init(key)`, of whose shapes they are.

    Any mapping will do. Raises where structure or shapes differ.
    """
    expected = _param_shapes(cell)
    params = native(call, "params", matched(expected, params))
    remedy = f"make them with {cell}.init(key)"
    _compare(call, "params", params, expected, (), cell, remedy)
    return params


def check_carry(
    call: str, cell: Any, params: Any, carry: Any, batch_shape: tuple[int, ...]
) -> Any:
    """The carry, which is `cell.initial_carry(params)` with `batch_shape` first."""
    expected = jax.eval_shape(cell.initial_carry, params)
    if contexts(expected):
        remedy = (
            "make one with `attend`, in a tuple with an entry for each cell of a Stack"
        )
    elif batch_shape:
        remedy = f"make one with batched_carry(cell, params, {batch_shape})"
    else:
        remedy = "make one with cell.initial_carry(params)"
    carry = native(call, "carry", carry)
    _compare(call, "carry", emptied(carry), expected, batch_shape, cell, remedy)
    return carry


def check_contexts(
    call: str, cell: Any, carry: Any, batch_shape: tuple[int, ...]
) -> None:
    """Raise unless every context in `carry` is filled, with `batch_shape` first."""
    for context in contexts(carry):
        leaves = jax.tree.leaves(context)
        if not leaves:
            raise ValueError(
                f"{call}: the carry of {cell} has an empty Context, expected one that "
                "says what the cell reads besides x: give a carry that holds it, such as "
                "`attend` makes"
            )
        for leaf in leaves:
            if jnp.shape(leaf)[: len(batch_shape)] != batch_shape:
                raise ValueError(
                    f"{call}: the Context in the carry has a leaf of shape "
                    f"{jnp.shape(leaf)}, expected {batch_shape} first: batch axes come "
                    "first in a carry"
                )


def _compare(
    call: str,
    name: str,
    got: Any,
    expected: Any,
    batch_shape: tuple[int, ...],
    cell: Any,
    remedy: str,
) -> None:
    if jax.tree.structure(got) != jax.tree.structure(expected):
        raise ValueError(
            f"{call}: {name} has the structure {structure(got)}, expected "
            f"{structure(expected)} for {cell}; {remedy}"
        )
    expected_leaves = jax.tree.leaves(expected)
    for (path, leaf), want in zip(
        jax.tree_util.tree_leaves_with_path(got), expected_leaves, strict=True
    ):
        if jnp.shape(leaf) != batch_shape + want.shape:
            raise ValueError(
                f"{call}: {name}{jax.tree_util.keystr(path)} has shape "
                f"{jnp.shape(leaf)}, expected {batch_shape + want.shape} for {cell}; "
                f"{remedy}"
            )


class _Leaf:
    def __repr__(self) -> str:
        return "*"


def structure(tree: Any) -> str:
    """The tree with a star for every leaf, cut where it grows long."""
    text = repr(jax.tree.map(lambda _: _Leaf(), tree))
    return text if len(text) <= 200 else f"{text[:200]}..."


def is_shape(value: Any) -> bool:
    """Whether it is a shape, a leaf of an `input_shape`."""
    sizes = int, np.integer
    return isinstance(value, tuple) and all(isinstance(size, sizes) for size in value)


def leading_shape(
    call: str,
    name: str,
    cell: Any,
    xs: Any,
    axes: str = "",
    ndim: int | None = None,
) -> tuple[int, ...]:
    """The axes of `xs` before `cell.input_shape`, the same for every leaf of `xs`.

    `ndim` is their number, for a cell that takes an x of any shape.
    """
    if cell.input_shape is ...:
        if ndim is None:
            raise ValueError(
                f"{call}: {cell} takes an x of any shape, so that its batch axes cannot "
                "be told from its features; put it in a Stack with a cell that has an "
                "input_shape"
            )
        leading = {jnp.shape(x)[:ndim] for x in jax.tree.leaves(xs)}
        return leading.pop() if len(leading) == 1 else ()
    expected, treedef = jax.tree.flatten(cell.input_shape, is_leaf=is_shape)
    if jax.tree.structure(xs) != treedef:
        raise ValueError(
            f"{call}: {name} has the structure {structure(xs)}, expected an array for "
            f"each of {cell.input_shape}, the input_shape of {cell}"
        )
    leading = set()
    for x, shape in zip(jax.tree.leaves(xs), expected, strict=True):
        split = jnp.ndim(x) - len(shape)
        if split < 0 or jnp.shape(x)[split:] != shape:
            want = ", ".join([axes] * bool(axes) + [str(size) for size in shape])
            raise ValueError(
                f"{call}: {name} has shape {jnp.shape(x)}, expected ({want}) for {cell}"
            )
        leading.add(jnp.shape(x)[:split])
    if len(leading) != 1:
        raise ValueError(
            f"{call}: the leaves of {name} have the shapes {shapes(xs)}: their axes "
            f"before the input_shape {cell.input_shape} of {cell} must agree"
        )
    return leading.pop()
