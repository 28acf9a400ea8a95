"""One cell around another, and cells that are nothing but noise."""

from .clipping import ClipCarryGradient as ClipCarryGradient
from .learned_carry import LearnedCarry as LearnedCarry
from .multiscale import Multiscale as Multiscale
from .multiscale import MultiscaleCarry as MultiscaleCarry
from .noise import Dropout as Dropout
from .noise import VariationalDropout as VariationalDropout
from .noise import WeightDrop as WeightDrop
from .residual import Residual as Residual
from .reversed import Reversed as Reversed
from .two_biases import TwoBiases as TwoBiases
from .wrapper import Wrapper as Wrapper
from .zoneout import Zoneout as Zoneout
