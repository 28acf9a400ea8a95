"""Sequences of different lengths in arrays, and back."""

import bisect
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import checks
from .arguments.arrays import as_array, flags, native
from .arguments.numbers import check_count
from .unrolling.streams import check_streams, clipped


class Packed(NamedTuple):
    """Many sequences in few rows.

    Attributes:
        xs: leaves `(length, rows, ...)`, NumPy arrays; zeros where there is nothing.
        segment_ids: `(length, rows)`; 1 + k at the steps of sequence k, in order, and 0
            where there is nothing.
    """

    xs: Any
    segment_ids: np.ndarray


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

    def arrays(index: int, sequence: Any) -> Any:
        is_list = lambda node: isinstance(node, list)  # noqa: E731
        lists = jax.tree.map(
            lambda node: np.asarray(node) if is_list(node) else node,
            sequence,
            is_leaf=is_list,
        )
        return jax.tree.map(np.asarray, native("pack", f"sequences[{index}]", lists))

    trees = [arrays(index, sequence) for index, sequence in enumerate(sequences)]
    if not trees:
        raise ValueError("pack: sequences is empty, expected at least one sequence")
    steps = [_steps(index, tree, trees[0], length) for index, tree in enumerate(trees)]

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


def _steps(index: int, tree: Any, first: Any, length: int) -> int:
    """The number of steps of a sequence, which is to look like the first one."""

    def kind(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape[1:])}", tree)

    leaves = jax.tree.leaves(tree)
    steps = {leaf.shape[:1] for leaf in leaves}
    if len(steps) != 1 or steps == {()}:
        raise ValueError(
            f"pack: sequences[{index}] has the shapes {[leaf.shape for leaf in leaves]}, "
            "expected one time axis, first"
        )
    if kind(tree) != kind(first):
        raise ValueError(
            f"pack: sequences[{index}] has steps of {kind(tree)}, expected "
            f"{kind(first)} as in sequences[0]"
        )
    (count,) = steps.pop()
    if count > length:
        raise ValueError(
            f"pack: sequences[{index}] has {count} steps, expected at most length = "
            f"{length}: cut it into pieces, or take longer rows"
        )
    return count


def resets_from_segments(segment_ids: Any, previous: Any = None) -> jax.Array:
    """Where a new segment begins: the `resets` of packed documents.

        resets_t = segment_ids_t != segment_ids_(t-1)

    Args:
        segment_ids: `(T, *batch)`, a number for each step that names its segment.
        previous: `(*batch)`, the segments of the step before the first, for a stream cut
            into pieces. None: the first step begins nothing: a carry given reaches it.

    Returns:
        `(T, *batch)` booleans.

    Raises:
        ValueError: if the shape of `previous` is not that of one step.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.resets_from_segments(jnp.array([1, 1, 2, 2, 2, 3])))
        [False False  True False False  True]
    """
    name = "resets_from_segments"
    ids = jnp.asarray(as_array(name, "segment_ids", segment_ids))
    if ids.ndim == 0:
        raise ValueError(f"{name}: segment_ids has shape (), expected (T, *batch)")
    return _shifted(name, ids, previous) != ids


def resets_from_done(done: Any, previous: Any = None) -> jax.Array:
    """Where a new episode begins, from where the last one ended.

        resets_t = done_(t-1)

    `done` has two meanings. Here `done_t` says that step t was the LAST of its episode:
    it is what the environment answers to the action taken at step t, so that x_(t+1) is
    the first observation of the next episode. In code that stores with x_t the `done`
    that came with it, from the step before, `done_t` says that step t is the FIRST of its
    episode: that is a stream of resets as it is, `resets=done`, without this function.

    Args:
        done: `(T, *batch)`, booleans, or numbers that are 0 or 1.
        previous: `(*batch)`, whether the step before the first ended an episode, for a
            rollout cut into pieces. None: it did not, and a carry given reaches step 0.

    Returns:
        `(T, *batch)` booleans.

    Raises:
        ValueError: if the shape of `previous` is not that of one step.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.resets_from_done(jnp.array([0, 0, 1, 0, 1])))
        [False False False  True False]
    """
    name, meaning = "resets_from_done", "whether a step was the last of its episode"
    ended = jnp.asarray(flags(name, "done", done, meaning))
    if ended.ndim == 0:
        raise ValueError(f"{name}: done has shape (), expected (T, *batch)")
    if previous is None:
        previous = jnp.zeros(ended.shape[1:], bool)
    return _shifted(name, ended, flags(name, "previous", previous, meaning))


def _shifted(call: str, values: jax.Array, previous: Any) -> jax.Array:
    """The value of the step before; at the first step `previous`, or its own."""
    if previous is None:
        return jnp.concatenate([values[:1], values])[: len(values)]
    previous = jnp.asarray(as_array(call, "previous", previous))
    if previous.shape != values.shape[1:]:
        raise ValueError(
            f"{call}: previous has shape {previous.shape}, expected {values.shape[1:]}: "
            "one value for each example"
        )
    previous = previous.astype(values.dtype)
    return jnp.concatenate([previous[None], values])[: len(values)]


def last(ys: Any, lengths: Any) -> Any:
    """The output of each example at its last valid step.

        last = ys[lengths - 1], and zeros where the length is 0

    Args:
        ys: leaves `(T, *batch, ...)`, time first.
        lengths: `(*batch)` integers in 0..T; traced values outside are clipped.

    Returns:
        Leaves `(*batch, ...)`.

    Raises:
        TypeError: if lengths are no integers.
        ValueError: if the shape of `lengths` is not the first axes of `ys` after time, or
            a length is outside 0..T.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> ys = jnp.arange(10.0).reshape(5, 2)
        >>> print(jaxrnn.last(ys, jnp.array([5, 2])))
        [8. 3.]
    """
    lengths = as_array("last", "lengths", lengths)
    ys = native("last", "ys", ys)
    ndim = lengths.ndim
    shapes = {jnp.shape(leaf)[: 1 + ndim] for leaf in jax.tree.leaves(ys)}
    if len(shapes) != 1 or len(leading := shapes.pop()) != 1 + ndim:
        raise ValueError(
            f"last: ys has the shapes {checks.shapes(ys)}, expected (T, *batch, ...) "
            f"with the shape of lengths, {lengths.shape}, for batch"
        )
    lengths, _, _ = check_streams("last", lengths, None, None, leading)
    return _last(ys, clipped(lengths, leading[0]))


@jax.jit  # as one: what padding holds is in no value that is looked at on the way
def _last(ys: Any, steps: jax.Array) -> Any:
    def pick(leaf: jax.Array) -> jax.Array:
        if len(leaf) == 0:
            return jnp.zeros(leaf.shape[1:], leaf.dtype)
        trailing = (1,) * (leaf.ndim - 1 - steps.ndim)
        index = jnp.maximum(steps - 1, 0).reshape(steps.shape + trailing)
        taken = jnp.take_along_axis(leaf, index[None], axis=0)[0]
        some = (steps > 0).reshape(steps.shape + trailing)
        return jnp.where(some, taken, jnp.zeros((), leaf.dtype))

    return jax.tree.map(pick, ys)
