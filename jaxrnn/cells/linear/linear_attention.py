"""Attention without a softmax: heads whose memories are matrices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.dtypes import promoted
from ...arguments.keys import Keys
from ...arguments.numbers import check_positive, check_sizes
from ..affine import affine, unbiased
from ..gated import Driven, Params
from ..lstms.normalized import layer_norm


def normalized(
    norm: Callable[[jax.Array, float], jax.Array], x: jax.Array, epsilon: float
) -> jax.Array:
    """norm(x, epsilon), in float32 at least: its slope at 0 is beyond float16."""
    wide = x.astype(promoted(x.dtype, jnp.float32))
    return norm(wide, epsilon).astype(x.dtype)


class Associating(Driven[jax.Array], kw_only=True):
    """A cell of heads that write values under keys, and read them by queries.

    Its key_kernel [I, 2 heads K] makes queries and keys, its kernel values and what else
    has H columns, its output_kernel [H, H] what is shown of the H = heads D that is read.
    """

    heads: int = 1
    key_size: int | None = None
    gain_init: initializers.Initializer = initializers.ones
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, heads=self.heads)
        if self.key_size is not None:
            check_sizes(self, key_size=self.key_size)
        check_positive(self, "epsilon")
        if self.hidden_size % self.heads:
            raise ValueError(
                f"{type(self).__name__}: heads is {self.heads}, expected a divisor of "
                f"hidden_size, {self.hidden_size}"
            )

    @property
    def value_units(self) -> int:
        """D, the units of a value of one head."""
        return self.hidden_size // self.heads

    @property
    def key_units(self) -> int:
        """K, those of a key."""
        return self.key_size or self.value_units

    def init(self, key: jax.Array) -> Params:
        H, keys = self.hidden_size, 2 * self.heads * self.key_units
        return super().init(key) | self.further(
            key,
            key_kernel=("kernel_init", (self.input_size, keys), ("q", "k")),
            output_kernel=("kernel_init", (H, H), ("y",)),
            gain=("gain_init", (H,), ("y",)),
        )

    def by_head(self, flat: jax.Array) -> jax.Array:
        """Units as [heads, units of one]."""
        return flat.reshape(self.heads, -1)

    def queries_and_keys(self, params: Params, x: Any) -> tuple[jax.Array, jax.Array]:
        """q and k, each [heads, K]."""
        q, k = jnp.split(affine(self, {"kernel": params["key_kernel"]}, x), 2)
        return self.by_head(q), self.by_head(k)


class GLADrive(NamedTuple):
    """What the step and the output of a `GatedLinearAttention` get."""

    a: jax.Array  # [heads, K]
    k: jax.Array  # [heads, K]
    v: jax.Array  # [heads, D]
    q: jax.Array  # [heads, K]
    r: jax.Array  # [H]


class GatedLinearAttention(Associating, kw_only=True):
    """Gated linear attention: what a head has written fades, in each row at its own rate.

        q, k = x W_q, x W_k                         query and key of a head [K]
        v  = x W_v                                  value [D]
        a  = sigmoid(x U_1 U_2 + b_a)^(1/tau)       gate of a head [K], near 1
        S' = diag(a) S + k^T v                      memory [K, D]
        o  = LN(q S')                               of each head by itself
        r  = swish(x W_r + b_r)                     output gate [H]
        y  = (r o) W_o                              o of all heads side by side

    with D = H / heads; key_kernel [I, 2 heads K] in the order q, k, kernel [I, 2H] in the
    order v, r, decay_down [I, rank] and decay_up [rank, heads K] for U_1 and U_2,
    decay_bias [heads K], bias [H] for b_r, output_kernel [H, H]; LN has gain [H] and
    offset [H]. The carry is S [heads, K, D], zeros at first; the output is y. Yang, Wang,
    Shen, Panda and Kim, "Gated linear attention transformers with hardware-efficient
    training", ICML 2024, arXiv 2312.06635.

    flash-linear-attention divides q by sqrt(K), which LN all but undoes, has an RMS norm
    in its place, with one gain for all heads, and no b_r.

    Args:
        input_size, hidden_size: I and H.
        heads: how many, of D = H / heads values each.
        key_size: K, of one head; half of D, if not given.
        rank: that of the map from x to a.
        temperature: tau; the higher, the longer what is written stays.
        epsilon: added to the variance in LN.
        gain_init: that of LN's gain, ones.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them; `kernel_init`
            makes all kernels, and `bias_init` b_a and LN's offset too.

    Raises:
        ValueError: for a size or a rank that is no positive int, a hidden_size that is no
            multiple of heads, a temperature or an epsilon that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.GatedLinearAttention(3, 8, heads=2)
        >>> params = cell.init(jax.random.key(0))
        >>> S, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 5, 3)))
        >>> print(params["key_kernel"].shape, S.shape, ys.shape)
        (3, 8) (5, 2, 2, 4) (7, 5, 8)
    """

    blocks = "v", "r"

    heads: int = 4
    rank: int = 16
    temperature: float = 16.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, rank=self.rank)
        check_positive(self, "temperature")

    @property
    def key_units(self) -> int:
        return self.key_size or max(1, self.value_units // 2)

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return ("r",)

    def init(self, key: jax.Array) -> Params:
        keys, own = self.heads * self.key_units, jax.random.fold_in(key, 4)
        return super().init(key) | self.further(
            own,
            decay_down=("kernel_init", (self.input_size, self.rank), ("a",)),
            decay_up=("kernel_init", (self.rank, keys), ("a",)),
            decay_bias=("bias_init", (keys,), ("a",)),
            offset=("bias_init", (self.hidden_size,), ("y",)),
        )

    def initial_carry(self, params: Params) -> jax.Array:
        shape = self.heads, self.key_units, self.value_units
        return jnp.zeros(shape, params["kernel"].dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> GLADrive:
        q, k = self.queries_and_keys(params, x)
        v, r = jnp.split(affine(self, unbiased(params), x), 2)
        a = x @ params["decay_down"] @ params["decay_up"]
        if self.use_bias:
            r, a = r + params["bias"], a + params["decay_bias"]
        a = jnp.exp(jax.nn.log_sigmoid(a) / self.temperature)
        return GLADrive(self.by_head(a), k, self.by_head(v), q, jax.nn.silu(r))

    def gates(
        self, params: Params, carry: jax.Array, drive: GLADrive
    ) -> dict[str, jax.Array]:
        """The rates {"f"} [heads, K] at which rows are kept: a."""
        return {"f": drive.a}

    def step(self, params: Params, carry: jax.Array, drive: GLADrive) -> jax.Array:
        written = jnp.einsum("hk,hd->hkd", drive.k, drive.v)
        return drive.a[:, :, None] * carry + written

    def output(self, params: Params, carry: jax.Array, drive: GLADrive) -> jax.Array:
        read = jnp.einsum("hk,hkd->hd", drive.q, carry)
        o = params["gain"] * normalized(layer_norm, read, self.epsilon).reshape(-1)
        o = o + params["offset"] if self.use_bias else o
        return (drive.r * o) @ params["output_kernel"]
