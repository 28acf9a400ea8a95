"""Unbiased online recurrent optimisation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .estimator import Estimator
from .model import Model
from .point import Point

TINY = 1e-7  # of the paper: against zeros


class RankOne(NamedTuple):
    """The influence as a product of a column and a row, whose mean it is."""

    column: jax.Array  # [n]
    row: jax.Array  # [Q]


class UORO(Estimator):
    """Unbiased online recurrent optimisation: a random product whose mean is M_t.

        s_t = r0 J_t s_(t-1) + r1 v        v: n random signs, new at every step
        w_t = w_(t-1) / r0 + v D_t / r1    r0 = sqrt(|w_(t-1)| / |J_t s_(t-1)|)
        g_t = (dL_t/dh_t s_t) w_t + dL_t/dq                  r1 = sqrt(|v D_t| / |v|)

    so that the mean of s_t w_t over the signs is the influence M_t of `RTRL`, and that of
    g_t the exact gradient, with a variance that grows with n and with the memory of the
    cell. n + Q numbers, and two derivatives of the step. Takes a `method_key`, from which
    every example and step has its own signs. Tallec and Ollivier, "Unbiased online
    recurrent optimization", 2017, arXiv 1702.05043; there the loss reads the state before
    the step, here that after it, and J_t s is a derivative and no difference.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.UORO(),
        ...     method_key=jax.random.key(1),
        ... )
        >>> print(found.gradients["kernel"].shape)
        (3, 15)
    """

    needs_key = True

    def start(self, model: Model, learned: bool, key: Any) -> RankOne:
        none = RankOne(jnp.zeros(model.n, model.dtype), jnp.zeros(model.Q, model.dtype))
        if not learned or (model.first < 0).all():
            return none
        signs = jax.random.rademacher(key, (model.n,), model.dtype)
        signs = jnp.where(model.first < 0, 0, signs)
        row = none.row.at[model.first].add(
            signs, mode="drop", wrap_negative_indices=False
        )
        return RankOne(signs, row)

    def advanced(self, model: Model, point: Point, influence: Any, key: Any) -> Any:
        return self.since(model, point, influence, influence, 1, key)[0]

    def since(
        self, model: Model, point: Point, influence: Any, own: Any, pulse: Any, key: Any
    ) -> tuple[RankOne, RankOne]:
        signs = jax.random.rademacher(key, (model.n,), model.dtype)
        column = point.along(influence.column)
        row = point.parameter_derivatives(signs[None])[0]
        r0, r1 = _ratio(influence.row, column), _ratio(row, signs)
        column = r0 * column + r1 * signs
        after = RankOne(column, influence.row / r0 + row / r1)
        return after, RankOne(column, own.row / r0 + pulse * row / r1)

    def gradient(self, point: Point, influence: Any, signal: jax.Array) -> jax.Array:
        return (
            jnp.sum(signal.astype(influence.row.dtype) * influence.column) * influence.row
        )


def _ratio(above: jax.Array, below: jax.Array) -> jax.Array:
    norm = jnp.linalg.norm
    return jnp.sqrt((norm(above) + TINY) / (norm(below) + TINY))
