"""Cells whose products are convolutions."""

from .conv_gru import ConvGRU as ConvGRU
from .conv_lstm import ConvLSTM as ConvLSTM
from .convolution import Convolutional as Convolutional
