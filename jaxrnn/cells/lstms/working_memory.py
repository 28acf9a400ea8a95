"""An LSTM whose gates see the memory through a layer of its own."""

import jax
import jax.numpy as jnp

from ..gated import Drive, Params
from ..lstm import LSTMCarry, Memory


class WMCLSTM(Memory, kw_only=True):
    """Long short-term memory with working memory connections.

        i, f = sigmoid(x W_* + h U_* + tanh(c M_*) + b_*)      input and forget gate
        g    = tanh(x W_g + h U_g + b_g)                       candidate
        c'   = f c + i g
        o    = sigmoid(x W_o + h U_o + tanh(c' M_o) + b_o)     output gate, which sees c'
        h'   = o tanh(c')

    with blocks in the order i, f, g, o as `jaxrnn.LSTM` has them, and memory_kernel
    [H, 3H] in the order i, f, o. In place of peepholes the gates see a bounded function
    of the whole memory. The carry is `LSTMCarry(h, c)`, zeros at first; the output is h.
    Landi, Baraldi, Cornia and Cucchiara, "Working memory connections for LSTM", Neural
    Networks 144, 2021, arXiv 2109.00020. torchrecurrent adds a bias inside the tanh.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes M too. The forget gate's
            bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.WMCLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["memory_kernel"].shape, c.shape, ys.shape)
        (5, 15) (2, 5) (7, 2, 5)
    """

    blocks = "i", "f", "g", "o"

    def init(self, key: jax.Array) -> Params:
        H = self.hidden_size
        kernel = "recurrent_init", (H, 3 * H), ("i", "f", "o")
        return super().init(key) | self.further(key, memory_kernel=kernel)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params["memory_kernel"], tuple):  # already
            return params
        kernels = jnp.split(params["memory_kernel"], [2 * self.hidden_size], axis=1)
        return params | {"memory_kernel": tuple(kernels)}

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        kernel_if, kernel_o = self.prepare(params)["memory_kernel"]
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        i, f, g, o = jnp.split(z, 4)
        memory_i, memory_f = jnp.split(jnp.tanh(carry.c @ kernel_if), 2)
        i, f = jax.nn.sigmoid(i + memory_i), jax.nn.sigmoid(f + memory_f)
        g = jnp.tanh(g)
        o = jax.nn.sigmoid(o + jnp.tanh((f * carry.c + i * g) @ kernel_o))
        return {"i": i, "f": f, "g": g, "o": o}
