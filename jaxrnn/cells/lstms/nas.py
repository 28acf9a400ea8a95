"""The cell that a search found."""

import jax
import jax.numpy as jnp

from ... import initializers
from ..gated import Drive, Params
from ..lstm import LSTMCarry, Memory


class NAS(Memory, kw_only=True):
    """The cell that neural architecture search found on the Penn Treebank.

        a_1, a_3, a_6, a_8 = sigmoid(x W_* + h U_* + b_*)
        a_5, a_7           = tanh(x W_* + h U_* + b_*)
        a_2                = relu(x W_2 + h U_2 + b_2)
        a_4                = relu((x W_4) (h U_4 + b_4))        a product, of x and h
        c'                 = tanh(tanh(a_1 a_2) + c) tanh(a_3 + a_4)
        h'                 = tanh(c' tanh(tanh(a_5 a_6) + sigmoid(a_7 + a_8)))

    with kernel [I, 8H], recurrent_kernel [H, 8H] and bias [8H] in the order a1 to a8. The
    carry is `LSTMCarry(h, c)`, zeros at first; the output is h. Zoph and Le, "Neural
    architecture search with reinforcement learning", ICLR 2017, arXiv 1611.01578, in the
    equations of TensorFlow's `tf.contrib.rnn.NASCell`, which by default has no bias; that
    of TensorFlow Addons is the same. torchrecurrent has a sum in a_4 as well.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.NAS(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 40) (2, 5) (7, 2, 5)
    """

    blocks = "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"

    bias_init: initializers.Initializer = initializers.zeros

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        """With b_4 taken out of the bias, for it is added to h U_4 and not to x W_4."""
        if not self.use_bias or "recurrent_bias" in params:  # already
            return params
        blocks = jnp.split(params["bias"], 8)
        bias = jnp.concatenate([*blocks[:3], jnp.zeros_like(blocks[3]), *blocks[4:]])
        return params | {"bias": bias, "recurrent_bias": blocks[3]}

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"a1", ..., "a8"}, each [H], of the step from `carry`."""
        params = self.prepare(params)
        product = self.seen(carry.h, drive) @ params["recurrent_kernel"]
        factors = jnp.split(drive.x, 8)[3], jnp.split(product, 8)[3]
        z1, z2, z3, _, z5, z6, z7, z8 = jnp.split(drive.x + product, 8)
        z4 = factors[0] * (factors[1] + params.get("recurrent_bias", 0))
        sigmoid, tanh, relu = jax.nn.sigmoid, jnp.tanh, jax.nn.relu
        first = sigmoid(z1), relu(z2), sigmoid(z3), relu(z4)
        last = tanh(z5), sigmoid(z6), tanh(z7), sigmoid(z8)
        return dict(zip(self.blocks, (*first, *last), strict=True))

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        a1, a2, a3, a4, a5, a6, a7, a8 = self.gates(params, carry, drive).values()
        c = jnp.tanh(jnp.tanh(a1 * a2) + carry.c) * jnp.tanh(a3 + a4)
        shown = jnp.tanh(jnp.tanh(a5 * a6) + jax.nn.sigmoid(a7 + a8))
        return LSTMCarry(h=jnp.tanh(c * shown), c=c)
