"""Recurrent networks in JAX: a cell is a value, `unroll` lifts it over a sequence."""

from . import initializers as initializers
from .cell import Cell as Cell
from .cells import GRU as GRU
from .cells import LSTM as LSTM
from .cells import Dense as Dense
from .cells import Elman as Elman
from .cells import Embedding as Embedding
from .cells import LSTMCarry as LSTMCarry
from .combinators import Bidirectional as Bidirectional
from .combinators import Combinator as Combinator
from .combinators import DenseSkip as DenseSkip
from .combinators import LearnedCarry as LearnedCarry
from .combinators import Residual as Residual
from .combinators import Stack as Stack
from .combinators import Wrapper as Wrapper
from .combinators import concatenate as concatenate
from .gradients import carry_gradients as carry_gradients
from .gradients import gradient_norms as gradient_norms
from .keys import Keys as Keys
from .methods import Scan as Scan
from .noise import Dropout as Dropout
from .noise import VariationalDropout as VariationalDropout
from .noise import WeightDrop as WeightDrop
from .ragged import Packed as Packed
from .ragged import last as last
from .ragged import pack as pack
from .ragged import resets_from_done as resets_from_done
from .ragged import resets_from_segments as resets_from_segments
from .sequence import batched_carry as batched_carry
from .sequence import trajectory as trajectory
from .sequence import unroll as unroll
from .zoneout import Zoneout as Zoneout

__version__ = "0.3.0"
