"""Modules of one network, each of which ticks at a rate of its own."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...arguments.numbers import is_whole
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params

LONGEST = 2**31 - 1  # what the clock, an int32, can count to


class ClockworkCarry(NamedTuple):
    """The carry of a clockwork: hidden state h [H] and the number t of the next step.

    t begins anew when all periods have.
    """

    h: jax.Array
    t: jax.Array


class ClockworkRNN(Gated[ClockworkCarry], kw_only=True):
    """The clockwork network: a module of period P moves at every P-th step only.

        h'_m = act(x W_m + sum_(k >= m) h_k U_km + b_m)      where t mod P_m = 0
        h'_m = h_m                                           elsewhere

    for the modules m = 1 to M, equal shares of the H units, from the fastest to the
    slowest: a module reads itself and what is slower. W = kernel [I, H], b = bias [H],
    and U = recurrent_kernel [H, H], of whose blocks those from a faster to a slower
    module are not used. The carry is `ClockworkCarry(h, t)`, zeros at first, so that all
    modules move at the first step; t counts the steps that are not masked, from the last
    reset on. The output is h. Koutník, Greff, Gomez and Schmidhuber, "A clockwork RNN",
    ICML 2014, arXiv 1402.3511. Units at rest are computed too, and what comes out is
    thrown away: the paper's saving in time is not to be had from one large product.

    Args:
        input_size, hidden_size: I and H, of which each module gets its share.
        periods: P_1 to P_M, in steps, increasing; the paper's powers of two.
        activation: "tanh", or the name of another function of `jax.nn`, or a function of
            a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that the modules
            cannot share, periods that are no increasing positive ints or that come
            together again after 2^31 steps or more, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ClockworkRNN(3, 6, periods=(1, 2, 4))
        >>> params = cell.init(jax.random.key(0))
        >>> (h, t), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, t, ys.shape)
        (2, 6) [3 3] (7, 2, 6)
    """

    blocks = ("h",)

    periods: tuple[int, ...] = (1, 2, 4, 8)
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")
        P = self.periods
        if (
            not (isinstance(P, tuple) and P and all(is_whole(p) and p > 0 for p in P))
            or list(P) != sorted(set(P))
            or math.lcm(*P) > LONGEST
        ):
            raise ValueError(
                f"ClockworkRNN: periods is {P!r}, expected increasing positive ints "
                "whose least common multiple is below 2^31"
            )
        object.__setattr__(self, "periods", tuple(map(int, P)))
        if self.hidden_size % len(P):
            raise ValueError(
                f"ClockworkRNN: hidden_size is {self.hidden_size}, expected a multiple "
                f"of {len(P)}, the number of periods"
            )

    @property
    def _periods_of_units(self) -> np.ndarray:
        share = self.hidden_size // len(self.periods)
        return np.repeat(np.array(self.periods, np.int32), share)

    def initial_carry(self, params: Params) -> ClockworkCarry:
        return ClockworkCarry(super().initial_carry(params), jnp.zeros((), jnp.int32))

    def is_state(self, carry: ClockworkCarry) -> ClockworkCarry:
        return ClockworkCarry(h=True, t=False)  # pyright: ignore[reportArgumentType]

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        period, U = self._periods_of_units, params["recurrent_kernel"]
        slower = period[:, None] >= period
        return params | {"recurrent_kernel": jnp.where(slower, U, jnp.zeros_like(U))}

    def step(self, params: Params, carry: ClockworkCarry, drive: Drive) -> ClockworkCarry:
        product = self.seen(carry.h, drive) @ params["recurrent_kernel"]
        h = activation_of(self.activation)(drive.x + product)
        due = carry.t % self._periods_of_units == 0
        t = (carry.t + 1) % math.lcm(*self.periods)
        return ClockworkCarry(h=jnp.where(due, h, carry.h), t=t)

    def output(self, params: Params, carry: ClockworkCarry, drive: Drive) -> jax.Array:
        return carry.h
