"""The gated recurrent unit, in both of its forms."""

import jax
import jax.numpy as jnp

from .activations import Activation, activation_of, check_activations
from .gated import Drive, Gated, Params, parted


class GRU(Gated[jax.Array], kw_only=True):
    """The gated recurrent unit: r resets, z keeps.

        r, z = sigmoid(x W_* + h U_* + b_*)               reset and update gate
        n    = tanh(x W_n + b_n + r (h U_n + b_hn))       reset_after=True, as cuDNN
        n    = tanh(x W_n + b_n + (r h) U_n)              reset_after=False, the paper
        h'   = (1 - z) n + z h

    with x [I], h [H]; kernel [I, 3H], recurrent_kernel [H, 3H] and bias [3H] hold the
    blocks in the order r, z, n; recurrent_bias [H] is b_hn, with reset_after only. The
    carry and the output are h, zeros at first. Cho et al., "Learning phrase
    representations using RNN encoder-decoder", EMNLP 2014, arXiv 1406.1078.

    Textbooks also write h' = (1 - z) h + z n, where z writes instead of keeping. The two
    differ by z -> 1 - z = sigmoid(-(...)): to convert weights either way, negate the z
    columns of `kernel` and `recurrent_kernel` and the z block of `bias`. The place of the
    reset cannot be converted: it is another cell.

    Args:
        input_size, hidden_size: I and H.
        reset_after: whether r acts after the recurrent product or before it.
        activation: that of n, in place of tanh: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of r and z, in place of the sigmoid.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `use_bias=False` leaves `recurrent_bias` out
            too, which `bias_init` makes as a fourth block named "hn".

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), or an
            unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, ys.shape)
        (2, 5) (7, 2, 5)
    """

    blocks = "r", "z", "n"

    reset_after: bool = True
    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return (*self.blocks, "hn") if self.reset_after else self.blocks

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.use_bias and self.reset_after:
            bias, recurrent_bias = jnp.split(params["bias"], [3 * self.hidden_size])
            params |= {"bias": bias, "recurrent_bias": recurrent_bias}
        return params

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return params if self.reset_after else parted(params, 2 * self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"r", "z", "n"}, each [H], of the step from `carry`."""
        gate, act = activation_of(self.gate_activation), activation_of(self.activation)
        drive_r, drive_z, drive_n = jnp.split(drive.x, 3)
        h = self.seen(carry, drive)
        if self.reset_after:
            product = h @ params["recurrent_kernel"]
            product_r, product_z, product_n = jnp.split(product, 3)
            if "recurrent_bias" in params:
                product_n = product_n + params["recurrent_bias"]
            r = gate(drive_r + product_r)
            z = gate(drive_z + product_z)
            return {"r": r, "z": z, "n": act(drive_n + r * product_n)}
        kernel_rz, kernel_n = self.prepare(params)["recurrent_kernel"]
        product_r, product_z = jnp.split(h @ kernel_rz, 2)
        r = gate(drive_r + product_r)
        z = gate(drive_z + product_z)
        return {"r": r, "z": z, "n": act(drive_n + (r * h) @ kernel_n)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["z"]) * gate["n"] + gate["z"] * carry
