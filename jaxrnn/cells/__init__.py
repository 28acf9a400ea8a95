"""The cells, one family a file."""

from .coupled import JANET as JANET
from .coupled import CoupledLSTM as CoupledLSTM
from .dense import Dense as Dense
from .elman import Elman as Elman
from .embedding import Embedding as Embedding
from .gated import Gated as Gated
from .gru import GRU as GRU
from .lstm import LSTM as LSTM
from .lstm import LSTMCarry as LSTMCarry
from .one_gate import MGU as MGU
from .one_gate import UGRNN as UGRNN
from .one_gate import LiGRU as LiGRU
from .one_gate import MinimalRNN as MinimalRNN
from .peephole import PeepholeLSTM as PeepholeLSTM
