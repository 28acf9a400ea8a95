"""An influence of which only some entries are kept, and in blocks.

The influence of a parameter is a column with an entry for each number of the carry.
Parameters whose columns keep the same rows are a group, groups of one size a block:

    M   [groups, rows, columns]       J   [groups, rows, rows]        M' = J M + D

so that a recurrence in which each unit has its own parameters has blocks of one row, as
large as the parameters, and one in which everything reaches everything has one block. The
Jacobians come from few derivatives: units that share no parameter are differentiated
together (Curtis, Powell and Reid, "On the estimation of sparse Jacobian matrices", 1974).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MOST = 4  # colours: where it takes more, every unit is differentiated alone
SIZES = 4  # of groups: where there are more, they are rounded up


class Block(NamedTuple):
    """Groups of one size. Entries of -1 are padding."""

    rows: np.ndarray  # [groups, rows], of the carry
    columns: np.ndarray  # [groups, columns], of the parameters
    mixing: np.ndarray  # [groups, rows, rows], which entries of J are used


class Plan(NamedTuple):
    """Where the entries of an influence are, and how the Jacobians are found.

    Attributes:
        blocks: in which the influence lies.
        inverse: [Q], the place of each parameter in all columns of all blocks, or -1.
        carry_seeds, parameter_seeds: [colours, n], what is differentiated together.
        colours: [n] of the columns of the carry's Jacobian, -1 where none is used.
        hit: of each colour and parameter the row that it reaches, or -1; None where each
            row is a colour.
    """

    blocks: tuple[Block, ...]
    inverse: np.ndarray
    carry_seeds: np.ndarray
    colours: np.ndarray
    parameter_seeds: np.ndarray
    hit: np.ndarray | None

    @property
    def entries(self) -> int:
        """How many numbers are kept, for each example."""
        return sum(b.rows.shape[1] * b.columns.size for b in self.blocks)


def planned(
    immediate: np.ndarray,
    first: np.ndarray,
    carry: np.ndarray,
    used: np.ndarray,
    kept: Callable[[np.ndarray], np.ndarray],
) -> Plan:
    """The plan of an influence.

    Args:
        immediate: [n, Q], where a step makes influence of its own.
        first: [n], the parameter that the start of each number of the carry is, or -1.
        carry: [n, n], where the Jacobian of the carry may be other than zero.
        used: [n, n], which of its entries are wanted.
        kept: which rows are kept of an influence that is made in some.
    """
    n, size = immediate.shape
    of_column = np.packbits(immediate, axis=0)
    for i in np.flatnonzero(first >= 0):
        of_column[i // 8, first[i]] |= 128 >> (i % 8)
    # Many columns are alike: what follows is found once for each kind.
    kinds, kind_of = np.unique(of_column.T, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(size)
    sets = np.unpackbits(kinds, axis=1, count=n).astype(bool)
    groups: dict[tuple[int, ...], list[np.ndarray]] = {}
    for kind, one in enumerate(sets):
        rows = tuple(np.flatnonzero(kept(one)).tolist())
        if rows:
            groups.setdefault(rows, []).append(np.flatnonzero(kind_of == kind))
    blocks = _blocks({rows: np.concatenate(c) for rows, c in groups.items()}, n, used)
    wanted = np.zeros((n, n), bool)
    for block in blocks:
        rows = np.repeat(block.rows[:, :, None], block.rows.shape[1], 2)
        mixing = block.mixing
        wanted[rows[mixing], rows.swapaxes(1, 2)[mixing]] = True
    together = carry.T.astype(int) @ wanted.astype(int)
    needed = np.any(wanted, 0, keepdims=True)[0]
    colours = _coloured((together + together.T) > 0, needed)
    if colours.max(initial=-1) >= MOST and needed.all():
        colours = np.arange(n)
    shared = sets.T.astype(int) @ sets.astype(int)
    of_row = _coloured(shared > 0, np.ones(n, bool))
    hit = None
    if of_row.max(initial=-1) >= MOST:
        of_row = np.arange(n)
    else:
        hit = np.full((of_row.max(initial=-1) + 1, size), -1)
        for row in range(n):
            hit[of_row[row], sets[:, row][kind_of]] = row
    inverse = np.full(size, -1)
    places = np.concatenate([b.columns.ravel() for b in blocks] or [np.zeros(0, int)])
    inverse[places[places >= 0]] = np.flatnonzero(places >= 0)
    return Plan(blocks, inverse, _seeds(colours), colours, _seeds(of_row), hit)


def _blocks(
    groups: dict[tuple[int, ...], np.ndarray], n: int, used: np.ndarray
) -> tuple[Block, ...]:
    """Groups of about one size, padded to it."""
    lengths = {len(rows) for rows in groups}

    def height(rows: tuple[int, ...]) -> int:
        if len(lengths) <= SIZES:
            return len(rows)
        return min(n, 1 << (len(rows) - 1).bit_length())

    classes: dict[tuple[int, int], list[Any]] = {}
    for rows, columns in groups.items():
        like = height(rows), (len(columns) - 1).bit_length()
        classes.setdefault(like, []).append((rows, columns))
    blocks = []
    for (tall, _), members in classes.items():
        wide = max(len(columns) for _, columns in members)
        rows = np.full((len(members), tall), -1)
        columns = np.full((len(members), wide), -1)
        for g, (own, of_them) in enumerate(members):
            rows[g, : len(own)] = own
            columns[g, : len(of_them)] = of_them
        there = (rows[:, :, None] >= 0) & (rows[:, None, :] >= 0)
        blocks.append(
            Block(rows, columns, used[rows[:, :, None], rows[:, None, :]] & there)
        )
    return tuple(blocks)


def _coloured(conflicts: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """Numbers that differ where two are in conflict; -1 where none is needed."""
    colours = np.full(len(needed), -1)
    for i in np.flatnonzero(needed):
        taken = set(colours[conflicts[i]].tolist())
        colours[i] = next(c for c in range(len(needed)) if c not in taken)
    return colours


def _seeds(colours: np.ndarray) -> np.ndarray:
    return colours[None] == np.arange(colours.max(initial=-1) + 1)[:, None]


def start(plan: Plan, first: np.ndarray, dtype: Any) -> list[jax.Array]:
    """The influence of the parameters on an initial carry, some of which may be its."""
    found = []
    for block in plan.blocks:
        shape = *block.rows.shape, block.columns.shape[1]
        if (first < 0).all():
            found.append(jnp.zeros(shape, dtype))
            continue
        own = np.where(block.rows >= 0, first[block.rows], -2)
        own = np.where(own < 0, -2, own)
        is_it = jnp.asarray(own)[:, :, None] == jnp.asarray(block.columns)[:, None, :]
        found.append(is_it.astype(dtype))
    return found


def advanced(
    plan: Plan, influence: Sequence[jax.Array], J: jax.Array, D: jax.Array
) -> list[jax.Array]:
    """The influence after a step.

    Args:
        J: [colours, n], the derivatives of the new carry in the carry.
        D: [colours, Q], those in the parameters.
    """
    new = []
    for block, M in zip(plan.blocks, influence, strict=True):
        made = _immediate(plan, block, D)
        if block.mixing.any():
            made = made + _mixed(plan, block, M, J)
        new.append(made)
    return new


def _mixed(plan: Plan, block: Block, M: jax.Array, J: jax.Array) -> jax.Array:
    n = len(plan.colours)
    if len(J) == n and np.array_equal(block.rows, np.arange(n)[None]):
        by = jnp.where(block.mixing[0], J.T, 0)[None]
    else:
        colours = plan.colours[block.rows]  # of the columns of J; -1 is masked
        by = J[colours[:, None, :], block.rows[:, :, None]]
        by = jnp.where(block.mixing, by, 0)
    if block.rows.shape[1] == 1:
        return by * M
    return jnp.einsum("gab,gbm->gam", by, M)


def _immediate(plan: Plan, block: Block, D: jax.Array) -> jax.Array:
    padding = (block.columns < 0)[:, None, :]
    columns = block.columns
    whole = np.array_equal(columns, np.arange(D.shape[1])[None])
    D = D[:, None] if whole else D[:, columns]  # [colours, groups, columns]
    if plan.hit is None:
        made = D[block.rows, np.arange(len(columns))[:, None]]
        made = (
            jnp.where((block.rows < 0)[:, :, None], 0, made) if _padded(block) else made
        )
    else:
        made = jnp.zeros((), D.dtype)
        for hit, of_colour in zip(plan.hit, D, strict=True):
            here = np.where(block.columns >= 0, hit[columns], -2)
            if (block.rows == here[:, :1]).all() and (here == here[:, :1]).all():
                made = made + of_colour[:, None, :]
                continue
            # The row of a group that it reaches, and not that of the carry.
            place = _places(block.rows, here)
            rows = jnp.arange(block.rows.shape[1])[None, :, None]  # no large constant
            is_it = rows == jnp.asarray(place)[:, None, :]
            made = made + jnp.where(is_it, of_colour[:, None, :], 0)
    return jnp.where(padding, 0, made) if padding.any() else made


def _padded(block: Block) -> bool:
    return bool((block.rows < 0).any())


def _places(rows: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Of every entry of `here` its place in the rows of its group, or -1."""
    places = np.full(here.shape, -1)
    for g, own in enumerate(rows):
        lookup = {row: a for a, row in enumerate(own.tolist()) if row >= 0}
        kinds, which = np.unique(here[g], return_inverse=True)
        numbers = np.asarray([lookup.get(row, -1) for row in kinds.tolist()], int)
        places[g] = numbers[which.reshape(-1)]
    return places


def gradient(plan: Plan, influence: Sequence[jax.Array], signal: jax.Array) -> jax.Array:
    """signal M, over all parameters."""
    if not influence:
        return jnp.zeros(plan.inverse.shape, signal.dtype)
    flat = [jnp.zeros(1, influence[0].dtype)]
    for block, M in zip(plan.blocks, influence, strict=True):
        own = jnp.where(block.rows >= 0, signal[block.rows], 0).astype(M.dtype)
        flat.append(jnp.einsum("ga,gam->gm", own, M).reshape(-1))
    return jnp.concatenate(flat)[plan.inverse + 1]
