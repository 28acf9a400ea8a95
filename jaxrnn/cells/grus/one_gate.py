"""Cells with one gate: what a GRU is without its reset, or with both gates in one."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params, parted
from .writing import Writing


class Update(Gated[jax.Array], kw_only=True):
    """A cell whose gate "z" keeps h, and whose candidate "n" takes its place."""

    blocks = "z", "n"
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"z", "n"}, each [H], of the step from `carry`."""
        sums = drive.x + self.seen(carry, drive) @ params["recurrent_kernel"]
        z, n = jnp.split(sums, 2)
        return {"z": jax.nn.sigmoid(z), "n": activation_of(self.activation)(n)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["z"] * carry + (1 - gate["z"]) * gate["n"]


class UGRNN(Update, kw_only=True):
    """The update gate recurrent network: a GRU without a reset.

        z  = sigmoid(x W_z + h U_z + b_z)           update gate, which keeps: its g
        n  = tanh(x W_n + h U_n + b_n)              candidate
        h' = z h + (1 - z) n

    with blocks in the order z, n. The carry and the output are h, zeros at first.
    Collins, Sohl-Dickstein and Sussillo, "Capacity and trainability in recurrent neural
    networks", ICLR 2017, arXiv 1611.09913, where n may be a relu as well.

    Args:
        input_size, hidden_size: I and H.
        activation: that of n, in place of tanh: the name of a function of `jax.nn`, or a
            function of a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.UGRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """


class LiGRU(Update, kw_only=True):
    """The light gated recurrent unit: a GRU without a reset, its candidate a relu.

        z  = sigmoid(x W_z + h U_z + b_z)           update gate, which keeps
        n  = relu(x W_n + h U_n + b_n)              candidate
        h' = z h + (1 - z) n

    with blocks in the order z, n. The carry and the output are h, zeros at first. The
    paper normalises x W over the batch, which a cell of one example cannot; without it,
    a relu may grow without bounds. Ravanelli, Brakel, Omologo and Bengio, "Light gated
    recurrent units for speech recognition", 2018, arXiv 1803.10225.

    Args:
        input_size, hidden_size: I and H.
        activation: that of n, in place of relu, as `UGRNN` has it.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LiGRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    activation: Activation = "relu"


class MGU(Writing, kw_only=True):
    """The minimal gated unit: one gate that resets and updates.

        i  = sigmoid(x W_i + h U_i + b_i)                gate, which writes: the paper's f
        n  = tanh(x W_n + (i h) U_n + b_n)               reset_after=False, the paper
        n  = tanh(x W_n + b_n + (1 - i) (h U_n + b_hn))  reset_after=True, as flax
        h' = (1 - i) h + i n

    with blocks in the order i, n; recurrent_bias [H] is b_hn, with reset_after only. The
    carry and the output are h, zeros at first. In the paper n sees what it takes the
    place of, and in flax, whose f is 1 - i, what is kept. Zhou, Wu, Zhang and Zhou,
    "Minimal gated unit for recurrent neural networks", 2016, arXiv 1603.09420.

    Args:
        input_size, hidden_size: I and H.
        reset_after: whether the gate acts on n after the recurrent product, as flax has
            it, or before it.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `use_bias=False` leaves `recurrent_bias` out
            too, which `bias_init` makes as a third block named "hn".

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MGU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "i", "n"

    reset_after: bool = False

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return (*self.blocks, "hn") if self.reset_after else self.blocks

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.use_bias and self.reset_after:
            bias, recurrent_bias = jnp.split(params["bias"], [2 * self.hidden_size])
            params |= {"bias": bias, "recurrent_bias": recurrent_bias}
        return params

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return params if self.reset_after else parted(params, self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "n"}, each [H], of the step from `carry`."""
        drive_i, drive_n = jnp.split(drive.x, 2)
        h = self.seen(carry, drive)
        if self.reset_after:
            product_i, product_n = jnp.split(h @ params["recurrent_kernel"], 2)
            if "recurrent_bias" in params:
                product_n = product_n + params["recurrent_bias"]
            i = jax.nn.sigmoid(drive_i + product_i)
            return {"i": i, "n": jnp.tanh(drive_n + (1 - i) * product_n)}
        kernel_i, kernel_n = self.prepare(params)["recurrent_kernel"]
        i = jax.nn.sigmoid(drive_i + h @ kernel_i)
        return {"i": i, "n": jnp.tanh(drive_n + (i * h) @ kernel_n)}


class MinimalRNN(Update, kw_only=True):
    """The minimal network: inputs go to a latent space, where one gate mixes them.

        n  = tanh(x W + b)                          the latent input: the paper's z
        z  = sigmoid(h U + n V + b_z)               update gate, which keeps: its u
        h' = z h + (1 - z) n

    with W = kernel [I, H], U = recurrent_kernel [H, H], V = latent_kernel [H, H], and
    b_z = gate_bias [H]. The carry and the output are h, zeros at first. All but h U is
    made for all steps at once. Chen, "MinimalRNN: toward more interpretable and trainable
    recurrent neural networks", 2017, arXiv 1711.06788.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` makes V and `bias_init` b_z
            too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MinimalRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(sorted(params), h.shape, ys.shape)  # doctest: +NORMALIZE_WHITESPACE
        ['bias', 'gate_bias', 'kernel', 'latent_kernel', 'recurrent_kernel'] (2, 5)
        (7, 2, 5)
    """

    blocks = ("n",)

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return ("z",)

    def init(self, key: jax.Array) -> Params:
        H = self.hidden_size
        return super().init(key) | self.further(
            key,
            latent_kernel=("recurrent_init", (H, H), ("z",)),
            gate_bias=("bias_init", (H,), ("z",)),
        )

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        n, keep = super().project(params, x, keys)
        n = jnp.tanh(n)
        z = n @ params["latent_kernel"]
        return Drive((z + params["gate_bias"] if self.use_bias else z, n), keep)

    def gates(self, params: Params, carry: jax.Array, drive: Any) -> dict[str, jax.Array]:
        """The activations {"z", "n"}, each [H], of the step from `carry`."""
        z, n = drive.x
        h = self.seen(carry, drive)
        return {"z": jax.nn.sigmoid(z + h @ params["recurrent_kernel"]), "n": n}
