"""From a state down to where the step stands still: Levenberg and Marquardt's method.

    r = F(h) - h        q = |r|^2 / 2        J = dF/dh - 1
    d = -(J^T J + mu 1)^-1 J^T r

h + d is taken where q falls. With mu = lambda |r|^2 the steps become Newton's as r goes
to zero, and converge quadratically, to a point of a continuum too, where J is singular
(Yamashita and Fukushima, "On the rate of convergence of the Levenberg-Marquardt method",
Computing Supplementum 15, 2001); lambda falls where q does as the linear model says, and
rises where not.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..cell import Cell
from ..unrolling.stepping import flat_step

AT_REST = 4  # epsilons of the state: a step so small moves nothing


class Descent(NamedTuple):
    """Where a search is, of one start."""

    vector: jax.Array
    residual: jax.Array
    jacobian: jax.Array
    speed: jax.Array
    strength: jax.Array  # lambda
    growth: jax.Array
    iterations: jax.Array
    done: jax.Array


@functools.partial(jax.jit, static_argnames=("cell", "max_iterations"))
def descend(
    cell: Cell,
    max_iterations: int,
    params: Any,
    like: Any,
    vectors: Any,
    xs: Any,
    q: Any,
    stride: Any,
) -> tuple[jax.Array, jax.Array]:
    """Ends `(count, n)` and their speeds `(count,)`, of starts with an input each.

    `like` is one carry, whose vectors these are. A search ends at a minimum, or once its
    speed is no more than `q`. No step is longer than `stride`.
    """

    def one(vector: jax.Array, x: Any) -> tuple[jax.Array, jax.Array]:
        move = moved(cell, params, like, x)
        return _descend(move, vector, q, stride, max_iterations)

    return jax.vmap(one)(vectors, xs)


@functools.partial(jax.jit, static_argnames="cell")
def jacobians_at(cell: Cell, params: Any, like: Any, vectors: Any, xs: Any) -> jax.Array:
    """dF/dh, `(count, n, n)`."""

    def one(vector: jax.Array, x: Any) -> jax.Array:
        return _step(moved(cell, params, like, x), vector)[1]

    return jax.vmap(one)(vectors, xs)


def moved(cell: Cell, params: Any, like: Any, x: Any) -> Callable:
    """F, of vectors: the step under a constant input. `params` are prepared."""
    _, step = flat_step(cell, params, like, x, None)
    return lambda vector: step(vector)[0]


def _step(move: Callable, vector: jax.Array) -> tuple[jax.Array, jax.Array]:
    new, push = jax.linearize(move, vector)
    return new, jax.vmap(push, out_axes=1)(jnp.eye(vector.size, dtype=vector.dtype))


def _descend(
    move: Callable,
    vector: jax.Array,
    q: jax.Array,
    stride: jax.Array,
    max_iterations: int,
) -> tuple[jax.Array, jax.Array]:
    eps = jnp.finfo(vector.dtype).eps
    identity = jnp.eye(vector.size, dtype=vector.dtype)

    def at(vector: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        new, jacobian = _step(move, vector)
        residual = new - vector
        return residual, jacobian - identity, residual @ residual / 2

    def is_over(vector: jax.Array, speed: jax.Array) -> jax.Array:
        rounding = (eps * jnp.linalg.norm(vector)) ** 2 / 2
        return (speed <= jnp.maximum(q, rounding)) | ~jnp.isfinite(speed)

    def advance(now: Descent) -> Descent:
        normal = now.jacobian.T @ now.jacobian
        slope = now.jacobian.T @ now.residual
        # Below the floor nothing but rounding would be solved for.
        floor = eps * jnp.trace(normal)
        damping = jnp.maximum(now.strength * 2 * now.speed, floor)
        factor = jax.scipy.linalg.cho_factor(normal + damping * identity)
        change = -jax.scipy.linalg.cho_solve(factor, slope)
        change *= jnp.minimum(1, stride / jnp.linalg.norm(change))
        residual, jacobian, speed = at(now.vector + change)
        linear = now.residual + now.jacobian @ change
        expected = now.speed - linear @ linear / 2
        gain = (now.speed - speed) / expected
        better = speed < now.speed  # not where it is NaN
        size = jnp.linalg.norm(now.vector)
        small = jnp.linalg.norm(change) <= AT_REST * eps * (1 + size)
        used = damping / (2 * now.speed)
        calmer = jnp.where(gain > 0.75, used / 4, jnp.where(gain < 0.25, used * 4, used))

        def chosen(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(better, new, old)

        vector, speed = chosen(now.vector + change, now.vector), chosen(speed, now.speed)
        return Descent(
            vector=vector,
            residual=chosen(residual, now.residual),
            jacobian=chosen(jacobian, now.jacobian),
            speed=speed,
            strength=chosen(calmer, used * now.growth),
            growth=chosen(jnp.full_like(speed, 4), 2 * now.growth),
            iterations=now.iterations + 1,
            done=is_over(vector, speed) | small,
        )

    residual, jacobian, speed = at(vector)
    start = Descent(
        vector=vector,
        residual=residual,
        jacobian=jacobian,
        speed=speed,
        strength=jnp.ones_like(speed),
        growth=jnp.full_like(speed, 4),
        iterations=jnp.zeros((), "int32"),
        done=is_over(vector, speed),
    )
    end = jax.lax.while_loop(
        lambda now: ~now.done & (now.iterations < max_iterations), advance, start
    )
    return end.vector, end.speed
