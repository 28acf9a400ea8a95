"""One iteration of Newton's method: which Jacobian, and whether it is held back."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .affine import affine_carries
from .jaxprs import trace
from .kalman import MATRICES, NUMBERS, smoothed
from .prefix import Blocks
from .structure import groups_of

Leaves = list[Any]
Jacobian = Callable[[Leaves, Leaves, Leaves], Leaves]  # J v, of v, row and h
Entries = dict[int, dict[int, Any]]  # d leaf i / d leaf j, entry by entry


def iterated(
    newton: Any,
    one: Callable[..., Leaves],
    consts: Any,
    first: Leaves,
    rows: Leaves,
    given: tuple[Leaves, Leaves, Leaves],
    damping: Any,
) -> Leaves:
    """The next iterate, of the one h, of past = h_(t-1) and of f = step(past).

    Args:
        newton: the method, with its options.
        one: (consts, h, row) -> the new h, of one step.
        first: the carry before the first step.
        rows: the drives.
        given: past, f, h.
        damping: how much it is held back, if `newton` is.
    """
    past, f, h = given

    def jacobian(v: Leaves, row: Leaves, past: Leaves) -> Leaves:
        return jax.jvp(lambda h: one(consts, h, row), (past,), (v,))[1]

    def full(v: Leaves, timed: Any) -> Leaves:
        row, past, f = timed
        delta = [a - b for a, b in zip(v, past, strict=True)]
        return [a + b for a, b in zip(f, jacobian(delta, row, past), strict=True)]

    def partly(v: Leaves, timed: Any) -> Leaves:
        entries, past, f = timed
        delta = [a - b for a, b in zip(v, past, strict=True)]
        return [
            a + sum(entries[i][j] * delta[j] for j in entries[i]) for i, a in enumerate(f)
        ]

    options: Any = dict(blocks=Blocks(newton.block), affine=True)
    if newton.jacobian == "full" and newton.damping == 0:
        return affine_carries(full, first, (rows, past, f), **options)
    closed = trace(
        lambda *v: jacobian(list(v), [x[0] for x in rows], [x[0] for x in past]),
        *first,
        checkpoints=True,
    )
    groups = groups_of(closed, len(first), affine=True)
    alone = all(group.kind in ("none", "elementwise") for group in groups)
    if newton.jacobian == "full" and not (alone and len(first) == 1):
        return _held(jacobian, first, rows, given, damping)
    across = newton.jacobian == "block"
    if across and len({leaf.shape for leaf in first}) > 1:
        raise ValueError(
            f"{newton}: the leaves of the carry have the shapes "
            f"{[leaf.shape for leaf in first]}, expected one: for the others take "
            'jacobian="diagonal" or "full"'
        )
    quick = alone and (not across or len(groups) == 1)
    entries = _entries(jacobian, first, rows, past, across, quick)
    if newton.damping == 0:
        return affine_carries(partly, first, (entries, past, f), **options)
    if not across:
        return [
            _near(entries[i][i], leaves, damping, NUMBERS)
            for i, leaves in enumerate(zip(first, past, f, h, strict=True))
        ]
    order = range(len(first))
    F = jnp.stack([jnp.stack([entries[i][j] for j in order], -1) for i in order], -2)
    joined = [jnp.stack(leaves, -1) for leaves in (first, past, f, h)]
    found = _near(F, joined, damping, MATRICES)
    return [found[..., i] for i in order]


def _near(F: Any, given: Sequence[Any], damping: Any, algebra: Any) -> Any:
    """The recurrence of F, damped: given where it starts, past, f, and h to be near."""
    first, past, f, h = given
    c = f - algebra.times(F, past)
    c = c.at[0].add(algebra.times(F[0], first))
    return smoothed(F, c, h, damping, algebra)


def _held(
    jacobian: Jacobian,
    first: Leaves,
    rows: Leaves,
    given: tuple[Leaves, Leaves, Leaves],
    damping: Any,
) -> Leaves:
    """With all of J, as one matrix of all units."""
    shapes = [leaf.shape for leaf in first]
    sizes = [leaf.size for leaf in first]

    def vector(leaves: Leaves) -> Any:
        return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])

    def parted(v: Any) -> Leaves:
        at = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
        pieces = jnp.split(v, at)
        return [x.reshape(shape) for x, shape in zip(pieces, shapes, strict=True)]

    def matrix(row: Leaves, past: Leaves) -> Any:
        basis = jnp.eye(sum(sizes), dtype=first[0].dtype)
        return jax.vmap(lambda e: vector(jacobian(parted(e), row, past)))(basis).T

    every = jax.vmap(vector)
    F = jax.vmap(matrix)(rows, given[0])
    leaves = vector(first), *(every(one) for one in given)
    found = _near(F, leaves, damping, MATRICES)
    return jax.vmap(parted)(found)


def _entries(
    jacobian: Jacobian,
    first: Leaves,
    rows: Leaves,
    past: Leaves,
    across: bool,
    quick: bool,
) -> Entries:
    """The entries of J that belong to one unit, with those `across` leaves or without."""
    order = range(len(first))
    entries: Entries = {i: {} for i in order}

    def moved(j: int, direction: Any) -> Leaves:
        v = [direction if i == j else jnp.zeros_like(first[i]) for i in order]
        return jax.vmap(lambda row, past: jacobian(v, row, past))(rows, past)

    for j in order:
        leaf = first[j]
        wanted = order if across else [j]
        if quick:
            found = moved(j, jnp.ones_like(leaf))
            entries |= {i: entries[i] | {j: found[i]} for i in wanted}
            continue

        def unit(index: Any, j: int = j, leaf: Any = leaf, wanted: Any = wanted) -> Any:
            one = jax.nn.one_hot(index, leaf.size, dtype=leaf.dtype).reshape(leaf.shape)
            found = moved(j, one)
            return [found[i].reshape(len(found[i]), -1)[:, index] for i in wanted]

        columns = jax.lax.map(unit, jnp.arange(leaf.size))
        for i, column in zip(wanted, columns, strict=True):
            entries[i][j] = column.T.reshape(-1, *leaf.shape)
    return entries
