"""Gradients through time, seen from within."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.magnitude import relative_to
from ..arguments.varying import varying_with
from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import Call, call_of, evaluate
from ..unrolling.run import every_carry


def carry_gradients(
    loss: Callable[[Any], jax.Array],
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> Any:
    """How a loss depends on every carry: dL/dcarry_t for all t, in one backward pass.

        dL/dcarry_t = d loss(ys) / d epsilon_t    at epsilon = 0, where
        carry_t = step(params, carry_(t-1), drive_t) + epsilon_t

    carry_t is what leaves step t, t in input order also with `reverse`. The gradient is
    total: it runs through y_t, through all later steps and through the layers above. Only
    the leaves of one cell's carry are coordinates of one joint state, so that an LSTM's
    dL/dc_t is taken with h_t held fixed (and dL/dh_t contains the path through y_t). The
    textbook's delta c_t, which lets h_t = o_t tanh(c_t) move along, is

        dL/dc_t + dL/dh_t o_t (1 - tanh(c_t)^2)

    The carry that leaves a masked step is the one that it hands on, so its gradient is
    that of the next step's use of it, zero where nothing uses it.

    Args:
        loss: a scalar function of the outputs `ys`, and of nothing else of the run; it
            may close over a readout, labels and masks. For the gradients of all examples
            at once, sum over the batch.
        cell, params, xs, carry, lengths, mask, resets, reverse, key, method: as in
            `unroll`.

    Returns:
        The carry's pytree with leaves `(T, *batch, ...)`; for a `Stack` a tuple, one
        entry a cell. As in `jax.grad`, a complex leaf's gradient is conjugated, and a
        leaf of integers has the dtype float0.

    Raises:
        ValueError: if the loss is no scalar.
        TypeError: if the loss is not real and floating. Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda ys: jnp.sum(ys[-1] ** 2)
        >>> gradients = jaxrnn.carry_gradients(loss, cell, params, jnp.ones((10, 4, 3)))
        >>> print(gradients.h.shape, gradients.c.shape)
        (10, 4, 5) (10, 4, 5)
    """
    name, streams = "carry_gradients", (lengths, mask, resets)
    check_loss(name, "loss", loss)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    return _carry_gradients(loss, call)


def gradient_norms(
    loss: Callable[[Any], jax.Array],
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008
) -> Any:
    """How strongly a loss depends on every carry: ||dL/dcarry_t|| for all t.

        norm_t = sqrt(sum over features |dL/dcarry_t|^2)

    Arguments, meaning and errors are those of `carry_gradients`. The norms are taken
    without overflow or underflow of the squares, so that a gradient of 1e-30 is seen in
    float32 too.

    Returns:
        The carry's pytree with leaves `(T, *batch)`, in the carry's real dtype.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5, recurrent_init=jaxrnn.initializers.uniform)
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda ys: jnp.sum(ys[-1] ** 2)
        >>> norms = jaxrnn.gradient_norms(loss, cell, params, jnp.ones((50, 3)))
        >>> print(norms.shape, bool(norms[0] < 1e-6 * norms[-1]))
        (50,) True
    """
    name, streams = "gradient_norms", (lengths, mask, resets)
    check_loss(name, "loss", loss)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    gradients = _carry_gradients(loss, call)
    leading = len(checks.leading_shape(name, "xs", cell, xs))
    return jax.tree.map(lambda leaf: norm(leaf, leading), gradients)


def input_gradients(
    loss: Callable[[Any], jax.Array],
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008
) -> Any:
    """How a loss depends on every input: dL/dx_t for all t, in one backward pass.

    Args:
        loss: as in `carry_gradients`.
        cell, params, xs, carry, lengths, mask, resets, reverse, key, method: as in
            `unroll`.

    Returns:
        The pytree of `xs`, `(T, *batch, *input_shape)`; zeros at masked steps.

    Raises:
        TypeError: for inputs of integers, which have no gradient. Else as
            `carry_gradients`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda ys: jnp.sum(ys[-1] ** 2)
        >>> print(jaxrnn.input_gradients(loss, cell, params, jnp.ones((10, 4, 3))).shape)
        (10, 4, 3)
    """
    name, streams = "input_gradients", (lengths, mask, resets)
    check_loss(name, "loss", loss)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    for leaf in jax.tree.leaves(call.xs):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            raise TypeError(
                f"{name}: xs has the dtype {jnp.result_type(leaf)}, expected a floating "
                "one: a number of a class has no gradient; embed it before, with "
                "jax.vmap of an `Embedding`, and measure the cell above"
            )

    def loss_of(xs: Any) -> jax.Array:
        _, ys = evaluate(call._replace(xs=xs))
        return _value(name, loss, ys)

    return jax.grad(loss_of)(call.xs)


def _carry_gradients(loss: Callable[[Any], jax.Array], call: Call) -> Any:

    def perturbed_loss(perturbation: Any) -> jax.Array:
        _, ys = evaluate(call, perturbation=perturbation)
        return _value(call.name, loss, ys)

    return jax.grad(perturbed_loss, allow_int=True)(zero_perturbation(call))


def zero_perturbation(call: Call) -> Any:
    """What `evaluate` adds to the carries, and which their gradients are taken in."""
    shapes = jax.eval_shape(lambda: evaluate(call, observe=every_carry)[0])
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    arrays = call.params, call.xs, call.carry, call.key
    return varying_with((arrays, call.lengths, call.mask, call.resets), zeros)


def _value(name: str, loss: Callable[[Any], jax.Array], ys: Any) -> jax.Array:
    value = loss(ys)
    if jax.tree.structure(value) != jax.tree.structure(0):
        raise ValueError(
            f"{name}: loss gave {checks.structure(value)}, expected a scalar alone"
        )
    if jnp.shape(value) != ():
        raise ValueError(
            f"{name}: loss gave the shape {jnp.shape(value)}, expected a scalar: sum "
            "or average it"
        )
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise TypeError(
            f"{name}: loss gave the dtype {jnp.result_type(value)}, expected a real "
            "floating one"
        )
    return value


def norm(gradient: Any, leading: int) -> jax.Array:
    """The L2 norm over all axes after the `leading` ones, free of over- and underflow."""
    if gradient.dtype == jax.dtypes.float0:
        return jnp.zeros(gradient.shape[:leading])
    axes = tuple(range(leading, gradient.ndim))
    size = jnp.abs(gradient)
    scale = jax.lax.stop_gradient(jnp.max(size, axes, keepdims=True, initial=0))
    scale = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1)
    squares = jnp.sum(relative_to(scale, size) ** 2, axes)
    zero = squares == 0  # where sqrt has no derivative
    root = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))
    return root * jnp.squeeze(scale, axes)


def check_loss(call: str, name: str, loss: Any) -> None:
    """Raise unless `loss` is a function, and no cell in the place of one."""
    if isinstance(loss, Cell) or not callable(loss):
        raise TypeError(
            f"{call}: {name} is of type {type(loss).__name__}, expected a function of "
            f"the outputs: it comes first, then the cell"
        )
