"""State spaces that are diagonal: linear differential equations, over steps of time."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ...arguments.numbers import check_positive
from .diagonal import ComplexCarry, Diagonal, expm1_ratio, exponential, ratio

DISCRETISATIONS = "zoh", "bilinear"


def discretised(
    A: ComplexCarry, dt: jax.Array, discretisation: str
) -> tuple[ComplexCarry, ComplexCarry]:
    """dh/dt = A h + B x over a step of dt: a and c of h' = a h + c B x."""
    z = ComplexCarry(dt * A.real, dt * A.imag)
    if discretisation == "zoh":
        a, c = exponential(z), expm1_ratio(z)
    else:
        half = ComplexCarry(z.real / 2, z.imag / 2)
        below = ComplexCarry(1 - half.real, -half.imag)
        a = ratio(ComplexCarry(1 + half.real, half.imag), below)
        c = ratio(ComplexCarry(jnp.ones_like(z.real), jnp.zeros_like(z.imag)), below)
    return a, ComplexCarry(dt * c.real, dt * c.imag)


def hippo(N: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The normal part of HiPPO-LegS of an even size N: (w, V, b).

    With A = -1/2 + S, S antisymmetric and b the input of HiPPO-LegS,

        S_nk = -sqrt(n + 1/2) sqrt(k + 1/2)  for n > k,     b_n = sqrt(2n + 1)

    S has the eigenvalues i w and -i w, w > 0 in rising order, and eigenvectors V [N, N/2]
    of the former, of such phases that V^* b is positive.
    """
    roots = np.sqrt(np.arange(N) + 0.5)
    S = np.triu(np.outer(roots, roots), 1)
    w, V = np.linalg.eigh(-1j * (S - S.T))
    w, V, b = w[N // 2 :], V[:, N // 2 :], np.sqrt(2.0) * roots
    phase = V.conj().T @ b
    return w, V * (phase / np.abs(phase)), b


class StateSpace(Diagonal, kw_only=True):
    """A cell of a differential equation, over a step of dt, which is learned."""

    discretisation: str = "zoh"
    dt_min: float = 0.001
    dt_max: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "dt_min", "dt_max")
        name = type(self).__name__
        if not self.dt_min < self.dt_max:
            raise ValueError(
                f"{name}: dt_min is {self.dt_min!r} and dt_max {self.dt_max!r}, expected "
                "a dt_min below dt_max"
            )
        if self.discretisation not in DISCRETISATIONS:
            raise ValueError(
                f"{name}: discretisation is {self.discretisation!r}, expected "
                '"zoh" or "bilinear"'
            )

    def log_dt(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """log dt as it starts, uniform."""
        low, high = math.log(self.dt_min), math.log(self.dt_max)
        return jax.random.uniform(key, shape, minval=low, maxval=high)
