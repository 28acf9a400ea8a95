"""Recurrent networks in JAX: a cell is a value, `unroll` lifts it over a sequence."""

from . import initializers as initializers
from .cell import Cell as Cell
from .cell import Keys as Keys
from .cells import GRU as GRU
from .cells import LSTM as LSTM
from .cells import Dense as Dense
from .cells import Elman as Elman
from .cells import Embedding as Embedding
from .cells import LSTMCarry as LSTMCarry
from .combinators import Stack as Stack
from .gradients import carry_gradients as carry_gradients
from .gradients import gradient_norms as gradient_norms
from .methods import Scan as Scan
from .sequence import batched_carry as batched_carry
from .sequence import trajectory as trajectory
from .sequence import unroll as unroll

__version__ = "0.1.0"
