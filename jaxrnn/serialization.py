"""What functions return, known to `jax.export`, so that an exported one has a file."""

from typing import Any

from jax import export

from . import cells
from .arguments.keys import Keys
from .attention.attending import AttentionCarry, Memory
from .combinators import FastSlowCarry
from .context import Context
from .decoding import Beams, BestPath, Generated, Transcripts
from .dynamics import Ends, FixedPoints
from .gradients.gates import Saturation
from .gradients.lags import LagProfile
from .gradients.log import GradientLog
from .gradients.lyapunov import LyapunovSpectrum
from .gradients.newton import NewtonReport
from .online import OnlineGradients, OnlineLags, OnlineStep
from .ragged import Packed, Padded
from .wrappers import MultiscaleCarry


def is_tuple(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, tuple)


TUPLES = (AttentionCarry, Beams, BestPath, Ends, FastSlowCarry, FixedPoints, Generated)
TUPLES += (GradientLog, Keys, LagProfile, LyapunovSpectrum, Memory, MultiscaleCarry)
TUPLES += (NewtonReport, OnlineGradients, OnlineLags, OnlineStep, Packed, Padded)
TUPLES += (Saturation, Transcripts)
# The carries and inputs of cells.
TUPLES += tuple(value for value in vars(cells).values() if is_tuple(value))

for kind in TUPLES:
    export.register_namedtuple_serialization(
        kind, serialized_name=f"jaxrnn.{kind.__name__}"
    )
export.register_pytree_node_serialization(
    Context,
    serialized_name="jaxrnn.Context",
    serialize_auxdata=lambda _: b"",
    deserialize_auxdata=lambda _: (),
)
