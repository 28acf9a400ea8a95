"""Cells made of several cells."""

from .bidirectional import Bidirectional as Bidirectional
from .combinator import Combinator as Combinator
from .fast_slow import FastSlow as FastSlow
from .fast_slow import FastSlowCarry as FastSlowCarry
from .layers import DenseSkip as DenseSkip
from .layers import Stack as Stack
from .merges import concatenate as concatenate
