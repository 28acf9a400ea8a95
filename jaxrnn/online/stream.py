"""One step at a time, for a stream that never ends."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.checks import leading_shape
from ..arguments.keys import prepare_key, typed_key
from ..cell import Cell, check_cell
from ..unrolling.meshes import whole_of_explicit_axes
from ..unrolling.run import repeat
from ..unrolling.streams import check_streams
from .call import check_loss, check_method, check_targets, spec_of_batch
from .estimator import Estimator
from .model import Spec, model_of
from .rtrl import RTRL
from .stepping import drawn, started, step_of_batch

DATA = ["carry", "influence", "t", "fixed", "key", "method_key"]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=DATA, meta_fields=["cell", "method"]
)
@dataclass(frozen=True)
class OnlineState:
    """What is carried from step to step of a stream: a pytree.

    Attributes:
        carry: of the cell, batch axes first.
        influence: of the params on it, or what the method keeps in its place.
        t: the number of the next step.
        fixed: what the method has drawn once.
        key, method_key: as `online_init` got them.
        cell, method: part of the program, no arrays.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> state = jaxrnn.online_init(cell, cell.init(jax.random.key(0)), jnp.zeros(3))
        >>> print(state.method, sum(leaf.size for leaf in state.influence))
        RTRL() 225
    """

    carry: Any
    influence: Any
    t: jax.Array
    fixed: Any
    key: Any
    method_key: Any
    cell: Cell
    method: Estimator


class OnlineStep(NamedTuple):
    """What `online_step` found.

    Attributes:
        gradients: of the loss of this step, summed over the batch, in the pytree of the
            params.
        loss: `(*batch)`, zero where the step is masked.
        y: what the cell showed before anything was learned from this step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> state = jaxrnn.online_init(cell, params, jnp.zeros(3))
        >>> loss = lambda y, target: jnp.sum(y)
        >>> state, found = jaxrnn.online_step(loss, params, state, jnp.ones(3), None)
        >>> print(found.loss.shape, found.y.shape)
        () (5,)
    """

    gradients: Any
    loss: jax.Array
    y: Any


def online_init(
    cell: Cell,
    params: Any,
    x: Any,
    carry: Any = None,
    *,
    key: jax.Array | None = None,
    method: Estimator = RTRL(),  # noqa: B008 (a frozen value)
    method_key: jax.Array | None = None,
) -> OnlineState:
    """The state before the first step of a stream: see `online_step`.

    Args:
        cell, params: as in `online_gradients`.
        x: an input such as `online_step` will get, `(*batch, *input_shape)`, of which the
            shape and the dtype count.
        carry: the carry before the first step, `(*batch, ...)`; None: the initial one.
        key: randomness of the cell, as in `unroll`; None means evaluation.
        method, method_key: as in `online_gradients`.

    Raises:
        As `online_gradients`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> state = jaxrnn.online_init(cell, params, jnp.zeros(3), method=jaxrnn.SnAp(1))
        >>> print(state.carry.shape, int(state.t))
        (5,) 0
    """
    name = "online_init"
    check_cell(name, cell)
    params, x = checks.check_params(name, cell, params), native(name, "x", x)
    batch = leading_shape(name, "x", cell, x, "*batch")
    method_key = check_method(name, method, method_key)
    key = typed_key(name, key)
    learned = carry is None
    if carry is not None:
        carry = checks.check_carry(name, cell, params, carry, batch)
    spec = spec_of_batch(name, cell, params, carry, x, key, batch)
    begin = functools.partial(_start, spec, method, batch, learned)
    return whole_of_explicit_axes(begin, params, carry, key, method_key)


@functools.partial(jax.jit, static_argnames=("spec", "method", "batch", "learned"))
def _start(
    spec: Spec,
    method: Estimator,
    batch: tuple[int, ...],
    learned: bool,
    params: Any,
    carry: Any,
    key: Any,
    method_key: Any,
) -> OnlineState:
    model = model_of(spec)
    if carry is None:
        carry = repeat(spec.cell.initial_carry(params), batch)
    carry = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), carry, model.carry)
    influence = started(model, method, learned, method_key, batch)
    fixed = drawn(method, model, method_key)
    t = jnp.zeros((), "int32")
    return OnlineState(
        carry, influence, t, fixed, key, method_key, cell=spec.cell, method=method
    )


def online_step(
    loss: Callable[[Any, Any], jax.Array],
    params: Any,
    state: OnlineState,
    x: Any,
    target: Any,
    *,
    mask: Any = None,
    reset: Any = None,
) -> tuple[OnlineState, OnlineStep]:
    """One step of a stream: the gradient of its loss, and the state for the next.

        state = online_init(cell, params, x, method=SnAp(1))
        state, found = online_step(loss, params, state, x, target)     again and again

    One compiled call of the same size at every step; `online_gradients` is the sum of
    them over a sequence. With params that stay the same, `RTRL()` gives the exact
    gradient of this step's loss in them, through all steps so far.

    Params may change between steps, as in a stream of which every step is learned from.
    The carry and the influence are then those of a past lived with older params: the
    derivative of what this step does is exact at the new params, that of earlier steps is
    that at the params of their time. It differs from the gradient at the new params by
    about what the params have moved within the memory of the cell, less with a smaller
    learning rate; backpropagation over a window that has been learned from differs so
    too.

    Args:
        loss: `loss(y, target)`, of one example.
        params: as they are now.
        state: from `online_init`, or from the step before.
        x: `(*batch, *input_shape)`, as at `online_init`.
        target: leaves `(*batch, ...)`.
        mask: `(*batch)` booleans, which examples have this step; the others keep their
            state.
        reset: `(*batch)` booleans, where a new sequence begins with this x: the carry is
            the initial one before the step, and the past has no influence.

    Returns:
        `(state, OnlineStep(gradients, loss, y))`.

    Raises:
        TypeError: for a state that is none, or an x that widens the carry. Else as
            `online_gradients`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.GRU(1, 8), jaxrnn.Dense(8, 1)))
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> state = jaxrnn.online_init(cell, params, jnp.zeros(1), method=jaxrnn.SnAp(1))
        >>> wave = jnp.sin(0.3 * jnp.arange(1001.0))[:, None]
        >>> losses = []
        >>> for x, target in zip(wave[:-1], wave[1:]):
        ...     state, found = jaxrnn.online_step(loss, params, state, x, target)
        ...     losses.append(float(found.loss))
        ...     step = lambda p, g: p - 0.02 * g
        ...     params = jax.tree.map(step, params, found.gradients)
        >>> print(sum(losses[-100:]) < 0.1 * sum(losses[:100]))
        True
    """
    name = "online_step"
    check_loss(name, loss)
    if not isinstance(state, OnlineState):
        raise TypeError(
            f"{name}: state is of type {type(state).__name__}, expected what online_init "
            "returns; the order is loss, params, state, x, target"
        )
    cell, method = state.cell, state.method
    params, x = checks.check_params(name, cell, params), native(name, "x", x)
    batch = leading_shape(name, "x", cell, x, "*batch")
    target = check_targets(name, "target", target, batch)
    checks.check_carry(name, cell, params, state.carry, batch)
    timed = lambda flags: None if flags is None else jnp.asarray(flags)[None]  # noqa: E731
    _, mask, reset = check_streams(name, None, timed(mask), timed(reset), (1, *batch))
    spec = spec_of_batch(name, cell, params, state.carry, x, state.key, batch)
    got = jax.tree.map(jnp.result_type, state.carry)
    kept = jax.tree.map(lambda leaf: leaf.dtype, model_of(spec).carry)
    if got != kept:
        raise TypeError(
            f"{name}: x of {checks.names([leaf.dtype for leaf in jax.tree.leaves(x)])} "
            f"widens the carry to {kept}, expected {got} as in the state: give "
            "online_init an x of this dtype"
        )
    flags = mask, reset
    step = functools.partial(_step, loss, spec, method, batch)
    return whole_of_explicit_axes(step, params, state, x, target, flags)


@functools.partial(jax.jit, static_argnames=("loss", "spec", "method", "batch"))
def _step(
    loss: Callable[[Any, Any], jax.Array],
    spec: Spec,
    method: Estimator,
    batch: tuple[int, ...],
    params: Any,
    state: OnlineState,
    x: Any,
    target: Any,
    flags: tuple[Any, Any],
) -> tuple[OnlineState, OnlineStep]:
    model = model_of(spec)
    ready, back = model.ready(params, prepare_key(state.key))
    now = state.carry, state.influence, state.t
    keys = state.key, state.method_key
    streams: Any = tuple(None if flag is None else flag[0] for flag in flags)
    (carry, influence, t), (made, value, y) = step_of_batch(
        loss, model, method, ready, now, state.fixed, (x, target), streams, keys, batch
    )
    after = OnlineState(
        carry, influence, t, state.fixed, *keys, cell=state.cell, method=method
    )
    return after, OnlineStep(back(made), value, y)
