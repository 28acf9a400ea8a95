"""Cells with gates and one state."""

from .one_gate import MGU as MGU
from .one_gate import UGRNN as UGRNN
from .one_gate import LiGRU as LiGRU
from .one_gate import MinimalRNN as MinimalRNN
