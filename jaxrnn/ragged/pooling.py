"""One output for a whole sequence, of all its steps."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import as_array, native
from ..arguments.dtypes import promoted
from ..unrolling.streams import check_streams, valid_steps, zeroed


def pool(
    ys: Any,
    lengths: Any = None,
    *,
    how: Literal["mean", "max"] = "mean",
    mask: Any = None,
) -> Any:
    """The mean over all valid steps of each example, or the greatest, number by number.

        mean = sum of ys_t over the valid steps t / how many there are
        max = the greatest of ys_t over the valid steps t

    and zeros where no step is valid. `last` takes the last one.

    Args:
        ys: floating leaves `(T, *batch, ...)`, time first.
        lengths, mask: as in `unroll`; by default all steps are valid.
        how: "mean" or "max".

    Returns:
        Leaves `(*batch, ...)`, of the dtypes of ys.

    Raises:
        TypeError: for leaves that are not floating.
        ValueError: for another `how`, or if the shapes do not fit.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> ys = jnp.arange(10.0).reshape(5, 2)
        >>> print(jaxrnn.pool(ys, jnp.array([5, 2])))
        [4. 2.]
        >>> print(jaxrnn.pool(ys, jnp.array([5, 2]), how="max"))
        [8. 3.]
    """
    ys, leading = native("pool", "ys", ys), None
    if how not in ("mean", "max"):
        raise ValueError(f"pool: how is {how!r}, expected 'mean' or 'max'")
    leaves = jax.tree.leaves(ys)
    if not all(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves):
        dtypes = checks.names([jnp.result_type(leaf) for leaf in leaves])
        raise TypeError(f"pool: ys has the dtypes {dtypes}, expected floating ones")
    ndim = 1
    if lengths is not None:
        ndim = 1 + as_array("pool", "lengths", lengths).ndim
    elif mask is not None:
        ndim = as_array("pool", "mask", mask).ndim
    shapes = {jnp.shape(leaf)[:ndim] for leaf in leaves}
    if len(shapes) != 1 or len(leading := shapes.pop()) != ndim or ndim == 0:
        raise ValueError(
            f"pool: ys has the shapes {checks.shapes(ys)}, expected (T, *batch, ...), of "
            f"one T and one batch, {ndim} axes of which are those of lengths or mask"
        )
    lengths, mask, _ = check_streams("pool", lengths, mask, None, leading)
    return _pool(ys, valid_steps(lengths, mask, leading[0]), how)


@partial(jax.jit, static_argnames="how")
def _pool(ys: Any, valid: jax.Array | None, how: str) -> Any:
    def one(leaf: jax.Array) -> jax.Array:
        there = jnp.ones(leaf.shape[:1], bool) if valid is None else valid
        there = there.reshape(there.shape + (1,) * (leaf.ndim - there.ndim))
        if how == "max":
            most = jnp.max(jnp.where(there, leaf, -jnp.inf), axis=0, initial=-jnp.inf)
            return jnp.where(jnp.any(there, axis=0), most, 0)
        wide = leaf.astype(promoted(leaf.dtype, "float32"))  # a long sum
        count = jnp.sum(there, axis=0, dtype=wide.dtype)
        total = jnp.sum(zeroed(valid, wide), axis=0)
        return (total / jnp.maximum(count, 1)).astype(leaf.dtype)

    return jax.tree.map(one, ys)
