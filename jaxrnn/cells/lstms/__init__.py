"""Cells akin to the LSTM: a memory, and what shows it; some share its form alone."""

from .coupled import JANET as JANET
from .coupled import CoupledLSTM as CoupledLSTM
from .early import OriginalLSTM as OriginalLSTM
from .mass_conserving import MCLSTM as MCLSTM
from .mass_conserving import MassInput as MassInput
from .multiplicative import MultiplicativeLSTM as MultiplicativeLSTM
from .multiplicative import MultiplicativeRNN as MultiplicativeRNN
from .nas import NAS as NAS
from .normalized import LayerNormGRU as LayerNormGRU
from .normalized import LayerNormLSTM as LayerNormLSTM
from .ordered import OrderedLSTM as OrderedLSTM
from .peephole import PeepholeLSTM as PeepholeLSTM
from .phased import PhasedLSTM as PhasedLSTM
from .phased import TimedInput as TimedInput
from .residual import ResLSTM as ResLSTM
from .slstm import SLSTM as SLSTM
from .slstm import SLSTMCarry as SLSTMCarry
from .working_memory import WMCLSTM as WMCLSTM
