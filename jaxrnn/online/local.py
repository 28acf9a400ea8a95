"""A step without what is clipped on its way back, and one without what mixes units."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core.primitives import custom_jvp_call_p

from ..methods.jaxprs import apply, evaluate, holds
from ..wrappers.clipping import clip_p

# What is kept within a unit: all but these, and loops.
MIXING = {"dot_general", "conv_general_dilated", "reduce_sum", "reduce_prod", "cumsum"}
MIXING |= {"reduce_max", "reduce_min", "cumprod", "cummax", "cummin", "cumlogsumexp"}
MIXING |= {"reduce_window_sum", "sort", "fft", "triangular_solve", "custom_vjp_call"}
MIXING |= {"scan", "while", "cond"}


def unclipped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without `ClipCarryGradient`, which is the identity forwards."""

    def straight(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        if not holds(closed.jaxpr.eqns, clip_p):
            return function(*args)
        at = lambda eqn, values: values if eqn.primitive is clip_p else None  # noqa: E731
        results = evaluate(closed, jax.tree.leaves(args), at, checkpoints=True)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return straight


def within_units(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the derivatives of all that mixes units taken to be zero.

    A sum over units, a product by a matrix, a convolution. What a loop inside of it does
    is taken to mix them, as is a function with a derivative of its own that does, such as
    `jax.nn.softmax`.
    """

    def at(eqn: Any, values: list[Any]) -> list[Any] | None:
        mixes = eqn.primitive.name in MIXING or (
            eqn.primitive is custom_jvp_call_p and any(holds([eqn], m) for m in MIXING)
        )
        if not mixes:
            return None
        return apply(eqn, [jax.lax.stop_gradient(value) for value in values])

    def local(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = evaluate(closed, jax.tree.leaves(args), at, checkpoints=True)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return local
