"""An LSTM whose gates see the memory."""

import jax
import jax.numpy as jnp

from ... import initializers
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Params
from ..lstm import LSTMCarry, Memory

PEEPHOLES = ("i", "f", "o")


class PeepholeLSTM(Memory, kw_only=True):
    """Long short-term memory with peepholes.

        i, f = sigmoid(x W_* + h U_* + p_* c + b_*)      input and forget gate
        g    = tanh(x W_g + h U_g + b_g)                 candidate
        c'   = f c + i g
        o    = sigmoid(x W_o + h U_o + p_o c' + b_o)     output gate, which sees c'
        h'   = o tanh(c')

    with blocks in the order i, f, g, o as `jaxrnn.LSTM` has them, and peephole [3H] in
    the order i, f, o. The carry is `LSTMCarry(h, c)`, zeros at first; the output is h.
    Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN 2000; in this form
    Graves, 2013, arXiv 1308.0850.

    Args:
        input_size, hidden_size: I and H.
        activation, gate_activation: those of g and c', and of the gates, as `jaxrnn.LSTM`
            has them.
        peephole_init: see `jaxrnn.initializers`; zeros: an LSTM at first.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the forget gate's bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.PeepholeLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["peephole"].shape, c.shape, ys.shape)
        (15,) (2, 5) (7, 2, 5)
    """

    blocks = "i", "f", "g", "o"

    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"
    peephole_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    def init(self, key: jax.Array) -> Params:
        peephole = "peephole_init", (3 * self.hidden_size,), PEEPHOLES
        return super().init(key) | self.further(key, peephole=peephole)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params["peephole"], tuple):  # already
            return params
        return params | {"peephole": tuple(jnp.split(params["peephole"], 3))}

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        i, f, g, o = jnp.split(z, 4)
        p_i, p_f, p_o = self.prepare(params)["peephole"]
        gate = activation_of(self.gate_activation)
        i, f = gate(i + p_i * carry.c), gate(f + p_f * carry.c)
        g = activation_of(self.activation)(g)
        o = gate(o + p_o * (f * carry.c + i * g))
        return {"i": i, "f": f, "g": g, "o": o}
