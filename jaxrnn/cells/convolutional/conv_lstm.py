"""A long short-term memory over places."""

import jax
import jax.numpy as jnp

from ... import initializers
from ..activations import Activation, activation_of, check_activations
from ..affine import draw
from ..gated import Params
from ..lstm import LSTMCarry
from .convolution import Convolutional


class ConvLSTM(Convolutional[LSTMCarry]):
    """Long short-term memory at every place of a grid, its products convolutions.

        i, f = sigmoid(x * W_* + h * U_* + p_* c + b_*)     input and forget gate
        g    = tanh(x * W_g + h * U_g + b_g)                candidate
        c'   = f c + i g
        o    = sigmoid(x * W_o + h * U_o + p_o c' + b_o)    output gate, which sees c'
        h'   = o tanh(c')

    with x [*places, I] and h, c [*places, H], channels last; kernel [*size, I, 4H],
    recurrent_kernel [*size, H, 4H] and bias [4H] hold the blocks in the order i, f, g, o;
    peephole [*places, 3H], in the order i, f, o, only with a `peephole_init`. The carry
    is `LSTMCarry(h, c)`, zeros at first; the output is h. The forget gate's bias starts
    at one. Shi, Chen, Wang, Yeung, Wong and Woo, "Convolutional LSTM network: a machine
    learning approach for precipitation nowcasting", NeurIPS 2015, arXiv 1506.04214. That
    of keras has no peepholes.

    Args:
        input_shape, hidden_size: (*places, I) and H.
        kernel_size, recurrent_kernel_size, padding, strides, dilation,
            recurrent_dilation, use_bias, kernel_init, recurrent_init, bias_init: as
            `jaxrnn.cells.Convolutional` has them.
        peephole_init: see `jaxrnn.initializers`; None: no peepholes.
        activation: that of g and of c', in place of tanh: the name of a function of
            `jax.nn` or "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of i, f and o, in place of the sigmoid.

    Raises:
        ValueError: for an input_shape without one to three axes of places, for a size
            that is no positive int, for padding that leaves no places, for an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ConvLSTM((6, 8, 1), 5, kernel_size=3)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 6, 8, 1)))
        >>> print(params["recurrent_kernel"].shape, ys.shape)
        (3, 3, 5, 20) (7, 2, 6, 8, 5)
    """

    blocks = "i", "f", "g", "o"

    bias_init: initializers.Initializer = initializers.unit_forget
    peephole_init: initializers.Initializer | None = None
    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.peephole_init is None:
            return params
        key, shape = jax.random.fold_in(key, 3), (*self.places, 3 * self.hidden_size)
        peephole = draw(self, "peephole_init", key, shape, ("i", "f", "o"))
        return params | {"peephole": peephole}

    def initial_carry(self, params: Params) -> LSTMCarry:
        zeros = super().initial_carry(params)
        return LSTMCarry(h=zeros, c=zeros)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params.get("peephole", ()), tuple):  # none, or already
            return params
        return params | {"peephole": tuple(jnp.split(params["peephole"], 3, axis=-1))}

    def gates(
        self, params: Params, carry: LSTMCarry, drive: jax.Array
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [*places, H]."""
        z = drive + self.seen(carry.h, params["recurrent_kernel"])
        i, f, g, o = jnp.split(z, 4, axis=-1)
        gate, act = activation_of(self.gate_activation), activation_of(self.activation)
        peephole = self.prepare(params).get("peephole")
        if peephole is not None:
            i, f = i + peephole[0] * carry.c, f + peephole[1] * carry.c
        i, f, g = gate(i), gate(f), act(g)
        if peephole is not None:
            o = o + peephole[2] * (f * carry.c + i * g)
        return {"i": i, "f": f, "g": g, "o": gate(o)}

    def step(self, params: Params, carry: LSTMCarry, drive: jax.Array) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        return LSTMCarry(h=gate["o"] * activation_of(self.activation)(c), c=c)

    def output(self, params: Params, carry: LSTMCarry, drive: jax.Array) -> jax.Array:
        return carry.h
