"""The S5: one diagonal state space for all units."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ... import initializers
from ...arguments.numbers import check_flags, check_sizes
from ..affine import draw
from .diagonal import ComplexCarry, Mixing, Params, times
from .state_space import StateSpace, discretised, hippo


class S5(Mixing, StateSpace, kw_only=True):
    """The S5: one diagonal state space for all units of x.

        A     = -decay + i frequency
        dh/dt = A h + x B                           over a step of dt = exp(log_dt)
        y     = 2 Re(h' C) + x D

    with complex h, A [P/2]: of P states, those of which the others are the conjugates;
    decay, frequency and log_dt [P/2]. The parts Re B and Im B are side by side in kernel
    [I, P], Re C over Im C in output_kernel [P, H], D = skip [H], elementwise, where I is
    H, and [I, H] where not. The equation is solved as in `S4D`. The carry is
    `ComplexCarry(real, imag)`, zeros at first; the output is y.

    At first this is a real equation of P states, dh/dt = M h + x B, seen in the basis of
    M's eigenvectors: M has J blocks, each the normal part of HiPPO-LegS; B and C are
    LeCun's, D is N(0, 1), dt is log-uniform from dt_min to dt_max. Smith, Warrington
    and Linderman, "Simplified state space layers for sequence modeling", ICLR 2023, arXiv
    2208.04933. Their code gives B the variance 1/P, where LeCun's is 1/I, and C an
    imaginary part before it is turned. Their layer goes on with a GELU and a gate.

    Args:
        input_size, hidden_size: I and H.
        state_size: P; H, if not given, and more where that cannot be parted.
        parts: J, how many blocks of P / J states, an even number, start as HiPPO.
        discretisation: "zoh" or "bilinear".
        dt_min, dt_max: between which dt is at first.
        clip: whether decay is held at 1e-4 and more, so that all is stable, as their code
            has it for sequences of any length.
        kernel_init, output_init: those of the real B [I, P] and C [P, H].

    Raises:
        ValueError: for a size that is no positive int, a state_size that is no multiple
            of 2 parts, an unknown discretisation, a dt that is not positive, a dt_min
            that is not below dt_max.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.S5(3, 5, state_size=8, parts=2)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, carry.real.shape, ys.shape)
        (3, 8) (2, 4) (7, 2, 5)
    """

    state_size: int | None = None
    parts: int = 1
    clip: bool = False
    kernel_init: initializers.Initializer = initializers.lecun_normal
    output_init: initializers.Initializer = initializers.lecun_normal

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, parts=self.parts)
        check_flags(self, "clip")
        if self.state_size is not None:
            check_sizes(self, state_size=self.state_size)
            if self.state_size % (2 * self.parts):
                raise ValueError(
                    f"S5: state_size is {self.state_size}, expected a multiple of "
                    f"{2 * self.parts}, conjugate pairs in each of parts={self.parts}"
                )

    @property
    def states(self) -> int:
        """P."""
        least = 2 * self.parts
        return self.state_size or least * math.ceil(self.hidden_size / least)

    def init(self, key: jax.Array) -> Params:
        I, H, P = self.input_size, self.hidden_size, self.states
        w, V, _ = hippo(P // self.parts)
        V = np.kron(np.eye(self.parts), V)  # [P, P/2]
        keys = jax.random.split(key, 4)
        B = draw(self, "kernel_init", keys[0], (I, P), ("h",))
        C = draw(self, "output_init", keys[1], (P, H), ("y",))
        real, imag = jnp.asarray(V.real, B.dtype), jnp.asarray(V.imag, B.dtype)
        half = (P // 2,)
        return {
            "kernel": jnp.concatenate([B @ real, -B @ imag], axis=1),  # of V^*
            "decay": jnp.full(half, 0.5, float),
            "frequency": jnp.tile(jnp.asarray(w, float), self.parts),
            "log_dt": self.log_dt(keys[2], half),
            "output_kernel": jnp.concatenate([real.T @ C, imag.T @ C]),
            "skip": self.skip(keys[3]),
        }

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "eigenvalues" in params:  # already
            return params
        decay = params["decay"]
        decay = jnp.maximum(decay, 1e-4) if self.clip else decay
        A = ComplexCarry(-decay, params["frequency"])
        a, c = discretised(A, jnp.exp(params["log_dt"]), self.discretisation)
        B = ComplexCarry(*jnp.split(params["kernel"], 2, axis=1))
        B = times(ComplexCarry(c.real[None], c.imag[None]), B)
        real, imag = jnp.split(params["output_kernel"], 2)
        return {
            "eigenvalues": a,
            "kernel": jnp.concatenate(B, axis=1),
            "output_kernel": jnp.concatenate([2 * real, -2 * imag]),
            "skip": params["skip"],
        }
