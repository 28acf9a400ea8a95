"""A GRU for inputs some of whose values are missing, and what it reads of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ... import initializers
from ...arguments.dtypes import promoted
from ...arguments.keys import Keys
from ..affine import check_x
from ..gated import Params
from ..gru import GRU


class MissingInput(NamedTuple):
    """The inputs of a `GRUD`, [I] each at one step; `missing_input` makes them.

    Attributes:
        x: the values, less the mean of each feature; whatever it is where not observed,
            NaN too, it reaches nothing.
        observed: booleans, or numbers above zero, where a value is there.
        delay: the time since the step at which the feature was observed before this one,
            or since the first step.
        last: the value of the feature at that step, less its mean; 0 where there is none.
    """

    x: Any
    observed: Any
    delay: Any
    last: Any


def missing_input(
    xs: Any, observed: Any = None, times: Any = None, mean: Any = 0.0
) -> MissingInput:
    """What a `GRUD` reads, of series with missing values.

    Args:
        xs: `(T, *batch, I)`, anything where not observed; integers become floats.
        observed: booleans of the same shape; by default where xs is no NaN.
        times: `(T, *batch)`, of each step; by default 0, 1, 2, ... Their differences are
            taken in their own precision: NumPy's may be seconds since 1970.
        mean: `(I,)`, of each feature over all that was observed in training, which is
            taken off, so that what fades goes to it; a number for all features.

    Returns:
        A `MissingInput` with leaves `(T, *batch, I)`, without NaNs.

    Raises:
        ValueError: for shapes that do not fit.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> xs = jnp.array([[3.0], [jnp.nan], [jnp.nan], [5.0]])
        >>> made = jaxrnn.cells.missing_input(xs, mean=2.0)
        >>> print(made.observed[:, 0], made.delay[:, 0], made.last[:, 0])
        [ True False False  True] [0. 1. 2. 3.] [0. 1. 1. 1.]
    """
    xs = jnp.asarray(xs)
    if not jnp.issubdtype(xs.dtype, jnp.inexact):
        xs = xs.astype(jnp.result_type(float))
    observed = ~jnp.isnan(xs) if observed is None else _there(jnp.asarray(observed))
    steps = jax.lax.broadcasted_iota("int32", xs.shape, 0)
    times = steps[..., 0] if times is None else times
    times = times if isinstance(times, jax.Array) else np.asarray(times)
    if observed.shape != xs.shape or times.shape != xs.shape[:-1]:
        raise ValueError(
            f"missing_input: xs has shape {xs.shape}, observed {observed.shape} and "
            f"times {times.shape}, expected (T, *batch, I) for the first two and "
            "(T, *batch) for times"
        )
    mean = jnp.broadcast_to(jnp.asarray(mean, xs.dtype), xs.shape)
    x = jnp.where(observed, xs - mean, jnp.zeros_like(xs))
    until = jax.lax.cummax(jnp.where(observed, steps, -jnp.ones_like(steps)))
    before = jnp.concatenate([-jnp.ones_like(until[:1]), until[:-1]])  # -1: none yet
    there = jnp.maximum(before, 0)
    last = jnp.take_along_axis(x, there, axis=0)
    unseen = jnp.concatenate([jnp.ones_like(observed[:1]), ~observed[:-1]])
    gaps = jnp.broadcast_to(_gaps(times)[..., None], xs.shape)
    _, delay = jax.lax.associative_scan(_after, (unseen, gaps))
    return MissingInput(
        x=x,
        observed=observed,
        delay=delay.astype(xs.dtype),
        last=jnp.where(before < 0, jnp.zeros_like(last), last),
    )


class DecayedDrive(NamedTuple):
    """What the step of a `GRUD` gets: a GRU's `Drive`, and how much of h is left [H]."""

    x: Any
    keep: jax.Array | None
    decay: jax.Array


