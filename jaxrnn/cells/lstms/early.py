"""Long short-term memory as it was in 1997."""

import jax
import jax.numpy as jnp

from ... import initializers
from ..gated import Drive, Params
from ..lstm import LSTMCarry, Memory


class OriginalLSTM(Memory, kw_only=True):
    """Long short-term memory before it had a forget gate: what is written stays.

        i, o = sigmoid(x W_* + h U_* + b_*)               input and output gate
        g    = 4 sigmoid(x W_g + h U_g + b_g) - 2         candidate, in [-2, 2]
        c'   = c + i g
        h'   = o (2 sigmoid(c') - 1)                      in [-1, 1]

    with blocks in the order i, g, o. The carry is `LSTMCarry(h, c)`, zeros at first; the
    output is h. Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation
    9, 1997. There the gates may also see each other's last activations, and the gradient
    is cut so that it flows back through c alone; here it is exact. torchrecurrent has a
    tanh in place of either: that is this cell with the g blocks doubled, and c with them.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.OriginalLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "i", "g", "o"

    bias_init: initializers.Initializer = initializers.zeros

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        i, g, o = jnp.split(z, 3)
        return {"i": jax.nn.sigmoid(i), "g": 2 * jnp.tanh(g / 2), "o": jax.nn.sigmoid(o)}

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = carry.c + gate["i"] * gate["g"]
        return LSTMCarry(h=gate["o"] * jnp.tanh(c / 2), c=c)
