"""Cells made of cells."""

from .bidirectional import Bidirectional as Bidirectional
from .combinator import Combinator as Combinator
from .layers import DenseSkip as DenseSkip
from .layers import Stack as Stack
from .learned_carry import LearnedCarry as LearnedCarry
from .merges import concatenate as concatenate
from .residual import Residual as Residual
from .wrapper import Wrapper as Wrapper
