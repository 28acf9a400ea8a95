"""Several outputs made one."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import shapes


def concatenate(*outputs: Any) -> Any:
    """Outputs side by side, along their last axis, leaf by leaf.

        y = [y_1, y_2, ...]

    Args:
        outputs: of one example at one step: arrays `(..., features)`, or pytrees of them
            of one structure.

    Raises:
        ValueError: if their shapes differ in more than the last axis.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.concatenate(jnp.ones(2), jnp.zeros(3)))
        [1. 1. 0. 0. 0.]
    """
    try:
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *outputs)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"concatenate: cannot join the shapes {', '.join(map(str, shapes(outputs)))} "
            "along the last axis"
        ) from error
