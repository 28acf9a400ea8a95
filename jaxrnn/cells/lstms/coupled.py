"""LSTMs whose input gate is what the forget gate leaves."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_numbers
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params
from ..lstm import LSTMCarry, Memory


class CoupledLSTM(Memory, kw_only=True):
    """Long short-term memory whose input gate is 1 - f: three gates instead of four.

        f, o = sigmoid(x W_* + h U_* + b_*)           forget and output gate
        g    = tanh(x W_g + h U_g + b_g)              candidate
        c'   = f c + (1 - f) g
        h'   = o tanh(c')

    with blocks in the order f, g, o. The carry is `LSTMCarry(h, c)`, zeros at first; the
    output is h. Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, "LSTM: a search
    space odyssey", 2017, arXiv 1503.04069, where it is called CIFG and has peepholes.

    Args:
        input_size, hidden_size: I and H.
        activation, gate_activation: those of g and c', and of the gates, as `jaxrnn.LSTM`
            has them.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the forget gate's bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CoupledLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "f", "g", "o"

    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        f, g, o = jnp.split(z, 3)
        gate = activation_of(self.gate_activation)
        f, o = gate(f), gate(o)
        return {"i": 1 - f, "f": f, "g": activation_of(self.activation)(g), "o": o}


class JANET(Gated[jax.Array], kw_only=True):
    """Just another network: an LSTM with a forget gate and nothing else.

        s  = x W_f + h U_f + b_f
        g  = tanh(x W_g + h U_g + b_g)                       candidate
        h' = sigmoid(s) h + (1 - sigmoid(s - beta)) g

    with blocks in the order f, g. The carry and the output are h, zeros at first.
    `bias_init=initializers.Chrono(t_max)` is the paper's for long sequences. Van der
    Westhuizen and Lasenby, "The unreasonable effectiveness of the forget gate", 2018,
    arXiv 1804.04849.

    Args:
        input_size, hidden_size: I and H.
        beta: how much less is forgotten than is written; the paper's 1.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the forget gate's bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a beta that
            is no finite number.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.JANET(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "f", "g"

    bias_init: initializers.Initializer = initializers.unit_forget
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "beta")

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"f", "i", "g"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry, drive) @ params["recurrent_kernel"]
        s, g = jnp.split(z, 2)
        i = jax.nn.sigmoid(self.beta - s)
        return {"f": jax.nn.sigmoid(s), "i": i, "g": jnp.tanh(g)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["f"] * carry + gate["i"] * gate["g"]
