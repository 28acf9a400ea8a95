"""Dtypes that hold others, told of aloud."""

from typing import Any

import jax
import jax.numpy as jnp


def promoted(*dtypes: Any) -> Any:
    """The dtype that holds all of them, whatever the user lets be promoted silently."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*map(jnp.dtype, dtypes))
