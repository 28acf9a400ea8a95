"""The cells, one family a file."""

from .dense import Dense as Dense
from .elman import Elman as Elman
from .embedding import Embedding as Embedding
from .gru import GRU as GRU
from .lstm import LSTM as LSTM
from .lstm import LSTMCarry as LSTMCarry
