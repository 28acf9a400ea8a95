"""A recurrent matrix that is orthogonal by its make."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..affine import unbiased
from ..gated import Drive, Params
from .matrices import Made

SQUARINGS = 24


def exponential(X: jax.Array) -> jax.Array:
    """exp(X) of an antisymmetric X, which is orthogonal; by products alone.

    Of Y = X / 2^s with eigenvalues of at most one, the terms up to Y^19 / 19! are exp(Y)
    and its derivatives to rounding; squared s times, that is exp(X) but for rounding,
    which is taken away on the way, and by the last line. There is no system to solve, so
    that this is as fast as products are, on every device and under `jax.vmap`.

    So it is for eigenvalues up to 2^24, where float32 cannot tell an angle from another.
    Of a larger X, as long as it is finite, this is the exponential of a part of it, and
    as orthogonal.
    """
    dtype = X.dtype if jnp.finfo(X.dtype).bits >= 32 else jnp.float32
    times = functools.partial(jnp.matmul, precision="highest")
    X, I = X.astype(dtype), jnp.eye(len(X), dtype=dtype)

    def halvings(size: jax.Array) -> jax.Array:
        return jnp.maximum(jnp.ceil(jnp.log2(jax.lax.stop_gradient(size))), 0)

    def halved(X: jax.Array, s: jax.Array) -> jax.Array:
        return X * jnp.ldexp(jnp.ones((), dtype), -s.astype(jnp.int32))

    def corrected(Q: jax.Array) -> jax.Array:
        return Q + times(Q, I - times(Q.T, Q)) / 2

    first = halvings(jnp.max(jnp.abs(X)))  # so that X^4 is finite
    X = halved(X, first)
    X2 = times(X, X)
    X3, X4 = times(X, X2), times(X2, X2)
    more = halvings(jnp.max(jnp.sum(jnp.abs(X4), axis=0)) ** 0.25)
    s, scale = first + more, halved(jnp.ones((), dtype), more)
    powers = I, scale * X, scale**2 * X2, scale**3 * X3

    def terms(k: int) -> jax.Array:
        scaled = (P * (1 / math.factorial(k + i)) for i, P in enumerate(powers))
        return functools.reduce(jnp.add, scaled)

    Q = terms(16)
    for k in (12, 8, 4, 0):
        Q = terms(k) + times(scale**4 * X4, Q)

    def squared(Q: jax.Array, k: jax.Array) -> jax.Array:
        Q = times(Q, Q)  # and twice as far from orthogonal
        return jax.lax.cond(k % 4 == 3, corrected, lambda Q: Q, Q)

    @jax.checkpoint  # of the squarings that are not taken, nothing is kept but Q
    def square(Q: jax.Array, k: jax.Array) -> tuple[jax.Array, None]:
        return jax.lax.cond(k < s, squared, lambda Q, k: Q, Q, k), None

    each = jnp.arange(SQUARINGS, dtype=dtype)
    return corrected(jax.lax.scan(square, Q, each)[0])


def _planes(angles: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A for which exp(A - A^T) turns every second unit and the next by an angle."""
    i = 2 * jnp.arange(len(angles))
    return jnp.zeros(shape).at[i, i + 1].set(angles)


def cayley(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Turns by the tan(a / 2) of a from U(0, pi/2): the default of the ExpRNN.

    Helfrich, Willmott and Ye, "Orthogonal recurrent neural networks with scaled Cayley
    transform", ICML 2018, arXiv 1707.09520.
    """
    angles = jax.random.uniform(key, (shape[0] // 2,), maxval=math.pi / 2)
    return _planes(jnp.tan(angles / 2), shape)


def henaff(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Turns by angles from U(-pi, pi): the recurrent_init of an ExpRNN that copies.

    Henaff, Szlam and LeCun, "Recurrent orthogonal networks and long-memory tasks", ICML
    2016, arXiv 1602.06662.
    """
    angles = (shape[0] // 2,)
    turns = jax.random.uniform(key, angles, minval=-math.pi, maxval=math.pi)
    return _planes(turns, shape)


class ExpRNN(Made, kw_only=True):
    """The orthogonal network: its recurrent matrix is the exponential of a parameter.

        Q  = exp(A - A^T)
        z  = x W + h Q
        h' = sign(z) relu(|z| + b)                          modReLU

    with W = kernel [I, H], A = recurrent_kernel [H, H], b = bias [H]; Q is made once in a
    run. The carry and the output are h, zeros at first. Q is a rotation, whatever A is,
    so that any optimiser keeps it orthogonal. Without b, h' is z: a linear network, which
    keeps the norm of h but for x. Lezcano-Casado and Martínez-Rubio, "Cheap orthogonal
    constraints in neural networks", ICML 2019, arXiv 1901.08428; modReLU is that of
    Arjovsky, Shah and Bengio, ICML 2016, arXiv 1511.06464.

    Args:
        input_size, hidden_size: I and H.
        recurrent_init: that of A; `jaxrnn.cells.stable.orthogonal.cayley` by default, and
            `henaff` of the same module for the paper's copying task.
        kernel_init, bias_init: He's normal and U(-0.01, 0.01), as the authors' code has
            them.
        use_bias, recurrent_dropout: as `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ExpRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    kernel_init: initializers.Initializer = initializers.PerGate(
        jax.nn.initializers.he_normal
    )
    recurrent_init: initializers.Initializer = cayley
    bias_init: initializers.Initializer = initializers.Uniform(-0.01, 0.01)

    def matrix(self, kernel: jax.Array) -> jax.Array:
        return exponential(kernel - kernel.T).astype(kernel.dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        return super().project(unbiased(params), x, keys)

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        z = drive.x + self.seen(carry, drive) @ self.made(params)
        if not self.use_bias:
            return z
        return jnp.sign(z) * jax.nn.relu(jnp.abs(z) + params["bias"])
