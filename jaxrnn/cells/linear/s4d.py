"""The S4D: a diagonal state space for every unit."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes
from ..affine import check_x
from .diagonal import ComplexCarry, ComplexDrive, Params, skipped, times
from .state_space import StateSpace, discretised, hippo

INITIALS = "legs", "inv", "lin"


class S4D(StateSpace, kw_only=True):
    """The S4D: a diagonal state space for each unit of x, which no other unit enters.

        A     = -exp(log_decay) + i frequency
        dh/dt = A h + B x                           over a step of dt = exp(log_dt)
        y     = 2 Re(sum of C h') + D x

    with complex h, A, B and C [H, N/2]: of N states, those of which the others are the
    conjugates. The parts Re B and Im B are side by side in kernel [H, N], and those of C
    in output_kernel [H, N]; log_decay and frequency [H, N/2], log_dt and D = skip [H].
    The equation is solved for an x that holds over the step ("zoh"), or by the
    trapezoidal rule ("bilinear"):

        h' = exp(dt A) h + (exp(dt A) - 1) / A B x                          "zoh"
        h' = (1 + dt A / 2) / (1 - dt A / 2) h + dt / (1 - dt A / 2) B x    "bilinear"

    The carry is `ComplexCarry(real, imag)`, zeros at first; the output is y. Initial
    values: Re A = -1/2; Im A, of n = 0, 1, ..., N/2 - 1,

        pi n                                        initial="lin", B = 1
        N / pi (N / (2n + 1) - 1)                   initial="inv", B = 1
        of the normal part of HiPPO-LegS            initial="legs", B half that of HiPPO

    C of N(0, 1) in variance, D of N(0, 1), dt log-uniform from dt_min to dt_max. Gu,
    Gupta, Goel and Ré, "On the parameterization and initialization of diagonal state
    space models", NeurIPS 2022, arXiv 2206.11893. The half is theirs for a state that is
    HiPPO's where N is large; their code leaves it out. Their layer goes on with a GELU
    and a product that mixes the units: `Stack` this with a `Dense`.

    Args:
        input_size, hidden_size: I and H, equal.
        state_size: N, an even number.
        initial: "legs", "inv" or "lin".
        discretisation: "zoh" or "bilinear".
        dt_min, dt_max: between which dt is at first.

    Raises:
        ValueError: for a size that is no positive int, sizes that differ, an odd
            state_size, an unknown initial or discretisation, a dt that is not positive, a
            dt_min that is not below dt_max.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.Dense(3, 5), jaxrnn.cells.S4D(5, 5)))
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(carry[1].real.shape, ys.shape)
        (2, 5, 32) (7, 2, 5)
    """

    state_size: int = 64
    initial: str = "legs"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, state_size=self.state_size)
        if self.input_size != self.hidden_size:
            raise ValueError(
                f"S4D: input_size is {self.input_size} and hidden_size "
                f"{self.hidden_size}, expected equal ones, as every unit of x has states "
                f"of its own: put a Dense({self.input_size}, {self.hidden_size}) before "
                "it in a Stack"
            )
        if self.state_size % 2:
            raise ValueError(
                f"S4D: state_size is {self.state_size}, expected an even number"
            )
        if self.initial not in INITIALS:
            raise ValueError(
                f'S4D: initial is {self.initial!r}, expected "legs", "inv" or "lin"'
            )

    def init(self, key: jax.Array) -> Params:
        H, N = self.hidden_size, self.state_size
        n, B = np.arange(N // 2), np.ones(N // 2)
        if self.initial == "lin":
            frequency = math.pi * n
        elif self.initial == "inv":
            frequency = N / math.pi * (N / (2 * n + 1) - 1)
        else:
            frequency, V, b = hippo(N)
            B = np.real(V.conj().T @ b) / 2

        def every(row: Any) -> jax.Array:
            return jnp.tile(jnp.asarray(row, dtype=float), (H, 1))

        keys = jax.random.split(key, 3)
        return {
            "kernel": every(np.concatenate([B, np.zeros(N // 2)])),
            "log_decay": every(np.full(N // 2, math.log(0.5))),
            "frequency": every(frequency),
            "log_dt": self.log_dt(keys[0], (H,)),
            "output_kernel": jax.random.normal(keys[1], (H, N)) * 0.5**0.5,
            "skip": self.skip(keys[2]),
        }

    def initial_carry(self, params: Params) -> ComplexCarry:
        shape = self.hidden_size, self.state_size // 2
        zeros = jnp.zeros(shape, params["skip"].dtype)
        return ComplexCarry(zeros, zeros)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "eigenvalues" in params:  # already
            return params
        A = ComplexCarry(-jnp.exp(params["log_decay"]), params["frequency"])
        dt = jnp.exp(params["log_dt"])[:, None]
        a, c = discretised(A, dt, self.discretisation)
        B = ComplexCarry(*jnp.split(params["kernel"], 2, axis=1))
        real, imag = jnp.split(params["output_kernel"], 2, axis=1)
        return {
            "eigenvalues": a,
            "kernel": times(c, B),
            "output_kernel": ComplexCarry(2 * real, -2 * imag),
            "skip": params["skip"],
        }

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> ComplexDrive:
        check_x(self, x)
        added = (x[:, None] * part for part in params["kernel"])
        return ComplexDrive(ComplexCarry(*added), skipped(params["skip"], x))

    def output(
        self, params: Params, carry: ComplexCarry, drive: ComplexDrive
    ) -> jax.Array:
        real, imag = params["output_kernel"]
        return jnp.sum(carry.real * real + carry.imag * imag, axis=1) + drive.skip
