"""x W + b, and parameters by the initializers of a cell."""

from typing import Any

import jax

from ..cell import Cell
from ..initializers import Initializer


def draw(
    cell: Cell,
    field: str,
    key: jax.Array,
    shape: tuple[int, ...],
    gates: tuple[str, ...],
) -> jax.Array:
    """The parameter that the cell's initializer in `field` makes, its shape checked."""
    initializer: Initializer = getattr(cell, field)
    call = f"{type(cell).__name__}.init: {field}={initializer!r}"
    try:
        value = initializer(key, shape, gates)
    except TypeError as error:
        raise TypeError(
            f"{call} cannot be called as initializer(key, shape, gates) ({error}); one "
            "of jax.nn.initializers is lifted by jaxrnn.initializers.PerGate(factory)"
        ) from error
    if value.shape != shape:
        raise ValueError(f"{call} gave the shape {value.shape}, expected {shape}")
    return value


def affine(cell: Any, params: Any, x: jax.Array) -> jax.Array:
    """x W + b; without b where the params have none."""
    if x.shape != (cell.input_size,):
        raise ValueError(
            f"{type(cell).__name__}.project: x has shape {x.shape}, expected "
            f"{(cell.input_size,)} for {cell}: one example at one time step; unroll and "
            "jax.vmap add the other axes"
        )
    product = x @ params["kernel"]
    return product + params["bias"] if "bias" in params else product


def unbiased(params: Any) -> Any:
    """The params without b, for an x W to which it is not added."""
    return {name: value for name, value in params.items() if name != "bias"}
