"""LSTMs of the order i, g, f, o that add one to f: those of haiku, flax's ConvLSTM."""

from typing import Any

import jax.numpy as jnp


def sorted_blocks(leaf: Any) -> Any:
    """Blocks i, g, f, o in the order i, f, g, o, and back: it is its own inverse."""
    i, g, f, o = jnp.split(jnp.asarray(leaf), 4, -1)
    return jnp.concatenate([i, f, g, o], -1)


def added(bias: Any, number: int) -> Any:
    """A bias of ours with a number added to the forget gate's block."""
    block = jnp.asarray([0, number, 0, 0], bias.dtype)
    return bias + jnp.repeat(block, bias.shape[-1] // 4)
