"""The spectral radius of a kernel, on every platform, traced or not."""

import jax
import jax.numpy as jnp

SQUARINGS = 24


def spectral_radius(kernel: jax.Array) -> jax.Array:
    """The largest absolute value of an eigenvalue of a square matrix.

        rho = lim |A^n|^(1/n)    by squaring: n = 2^24, A scaled to |A| = 1 each time

    of the Frobenius norm. It is too large by a part log(|A^n| / rho^n) / n: below 1e-6
    for random matrices of a few hundred rows, a few millionths for those very far from
    normal. In float32 rounding adds as much. Eigenvalues themselves are not to be had on
    TPUs, nor by all versions of JAX on GPUs. (Gelfand, 1941.)
    """

    def square(_: int, state: tuple) -> tuple:
        power, logarithm, weight = state
        norm = jnp.linalg.norm(power)
        power = power / jnp.where(norm > 0, norm, 1)
        logarithm = logarithm + weight * jnp.log(norm)  # minus infinity if nilpotent
        return jnp.matmul(power, power, precision="highest"), logarithm, weight / 2

    zero = jnp.zeros((), kernel.dtype)
    state = kernel, zero, zero + 1
    return jnp.exp(jax.lax.fori_loop(0, SQUARINGS + 1, square, state)[1])


def scaled_to(radius: float, kernel: jax.Array) -> jax.Array:
    """The kernel times what gives it this spectral radius; as it is, if it has none."""
    rho = spectral_radius(kernel)
    return kernel * (radius / jnp.where(rho > 0, rho, 1))
