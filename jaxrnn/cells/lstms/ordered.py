"""An LSTM whose units are ordered by how long they keep."""

from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_sizes
from ..affine import draw
from ..gated import Drive, Params
from ..lstm import LSTMCarry, Memory

MASTERS = ("master_f", "master_i")


class OrderedLSTM(Memory, kw_only=True):
    """The ordered neurons LSTM, ON-LSTM: a unit that is erased erases those below it.

        i, f, o = sigmoid(x W_* + h U_* + b_*)            input, forget and output gate
        g       = tanh(x W_g + h U_g + b_g)               candidate
        F       = cumax(x W_F + h U_F + b_F)              master forget gate, rising
        I       = 1 - cumax(x W_I + h U_I + b_I)          master input gate, falling
        f_hat   = F I f + F (1 - I)
        i_hat   = F I i + I (1 - F)
        c'      = f_hat c + i_hat g
        h'      = o tanh(c')

    with cumax the cumulative sum of the softmax; kernel, recurrent_kernel and bias have
    the blocks i, f, g, o. A master gate has a value for each of L = H / chunk_size levels
    of chunk_size units; master_kernel [I, 2L], master_recurrent_kernel [H, 2L] and
    master_bias [2L] have the blocks F, I. The carry is `LSTMCarry(h, c)`, zeros at first;
    the output is h. The mean of 1 - F is the paper's distance in the tree of a sentence.
    Shen, Tan, Sordoni and Courville, "Ordered neurons: integrating tree structures into
    recurrent neural networks", ICLR 2019, arXiv 1810.09536.

    Args:
        input_size, hidden_size: I and H.
        chunk_size: the units of one level, of which H is a multiple.
        master_bias_init: makes master_bias.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them, for the master gates too; the forget gate's
            bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that is no multiple
            of chunk_size, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.OrderedLSTM(3, 6, chunk_size=2)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["master_kernel"].shape, c.shape, ys.shape)
        (3, 6) (2, 6) (7, 2, 6)
    """

    blocks = "i", "f", "g", "o"

    chunk_size: int = 1
    master_bias_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, chunk_size=self.chunk_size)
        if self.hidden_size % self.chunk_size:
            raise ValueError(
                f"OrderedLSTM: chunk_size is {self.chunk_size}, expected a divisor of "
                f"hidden_size, {self.hidden_size}"
            )

    def init(self, key: jax.Array) -> Params:
        I, H = self.input_size, self.hidden_size
        levels = 2 * H // self.chunk_size
        params = super().init(key) | self.further(
            key,
            master_kernel=("kernel_init", (I, levels), MASTERS),
            master_recurrent_kernel=("recurrent_init", (H, levels), MASTERS),
        )
        if self.use_bias:
            own = jax.random.fold_in(key, 4)
            bias = draw(self, "master_bias_init", own, (levels,), MASTERS)
            params["master_bias"] = bias
        return params

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        # One product for all gates.
        if params["kernel"].shape[-1] > 4 * self.hidden_size:  # already
            return params
        joined = {
            name: jnp.concatenate([params[name], params[f"master_{name}"]], axis=-1)
            for name in ("kernel", "recurrent_kernel", "bias")
            if name in params
        }
        return params | joined

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o", "F", "I"}, each [H], of the step.

        "i" and "f" are i_hat and f_hat, with which c is written and kept.
        """
        kernel = self.prepare(params)["recurrent_kernel"]
        z = drive.x + self.seen(carry.h, drive) @ kernel
        z, masters = jnp.split(z, [4 * self.hidden_size])
        i, f, g, o = jnp.split(z, 4)
        i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
        F, I = self._levels(jnp.split(masters, 2))
        i, f = F * I * i + I * (1 - F), F * I * f + F * (1 - I)
        return {"i": i, "f": f, "g": jnp.tanh(g), "o": o, "F": F, "I": I}

    def _levels(self, masters: Any) -> tuple[jax.Array, jax.Array]:
        """F and I, for every unit."""
        F, I = (jnp.cumsum(jax.nn.softmax(sums)) for sums in masters)
        return jnp.repeat(F, self.chunk_size), jnp.repeat(1 - I, self.chunk_size)
