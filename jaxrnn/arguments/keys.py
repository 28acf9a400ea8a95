"""Random keys: which one belongs to what."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Keys(NamedTuple):
    """The random keys that `Cell.project` gets for one example at one time step.

    The two come from different branches of the example's key, so that whatever a cell
    splits or folds from the one never meets the other.

    Attributes:
        sequence: one key per example, the same at every step (a mask that is kept for
            the whole sequence is drawn from it).
        step: a key of its own for every example and step t, in input order.
    """

    sequence: jax.Array
    step: jax.Array

    def child(self, index: int) -> "Keys":
        """The keys of inner cell number `index`: combinators split before they use."""
        return Keys(fold_in(self.sequence, index), fold_in(self.step, index))


def fold_in(keys: jax.Array, data: Any) -> jax.Array:
    """`jax.random.fold_in` for an array of typed keys of any shape."""
    fold = jax.random.fold_in
    for _ in range(keys.ndim):
        fold = jax.vmap(fold, in_axes=(0, None))
    return fold(keys, data)


def keys_in_time(key: jax.Array, steps: jax.Array, batch_shape: tuple[int, ...]) -> Keys:
    """Keys for every example, `(*batch)`, and for its steps, `(*steps, *batch)`.

    Example b of a batch has the keys that it would have alone under the key
    `jax.random.split(key, batch_shape)[b]`, as far as the key's kind draws the same under
    `jax.vmap` (JAX's default, threefry, does; rbg does not).
    """
    if batch_shape:
        key = jax.random.split(key, batch_shape)
    fold = fold_in
    for _ in range(steps.ndim):
        fold = jax.vmap(fold, in_axes=(None, 0))
    return Keys(sequence=fold_in(key, 0), step=fold(fold_in(key, 1), steps))


def typed_key(call: str, key: Any) -> jax.Array | None:
    """A user's key, checked, in the form of `jax.random.key`."""
    if key is None:
        return None
    expected = "expected jax.random.key(seed) or None"
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise TypeError(f"{call}: key is {key!r}, {expected}")
    one: Any = key
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        try:
            one = jax.random.wrap_key_data(jnp.asarray(key))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{call}: key is an array {key.dtype}{list(key.shape)}, {expected}; one "
                "made by jax.random.PRNGKey does not say of which kind it is: of another "
                "than the default take jax.random.key(seed, impl=...), or "
                "jax.random.wrap_key_data(key, impl=...)"
            ) from error
    if one.shape != ():
        raise ValueError(
            f"{call}: key has shape {one.shape}, expected one key: it is split into one "
            "key per example inside"
        )
    return one


def prepare_key(key: jax.Array | None) -> jax.Array | None:
    """The key of `Cell.prepare`: one that no number of an example gives."""
    return None if key is None else jax.random.fold_in(key, np.uint32(2**32 - 1))
