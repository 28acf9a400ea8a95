"""What all weights have in common: gates in some order, layers in a row."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.arrays import native
from ..arguments.checks import check_params
from ..cell import Cell
from ..combinators.bidirectional import Bidirectional
from ..combinators.layers import DenseSkip, Stack
from ..wrappers.two_biases import TwoBiases

Layer = tuple[Cell, Any]  # a cell and its params


def reordered(array: Any, source: str, target: str) -> np.ndarray:
    """The blocks of the last axis, one a letter of `source`, in the order of `target`."""
    blocks = dict(zip(source, np.split(np.asarray(array), len(source), -1), strict=True))
    return np.concatenate([blocks[letter] for letter in target], -1)


def loaded(call: str, cell: Cell, params: Any) -> Layer:
    """The cell and its params as arrays of JAX, which must have the cell's shapes."""
    return cell, check_params(call, cell, jax.tree.map(jnp.asarray, params))


def floats(call: str, name: str, value: Any) -> Any:
    """An array of weights, in the byte order here."""
    value = native(call, name, value)
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise TypeError(
            f"{call}: {name} has dtype {jnp.result_type(value)}, expected floats"
        )
    return value


def doubled(cell: Any, has_two: Callable[[Any], bool]) -> Cell:
    """The cell, with two biases wherever the library has two for a cell inside."""
    inner = lambda cell: doubled(cell, has_two)  # noqa: E731
    if isinstance(cell, Stack | DenseSkip):
        return dataclasses.replace(cell, cells=tuple(map(inner, cell.cells)))
    if isinstance(cell, Bidirectional):
        both = {"forward": inner(cell.forward), "backward": inner(cell.backward)}
        return dataclasses.replace(cell, **both)
    return TwoBiases(cell) if has_two(cell) else cell


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
