"""Gradients of the losses of single steps, by the lag between loss and carry."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.arrays import as_array, has_values
from ..arguments.numbers import check_count, is_whole
from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import Call, call_of, evaluate, time_and_batch
from ..unrolling.meshes import whole
from ..unrolling.stepping import check_steps
from ..unrolling.streams import check_streams, valid_steps
from .carries import check_loss, norm, zero_perturbation

StepLoss = Callable[[Any], jax.Array]


def gradient_map(
    step_loss: StepLoss,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    steps: Any = None,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> Any:
    """How strongly the loss of each step depends on each carry: ||dL_t/dcarry_s||.

        map[i, s] = ||d step_loss(ys)[t_i] / d carry_s||

    zero for s > t_i, with `reverse` for s < t_i.

    One run forwards, then one pass backwards for every t. Gradients and norms are those
    of `gradient_norms`.

    Args:
        step_loss: the losses of all steps, `(T, *batch)`, of the outputs `ys`; entry t
            must depend on `ys` at t and at the same example alone, as
            `lambda ys: jnp.sum((ys - targets) ** 2, -1)` does.
        cell, params, xs, carry, lengths, mask, resets, reverse, key, method: as in
            `unroll`.
        steps: which t, integers in 0..T-1, `(count,)` or, for each example its own,
            `(count, *batch)`. By default all T.

    Returns:
        The carry's pytree with leaves `(count, T, *batch)`, in its real dtype.

    Raises:
        ValueError: if the losses are not `(T, *batch)`, for steps of another shape or
            outside 0..T-1.
        TypeError: if losses are not real and floating, steps no integers. Else as
            `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda ys: jnp.sum(ys**2, -1)
        >>> norms = jaxrnn.gradient_map(loss, cell, params, jnp.ones((8, 3)))
        >>> print(norms.shape, bool(norms[2, 3] == 0))
        (8, 8) True
    """
    name, streams = "gradient_map", (lengths, mask, resets)
    check_loss(name, "step_loss", step_loss)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    return _map(step_loss, call, steps)


def _map(step_loss: StepLoss, call: Call, steps: Any) -> Any:
    name = call.name
    leading = time_and_batch(name, call.cell, call.xs)
    zeros = zero_perturbation(call)
    T, *batch = leading

    def losses(perturbation: Any) -> jax.Array:
        _, ys = evaluate(call, perturbation=perturbation)
        values = step_loss(ys)
        if jnp.shape(values) != leading:
            raise ValueError(
                f"{name}: step_loss gave the shape {jnp.shape(values)}, expected "
                f"{leading}, one loss for each step and example"
            )
        if not jnp.issubdtype(jnp.result_type(values), jnp.floating):
            raise TypeError(
                f"{name}: step_loss gave the dtype {jnp.result_type(values)}, expected "
                "a real floating one"
            )
        return values

    values, back = jax.vjp(losses, zeros)
    steps = _checked_steps(name, steps, leading)

    def of(step: jax.Array) -> Any:
        now = jnp.arange(T).reshape(T, *(1 for _ in batch))
        chosen = now == jnp.broadcast_to(step, leading)
        (gradient,) = back(chosen.astype(values.dtype))
        return jax.tree.map(lambda leaf: norm(leaf, len(leading)), gradient)

    return jax.lax.map(of, steps)


def _checked_steps(name: str, steps: Any, leading: tuple[int, ...]) -> jax.Array:
    T, *batch = leading
    if steps is None:
        return jnp.arange(T)
    steps = as_array(name, "steps", steps)
    if steps.size == 0:  # of an empty list, which has floats
        steps = steps.astype(int)
    if not jnp.issubdtype(steps.dtype, jnp.integer):
        raise TypeError(f"{name}: steps has dtype {steps.dtype}, expected integers")
    if steps.ndim == 0 or (steps.ndim != 1 and steps.shape[1:] != tuple(batch)):
        raise ValueError(
            f"{name}: steps has shape {steps.shape}, expected (count,) or "
            f"{('count', *batch)}"
        )
    if has_values(steps):
        values = np.asarray(steps)
        if ((values < 0) | (values >= T)).any():
            raise ValueError(
                f"{name}: steps holds {values}, expected numbers in 0..{T - 1}"
            )
    return jnp.asarray(steps)


class LagProfile(NamedTuple):
    """The mean gradient norm at every lag.

    Attributes:
        norms: the carry's pytree with leaves `(max_lag + 1, *batch)`; entry k is the mean
            of ||dL_t/dcarry_(t-k)|| over the steps t that were drawn.
        counts: `(max_lag + 1, *batch)`, of how many t; 0, with a norm of 0, where an
            example is too short for the lag.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> profile = jaxrnn.LagProfile(0.5 ** jnp.arange(4.0), jnp.full(4, 16))
        >>> print(jaxrnn.memory_horizon(profile.norms, 0.5))
        1.0
    """

    norms: Any
    counts: jax.Array


def lag_profile(
    step_loss: StepLoss,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    sample_key: jax.Array,
    samples: int = 16,
    max_lag: int | None = None,
    lengths: Any = None,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008
) -> LagProfile:
    """How a gradient fades on its way back: E ||dL_t/dcarry_(t-k)|| against k.

    The mean over steps t drawn at random, for each example its own, of the gradient of
    the loss of step t alone; a sum over all steps, as in `gradient_norms`, would hide at
    each s what comes from far away behind what comes from near. Why it fades: Bengio,
    Simard and Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", IEEE Transactions on Neural Networks 5, 1994; Pascanu, Mikolov and Bengio,
    "On the difficulty of training recurrent neural networks", ICML 2013, arXiv 1211.5063.

    Args:
        step_loss, cell, params, xs, carry, lengths, key, method: as in `gradient_map`.
        sample_key: what t are drawn with, a `jax.random.key`.
        samples: how many t, drawn with replacement from those that have all lags, or, of
            an example shorter than that, from its last step.
        max_lag: the longest lag, 0..T-1; by default T // 2.

    Returns:
        `LagProfile(norms, counts)`, in which the mean over a batch is left to you.

    Raises:
        ValueError: if `samples` or `max_lag` is out of range, or there are no steps.
        TypeError: for a cell that exists over whole sequences only, such as
            `Bidirectional`: in one half a loss depends on later steps. Else as
            `gradient_map`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5, recurrent_init=jaxrnn.initializers.uniform)
        >>> params = cell.init(jax.random.key(0))
        >>> profile = jaxrnn.lag_profile(
        ...     lambda ys: jnp.sum(ys**2, -1), cell, params, jnp.ones((60, 3)),
        ...     sample_key=jax.random.key(1), max_lag=20,
        ... )
        >>> print(profile.norms.shape, bool(profile.norms[20] < 0.1 * profile.norms[0]))
        (21,) True
    """
    check_loss("lag_profile", "step_loss", step_loss)
    call = call_of(
        *("lag_profile", cell, params, xs, carry),
        *(lengths, None, None, False, key, method),
    )
    return profile_of(step_loss, call, sample_key, samples, max_lag)


def profile_of(
    step_loss: StepLoss,
    call: Call,
    sample_key: jax.Array,
    samples: int,
    max_lag: int | None,
) -> LagProfile:
    """`lag_profile`, of a call by any name."""
    name, cell = call.name, call.cell
    leading = time_and_batch(name, cell, call.xs)
    T, *batch = leading
    if T == 0:
        raise ValueError(f"{name}: xs has no steps, expected one at least")
    check_steps(call, len(batch))
    samples = check_count(name, "samples", samples)
    max_lag = T // 2 if max_lag is None else max_lag
    if not is_whole(max_lag) or not 0 <= max_lag < T:
        raise ValueError(f"{name}: max_lag is {max_lag!r}, expected 0 to {T - 1}")
    lengths, _, _ = check_streams(name, call.lengths, None, None, leading)
    params, xs, carry, lengths = whole((call.params, call.xs, call.carry, lengths))
    call = call._replace(params=params, xs=xs, carry=carry, lengths=lengths)
    valid = valid_steps(lengths, None, T)
    length = T if valid is None else jnp.sum(valid, axis=0)
    last = jnp.broadcast_to(jnp.maximum(length - 1, 0), tuple(batch))
    first = jnp.minimum(max_lag, last)
    shape = samples, *batch
    low, high = (jnp.broadcast_to(bound, shape) for bound in (first, last + 1))
    steps = jax.random.randint(sample_key, shape, low, high)
    norms = _map(step_loss, call, steps)

    lags = jnp.arange(max_lag + 1).reshape(-1, *(1 for _ in shape))
    before = steps[None] - lags  # (lag, sample, *batch)
    there = (before >= 0) & jnp.broadcast_to(length > 0, before.shape)
    index = jnp.moveaxis(jnp.maximum(before, 0), 0, 1)
    counts = jnp.sum(there, axis=1)

    def profile(leaf: jax.Array) -> jax.Array:
        aligned = jnp.moveaxis(jnp.take_along_axis(leaf, index, axis=1), 1, 0)
        total = jnp.sum(jnp.where(there, aligned, 0), axis=1)
        return total / jnp.maximum(counts, 1).astype(total.dtype)

    return LagProfile(jax.tree.map(profile, norms), counts)
