"""Where a sequence begins in its row, and where it ends."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import as_array, flags, native
from ..unrolling.streams import check_streams, clipped


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
