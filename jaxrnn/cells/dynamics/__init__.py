"""Networks of neuroscience, and models of dynamics."""

from .dale import EIRNN as EIRNN
from .echo_state import EchoState as EchoState
from .low_rank import LowRankRNN as LowRankRNN
from .plrnn import PLRNN as PLRNN
from .plrnn import ShallowPLRNN as ShallowPLRNN
