"""Cells with a memory c and a state h that shows it."""

from .coupled import JANET as JANET
from .coupled import CoupledLSTM as CoupledLSTM
from .peephole import PeepholeLSTM as PeepholeLSTM
