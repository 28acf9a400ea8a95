"""Nonlinearities, by name or as functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Activation = str | Callable[[Any], Any]


def onnx_hard_sigmoid(x: jax.Array) -> jax.Array:
    """min(1, max(0, x / 5 + 1 / 2)): that of ONNX, of keras 2 and of torch's old models.

    That of keras 3, of torch and of `jax.nn` is min(1, max(0, x / 6 + 1 / 2)).

    Example:
        >>> import jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5, gate_activation="onnx_hard_sigmoid")
    """
    return jnp.clip(x / 5 + 0.5, 0, 1)


OWN = {"onnx_hard_sigmoid": onnx_hard_sigmoid}


def activation_of(name: Activation) -> Callable[[Any], Any]:
    """The function of `jax.nn`, or of here, that has the name; a function is itself."""
    if not isinstance(name, str):
        return name
    return OWN[name] if name in OWN else getattr(jax.nn, name)


def check_activations(cell: Any, *fields: str) -> None:
    """Raise unless these fields are functions that keep shapes, or the names of some."""
    unit = jax.ShapeDtypeStruct((2,), jnp.float32)
    for field in fields:
        value = getattr(cell, field)
        try:
            keeps = jax.eval_shape(activation_of(value), unit).shape == unit.shape
        except (AttributeError, TypeError):
            keeps = False
        if not keeps:
            raise ValueError(
                f'{type(cell).__name__}: {field} is {value!r}, expected "tanh", "relu", '
                '"identity", "onnx_hard_sigmoid", the name of another function of '
                "jax.nn that keeps shapes, or such a function of a module"
            )
