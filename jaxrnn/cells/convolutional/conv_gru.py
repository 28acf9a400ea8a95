"""A gated recurrent unit over places."""

import jax
import jax.numpy as jnp

from ..activations import Activation, activation_of, check_activations
from ..gated import Params, parted
from .convolution import Convolutional


class ConvGRU(Convolutional[jax.Array]):
    """The gated recurrent unit at every place of a grid, its products convolutions.

        r, z = sigmoid(x * W_* + h * U_* + b_*)          reset and update gate
        n    = tanh(x * W_n + (r h) * U_n + b_n)         candidate
        h'   = (1 - z) n + z h

    with x [*places, I] and h [*places, H], channels last; kernel [*size, I, 3H],
    recurrent_kernel [*size, H, 3H] and bias [3H] hold the blocks in the order r, z, n.
    The carry and the output are h, zeros at first. Ballas, Yao, Pal and Courville,
    "Delving deeper into convolutional networks for learning video representations", ICLR
    2016, arXiv 1511.06432, whose z writes instead of keeping: see `jaxrnn.GRU`.

    Args:
        input_shape, hidden_size: (*places, I) and H.
        kernel_size, recurrent_kernel_size, padding, strides, dilation,
            recurrent_dilation, use_bias, kernel_init, recurrent_init, bias_init: as
            `jaxrnn.cells.Convolutional` has them.
        activation: that of n, in place of tanh: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of r and z, in place of the sigmoid.

    Raises:
        ValueError: for an input_shape without one to three axes of places, for a size
            that is no positive int, for padding that leaves no places, for an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ConvGRU((8, 1), 5, kernel_size=3, padding="VALID")
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 8, 1)))
        >>> print(params["recurrent_kernel"].shape, ys.shape)
        (3, 5, 15) (7, 2, 6, 5)
    """

    blocks = "r", "z", "n"

    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, 2 * self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: jax.Array
    ) -> dict[str, jax.Array]:
        """The activations {"r", "z", "n"}, each [*places, H]."""
        gate, act = activation_of(self.gate_activation), activation_of(self.activation)
        kernel_rz, kernel_n = self.prepare(params)["recurrent_kernel"]
        drive_rz, drive_n = jnp.split(drive, [2 * self.hidden_size], axis=-1)
        rz = gate(drive_rz + self.seen(carry, kernel_rz))
        r, z = jnp.split(rz, 2, axis=-1)
        return {"r": r, "z": z, "n": act(drive_n + self.seen(r * carry, kernel_n))}

    def step(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["z"]) * gate["n"] + gate["z"] * carry
