"""What all weights have in common: gates in some order, layers in a row."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.checks import check_params
from ..cell import Cell
from ..combinators.layers import Stack

Layer = tuple[Cell, Any]  # a cell and its params


def reordered(array: Any, source: str, target: str) -> np.ndarray:
    """The blocks of the last axis, one a letter of `source`, in the order of `target`."""
    blocks = dict(zip(source, np.split(np.asarray(array), len(source), -1), strict=True))
    return np.concatenate([blocks[letter] for letter in target], -1)


def loaded(call: str, cell: Cell, params: Any) -> Layer:
    """The cell and its params as arrays of JAX, which must have the cell's shapes."""
    return cell, check_params(call, cell, jax.tree.map(jnp.asarray, params))


def in_a_row(layers: Sequence[Layer]) -> Layer:
    """One cell of several: a `Stack`, or the only one as it is."""
    if len(layers) == 1:
        return layers[0]
    return Stack(tuple(cell for cell, _ in layers)), tuple(params for _, params in layers)


def layers_of(cell: Cell, params: Any) -> list[Layer]:
    """Every layer with its params, of stacks in stacks too."""
    if not isinstance(cell, Stack):
        return [(cell, params)]
    inner = zip(cell.cells, params, strict=True)
    return [layer for one, own in inner for layer in layers_of(one, own)]
