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
    import keras

    function = getattr(layer, field)
    if function is None:
        return "identity"
    name = getattr(function, "__name__", "")
    if getattr(keras.activations, name, None) is function:
        ours = NAMES.get(name, name)
        if ours is None:
            return OWN[name]
        if hasattr(jax.nn, ours):
            return ours
    elif getattr(jax.nn, name, None) is function:
        return name
    # A function of the user's, or of keras on its JAX backend.
    unit = jax.ShapeDtypeStruct((2,), jnp.float32)
    try:
        keeps = jax.eval_shape(function, unit).shape == unit.shape
    except Exception:  # whatever other libraries raise for an array of JAX
        keeps = False
    is_function = inspect.isroutine(function) or hasattr(function, "lower")
    if not keeps or not is_function or "<" in getattr(function, "__qualname__", "<"):
        refuse(
            layer,
            f"has {field}={function!r}, expected that of a function of `jax.nn`, or a "
            "function of a module that JAX can trace and that keeps shapes",
        )
    return function
