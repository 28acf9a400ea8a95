"""Quotients of numbers near the ends of what a dtype holds."""

from typing import Any

import jax
import jax.numpy as jnp


def relative_to(unit: jax.Array, values: Any) -> jax.Array:
    """`values / unit`, for a positive unit of any size.

    XLA divides by a scalar by its reciprocal, which is flushed to zero where the unit is
    huge. So both are first brought towards 1, by a power of two.
    """
    half = 2.0 ** (int(jnp.finfo(unit.dtype).maxexp) // 2)
    shift = jnp.where(unit > half, 1 / half, jnp.where(unit < 1 / half, half, 1.0))
    shift = shift.astype(unit.dtype)
    return (values * shift) / (unit * shift)
