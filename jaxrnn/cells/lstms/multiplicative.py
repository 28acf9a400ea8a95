"""Cells in which x and h meet in a product first."""

from typing import Any, Generic

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..affine import unbiased
from ..gated import Carry, Drive, Gated, Params
from ..lstm import LSTMCarry, Memory


class Multiplicative(Gated[Carry], Generic[Carry], kw_only=True):
    """A cell whose blocks see m = (x W_m) (h U_m), the first of them, in place of h."""

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return self.blocks[1:]

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return self.blocks[:1]

    def init(self, key: jax.Array) -> Params:
        H, blocks = self.hidden_size, self.blocks[1:]
        kernel = "recurrent_init", (H, len(blocks) * H), blocks
        return super().init(key) | self.further(key, intermediate_kernel=kernel)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        z, keep = super().project(unbiased(params), x, keys)
        m, z = jnp.split(z, [self.hidden_size])
        return Drive((m, z + params["bias"] if self.use_bias else z), keep)

    def sums(self, params: Params, h: jax.Array, drive: Drive) -> jax.Array:
        """x W + m U + b, of all blocks but the first."""
        m, z = drive.x
        m = m * (self.seen(h, drive) @ params["recurrent_kernel"])
        return z + m @ params["intermediate_kernel"]


class MultiplicativeRNN(Multiplicative[jax.Array], kw_only=True):
    """The multiplicative recurrent network: another transition for every input.

        m  = (x W_m) (h U_m)                    the intermediate state
        h' = tanh(x W_h + m V + b)

    with kernel [I, 2H] in the order m, h, U_m = recurrent_kernel [H, H], V =
    intermediate_kernel [H, H] and b = bias [H]. To an x that is given, m V = h A(x) is
    linear in h: U_m diag(x W_m) V is its matrix. The carry and the output are h, zeros at
    first. Sutskever, Martens and Hinton, "Generating text with recurrent neural
    networks", ICML 2011, with as many factors as units, as in its experiments.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes V too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MultiplicativeRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "m", "h"

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return jnp.tanh(self.sums(params, carry, drive))


class MultiplicativeLSTM(Memory, Multiplicative[LSTMCarry], kw_only=True):
    """Long short-term memory whose gates see x and h through their product.

        m       = (x W_m) (h U_m)                       the intermediate state
        i, f, o = sigmoid(x W_* + m V_* + b_*)          input, forget and output gate
        g       = tanh(x W_g + m V_g + b_g)             candidate
        c'      = f c + i g
        h'      = o tanh(c')

    with kernel [I, 5H] in the order m, i, f, g, o, U_m = recurrent_kernel [H, H], and V =
    intermediate_kernel [H, 4H] and bias [4H] in the order i, f, g, o. The carry is
    `LSTMCarry(h, c)`, zeros at first; the output is h. Krause, Lu, Murray and Renals,
    "Multiplicative LSTM for sequence modelling", 2016, arXiv 1609.07959, with as many
    units of m as of h, as in its experiments. torchrecurrent has biases in both factors
    of m too.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes V too. The forget gate's
            bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MultiplicativeLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 25) (2, 5) (7, 2, 5)
    """

    blocks = "m", "i", "f", "g", "o"

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        i, f, g, o = jnp.split(self.sums(params, carry.h, drive), 4)
        i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
        return {"i": i, "f": f, "g": jnp.tanh(g), "o": o}
