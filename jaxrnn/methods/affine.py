"""A step that is affine in its carry, for all of time at once, group after group."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.varying import varying_with
from .jaxprs import piece, trace
from .matrices import Dense, Diagonal, Maximum, Mixing, Units
from .maxima import maximum
from .prefix import Blocks, solved
from .structure import Group, groups_of


def affine_carries(
    step: Callable[[Any, Any], Any],
    carry: Any,
    drives: Any,
    *,
    blocks: Blocks,
    largest: int | None = None,
    affine: bool = False,
) -> Any:
    """Every carry of a step that is affine in it, leaves `(T, ...)`.

    Args:
        step, carry, drives: as `Method.carries` gets them.
        blocks: how time is cut.
        largest: the units that a matrix may mix; None: any number.
        affine: that the step is known to be affine.

    Raises:
        NotAffine: if it is not.
        ValueError: if it mixes more units.
    """
    first, tree = jax.tree.flatten(carry)
    rows, rows_tree = jax.tree.flatten(drives)
    count = len(first)

    def flat(*leaves: Any) -> list[Any]:
        row = rows_tree.unflatten(leaves[count:])
        return jax.tree.leaves(step(tree.unflatten(leaves[:count]), row))

    closed = trace(flat, *first, *(leaf[0] for leaf in rows), checkpoints=True)
    found: dict[Any, Any] = dict(zip(closed.jaxpr.invars[count:], rows, strict=True))
    carries: list[Any] = [None] * count
    for group in groups_of(closed, count, affine=affine):
        for i, every in zip(
            group.leaves,
            _group(closed, group, first, found, blocks, largest),
            strict=True,
        ):
            carries[i] = every
            found[closed.jaxpr.invars[i]] = jnp.concatenate([first[i][None], every[:-1]])
    return tree.unflatten(carries)


def _group(
    closed: Any, group: Group, first: Any, found: Any, blocks: Blocks, largest: int | None
) -> list[Any]:
    """Every carry of the leaves of one group, with those of all before it in `found`."""
    invars, outs = closed.jaxpr.invars, [closed.jaxpr.outvars[i] for i in group.leaves]
    own, start = [invars[i] for i in group.leaves], [first[i] for i in group.leaves]
    part = piece(closed, outs, ())
    rows = {v: found[v] for v in part.inputs if v in found}
    T = next(iter(found.values())).shape[0]

    def step(row: Any, leaves: Any) -> list[Any]:
        env = dict(zip(own, leaves, strict=True)) | row
        results = part(*(env[v] for v in part.inputs))
        return [jnp.broadcast_to(a, b.shape) for a, b in zip(results, start, strict=True)]

    names = list(rows)
    values = [rows[v] for v in names]

    def made(values: Any, leaves: Any) -> list[Any]:
        return step(dict(zip(names, values, strict=True)), leaves)

    zeros = [jnp.zeros_like(leaf) for leaf in start]
    over = lambda function: jax.vmap(function, axis_size=T)  # noqa: E731
    if group.kind == "maximum":
        return _maximum(closed, group.leaves[0], first, names, values, T, blocks)
    offsets = over(lambda values: made(values, zeros))(values)
    if group.kind == "none":
        return offsets

    def moved(*args: Any) -> list[Any]:
        given, leaves = list(args[: len(values)]), list(args[len(values) :])
        if all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves):
            return jax.jvp(lambda leaves: made(given, leaves), (zeros,), (leaves,))[1]
        pairs = zip(made(given, leaves), made(given, zeros), strict=True)
        return [a - b for a, b in pairs]

    # Of what comes in, that alone which scales the carry: not what is added to it.
    scaled = trace(moved, *(value[0] for value in values), *start, checkpoints=True)
    needed = piece(scaled, scaled.jaxpr.outvars, ())
    given = scaled.jaxpr.invars
    kept = [i for i, v in enumerate(given[: len(values)]) if v in needed.inputs]
    values = [values[i] for i in kept]

    def linear(row: Any, leaves: Any) -> list[Any]:
        env = dict(zip([given[i] for i in kept], row, strict=True))
        env |= dict(zip(given[len(given) - len(own) :], leaves, strict=True))
        return needed(*(env[v] for v in needed.inputs))

    if group.kind == "elementwise":
        form = Diagonal() if len(own) == 1 else Units()
        columns = varying_with((start, values), form.basis(start))
        scales = over(
            lambda values: form.matrix(jax.vmap(lambda v: linear(values, v))(columns))
        )(values)
        mix = lambda row, v: form.unpacked(form.plainly(row, form.packed(v)), v)  # noqa: E731
        way = lambda row, v: form.unpacked(form.times(row, form.packed(v)), v)  # noqa: E731
        return solved(mix, scales, start, offsets, form, blocks, way=way)
    if group.kind == "mixed":
        form, size = Mixing(group.mixed, group.uniform), 1
        size = math.prod(start[0].shape[i] for i in group.mixed)
    else:
        form, size = Dense(), sum(leaf.size for leaf in start)
    if largest is not None and size > largest:
        raise ValueError(
            f"Associative: the step mixes {size} units by a matrix, of which products "
            f"take {size}^3 operations: for them give largest={size}, or take Scan()"
        )
    return solved(linear, values, start, offsets, form, blocks)


def _maximum(
    closed: Any, index: int, first: Any, names: Any, values: Any, T: int, blocks: Blocks
) -> list[Any]:
    """Every max(c + a, b) of one leaf c."""
    invars = closed.jaxpr.invars
    known = {v: jnp.zeros(v.aval.shape, v.aval.dtype) for v in invars[: len(first)]}

    def pair(row: Any) -> Any:
        env = known | dict(zip(names, row, strict=True))
        return maximum(closed, index, [env.get(v) for v in invars])

    a, b = jax.vmap(pair, axis_size=T)(values)
    form = Maximum()
    step = lambda a, c: [form.times(a, c[0])]  # noqa: E731
    return solved(step, a, [first[index]], [b], form, blocks)
