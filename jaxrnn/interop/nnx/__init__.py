"""Weights of flax.nnx, in and out, and a module of it around a cell."""

from .module import RNN as RNN
from .module import Carry as Carry
from .weights import dump as dump
from .weights import load as load
