"""Long short-term memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate, check_sizes
from ..cell import Cell
from .affine import Drive, recurrent_drive, recurrent_params, seen

GATES = ("i", "f", "g", "o")


class LSTMCarry(NamedTuple):
    """The carry of an LSTM: hidden state h [H] and memory c [H]."""

    h: jax.Array
    c: jax.Array


class LSTM(Cell[dict[str, jax.Array], LSTMCarry, Drive]):
    """Long short-term memory, with a forget gate and without peepholes.

        i, f, o = sigmoid(x W_* + h U_* + b_*)        input, forget and output gate
        g       = tanh(x W_g + h U_g + b_g)           candidate
        c'      = f c + i g
        h'      = o tanh(c')

    with x [I]; kernel [I, 4H], recurrent_kernel [H, 4H] and bias [4H] hold the blocks in
    the order i, f, g, o. The carry is `LSTMCarry(h, c)`, zeros at first; the output is
    h. The forget gate's bias starts at one. Hochreiter and Schmidhuber, "Long short-term
    memory", Neural Computation 9, 1997; Gers, Schmidhuber and Cummins, "Learning to
    forget", Neural Computation 12, 2000, for the forget gate.

    Args:
        input_size: I.
        hidden_size: H.
        use_bias: False leaves b out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`.
        recurrent_dropout: the probability at which a unit of h is hidden from U, when
            there is a key: one mask for the whole sequence, never on c (Gal and
            Ghahramani, NeurIPS 2016, arXiv 1512.05287).

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, c.shape, ys.shape)
        (2, 5) (2, 5) (7, 2, 5)
    """

    input_size: int
    hidden_size: int
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal
    recurrent_init: initializers.Initializer = initializers.orthogonal
    bias_init: initializers.Initializer = initializers.unit_forget
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)
        rate = check_rate(self, "recurrent_dropout", self.recurrent_dropout)
        object.__setattr__(self, "recurrent_dropout", rate)

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        return recurrent_params(self, key, GATES, GATES)

    def initial_carry(self, params: dict[str, jax.Array]) -> LSTMCarry:
        shape, dtype = self.hidden_size, params["recurrent_kernel"].dtype
        return LSTMCarry(h=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))

    def project(
        self, params: dict[str, jax.Array], x: Any, keys: Keys | None = None
    ) -> Drive:
        return recurrent_drive(self, params, x, keys)

    def gates(
        self, params: dict[str, jax.Array], carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + seen(self, carry.h, drive) @ params["recurrent_kernel"]
        i, f, g, o = jnp.split(z, 4)
        sigmoid = jax.nn.sigmoid
        return {"i": sigmoid(i), "f": sigmoid(f), "g": jnp.tanh(g), "o": sigmoid(o)}

    def step(
        self, params: dict[str, jax.Array], carry: LSTMCarry, drive: Drive
    ) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        return LSTMCarry(h=gate["o"] * jnp.tanh(c), c=c)

    def output(
        self, params: dict[str, jax.Array], carry: LSTMCarry, drive: Drive
    ) -> jax.Array:
        return carry.h
