"""Sequences of different lengths in one array."""

import bisect
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..arguments.arrays import native
from ..arguments.numbers import check_count


class Packed(NamedTuple):
    """Many sequences in few rows.

    Attributes:
        xs: leaves `(length, rows, ...)`, NumPy arrays; zeros where there is nothing.
        segment_ids: `(length, rows)`; 1 + k at the steps of sequence k, in order, and 0
            where there is nothing.
    """

    xs: Any
    segment_ids: np.ndarray


class Padded(NamedTuple):
    """Sequences side by side, zeros after the end of each.

    Attributes:
        xs: leaves `(length, sequences, ...)`, NumPy arrays.
        lengths: `(sequences,)`, how many steps of each are its own.
    """

    xs: Any
    lengths: np.ndarray


def pack(sequences: Sequence[Any], length: int) -> Packed:
    """Put many short sequences end to end in few rows of `length` steps.

        mask = segment_ids > 0        resets = resets_from_segments(segment_ids)
        outputs of sequence k = ys[segment_ids == 1 + k]

    Longest first, each in the row with the least room that it fits (best fit
    decreasing); no sequence is cut. Runs in NumPy, outside any compiled function. Noise
    that is kept for a whole sequence is kept for a row, shared by what is packed there.

    Args:
        sequences: arrays `(steps, ...)`, lists of numbers, or pytrees of arrays, time
            first.
        length: the number of steps of a row.

    Returns:
        `Packed(xs, segment_ids)`, time first, the rows for a batch.

    Raises:
        ValueError: without sequences, for one that is longer than `length`, or if they
            differ in structure, in dtype or in a shape after the time axis.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, numpy as np
        >>> sequences = [np.ones((steps, 3)) for steps in (4, 7, 2, 1)]
        >>> xs, segment_ids = jaxrnn.pack(sequences, length=7)
        >>> print(segment_ids.T)
        [[2 2 2 2 2 2 2]
         [1 1 1 1 3 3 4]]
        >>> cell = jaxrnn.GRU(3, 5)
        >>> resets = jaxrnn.resets_from_segments(segment_ids)
        >>> _, ys = jaxrnn.unroll(cell, cell.init(jax.random.key(0)), xs,
        ...                       mask=segment_ids > 0, resets=resets)
        >>> print(ys[segment_ids == 1 + 2].shape)
        (2, 5)
    """
    length = check_count("pack", "length", length)

    trees, steps = _arrays("pack", sequences, length)

    room: list[tuple[int, int]] = []  # (steps left, row), the least room first
    starts, rows = {}, 0
    for index in sorted(range(len(trees)), key=lambda index: -steps[index]):
        place = bisect.bisect_left(room, (steps[index], 0))
        if place == len(room):
            left, row = length, rows
            rows += 1
        else:
            left, row = room.pop(place)
        starts[index] = length - left, row
        bisect.insort(room, (left - steps[index], row))

    def fill(*leaves: np.ndarray) -> np.ndarray:
        packed = np.zeros((length, rows, *leaves[0].shape[1:]), leaves[0].dtype)
        for index, leaf in enumerate(leaves):
            start, row = starts[index]
            packed[start : start + len(leaf), row] = leaf
        return packed

    ids = [np.full(steps[index], 1 + index, np.int32) for index in range(len(trees))]
    return Packed(xs=jax.tree.map(fill, *trees), segment_ids=fill(*ids))


def pad(sequences: Sequence[Any], length: int | None = None) -> Padded:
    """Put each sequence in a column of its own, with zeros after its end.

        xs[t, k] = sequences[k][t] for t < lengths[k]        0 for the others

    Runs in NumPy, outside any compiled function. One `length` for many batches, or a
    few, keeps `jax.jit` from compiling for each longest sequence anew; `pack` wastes
    fewer steps.

    Args:
        sequences: arrays `(steps, ...)`, lists of numbers, or pytrees of arrays, time
            first; some may have no step.
        length: the number of steps of a column; None: that of the longest.

    Returns:
        `Padded(xs, lengths)`, which `unroll(cell, params, xs, lengths=lengths)` takes.

    Raises:
        ValueError: without sequences, for one that is longer than `length`, or if they
            differ in structure, in dtype or in a shape after the time axis.

    Example:
        >>> import jax, jaxrnn, numpy as np
        >>> xs, lengths = jaxrnn.pad([np.ones((steps, 3)) for steps in (4, 7, 2)])
        >>> print(xs.shape, lengths)
        (7, 3, 3) [4 7 2]
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, xs.astype("float32"), lengths=lengths)
        >>> print(h.shape, bool(ys[4:, 0].any()))
        (3, 5) False
    """
    if length is not None:
        length = check_count("pad", "length", length)
    trees, steps = _arrays("pad", sequences, length)
    longest = max(steps) if length is None else length

    def fill(*leaves: np.ndarray) -> np.ndarray:
        padded = np.zeros((longest, len(leaves), *leaves[0].shape[1:]), leaves[0].dtype)
        for index, leaf in enumerate(leaves):
            padded[: len(leaf), index] = leaf
        return padded

    return Padded(xs=jax.tree.map(fill, *trees), lengths=np.array(steps, np.int32))


def _arrays(
    call: str, sequences: Sequence[Any], length: int | None
) -> tuple[list[Any], list[int]]:
    """The sequences as trees of arrays, and how many steps each has."""

    def arrays(index: int, sequence: Any) -> Any:
        is_list = lambda node: isinstance(node, list)  # noqa: E731
        lists = jax.tree.map(
            lambda node: np.asarray(node) if is_list(node) else node,
            sequence,
            is_leaf=is_list,
        )
        return jax.tree.map(np.asarray, native(call, f"sequences[{index}]", lists))

    sequences = list(sequences)
    trees = [arrays(index, sequence) for index, sequence in enumerate(sequences)]
    if not trees:
        raise ValueError(f"{call}: sequences is empty, expected at least one sequence")
    full = next((t for t in trees if all(x.size for x in jax.tree.leaves(t))), trees[0])
    trees = [_like(*pair, full) for pair in zip(sequences, trees, strict=True)]
    counts = [
        _steps(f"{call}: sequences[{index}]", tree, trees[0], length)
        for index, tree in enumerate(trees)
    ]
    return trees, counts


def _like(sequence: Any, tree: Any, full: Any) -> Any:
    """The tree, where `[]` does not say of what it has no step: of what `full` has."""
    if jax.tree.structure(tree) != jax.tree.structure(full):
        return tree
    leaves, fulls = jax.tree.leaves(tree), jax.tree.leaves(full)
    given = jax.tree.leaves(sequence, is_leaf=lambda node: isinstance(node, list))
    pairs = zip(given, leaves, fulls, strict=True)
    leaves = [like[:0] if type(own) is list and not own else x for own, x, like in pairs]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def _steps(name: str, tree: Any, first: Any, length: int | None) -> int:
    """The number of steps of a sequence, which is to look like the first one."""

    def kind(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape[1:])}", tree)

    leaves = jax.tree.leaves(tree)
    steps = {leaf.shape[:1] for leaf in leaves}
    if len(steps) != 1 or steps == {()}:
        raise ValueError(
            f"{name} has the shapes {[leaf.shape for leaf in leaves]}, "
            "expected one time axis, first"
        )
    if kind(tree) != kind(first):
        raise ValueError(
            f"{name} has steps of {kind(tree)}, expected {kind(first)} as in sequences[0]"
        )
    (count,) = steps.pop()
    if length is not None and count > length:
        raise ValueError(
            f"{name} has {count} steps, expected at most length = "
            f"{length}: cut it into pieces, or take more"
        )
    return count