class GRUD(GRU, kw_only=True):
    """The GRU with decay, for missing values: the longer ago they are, the less they say.

        x_in = x where observed, else exp(-max(0, w_x delay + b_x)) last
        h_in = exp(-max(0, delay W_d + b_d)) h
        r, z = sigmoid(x_in W_* + h_in U_* + m V_* + b_*)       reset and update gate
        n    = tanh(x_in W_n + (r h_in) U_n + m V_n + b_n)      candidate
        h'   = (1 - z) n + z h_in

    with `MissingInput(x, observed, delay, last)` of [I] for the input, made by
    `missing_input`, and m = observed as numbers. w_x = input_decay [I] and b_x =
    input_decay_bias [I]; W_d = hidden_decay [I, H] and b_d = hidden_decay_bias [H]; V =
    mask_kernel [I, 3H]; the rest is that of `jaxrnn.GRU`, with blocks in the order r, z,
    n. All but the products by h is made for all steps at once. The carry and the output
    are h, zeros at first. Che, Purushotham, Cho, Sontag and Liu, "Recurrent neural
    networks for multivariate time series with missing values", 2018, arXiv 1606.01865.

    In the paper a missing x goes to the mean of its feature over the training data, which
    is no parameter: here values come less that mean, and go to zero. To convert weights,
    add mean W to b. The paper's z is 1 - z, as `jaxrnn.GRU` says. The authors' code in
    Keras lets z keep h in place of h_in, and shows 1 - m for m.

    Args:
        input_size, hidden_size: I and H.
        decay_init: makes w_x and W_d; zeros: nothing fades at first. There the derivative
            of the maximum is 1/2, so that they learn.
        reset_after, activation, gate_activation: as `jaxrnn.GRU` has them; False, as in
            the paper.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `kernel_init` makes V too, and `bias_init`,
            without which the decays have none either, b_x and b_d.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), or an
            unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.GRUD(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jnp.ones((7, 2, 3)).at[3:5, 0].set(jnp.nan)
        >>> h, ys = jaxrnn.unroll(cell, params, jaxrnn.cells.missing_input(xs))
        >>> print(params["hidden_decay"].shape, h.shape, ys.shape)
        (3, 5) (2, 5) (7, 2, 5)
    """

    reset_after: bool = False
    decay_init: initializers.Initializer = initializers.zeros

    @property
    def input_shape(self) -> MissingInput:
        return MissingInput(*4 * [(self.input_size,)])

    def init(self, key: jax.Array) -> Params:
        I, H = self.input_size, self.hidden_size
        return super().init(key) | self.further(
            key,
            mask_kernel=("kernel_init", (I, 3 * H), self.blocks),
            input_decay=("decay_init", (I,), ("x",)),
            input_decay_bias=("bias_init", (I,), ("x",)),
            hidden_decay=("decay_init", (I, H), ("h",)),
            hidden_decay_bias=("bias_init", (H,), ("h",)),
        )

    def project(
        self, params: Params, x: MissingInput, keys: Keys | None = None
    ) -> DecayedDrive:
        check_x(self, x)
        observed = _there(x.observed)
        rate = params["input_decay"] * x.delay
        kept = _decay(params, "input_decay_bias", rate) * x.last
        filled = jnp.where(observed, x.x, kept)
        sums, keep = super().project(params, filled, keys)
        sums = sums + observed.astype(filled.dtype) @ params["mask_kernel"]
        decay = _decay(params, "hidden_decay_bias", x.delay @ params["hidden_decay"])
        return DecayedDrive(sums, keep, decay)

    def gates(self, params: Params, carry: jax.Array, drive: Any) -> dict[str, jax.Array]:
        """The activations {"r", "z", "n"}, each [H], of the step from `carry`."""
        return super().gates(params, drive.decay * carry, drive)

    def step(self, params: Params, carry: jax.Array, drive: Any) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["z"]) * gate["n"] + gate["z"] * (drive.decay * carry)


def _gaps(times: Any) -> jax.Array:
    """From the step before to each, floats; 0 for the first.

    NumPy's are subtracted in NumPy: what JAX has of them may be rounded.
    """
    if isinstance(times, jax.Array):
        gaps = jnp.diff(times, axis=0, prepend=times[:1])
    else:
        gaps = np.diff(times, axis=0, prepend=times[:1]).astype(float)
    gaps = jnp.asarray(gaps)
    return gaps.astype(promoted(gaps.dtype, "float32"))


def _after(before: Any, now: Any) -> Any:
    """Two stretches of steps as one: whether all is unseen in it, and the delay since."""
    (earlier, delay), (unseen, more) = before, now
    return earlier & unseen, more + jnp.where(unseen, delay, jnp.zeros_like(delay))


def _there(observed: jax.Array) -> jax.Array:
    return observed if observed.dtype == bool else observed > 0


def _decay(params: Params, bias: str, rate: jax.Array) -> jax.Array:
    """How much is left, with the bias where there is one."""
    rate = rate + params[bias] if bias in params else rate
    return jnp.exp(-jnp.maximum(rate, 0))
