"""Functions that keras names: nonlinearities, and the mean of two directions."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from ...cells.activations import Activation
from .refusal import refuse

# Where keras has another name than `jax.nn`; None: other numbers under that name.
NAMES = {
    "linear": "identity",
    "softsign": "soft_sign",
    "gelu": None,
    "leaky_relu": None,
}


def gelu(x: jax.Array) -> jax.Array:
    """That of keras, which is exact; that of `jax.nn` is an approximation, by default."""
    return jax.nn.gelu(x, approximate=False)


def leaky_relu(x: jax.Array) -> jax.Array:
    """That of keras, whose slope is 0.2 where that of `jax.nn` is 0.01."""
    return jax.nn.leaky_relu(x, 0.2)


def average(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """The mean of both directions: `merge_mode="ave"`."""
    return (forward + backward) / 2


OWN = {"gelu": gelu, "leaky_relu": leaky_relu}


def activation_of(layer: Any, field: str) -> Activation:
    """Of a layer or a cell: its name in `jax.nn`, or a function that JAX can trace."""
    function = getattr(layer, field)
    ours = _known(function)
    named = isinstance(ours, str)
    if not _keeps_shapes(getattr(jax.nn, ours) if named else ours) or not (
        named or _is_of_a_module(ours)
    ):
        refuse(
            layer,
            f"has {field}={function!r}, expected a function of a module that JAX can "
            "trace and that keeps shapes",
        )
    return ours


def _known(function: Any) -> Activation:
    """The name in `jax.nn`, where there is one for the same numbers."""
    import keras

    if function is None:
        return "identity"
    name = getattr(function, "__name__", "")
    if getattr(keras.activations, name, None) is function:
        ours = NAMES.get(name, name)
        if ours is None:
            return OWN[name]
        return ours if hasattr(jax.nn, ours) else function
    return name if getattr(jax.nn, name, None) is function else function


def _is_of_a_module(function: Any) -> bool:
    """Whether it is a function, of `jax.jit` too, and one that is equal to itself."""
    is_function = inspect.isroutine(function) or hasattr(function, "lower")
    return is_function and "<" not in getattr(function, "__qualname__", "<")


def _keeps_shapes(function: Any) -> bool:
    unit = jax.ShapeDtypeStruct((2,), jnp.float32)
    try:
        return jax.eval_shape(function, unit).shape == unit.shape
    except Exception:  # whatever another library raises for an array of JAX
        return False
