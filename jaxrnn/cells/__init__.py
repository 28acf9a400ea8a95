"""The cells, one family a file, and the families by their kin in folders."""

# ruff: noqa: I001 (in reading order)

from .elman import Elman as Elman
from .lstm import LSTM as LSTM
from .lstm import LSTMCarry as LSTMCarry
from .gru import GRU as GRU
from .dense import Dense as Dense
from .elementwise import Activation as Activation
from .embedding import Embedding as Embedding

# A memory c, and a state that shows it.
from .lstms import JANET as JANET
from .lstms import CoupledLSTM as CoupledLSTM
from .lstms import OriginalLSTM as OriginalLSTM
from .lstms import MCLSTM as MCLSTM
from .lstms import MassInput as MassInput
from .lstms import MultiplicativeLSTM as MultiplicativeLSTM
from .lstms import MultiplicativeRNN as MultiplicativeRNN
from .lstms import NAS as NAS
from .lstms import LayerNormGRU as LayerNormGRU
from .lstms import LayerNormLSTM as LayerNormLSTM
from .lstms import OrderedLSTM as OrderedLSTM
from .lstms import PeepholeLSTM as PeepholeLSTM
from .lstms import PhasedLSTM as PhasedLSTM
from .lstms import TimedInput as TimedInput
from .lstms import ResLSTM as ResLSTM
from .lstms import SLSTM as SLSTM
from .lstms import SLSTMCarry as SLSTMCarry
from .lstms import WMCLSTM as WMCLSTM

# Gates and one state.
from .grus import ATR as ATR
from .grus import RAN as RAN
from .grus import BR as BR
from .grus import NBR as NBR
from .grus import CFN as CFN
from .grus import DelayedCarry as DelayedCarry
from .grus import TauGRU as TauGRU
from .grus import IntersectionCarry as IntersectionCarry
from .grus import IntersectionRNN as IntersectionRNN
from .grus import SGRN as SGRN
from .grus import STAR as STAR
from .grus import LightRU as LightRU
from .grus import MiRU1 as MiRU1
from .grus import MiRU2 as MiRU2
from .grus import GRUD as GRUD
from .grus import MissingInput as MissingInput
from .grus import missing_input as missing_input
from .grus import MUT1 as MUT1
from .grus import MUT2 as MUT2
from .grus import MUT3 as MUT3
from .grus import MGU as MGU
from .grus import UGRNN as UGRNN
from .grus import LiGRU as LiGRU
from .grus import MinimalRNN as MinimalRNN
from .grus import DSGU as DSGU
from .grus import SGU as SGU
from .grus import TGRU as TGRU
from .grus import TLSTM as TLSTM
from .grus import TRNN as TRNN
from .grus import TypedCarry as TypedCarry
from .grus import TypedLSTMCarry as TypedLSTMCarry

# Without gates, or nearly so.
from .simple import ClockworkCarry as ClockworkCarry
from .simple import ClockworkRNN as ClockworkRNN
from .simple import FastGRNN as FastGRNN
from .simple import FastRNN as FastRNN
from .simple import RHN as RHN
from .simple import IndRNN as IndRNN
from .simple import Lasting as Lasting
from .simple import JordanCarry as JordanCarry
from .simple import JordanRNN as JordanRNN
from .simple import SCRN as SCRN
from .simple import SCRNCarry as SCRNCarry

# From differential equations; gradients that are bounded.
from .stable import AntisymmetricRNN as AntisymmetricRNN
from .stable import GatedAntisymmetricRNN as GatedAntisymmetricRNN
from .stable import CfC as CfC
from .stable import CTRNN as CTRNN
from .stable import Timed as Timed
from .stable import LEM as LEM
from .stable import LipschitzRNN as LipschitzRNN
from .stable import LTC as LTC
from .stable import ExpRNN as ExpRNN
from .stable import CoRNN as CoRNN
from .stable import UnICORNN as UnICORNN
from .stable import YZCarry as YZCarry

# Affine in the carry: what may run in parallel.
from .linear import MinGRU as MinGRU
from .linear import MinLSTM as MinLSTM
from .linear import above_zero as above_zero
from .linear import SRU as SRU
from .linear import QRNN as QRNN
from .linear import QRNNCarry as QRNNCarry
from .linear import LinearRNN as LinearRNN
from .linear import GatedLinearAttention as GatedLinearAttention
from .linear import DeltaNet as DeltaNet
from .linear import GatedDeltaNet as GatedDeltaNet
from .linear import LRU as LRU
from .linear import S4D as S4D
from .linear import S5 as S5
from .linear import ComplexCarry as ComplexCarry
from .linear import RGLRU as RGLRU
from .linear import MLSTM as MLSTM
from .linear import MLSTMCarry as MLSTMCarry

# Of neuroscience, and models of dynamics.
from .dynamics import EIRNN as EIRNN
from .dynamics import EchoState as EchoState
from .dynamics import LowRankRNN as LowRankRNN
from .dynamics import PLRNN as PLRNN
from .dynamics import ShallowPLRNN as ShallowPLRNN

# Convolutions for products.
from .convolutional import ConvGRU as ConvGRU
from .convolutional import ConvLSTM as ConvLSTM

# What a cell of your own may start from.
from .gated import Driven as Driven
from .gated import Gated as Gated
from .convolutional import Convolutional as Convolutional
