"""Backpropagation that ends after one step."""

from typing import Any

import jax

from .estimator import Estimator
from .model import Model
from .point import Point


class OneStep(Estimator):
    """Truncated backpropagation of one step: nothing is known of the past.

        g_t = dL_t/dh_t D_t + dL_t/dq

    The baseline of all that carry an influence: no memory, and the cost of a step back.
    The same as `Scan(truncate=1)`, which has truncation at other lengths.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.OneStep()
        ... )
        >>> print(found.gradients["kernel"].shape)
        (3, 15)
    """

    def start(self, model: Model, learned: bool, key: Any) -> Any:
        return ()

    def advanced(self, model: Model, point: Point, influence: Any, key: Any) -> Any:
        return ()

    def gradient(self, point: Point, influence: Any, signal: jax.Array) -> jax.Array:
        return point.parameter_derivatives(signal[None])[0]
