"""Cells from differential equations, and those whose gradients are bounded."""

from .antisymmetric import AntisymmetricRNN as AntisymmetricRNN
from .antisymmetric import GatedAntisymmetricRNN as GatedAntisymmetricRNN
from .closed_form import CfC as CfC
from .ctrnn import CTRNN as CTRNN
from .elapsed import Timed as Timed
from .lem import LEM as LEM
from .lipschitz import LipschitzRNN as LipschitzRNN
from .liquid import LTC as LTC
from .orthogonal import ExpRNN as ExpRNN
from .oscillators import CoRNN as CoRNN
from .oscillators import UnICORNN as UnICORNN
from .oscillators import YZCarry as YZCarry
