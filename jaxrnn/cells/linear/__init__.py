"""Cells whose new carry is affine in the old one: h' = A h + b, made of x alone."""

from .delta import DeltaNet as DeltaNet
from .delta import GatedDeltaNet as GatedDeltaNet
from .diagonal import ComplexCarry as ComplexCarry
from .linear_attention import GatedLinearAttention as GatedLinearAttention
from .linear_rnn import LinearRNN as LinearRNN
from .lru import LRU as LRU
from .minimal import MinGRU as MinGRU
from .minimal import MinLSTM as MinLSTM
from .minimal import above_zero as above_zero
from .mlstm import MLSTM as MLSTM
from .mlstm import MLSTMCarry as MLSTMCarry
from .qrnn import QRNN as QRNN
from .qrnn import QRNNCarry as QRNNCarry
from .rglru import RGLRU as RGLRU
from .s4d import S4D as S4D
from .s5 import S5 as S5
from .sru import SRU as SRU
