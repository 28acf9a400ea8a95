"""Cells of one gate, whose candidate is h times a gate of h times x."""

import jax
import jax.numpy as jnp

from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Params, parted
from .writing import Writing


class SGU(Writing, kw_only=True):
    """The simple gated unit: its candidate is h times a gate of h times x.

        m  = tanh(((x W_m + b_m) h) U_m)            multiplicative gate, the paper's z_g
        n  = softplus(m h)                          candidate, the paper's z_out
        i  = hard_sigmoid(x W_i + h U_i + b_i)      gate, which writes: the paper's z
        h' = (1 - i) h + i n

    with blocks in the order m, i. The carry and the output are h, zeros at first. The
    hard sigmoid is that of the authors' code, min(1, max(0, x / 5 + 1 / 2)). Gao and
    Glowacka, "Deep gate recurrent neural network", ACML 2016, arXiv 1604.02910.
    torchrecurrent adds a bias to the product by U_m and has another hard sigmoid,
    min(1, max(0, x / 6 + 1 / 2)): gate_activation="hard_sigmoid".

    Args:
        input_size, hidden_size: I and H.
        activation: that of n, in place of softplus: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of i, in place of the hard sigmoid.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.SGU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "m", "i"

    activation: Activation = "softplus"
    gate_activation: Activation = "onnx_hard_sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"m", "n", "i"}, each [H], of the step from `carry`."""
        gate, act = activation_of(self.gate_activation), activation_of(self.activation)
        kernel_m, kernel_i = self.prepare(params)["recurrent_kernel"]
        drive_m, drive_i = jnp.split(drive.x, 2)
        h = self.seen(carry, drive)
        m = jnp.tanh((drive_m * h) @ kernel_m)
        n = act(self.modulated(params, m, carry, drive))
        return {"m": m, "n": n, "i": gate(drive_i + h @ kernel_i)}

    def modulated(
        self, params: Params, m: jax.Array, carry: jax.Array, drive: Drive
    ) -> jax.Array:
        """What the candidate is a function of, [H]."""
        return m * carry


class DSGU(SGU, kw_only=True):
    """The deep simple gated unit: an SGU with one more product, and so a bounded h.

        m  = tanh(((x W_m + b_m) h) U_m)            multiplicative gate, the paper's z_g
        n  = sigmoid((m h) V)                       candidate, the paper's z_out
        i  = hard_sigmoid(x W_i + h U_i + b_i)      gate, which writes: the paper's z
        h' = (1 - i) h + i n

    with blocks in the order m, i, and V = output_kernel [H, H]. The carry and the output
    are h, zeros at first. The hard sigmoid and what torchrecurrent does otherwise are
    those of `SGU`. Gao and Glowacka, "Deep gate recurrent neural network", ACML 2016,
    arXiv 1604.02910.

    Args:
        input_size, hidden_size: I and H.
        activation: that of n, in place of the sigmoid: the name of a function of `jax.nn`
            or "onnx_hard_sigmoid", or a function of a module.
        gate_activation: that of i, in place of the hard sigmoid.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes V too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.DSGU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["output_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    activation: Activation = "sigmoid"

    def init(self, key: jax.Array) -> Params:
        output_kernel = "recurrent_init", (self.hidden_size, self.hidden_size), ("n",)
        return super().init(key) | self.further(key, output_kernel=output_kernel)

    def modulated(
        self, params: Params, m: jax.Array, carry: jax.Array, drive: Drive
    ) -> jax.Array:
        return (m * self.seen(carry, drive)) @ params["output_kernel"]
