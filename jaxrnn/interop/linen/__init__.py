"""Weights of flax.linen, in and out, and a module of it around a cell."""

from .module import RNN as RNN
from .weights import dump as dump
from .weights import load as load
