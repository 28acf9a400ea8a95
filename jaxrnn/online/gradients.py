"""The gradient of a whole sequence, forwards."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.keys import prepare_key, typed_key
from ..arguments.varying import varying_with
from ..cell import Cell
from ..unrolling.call import call_of, time_and_batch
from ..unrolling.meshes import whole_of_explicit_axes
from ..unrolling.run import repeat
from ..unrolling.streams import check_streams, streams_of, valid_steps
from .call import check_loss, check_method, check_targets, example, spec_of_batch
from .estimator import Estimator
from .model import Spec, model_of
from .rtrl import RTRL
from .stepping import drawn, started, step_of_batch


class OnlineGradients(NamedTuple):
    """What `online_gradients` found.

    Attributes:
        gradients: of the sum of all losses, in the pytree of the params.
        losses: `(T, *batch)`, zero at masked steps.
        ys: the outputs, as `unroll` has them.
        carry: the one after the last step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 2, 3))
        >>> loss = lambda y, target: jnp.sum(y)
        >>> found = jaxrnn.online_gradients(loss, cell, params, xs, None)
        >>> print(found.ys.shape, found.carry.shape)
        (7, 2, 5) (2, 5)
    """

    gradients: Any
    losses: jax.Array
    ys: Any
    carry: Any


def online_gradients(
    loss: Callable[[Any, Any], jax.Array],
    cell: Cell,
    params: Any,
    xs: Any,
    targets: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    key: jax.Array | None = None,
    method: Estimator = RTRL(),  # noqa: B008 (a frozen value)
    method_key: jax.Array | None = None,
) -> OnlineGradients:
    """The gradient of the sum of the losses of all steps, in one pass forwards.

        M_t = J_t M_(t-1) + D_t              the influence of the params on the carry
        g   = sum_t dL_t/dh_t M_t + dL_t/dq

    with J_t = dh_t/dh_(t-1) and D_t = dh_t/dq of one step. What is kept does not grow
    with T, unlike in backpropagation: an influence, or what `method` has in its place.
    The whole carry of the cell, of all layers of a `Stack`, is one state h. q is what
    `prepare` makes of the params, once, and the initial carry as far as it is learned;
    the way from there to the params is differentiated at the end. Influences and sums of
    gradients are float32 at least, whatever the params are.

    `RTRL()` is exact: the gradient of the sum of losses through `unroll`. `SnAp`, `EProp`
    and `RFLO` leave entries of the influence out, `UORO` has it in the mean, `OneStep`
    not at all.

    A masked step has no loss, keeps the carry and the influence. At a reset the influence
    becomes that on the initial carry: zero, unless that is learned.

    Args:
        loss: `loss(y, target)`, of one example at one step; y as in `unroll`. Compiled
            once for a function: take the same one for every call.
        cell: any cell that can take a single step; a `Stack` of such cells is one.
        params, xs, carry, lengths, mask, resets, key: as in `unroll`. A carry that is
            given does not depend on the params.
        targets: leaves `(T, *batch, ...)`.
        method: `RTRL()`, `SnAp(n)`, `UORO()`, `EProp()`, `RFLO()` or `OneStep()`.
        method_key: randomness of the method, where it has any.

    Returns:
        `OnlineGradients(gradients, losses, ys, carry)`.

    Raises:
        TypeError: for a cell that exists over whole sequences only, such as
            `Bidirectional`, for a loss that is no function or gives no real number, or
            for another method.
        ValueError: if the loss gives no scalar, targets do not fit the inputs, or a
            method draws numbers and has no key. Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jax.random.normal(jax.random.key(1), (50, 2, 3))
        >>> targets = jnp.ones((50, 2, 5))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(loss, cell, params, xs, targets)
        >>> total = lambda params: jnp.sum((jaxrnn.unroll(cell, params, xs)[1] - 1) ** 2)
        >>> close = lambda a, b: bool(jnp.allclose(a, b, rtol=1e-3, atol=1e-3))
        >>> print(jax.tree.map(close, found.gradients, jax.grad(total)(params)))
        {'bias': True, 'kernel': True, 'recurrent_bias': True, 'recurrent_kernel': True}
    """
    name = "online_gradients"
    check_loss(name, loss)
    call = call_of(name, cell, params, xs, carry, lengths, mask, resets, False, key, None)
    params, xs = call.params, call.xs
    leading = time_and_batch(name, cell, xs)
    batch = tuple(leading[1:])
    targets = check_targets(name, "targets", targets, leading)
    method_key = check_method(name, method, method_key)
    streams = check_streams(name, lengths, mask, resets, leading)
    key = typed_key(name, key)
    if carry is not None:
        carry = native(name, "carry", carry)
        carry = checks.check_carry(name, cell, params, carry, batch)
    x = jax.tree.map(lambda leaf: example(leaf, 1), xs)
    spec = spec_of_batch(name, cell, params, carry, x, key, batch)
    args = params, xs, targets, carry, streams, key, method_key
    run = functools.partial(_run, loss, spec, method, batch)
    return whole_of_explicit_axes(run, *args)


@functools.partial(jax.jit, static_argnames=("loss", "spec", "method", "batch"))
def _run(
    loss: Callable[[Any, Any], jax.Array],
    spec: Spec,
    method: Estimator,
    batch: tuple[int, ...],
    params: Any,
    xs: Any,
    targets: Any,
    carry: Any,
    streams: tuple[Any, Any, Any],
    key: Any,
    method_key: Any,
) -> OnlineGradients:
    model = model_of(spec)
    every = params, xs, targets, carry
    params, xs, targets, carry = varying_with(every, every)
    lengths, mask, resets = streams
    T = jax.tree.leaves(xs)[0].shape[0]
    valid = valid_steps(lengths, mask, T)
    gate = streams_of(valid, None if resets is None else jnp.asarray(resets)).forward
    fresh = None
    if resets is not None and gate is not None:
        fresh = gate.fresh if valid is None else gate.fresh & valid
    ready, back = model.ready(params, prepare_key(key))
    influence = started(model, method, carry is None, method_key, batch)
    start = repeat(ready.initial, batch) if carry is None else carry
    start = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), start, model.carry)
    fixed = drawn(method, model, method_key)

    def body(state: Any, row: Any) -> Any:
        now, total = state
        inputs, streams = row[:2], row[2:]
        now, (made, value, y) = step_of_batch(
            loss,
            model,
            method,
            ready,
            now,
            fixed,
            inputs,
            streams,
            (key, method_key),
            batch,
        )
        return (now, total + made), (value, y)

    start, influence, zero = varying_with(
        every, (start, influence, jnp.zeros(model.Q, model.dtype))
    )
    now = start, influence, jnp.zeros((), "int32")
    rows = xs, targets, valid, fresh
    (now, total), (losses, ys) = jax.lax.scan(body, (now, zero), rows)
    return OnlineGradients(back(total), losses, ys, now[0])
