"""Values inside of `jax.shard_map`."""

from typing import Any

import jax
import jax.numpy as jnp


def varying_with(others: Any, tree: Any) -> Any:
    """`tree`, varying over the axes of a `jax.shard_map` over which `others` vary.

    A scan refuses a carry that starts the same on all devices and then differs, and the
    gradient of what is the same on all devices is summed over them. The sum of no
    elements is zero whatever they are, and varies as they do.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return tree

    def zero_of(leaf: Any) -> jax.Array:
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return jnp.sum(jnp.ravel(leaf)[:0].astype(bool), dtype="int8")

    zero: Any = sum(map(zero_of, jax.tree.leaves(others)))

    def varying(leaf: Any) -> jax.Array:
        if not jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            return leaf + jnp.astype(zero, jnp.result_type(leaf))
        data = jax.random.key_data(leaf)
        impl = jax.random.key_impl(leaf)
        return jax.random.wrap_key_data(data + jnp.astype(zero, data.dtype), impl=impl)

    return jax.tree.map(varying, tree)
