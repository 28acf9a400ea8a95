"""An LSTM whose units are open for a part of the time, each at a rhythm of its own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.dtypes import promoted
from ...arguments.keys import Keys
from ...arguments.numbers import check_portions, check_rate
from ..affine import check_x
from ..gated import Drive, Params
from ..lstm import LSTMCarry
from .peephole import PeepholeLSTM


class TimedInput(NamedTuple):
    """An input with its time: x [I], and when, a number."""

    x: Any
    time: Any


class PhasedDrive(NamedTuple):
    """What the step of a `PhasedLSTM` gets: an LSTM's `Drive`, and the openness [H]."""

    lstm: Drive
    openness: jax.Array


def periods(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """exp(U(0, 3)): from 1 to 20 units of time, as many short ones as long ones."""
    return jnp.exp(jax.random.uniform(key, shape, maxval=3.0))


class PhasedLSTM(PeepholeLSTM, kw_only=True):
    """The phased LSTM, for events at any time: a unit only moves while it is open.

        phi     = ((t - s) mod tau) / tau           where in its period a unit is
        k       = 2 phi / r                         if phi < r / 2: it opens,
                  2 - 2 phi / r                     if phi < r: it closes,
                  leak phi                          else: it is closed
        h~, c~  = what `PeepholeLSTM` makes of h, c and x
        c'      = k c~ + (1 - k) c
        h'      = k h~ + (1 - k) h

    with `TimedInput(x, time)` for the input, t = time of any unit, tau = period [H] and
    s = shift [H], which are trained, and r = ratio_on; the rest is that of
    `PeepholeLSTM`. The openness k ignores the carry and is made for all steps at once.
    The derivative of phi is that of (t - s) / tau wherever it has one; tau counts by its
    size, |tau|. The carry is `LSTMCarry(h, c)`, zeros at first; the output is h. Neil,
    Pfeiffer and Liu, "Phased LSTM: accelerating recurrent network training for long or
    event-based sequences", NeurIPS 2016, arXiv 1610.09513. The authors' code adds s where
    the paper subtracts it; TensorFlow's cell trains r too, leaks in evaluation, and has
    no derivative of the mod by tau.

    Args:
        input_size, hidden_size: I and H.
        ratio_on: the part of its period for which a unit is open, more than 0 and at most
            1; no parameter, as in the paper's experiments.
        leak: how open a closed unit is in training, to have a gradient: it acts where
            there is a key. In evaluation, without one, closed is closed.
        period_init: makes tau, in the units of time; exp(U(0, 3)), one of the paper's.
            Best about what matters in the data.
        shift_init: makes s / tau; U(0, 1).
        peephole_init: as `PeepholeLSTM` has it.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the forget gate's bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate or a leak outside [0, 1), a
            ratio_on outside (0, 1].

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.cells import TimedInput
        >>> cell = jaxrnn.cells.PhasedLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> times = jnp.cumsum(jnp.full((7, 2), 0.3), axis=0)
        >>> xs = TimedInput(jnp.ones((7, 2, 3)), times)
        >>> (h, c), ys = jaxrnn.unroll(cell, params, xs, key=jax.random.key(1))
        >>> print(params["period"].shape, c.shape, ys.shape)
        (5,) (2, 5) (7, 2, 5)
    """

    ratio_on: float = 0.05
    leak: float = 0.001
    period_init: initializers.Initializer = periods
    shift_init: initializers.Initializer = initializers.Uniform(0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_portions(self, "ratio_on")
        object.__setattr__(self, "leak", check_rate(self, "leak", self.leak))

    @property
    def input_shape(self) -> TimedInput:
        return TimedInput(x=(self.input_size,), time=())

    def init(self, key: jax.Array) -> Params:
        shape = (self.hidden_size,)
        own = self.further(
            jax.random.fold_in(key, 4),
            period=("period_init", shape, ("k",)),
            shift=("shift_init", shape, ("k",)),
        )
        return super().init(key) | own | {"shift": own["shift"] * own["period"]}

    def project(
        self, params: Params, x: TimedInput, keys: Keys | None = None
    ) -> PhasedDrive:
        check_x(self, x)
        lstm, time = super().project(params, x.x, keys), jnp.asarray(x.time)
        dtype = promoted(time.dtype, params["period"].dtype)  # no time is rounded
        tau, s = params["period"].astype(dtype), params["shift"].astype(dtype)
        turns = (time.astype(dtype) - s) / jnp.abs(tau)
        phi, r = turns - jnp.floor(turns), self.ratio_on
        closed = self.leak * phi if keys is not None else jnp.zeros_like(phi)
        closing = jnp.where(phi < r, 2 - 2 * phi / r, closed)
        k = jnp.where(phi < r / 2, 2 * phi / r, closing)
        return PhasedDrive(lstm, k.astype(lstm.x.dtype))

    def gates(self, params: Params, carry: LSTMCarry, drive: Any) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o", "k"}, each [H], of the step from `carry`.

        "i", "f", "g" and "o" are those of c~ and h~; "k" is the openness.
        """
        return super().gates(params, carry, drive.lstm) | {"k": drive.openness}

    def step(self, params: Params, carry: LSTMCarry, drive: Any) -> LSTMCarry:
        new, k = super().step(params, carry, drive), drive.openness
        return LSTMCarry(h=k * new.h + (1 - k) * carry.h, c=k * new.c + (1 - k) * carry.c)
