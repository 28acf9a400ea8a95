"""A linear recurrence that holds on to a sequence: a Kalman smoother, parallel in time.

    min over h_1..h_T of  sum_t |h_t - F_t h_(t-1) - c_t|^2 + damping |h_t - y_t|^2

with h_0 = 0: the means of h given observations y with noise of variance 1 / damping, of
dynamics with noise of variance 1. Filter and smoother are both prefixes over time of
elements that are joined in pairs: Särkkä and García-Fernández, "Temporal parallelization
of Bayesian smoothers", IEEE Transactions on Automatic Control 66, 2021, arXiv 1905.13002.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Algebra(NamedTuple):
    """Matrices of one kind: products, M v, inverses, transposes, and the identity."""

    product: Callable[[Any, Any], Any]
    times: Callable[[Any, Any], Any]
    inverse: Callable[[Any], Any]
    transposed: Callable[[Any], Any]
    identity: Callable[[Any], Any]


# As in `matrices`: accelerators would round what comes in to half of its digits.
_exactly = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

NUMBERS = Algebra(jnp.multiply, jnp.multiply, jnp.reciprocal, lambda m: m, jnp.ones_like)
MATRICES = Algebra(
    _exactly,
    lambda m, v: _exactly(m, v[..., None])[..., 0],
    jnp.linalg.inv,
    lambda m: jnp.swapaxes(m, -1, -2),
    lambda m: jnp.broadcast_to(jnp.eye(m.shape[-1], dtype=m.dtype), m.shape),
)


def smoothed(F: Any, c: Any, y: Any, damping: Any, algebra: Algebra) -> Any:
    """The h_t, leaves `(T, ...)`; a vector for each matrix of F."""
    product, times, inverse, transposed, identity = algebra
    one = identity(F)
    F = F.at[0].set(jnp.zeros_like(F[0]))  # from zero
    damping = jnp.asarray(damping, c.dtype)
    gain = damping / (1 + damping)  # of an observation, by the noise of a step
    filtering = (
        (1 - gain) * F,
        c + gain * (y - c),
        (1 - gain) * one,
        times(transposed(F), gain * (y - c)),
        gain * product(transposed(F), F),
    )

    def join(first: Any, second: Any) -> Any:
        (A, b, C, eta, J), (A2, b2, C2, eta2, J2) = first, second
        one = identity(A)
        M = product(A2, inverse(one + product(C, J2)))
        N = product(transposed(A), inverse(one + product(J2, C)))
        return (
            product(M, A),
            times(M, b + times(C, eta2)) + b2,
            product(product(M, C), transposed(A2)) + C2,
            times(N, eta2 - times(J2, b)) + eta,
            product(product(N, J2), A) + J,
        )

    _, mean, variance, _, _ = jax.lax.associative_scan(join, filtering)
    later = jnp.concatenate([F[1:], jnp.zeros_like(F[:1])])
    offset = jnp.concatenate([c[1:], jnp.zeros_like(c[:1])])
    ahead = product(product(later, variance), transposed(later)) + one
    E = product(product(variance, transposed(later)), inverse(ahead))
    g = mean - times(E, times(later, mean) + offset)

    def back(first: Any, second: Any) -> Any:
        (E, g), (E2, g2) = first, second
        return product(E2, E), times(E2, g) + g2

    return jax.lax.associative_scan(back, (E, g), reverse=True)[1]
