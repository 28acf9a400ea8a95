"""What a training loop records of its gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import call_of, time_and_batch
from ..unrolling.streams import check_streams, valid_steps
from .carries import check_loss
from .gates import Saturation, gate_activations, saturation
from .horizon import memory_horizon
from .lags import StepLoss, profile_of
from .lyapunov import lyapunov_spectrum
from .report import CANDIDATES


class GradientLog(NamedTuple):
    """The gradients of a moment in training, averaged over the batch.

    All shapes are fixed, so that records stack: by `jax.lax.scan`, or by
    `jax.tree.map(lambda *leaves: jnp.stack(leaves), *records)`, into leaves
    `(records, ...)`.

    Attributes:
        norms: the carry's pytree with leaves `(max_lag + 1,)`, ||dL_t/dcarry_(t-k)||.
        horizon: the carry's pytree with scalars: the lag at which that is 1/e of the
            first; inf if it is so at none.
        exponent: a scalar, the largest Lyapunov exponent, in nats per step.
        saturation: `Saturation(low, high)` for each gate, as `gate_activations` has them,
            with scalars: the fractions of units and steps below 0.1, of a tanh "g" or "n"
            -0.9, and above 0.9.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> log = jaxrnn.GradientLog(jnp.ones(5), jnp.inf, jnp.zeros(()), {})
        >>> print(log.norms.shape)
        (5,)
    """

    norms: Any
    horizon: Any
    exponent: jax.Array
    saturation: Any


def gradient_log(
    step_loss: StepLoss,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    sample_key: jax.Array,
    samples: int = 4,
    max_lag: int | None = None,
    lengths: Any = None,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> GradientLog:
    """What to record every hundred training steps: how far gradients reach by now.

    The measurements of `lag_profile`, `memory_horizon`, `lyapunov_spectrum` and
    `saturation`, of one batch, as a few numbers. For `jax.jit` and `jax.lax.scan`, as
    `gradient_report` is not. It takes `samples` passes backwards and some three forwards:
    give it a few examples of the batch, and it is cheaper than as many training steps.

    Args:
        As `lag_profile`.

    Returns:
        `GradientLog(norms, horizon, exponent, saturation)`, to be stacked, and drawn by
        `plotting.training`.

    Raises:
        As `lag_profile` and `lyapunov_spectrum`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 8)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jax.random.normal(jax.random.key(1), (80, 4, 3))
        >>> log = jaxrnn.gradient_log(
        ...     lambda ys: jnp.sum(ys**2, -1), cell, params, xs,
        ...     sample_key=jax.random.key(2),
        ... )
        >>> print(log.norms.c.shape, log.horizon.c.shape, sorted(log.saturation))
        (41,) () ['f', 'g', 'i', 'o']
    """
    name = "gradient_log"
    check_loss(name, "step_loss", step_loss)
    options = lengths, None, None, False, key, method
    call = call_of(name, cell, params, xs, carry, *options)
    norms, counts = profile_of(step_loss, call, sample_key, samples, max_lag)

    def mean(leaf: jax.Array) -> jax.Array:
        rows, weight = (a.reshape(len(a), -1) for a in (leaf, counts))
        weight = weight.astype(rows.dtype)
        return jnp.sum(rows * weight, 1) / jnp.maximum(jnp.sum(weight, 1), 1)

    norms = jax.tree.map(mean, norms)
    given: dict[str, Any] = {"lengths": lengths, "key": key, "method": method}
    spectrum = lyapunov_spectrum(cell, params, xs, carry, k=1, **given)
    gates = gate_activations(cell, params, xs, carry, **given)
    leading = time_and_batch(name, cell, call.xs)
    lengths, *_ = check_streams(name, lengths, None, None, leading)
    where = valid_steps(lengths, None, leading[0])

    def ends(path: Any, gate: jax.Array) -> Saturation:
        candidate = getattr(path[-1], "key", None) in CANDIDATES
        found = saturation(gate, low=-0.9 if candidate else 0.1, where=where)
        return Saturation(jnp.mean(found.low), jnp.mean(found.high))

    exponents = spectrum.exponents[..., 0]
    # An example without a step says nothing.
    ran = jnp.ones(exponents.shape, bool) if where is None else jnp.any(where, 0)
    count = jnp.maximum(jnp.sum(ran), 1).astype(exponents.dtype)
    return GradientLog(
        norms=norms,
        horizon=memory_horizon(norms),
        exponent=jnp.sum(jnp.where(ran, exponents, 0)) / count,
        saturation=jax.tree_util.tree_map_with_path(ends, gates),
    )
