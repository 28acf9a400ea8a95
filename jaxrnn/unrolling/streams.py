"""Lengths, masks and resets as one stream of validity and one of resets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.arrays import as_array, flags, has_values
from ..arguments.dtypes import promoted


class Gate(NamedTuple):
    """What a loop is told of its steps, in one direction; `(T, *batch)` booleans."""

    valid: jax.Array | None  # the step counts; None: all do
    fresh: jax.Array  # the step does not start from the carry that came


class Streams(NamedTuple):
    """What is known of every step.

    Attributes:
        valid: the step counts; None where all do.
        resets: whether any step is reset.
        forward, backward: the gates of the two directions; None where every step counts
            and none is reset.
    """

    valid: jax.Array | None
    resets: bool
    forward: Gate | None
    backward: Gate | None


def streams_of(valid: jax.Array | None, resets: jax.Array | None) -> Streams:
    """The streams of a mask and of resets: nothing passes between t and t-1.

    Two consecutive valid steps s < t are apart if a reset lies in s+1..t, in either
    direction: the number of resets up to t is then not the number up to s. So a reset at
    a step that is not valid acts at the next valid one.
    """
    if resets is None:
        gate = None if valid is None else Gate(valid, ~valid)
        return Streams(valid, False, gate, gate)
    none = jnp.zeros((1, *resets.shape[1:]), "int32")
    if valid is None:
        later = jnp.concatenate([resets, none != 0])[1:]
        return Streams(None, True, Gate(None, resets), Gate(None, later))
    count = jnp.cumsum(resets, axis=0, dtype="int32")
    total = jnp.sum(resets, axis=0, dtype="int32", keepdims=True)
    seen = jax.lax.cummax(jnp.where(valid, count, 0), axis=0)
    before = jnp.concatenate([none, seen])[:-1]
    seen = jax.lax.cummin(jnp.where(valid, count, total), axis=0, reverse=True)
    after = jnp.concatenate([seen, total])[1:]
    forward, backward = (before != count) | ~valid, (after != count) | ~valid
    return Streams(valid, True, Gate(valid, forward), Gate(valid, backward))


def zeroed(valid: jax.Array | None, tree: Any) -> Any:
    """`tree`, leaves `(T, *batch, ...)`, with zeros at the steps that are not valid."""
    if valid is None:
        return tree

    def select(leaf: jax.Array) -> jax.Array:
        shape = valid.shape + (1,) * (leaf.ndim - valid.ndim)
        return jnp.where(valid.reshape(shape), leaf, jnp.zeros((), leaf.dtype))

    return jax.tree.map(select, tree)


def check_streams(
    call: str, lengths: Any, mask: Any, resets: Any, leading: tuple[int, ...]
) -> tuple[Any, Any, Any]:
    """Lengths, mask and resets as arrays or None; raises unless they fit `leading`."""
    T, *batch_shape = leading
    if lengths is not None and mask is not None:
        raise ValueError(
            f"{call}: lengths and mask are both given, expected one of them; "
            "jnp.arange(T)[:, None] < lengths is the mask of lengths"
        )
    if lengths is not None:
        lengths = as_array(call, "lengths", lengths)
        if lengths.size == 0 and lengths.dtype == float:  # of an empty list
            lengths = lengths.astype("int32")
        if not jnp.issubdtype(lengths.dtype, jnp.integer):
            raise TypeError(
                f"{call}: lengths has dtype {lengths.dtype}, expected integers: the "
                "number of valid steps of each example; booleans are a mask"
            )
        if lengths.shape != tuple(batch_shape):
            raise ValueError(
                f"{call}: lengths has shape {lengths.shape}, expected "
                f"{tuple(batch_shape)}: one for each example, where "
                f"the inputs have the leading axes {leading}, time first"
            )
        if has_values(lengths):
            values = np.asarray(lengths)
            outside = (values < 0) | (values > T)
            if outside.any():
                raise ValueError(
                    f"{call}: lengths has the entry {values[outside][0]}, expected 0 to "
                    f"{T}, the number of steps"
                )
    if mask is not None:
        meaning = "True where a step counts; numbers of steps are lengths"
        mask = _flags(call, "mask", mask, leading, meaning)
    if resets is not None:
        meaning = "True where a new sequence begins; see resets_from_segments, "
        meaning += "resets_from_done"
        resets = _flags(call, "resets", resets, leading, meaning)
    return lengths, mask, resets


def _flags(
    call: str, name: str, value: Any, shape: tuple[int, ...], meaning: str
) -> jax.Array:
    value = flags(call, name, value, meaning)
    if value.shape != shape:
        raise ValueError(
            f"{call}: {name} has shape {value.shape}, expected {shape}, (T, *batch): "
            "time comes first"
        )
    return value


def clipped(lengths: Any, T: int) -> jax.Array:
    """Lengths in 0..T, whatever kind of integers they are."""
    lengths = jnp.asarray(lengths)
    # In their own dtype, so that none wraps; of a narrow one, in one that holds T.
    lengths = lengths.astype(promoted(lengths.dtype, "int32"))
    return jnp.clip(lengths, 0, jnp.asarray(T, lengths.dtype)).astype("int32")


def valid_steps(lengths: Any, mask: Any, T: int) -> jax.Array | None:
    """The stream of validity of lengths, of a mask, or of neither."""
    if lengths is None:
        return None if mask is None else jnp.asarray(mask)
    steps = jnp.arange(T, dtype="int32").reshape((T,) + (1,) * lengths.ndim)
    return steps < clipped(lengths, T)[None]
