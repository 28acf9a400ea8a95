"""Cells whose sums are normalised over the units of a layer."""

from typing import Any, ClassVar, Generic

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_positive
from ..affine import unbiased
from ..gated import Carry, Drive, Gated, Params
from ..lstm import LSTMCarry, Memory


def layer_norm(x: jax.Array, epsilon: float) -> jax.Array:
    """x less its mean over the last axis, in units of its standard deviation there."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon)


class Normalized(Gated[Carry], Generic[Carry], kw_only=True):
    """A cell that gets LN(x W) + b, with one block of b that stands elsewhere."""

    apart: ClassVar[tuple[str, str]]  # that block: its gate, and its parameter's name
    cuts: ClassVar[tuple[int, ...]] = ()  # blocks before each group normalised by itself

    gain_init: initializers.Initializer = initializers.ones
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "epsilon")

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return (*self.blocks, self.apart[0])

    def init(self, key: jax.Array) -> Params:
        params, size = super().init(key), len(self.blocks) * self.hidden_size
        if self.use_bias:
            bias, apart = jnp.split(params["bias"], [size])
            params |= {"bias": bias, self.apart[1]: apart}
        gain = "gain_init", (size,), self.blocks
        return params | self.further(key, gain=gain, recurrent_gain=gain)

    def normalized(self, z: jax.Array, gain: jax.Array) -> jax.Array:
        groups = jnp.split(z, [count * self.hidden_size for count in self.cuts])
        return gain * jnp.concatenate([layer_norm(z, self.epsilon) for z in groups])

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        z, keep = super().project(unbiased(params), x, keys)
        z = self.normalized(z, params["gain"])
        return Drive(z + params["bias"] if self.use_bias else z, keep)


class LayerNormLSTM(Memory, Normalized[LSTMCarry], kw_only=True):
    """Long short-term memory with layer normalisation.

        i, f, o = sigmoid(s_* LN(x W)_* + u_* LN(h U)_* + b_*)      the gates
        g       = tanh(s_g LN(x W)_g + u_g LN(h U)_g + b_g)         candidate
        c'      = f c + i g
        h'      = o tanh(s_c LN(c') + b_c)
        LN(z)   = (z - mean z) / sqrt(variance of z + epsilon)

    with mean and variance over all 4H sums of the gates together, those of x apart from
    those of h, and over the H units of c'. Blocks are in the order i, f, g, o; s = gain
    and u = recurrent_gain are [4H], s_c = memory_gain and b_c = memory_bias [H]. All that
    is normalised of x is made for all steps at once. The carry is `LSTMCarry(h, c)`, c
    not normalised, zeros at first; the output is h. Ba, Kiros and Hinton, "Layer
    normalization", 2016, arXiv 1607.06450, supplement. Its offsets of LN(x W) and LN(h U)
    are added to b; here one parameter stands for their sum.

    TensorFlow's LayerNormBasicLSTMCell normalises x W + h U, each gate by itself; it, the
    LayerNormLSTMCell of TensorFlow Addons and that of PyTorch's benchmarks carry the
    normalised c' on, where here it is only shown.

    Args:
        input_size, hidden_size: I and H.
        epsilon: added to the variance; 1e-5 in the authors' code.
        gain_init: of all gains, see `jaxrnn.initializers`; ones.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `use_bias=False` leaves `memory_bias` out too,
            which `bias_init` makes as a fifth block named "c". The forget gate's bias
            starts at one.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an epsilon
            that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LayerNormLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["gain"].shape, params["memory_gain"].shape, c.shape, ys.shape)
        (20,) (5,) (2, 5) (7, 2, 5)
    """

    blocks = "i", "f", "g", "o"
    apart = "c", "memory_bias"

    def init(self, key: jax.Array) -> Params:
        gain = "gain_init", (self.hidden_size,), ("c",)
        own = jax.random.fold_in(key, 1)  # the base has drawn from the key's own
        return super().init(key) | self.further(own, memory_gain=gain)

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        product = self.seen(carry.h, drive) @ params["recurrent_kernel"]
        z = drive.x + self.normalized(product, params["recurrent_gain"])
        i, f, g, o = jnp.split(z, 4)
        i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
        return {"i": i, "f": f, "g": jnp.tanh(g), "o": o}

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        shown = params["memory_gain"] * layer_norm(c, self.epsilon)
        if self.use_bias:
            shown = shown + params["memory_bias"]
        return LSTMCarry(h=gate["o"] * jnp.tanh(shown), c=c)


class LayerNormGRU(Normalized[jax.Array], kw_only=True):
    """The gated recurrent unit with layer normalisation.

        r, z = sigmoid(s_* LN(x W_rz)_* + u_* LN(h U_rz)_* + b_*)      reset, update gate
        n    = tanh(s_n LN(x W_n) + b_n + r (u_n LN(h U_n) + b_hn))    candidate
        h'   = (1 - z) n + z h

    with LN as in `LayerNormLSTM`: over the 2H sums of both gates together and over the H
    of the candidate, those of x apart from those of h. Blocks are in the order r, z, n as
    `jaxrnn.GRU` has them; s = gain and u = recurrent_gain are [3H], b_hn = recurrent_bias
    [H]. The carry and the output are h, zeros at first. Ba, Kiros and Hinton, "Layer
    normalization", 2016, arXiv 1607.06450, supplement. There z writes; here it keeps, as
    in the authors' code: to convert weights, negate the z blocks of both gains and of the
    bias.

    Args:
        input_size, hidden_size: I and H.
        epsilon, gain_init: as in `LayerNormLSTM`.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.GRU` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an epsilon
            that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LayerNormGRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["gain"].shape, h.shape, ys.shape)
        (15,) (2, 5) (7, 2, 5)
    """

    blocks = "r", "z", "n"
    apart = "hn", "recurrent_bias"
    cuts = (2,)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"r", "z", "n"}, each [H], of the step from `carry`."""
        product = self.seen(carry, drive) @ params["recurrent_kernel"]
        product = self.normalized(product, params["recurrent_gain"])
        drive_rz, drive_n = jnp.split(drive.x, [2 * self.hidden_size])
        product_rz, product_n = jnp.split(product, [2 * self.hidden_size])
        if self.use_bias:
            product_n = product_n + params["recurrent_bias"]
        r, z = jnp.split(jax.nn.sigmoid(drive_rz + product_rz), 2)
        return {"r": r, "z": z, "n": jnp.tanh(drive_n + r * product_n)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["z"]) * gate["n"] + gate["z"] * carry
