"""Weights of dm-haiku, in and out."""

from .weights import dump as dump
from .weights import load as load
