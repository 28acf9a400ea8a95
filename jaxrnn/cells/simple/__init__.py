"""Cells without gates, or nearly so."""

from .clockwork import ClockworkCarry as ClockworkCarry
from .clockwork import ClockworkRNN as ClockworkRNN
from .fast import FastGRNN as FastGRNN
from .fast import FastRNN as FastRNN
from .highway import RHN as RHN
from .independent import IndRNN as IndRNN
from .independent import Lasting as Lasting
from .jordan import JordanCarry as JordanCarry
from .jordan import JordanRNN as JordanRNN
from .scrn import SCRN as SCRN
from .scrn import SCRNCarry as SCRNCarry
