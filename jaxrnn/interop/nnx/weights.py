"""Weights of flax.nnx, in and out."""

from typing import Any


def load(*arguments: Any) -> Any:
    """Not there yet."""
    raise NotImplementedError


def dump(*arguments: Any) -> Any:
    """Not there yet."""
    raise NotImplementedError
