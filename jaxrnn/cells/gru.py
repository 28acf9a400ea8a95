"""The gated recurrent unit, in both of its forms."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate, check_sizes
from ..cell import Cell
from .affine import Drive, recurrent_drive, recurrent_params, seen

GATES = ("r", "z", "n")


class GRU(Cell[dict[str, jax.Array], jax.Array, Drive]):
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
        input_size: I.
        hidden_size: H.
        reset_after: whether r acts after the recurrent product or before it.
        use_bias: False leaves `bias` and `recurrent_bias` out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`; `bias_init`
            makes b_hn too, as a fourth block named "hn".
        recurrent_dropout: the probability at which a unit of h is hidden from U, when
            there is a key: one mask for the whole sequence, never on z h (Gal and
            Ghahramani, NeurIPS 2016, arXiv 1512.05287).

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, ys.shape)
        (2, 5) (7, 2, 5)
    """

    input_size: int
    hidden_size: int
    reset_after: bool = True
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal
    recurrent_init: initializers.Initializer = initializers.orthogonal
    bias_init: initializers.Initializer = initializers.zeros
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)
        rate = check_rate(self, "recurrent_dropout", self.recurrent_dropout)
        object.__setattr__(self, "recurrent_dropout", rate)

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        bias_gates = (*GATES, "hn") if self.reset_after else GATES
        params = recurrent_params(self, key, GATES, bias_gates)
        if self.use_bias and self.reset_after:
            bias, recurrent_bias = jnp.split(params["bias"], [3 * self.hidden_size])
            params |= {"bias": bias, "recurrent_bias": recurrent_bias}
        return params

    def initial_carry(self, params: dict[str, jax.Array]) -> jax.Array:
        return jnp.zeros(self.hidden_size, params["recurrent_kernel"].dtype)

    def prepare(
        self, params: dict[str, Any], key: jax.Array | None = None
    ) -> dict[str, Any]:
        if self.reset_after or isinstance(params["recurrent_kernel"], tuple):
            return params
        # Two products a step, each with a kernel of its own that is split off once.
        kernels = jnp.split(params["recurrent_kernel"], [2 * self.hidden_size], axis=1)
        return params | {"recurrent_kernel": tuple(kernels)}

    def project(
        self, params: dict[str, jax.Array], x: Any, keys: Keys | None = None
    ) -> Drive:
        return recurrent_drive(self, params, x, keys)

    def gates(
        self, params: dict[str, jax.Array], carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"r", "z", "n"}, each [H], of the step from `carry`."""
        drive_r, drive_z, drive_n = jnp.split(drive.x, 3)
        h = seen(self, carry, drive)
        if self.reset_after:
            product = h @ params["recurrent_kernel"]
            product_r, product_z, product_n = jnp.split(product, 3)
            if "recurrent_bias" in params:
                product_n = product_n + params["recurrent_bias"]
            r = jax.nn.sigmoid(drive_r + product_r)
            z = jax.nn.sigmoid(drive_z + product_z)
            return {"r": r, "z": z, "n": jnp.tanh(drive_n + r * product_n)}
        kernel_rz, kernel_n = self.prepare(params)["recurrent_kernel"]
        product_r, product_z = jnp.split(h @ kernel_rz, 2)
        r = jax.nn.sigmoid(drive_r + product_r)
        z = jax.nn.sigmoid(drive_z + product_z)
        return {"r": r, "z": z, "n": jnp.tanh(drive_n + (r * h) @ kernel_n)}

    def step(
        self, params: dict[str, jax.Array], carry: jax.Array, drive: Drive
    ) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["z"]) * gate["n"] + gate["z"] * carry
