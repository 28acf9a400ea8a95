"""The linear recurrent unit."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_numbers, check_positive, check_sizes
from ..affine import draw
from .diagonal import ComplexCarry, Mixing, Params, exponential


def half_normal(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """N(0, 1 / (2 rows)): real and imaginary parts of a variance of 1 / rows."""
    return jax.random.normal(key, shape) * (2 * shape[0]) ** -0.5


def pair_normal(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """N(0, 2 / rows), the rows those of real and of imaginary parts."""
    return jax.random.normal(key, shape) * (2 / shape[0]) ** 0.5


class LRU(Mixing, kw_only=True):
    """The linear recurrent unit: a complex state that decays and turns, stable always.

        a  = exp(-exp(nu_log) + i exp(theta_log))       |a| < 1
        h' = a h + exp(gamma_log) (x B)
        y  = Re(h' C) + x D

    with complex h, a [N]; nu_log, theta_log and gamma_log [N]; the parts Re B and Im B
    side by side in kernel [I, 2N], Re C over Im C in output_kernel [2N, H], D = skip [H],
    elementwise, where I is H, and [I, H] where not. The carry is `ComplexCarry(real,
    imag)`, zeros at first; the output is y. At first |a|^2 is uniform between r_min^2 and
    r_max^2, the phase exp(theta_log) between 0 and max_phase, and exp(gamma_log) the
    sqrt(1 - |a|^2) that keeps the variance of white noise. Orvieto et al., "Resurrecting
    recurrent neural networks for long sequences", ICML 2023, arXiv 2303.06349, where the
    block around it has an MLP or a GLU after y.

    Args:
        input_size, hidden_size: I and H.
        state_size: N; H, if not given.
        r_min, r_max: the ring of the first eigenvalues a.
        max_phase: the largest of their phases.
        kernel_init: that of both parts of B, [I, 2N]; N(0, 1/(2I)) by default.
        output_init: that of both parts of C, [2N, H]; N(0, 1/N) by default.

    Raises:
        ValueError: for a size that is no positive int, radii that are not in 0 <= r_min <
            r_max <= 1, a max_phase that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LRU(3, 5, state_size=8, r_min=0.9, r_max=0.999)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, carry.imag.shape, ys.shape)
        (3, 16) (2, 8) (7, 2, 5)
    """

    state_size: int | None = None
    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi
    kernel_init: initializers.Initializer = half_normal
    output_init: initializers.Initializer = pair_normal

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.state_size is not None:
            check_sizes(self, state_size=self.state_size)
        check_numbers(self, "r_min", "r_max")
        check_positive(self, "max_phase")
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ValueError(
                f"LRU: r_min is {self.r_min!r} and r_max {self.r_max!r}, expected "
                "0 <= r_min < r_max <= 1"
            )

    def init(self, key: jax.Array) -> Params:
        N, H = self.state_size or self.hidden_size, self.hidden_size
        keys = jax.random.split(key, 5)
        u, v = (jax.random.uniform(k, (N,), minval=1e-6) for k in keys[:2])  # no log(0)
        rate = -0.5 * jnp.log(u * (self.r_max**2 - self.r_min**2) + self.r_min**2)
        rate = jnp.maximum(rate, 1e-8)  # r_max is 1, and u is in rounding
        B = draw(self, "kernel_init", keys[2], (self.input_size, 2 * N), ("re", "im"))
        return {
            "kernel": B,
            "nu_log": jnp.log(rate),
            "theta_log": jnp.log(self.max_phase * v),
            "gamma_log": 0.5 * jnp.log(-jnp.expm1(-2 * rate)),
            "output_kernel": draw(self, "output_init", keys[3], (2 * N, H), ("y",)),
            "skip": self.skip(keys[4]),
        }

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "eigenvalues" in params:  # already
            return params
        exponent = ComplexCarry(-jnp.exp(params["nu_log"]), jnp.exp(params["theta_log"]))
        gamma = jnp.tile(jnp.exp(params["gamma_log"]), 2)
        real, imag = jnp.split(params["output_kernel"], 2)
        return {
            "eigenvalues": exponential(exponent),
            "kernel": params["kernel"] * gamma[None],
            "output_kernel": jnp.concatenate([real, -imag]),
            "skip": params["skip"],
        }
