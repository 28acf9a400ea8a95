"""What an estimator still knows of a step long past: its bias and its variance."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.keys import fold_in, keys_in_time, prepare_key, typed_key
from ..arguments.numbers import check_count, is_whole
from ..cell import Cell
from ..unrolling.call import call_of, time_and_batch
from ..unrolling.meshes import whole_of_explicit_axes
from ..unrolling.run import repeat
from ..unrolling.stepping import flat
from .call import check_loss, check_method, check_targets, example, spec_of_batch
from .estimator import Estimator
from .model import Spec, model_of
from .rtrl import RTRL
from .stepping import drawn, signals, started


class OnlineLags(NamedTuple):
    """What `online_lags` found, for the lags 0, 1, ..., T - 1 - at.

    Attributes:
        cosine: of the angle between an estimate and the exact gradient, in the mean over
            samples; 0 where one of them is zero.
        bias: the size of the mean estimate's error, by that of the exact gradient.
        spread: the root mean square distance of an estimate from their mean, by the same.
        exact: the size of the exact gradient.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> lags = jaxrnn.OnlineLags(*jnp.ones((4, 7)))
        >>> print(lags.cosine.shape)
        (7,)
    """

    cosine: jax.Array
    bias: jax.Array
    spread: jax.Array
    exact: jax.Array


def online_lags(
    loss: Callable[[Any, Any], jax.Array],
    cell: Cell,
    params: Any,
    xs: Any,
    targets: Any,
    *,
    at: int = 0,
    key: jax.Array | None = None,
    method: Estimator = RTRL(),  # noqa: B008 (a frozen value)
    method_key: jax.Array | None = None,
    samples: int = 1,
) -> OnlineLags:
    """How well a method knows what a step did to the losses of later steps.

        g_k = dL_(s+k)/dh_(s+k) J_(s+k) ... J_(s+1) D_s        s = at, k = 0, 1, ...

    is the part of the gradient of the loss at lag k that goes through the params at step
    s. Its estimate by the method, in a run that starts at step 0, is compared with it, in
    the params, summed over the batch. So it is seen how far back each method learns:
    `OneStep` to lag 0, `RTRL` as far as gradients reach, with cosine 1 and bias 0.

    Args:
        loss, cell, params, xs, targets, key, method, method_key: as in
            `online_gradients`.
        at: the step s, in 0..T-1.
        samples: how many times a method that draws numbers is run.

    Returns:
        `OnlineLags(cosine, bias, spread, exact)`, each `(T - at,)`.

    Raises:
        ValueError: for an `at` outside of 0..T-1, or samples that are no positive int.
            Else as `online_gradients`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 8)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jax.random.normal(jax.random.key(1), (30, 16, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> run = loss, cell, params, xs, jnp.zeros((30, 16, 8))
        >>> lags = jaxrnn.online_lags(*run, at=10, method=jaxrnn.SnAp(1))
        >>> print(bool(lags.cosine[0] > 0.99), bool(lags.bias[5] > lags.bias[0]))
        True True
    """
    name = "online_lags"
    check_loss(name, loss)
    streams = None, None, None
    call = call_of(name, cell, params, xs, None, *streams, False, key, None)
    params, xs = call.params, call.xs
    leading = time_and_batch(name, cell, xs)
    batch = tuple(leading[1:])
    targets = check_targets(name, "targets", targets, leading)
    method_key = check_method(name, method, method_key)
    samples = check_count(name, "samples", samples)
    if not is_whole(at) or not 0 <= at < leading[0]:
        raise ValueError(
            f"{name}: at is {at!r}, expected a step in 0..{leading[0] - 1}: of "
            f"{leading[0]} steps"
        )
    key = typed_key(name, key)
    x = jax.tree.map(lambda leaf: example(leaf, 1), xs)
    spec = spec_of_batch(name, cell, params, None, x, key, batch)
    static = loss, spec, method, batch, samples if method.needs_key else 1
    run = functools.partial(_run, *static)
    found = whole_of_explicit_axes(run, params, xs, targets, at, key, method_key)
    return jax.tree.map(lambda leaf: leaf[at:], found)


@functools.partial(
    jax.jit, static_argnames=("loss", "spec", "method", "batch", "samples")
)
def _run(
    loss: Callable[[Any, Any], jax.Array],
    spec: Spec,
    method: Estimator,
    batch: tuple[int, ...],
    samples: int,
    params: Any,
    xs: Any,
    targets: Any,
    at: Any,
    key: Any,
    method_key: Any,
) -> OnlineLags:
    model, exact = model_of(spec), RTRL()
    ready, back = model.ready(params, prepare_key(key))
    keys = None if method_key is None else jax.random.split(method_key, samples)

    def of_samples(function: Callable[..., Any], *args: Any) -> Any:
        over: Any = jax.vmap(function, axis_size=samples)
        return over(*args)

    def begun(key: Any) -> tuple[Any, Any]:
        return started(model, method, True, key, batch), drawn(method, model, key)

    influence, fixed = of_samples(begun, keys)
    none = of_samples(lambda key: started(model, method, False, key, batch), keys)
    zeros = jax.tree.map(jnp.zeros_like, none)

    def one(carry: Any, past: Any, inputs: Any, noise: Any, own: Any, pulse: Any) -> Any:
        of_exact, of_method = past
        x, target = inputs
        point = model.at(ready, carry, x, noise)
        new, pulsed = point.new(), point.pulsed(pulse)
        _, _, signal, of_y, direct = signals(loss, point, new, target)
        direct = direct * pulse
        of_exact = exact.advanced(model, pulsed, of_exact, None)
        truth = exact.gradient(pulsed, of_exact, signal) + direct

        def sample(past: Any, fixed: Any, own: Any) -> Any:
            drawn = None if own is None else fold_in(own, 1)
            before, made = past
            past = method.since(model, point, before, made, pulse, drawn)
            seen = method.signal(signal, of_y, fixed)
            return past, method.gradient(pulsed, past[1], seen) + direct

        of_method, guesses = of_samples(sample, of_method, fixed, own)
        return new, (of_exact, of_method), truth, guesses

    # Samples are behind the axes of the batch, as a part of each example.
    behind = lambda tree: jax.tree.map(  # noqa: E731
        lambda leaf: jnp.moveaxis(leaf, 0, len(batch)), tree
    )

    def body(state: Any, row: Any) -> Any:
        carry, past, t = state
        noise = None if key is None else keys_in_time(key, t, batch)
        own = None
        if keys is not None:
            own = jax.vmap(lambda key: keys_in_time(key, t, batch).step)(keys)
        pulse = jnp.where(t == at, 1, 0).astype(model.dtype)

        def step(carry: Any, past: Any, row: Any, noise: Any, own: Any) -> Any:
            return one(carry, past, row, noise, own, pulse)

        for _ in batch:
            step = jax.vmap(step)
        carry, past, truth, guesses = step(carry, past, row, noise, behind(own))
        axes = tuple(range(len(batch)))
        return (carry, past, t + 1), _compared(back, truth.sum(axes), guesses.sum(axes))

    carry = repeat(ready.initial, batch)
    past = started(model, exact, False, None, batch), behind((influence, zeros))
    state = carry, past, jnp.zeros((), "int32")
    return OnlineLags(*jax.lax.scan(body, state, (xs, targets))[1])


def _compared(back: Callable, truth: jax.Array, guesses: jax.Array) -> tuple:
    """(cosine, bias, spread, size) of guesses [samples, Q]."""
    truth = flat(back(truth))
    guesses = jax.vmap(lambda guess: flat(back(guess)))(guesses)
    mean, size = guesses.mean(0), jnp.linalg.norm(truth)
    sizes = jnp.linalg.norm(guesses, axis=1) * size
    nonzero = jnp.where(sizes > 0, sizes, 1)
    cosine = jnp.where(sizes > 0, guesses @ truth / nonzero, 0).mean()
    away = jnp.sqrt(jnp.mean(jnp.sum((guesses - mean[None]) ** 2, 1)))
    unit = jnp.where(size > 0, size, 1)
    return cosine, jnp.linalg.norm(mean - truth) / unit, away / unit, size
