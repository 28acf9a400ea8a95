"""Weights of flax.nnx, in and out, and a module of it around a cell."""

from .weights import dump as dump
from .weights import load as load
