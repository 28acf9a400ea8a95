"""What functions return, known to `jax.export`, so that an exported one has a file."""

from jax import export

from .arguments.keys import Keys
from .attention.attending import AttentionCarry, Memory
from .cells.lstm import LSTMCarry
from .context import Context
from .decoding import Beams, Generated
from .gradients.gates import Saturation
from .gradients.lags import LagProfile
from .gradients.lyapunov import LyapunovSpectrum
from .ragged import Packed

TUPLES = (AttentionCarry, Beams, Generated, Keys, LSTMCarry, LagProfile)
TUPLES += (LyapunovSpectrum, Memory, Packed, Saturation)

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
