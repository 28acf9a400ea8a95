"""One step of a batch: its losses, its gradient, and the influence after it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.keys import fold_in, keys_in_time
from ..unrolling.run import repeat
from ..unrolling.stepping import flat
from .estimator import Estimator
from .model import Model
from .point import Point, Ready


def started(
    model: Model, method: Estimator, learned: bool, key: Any, batch: tuple[int, ...]
) -> Any:
    """The influence on the carries of a batch before the first step."""
    if key is None:
        return repeat(method.start(model, learned, None), batch)
    start = lambda key: method.start(model, learned, key)  # noqa: E731
    for _ in batch:
        start = jax.vmap(start)
    return start(keys_in_time(key, jnp.zeros((), "int32"), batch).sequence)


def drawn(method: Estimator, model: Model, key: Any) -> Any:
    """What a method draws once."""
    if not method.needs_key:
        return None
    key = jax.random.fold_in(key, np.uint32(2**32 - 1))
    return method.fixed(model, model.outputs(), key)


def step_of_batch(
    loss: Callable[[Any, Any], jax.Array],
    model: Model,
    method: Estimator,
    ready: Ready,
    state: tuple[Any, Any, Any],
    fixed: Any,
    inputs: tuple[Any, Any],
    streams: tuple[Any, Any],
    keys: tuple[Any, Any],
    batch: tuple[int, ...],
) -> tuple[tuple[Any, Any, Any], tuple[jax.Array, jax.Array, Any]]:
    """The state after a step, and (gradient [Q], losses, ys).

    Args:
        state: (carry, influence, t).
        inputs: (x, target).
        streams: (valid, reset), booleans or None.
        keys: (that of the noise, that of the method), or None.
    """
    carry, influence, t = state
    noise, own = keys
    noise = None if noise is None else keys_in_time(noise, t, batch)
    own = None if own is None else keys_in_time(own, t, batch).step

    def one(
        carry: Any, influence: Any, inputs: Any, streams: Any, noise: Any, own: Any
    ) -> Any:
        (x, target), (valid, reset) = inputs, streams
        at_start = at_step = None
        if own is not None:
            at_start, at_step = fold_in(own, 0), fold_in(own, 1)
        if reset is not None:
            fresh = ready.initial, method.start(model, True, at_start)
            carry, influence = _either(reset, fresh, (carry, influence))
        if valid is not None:
            x = _either(valid, x, jax.tree.map(jnp.zeros_like, x))
        point = model.at(ready, carry, x, noise)
        new = point.new()
        after = method.advanced(model, point, influence, at_step)
        value, y, exact, of_y, direct = signals(loss, point, new, target)
        signal = method.signal(exact, of_y, fixed)
        made = method.gradient(point, after, signal).astype(model.dtype) + direct
        if valid is not None:
            new, after = _either(valid, (new, after), (carry, influence))
            shown = made, value, y
            zeros = jax.tree.map(jnp.zeros_like, shown)
            made, value, y = _either(valid, shown, zeros)
        return new, after, made, value, y

    for _ in batch:
        one = jax.vmap(one)
    new, after, made, value, y = one(carry, influence, inputs, streams, noise, own)
    made = jnp.sum(made, tuple(range(len(batch))))
    return (new, after, t + 1), (made, value, y)


def signals(
    loss: Callable[[Any, Any], jax.Array], point: Point, new: Any, target: Any
) -> tuple[jax.Array, Any, jax.Array, jax.Array, jax.Array]:
    """Of the carry after a step (L, y, dL/dh [n], dL/dy, dL/dq [Q] with h held fixed)."""
    model = point.model
    output = lambda parts, params: point.output(parts, params, new)  # noqa: E731
    y, back = jax.vjp(output, model.state.parts(new), point.ready.parts)
    value, of_y = _value(model.spec.name, loss, y, target)
    exact, direct = back(of_y)
    floats = [g for g in jax.tree.leaves(of_y) if g.dtype != jax.dtypes.float0]
    direct = model.sources.vector(direct).astype(model.dtype)
    return value, y, model.state.vector(exact), flat(floats), direct


def _value(
    name: str, loss: Callable[[Any, Any], jax.Array], y: Any, target: Any
) -> tuple[jax.Array, Any]:
    """The loss of one example, and its gradient in y."""
    value, back = jax.vjp(lambda y: loss(y, target), y)
    if jax.tree.structure(value) != jax.tree.structure(0) or jnp.shape(value) != ():
        raise ValueError(
            f"{name}: loss gave {checks.shapes(value)}, expected a scalar: "
            "loss(y, target) is that of one example at one step"
        )
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise TypeError(
            f"{name}: loss gave the dtype {jnp.result_type(value)}, expected a real "
            "floating one"
        )
    return value, back(jnp.ones_like(value))[0]


def _either(which: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)
