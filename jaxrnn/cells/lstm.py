"""Long short-term memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.numbers import check_positive, check_sizes
from .activations import Activation, activation_of, check_activations
from .gated import Drive, Gated, Params


class LSTMCarry(NamedTuple):
    """The carry of an LSTM: hidden state h [H] and memory c [H]."""

    h: jax.Array
    c: jax.Array


class Memory(Gated[LSTMCarry], kw_only=True):
    """A cell with the carry of an LSTM: its gates write to c, and show h, which is read.

    What derives from it has its equations in `gates`, "i", "f", "g" and "o" among them:
    c' = f c + i g and h' = o tanh(c'), or another function of c' that it has as its
    `activation`. The bias of a gate "f" starts at one.
    """

    activation = "tanh"  # no field, unless of what derives from it

    bias_init: initializers.Initializer = initializers.unit_forget

    def initial_carry(self, params: Params) -> LSTMCarry:
        h = super().initial_carry(params)
        return LSTMCarry(h=h, c=jnp.zeros(self.hidden_size, h.dtype))

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        return LSTMCarry(h=gate["o"] * activation_of(self.activation)(c), c=c)

    def output(self, params: Params, carry: LSTMCarry, drive: Drive) -> jax.Array:
        return carry.h


class LSTM(Memory, kw_only=True):
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
        input_size, hidden_size: I and H.
        activation: that of g and of c', in place of tanh: the name of a function of
            `jax.nn` or "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of i, f and o, in place of the sigmoid.
        projection_size: P, for h' = (o tanh(c')) V with V = projection [H, P]; h is [P]
            and recurrent_kernel [P, 4H] then. Sak, Senior and Beaufays, Interspeech 2014,
            arXiv 1402.1128; torch's `proj_size`.
        clip: c' is kept between -clip and clip.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes V too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation, a clip that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, c.shape, ys.shape)
        (2, 5) (2, 5) (7, 2, 5)
    """

    blocks = "i", "f", "g", "o"

    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"
    projection_size: int | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")
        if self.projection_size is not None:
            check_sizes(self, projection_size=self.projection_size)
        if self.clip is not None:
            check_positive(self, "clip")

    @property
    def state_size(self) -> int:
        return self.projection_size or self.hidden_size

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.projection_size is None:
            return params
        projection = "recurrent_init", (self.hidden_size, self.projection_size), ("h",)
        return params | self.further(key, projection=projection)

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        i, f, g, o = jnp.split(z, 4)
        gate, act = activation_of(self.gate_activation), activation_of(self.activation)
        return {"i": gate(i), "f": gate(f), "g": act(g), "o": gate(o)}

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        if self.clip is not None:
            c = jnp.clip(c, -self.clip, self.clip)
        h = gate["o"] * activation_of(self.activation)(c)
        if self.projection_size is not None:
            h = h @ params["projection"]
        return LSTMCarry(h=h, c=c)
