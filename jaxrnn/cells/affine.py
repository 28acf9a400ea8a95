"""What every gated cell shares: sizes, per-gate parameters and x W + b."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from ..cell import Cell
from ..initializers import Initializer


def recurrent_params(
    cell: Any, key: jax.Array, gates: tuple[str, ...], bias_gates: tuple[str, ...]
) -> dict[str, jax.Array]:
    """kernel [I, G H], recurrent_kernel [H, G H] and, with use_bias, bias [G' H]."""
    keys = jax.random.split(key, 3)
    I, H, width = cell.input_size, cell.hidden_size, len(gates) * cell.hidden_size
    params = {
        "kernel": draw(cell, "kernel_init", keys[0], (I, width), gates),
        "recurrent_kernel": draw(cell, "recurrent_init", keys[1], (H, width), gates),
    }
    if cell.use_bias:
        shape = (len(bias_gates) * H,)
        params["bias"] = draw(cell, "bias_init", keys[2], shape, bias_gates)
    return params


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


def affine(cell: Cell, params: Any, x: jax.Array) -> jax.Array:
    """x W + b; without b where the params have none."""
    if x.shape != cell.input_shape:
        raise ValueError(
            f"{type(cell).__name__}.project: x has shape {x.shape}, expected "
            f"{cell.input_shape} for {cell}: one example at one time step; unroll and "
            "jax.vmap add the other axes"
        )
    product = x @ params["kernel"]
    return product + params["bias"] if "bias" in params else product


class Drive(NamedTuple):
    """What the step of a recurrent cell gets."""

    x: jax.Array  # x W + b
    keep: jax.Array | None  # the units of h that U sees, [H]; None: all


def recurrent_drive(cell: Any, params: Any, x: jax.Array, keys: Keys | None) -> Drive:
    """x W + b and, where there are keys, the mask of `recurrent_dropout`."""
    keep = None
    if keys is not None and cell.recurrent_dropout > 0:
        shape = (cell.hidden_size,)
        keep = jax.random.bernoulli(keys.sequence, 1 - cell.recurrent_dropout, shape)
    return Drive(affine(cell, params, x), keep)


def seen(cell: Any, h: jax.Array, drive: Drive) -> jax.Array:
    """h as it meets the recurrent kernel: with dropout, the units kept, scaled up."""
    if drive.keep is None:
        return h
    return jnp.where(drive.keep, h / (1 - cell.recurrent_dropout), jnp.zeros_like(h))
