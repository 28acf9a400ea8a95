"""x W + b, and parameters by the initializers of a cell."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import is_shape, structure
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


def check_x(cell: Any, x: Any, shape: Any = None) -> None:
    """Raise unless x is of the cell's `input_shape`, or of this one."""
    shape = cell.input_shape if shape is None else shape
    expected, treedef = jax.tree.flatten(shape, is_leaf=is_shape)
    leaves, own = jax.tree_util.tree_flatten_with_path(x)
    call = f"{type(cell).__name__}.project"
    if own != treedef:
        raise ValueError(
            f"{call}: x has the structure {structure(x)}, expected an array for each of "
            f"{shape} for {cell}"
        )
    for (path, leaf), want in zip(leaves, expected, strict=True):
        if jnp.shape(leaf) != want:
            raise ValueError(
                f"{call}: x{jax.tree_util.keystr(path)} has shape {jnp.shape(leaf)}, "
                f"expected {want} for {cell}: one example at one time step; unroll and "
                "jax.vmap add the other axes"
            )


def affine(cell: Any, params: Any, x: jax.Array) -> jax.Array:
    """x W + b; without b where the params have none."""
    check_x(cell, x, (cell.input_size,))
    product = x @ params["kernel"]
    return product + params["bias"] if "bias" in params else product


def unbiased(params: Any) -> Any:
    """The params without b, for an x W to which it is not added."""
    return {name: value for name, value in params.items() if name != "bias"}


def padded(params: Any) -> Any:
    """With zeros for the last blocks of W, where b has only the first ones."""
    if "bias" not in params:
        return params
    missing = params["kernel"].shape[1] - len(params["bias"])
    return params | {"bias": jnp.pad(params["bias"], (0, missing))}
