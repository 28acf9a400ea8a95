"""The cells, one family a file, and the families by their kin in folders."""

# ruff: noqa: F403, I001 (in reading order; each folder says what it has)

from .elman import Elman as Elman
from .lstm import LSTM as LSTM
from .lstm import LSTMCarry as LSTMCarry
from .gru import GRU as GRU
from .dense import Dense as Dense
from .embedding import Embedding as Embedding
from .lstms import *
from .grus import *
from .simple import *
from .stable import *
from .dynamics import *
from .convolutional import *

# What a cell of your own may start from.
from .gated import Driven as Driven
from .gated import Gated as Gated
