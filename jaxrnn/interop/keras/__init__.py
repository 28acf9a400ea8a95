"""Weights of keras, in and out: its layers, its models, and lists of arrays."""

from .loading import dump as dump
from .loading import load as load
