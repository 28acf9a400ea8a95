"""Strongly typed cells: a product by parameters never sees a state, only inputs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..affine import affine, padded
from ..gated import Carry, Driven, Params


class TRNN(Driven[jax.Array], kw_only=True):
    """The strongly typed recurrent network: an average of inputs, with learned weights.

        f  = sigmoid(x W_f + b)                         forget gate, which keeps
        n  = x W_n                                      linear: the paper's z
        h' = f h + (1 - f) n

    with kernel [I, 2H] in the order f, n and bias [H]. Nothing but the last line is in
    the loop. The carry and the output are h, zeros at first. Balduzzi and Ghifary,
    "Strongly-typed recurrent neural networks", ICML 2016, arXiv 1602.02218.
    torchrecurrent gives n a bias too.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.TRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, params["bias"].shape, h.shape, ys.shape)
        (3, 10) (5,) (2, 5) (7, 2, 5)
    """

    blocks = "f", "n"

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return ("f",)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        f, n = jnp.split(super().project(padded(params), x, keys), 2)
        f = jax.nn.sigmoid(f)
        return f, (1 - f) * n

    def gates(self, params: Params, carry: jax.Array, drive: Any) -> dict[str, jax.Array]:
        """The activation {"f"} [H]."""
        return {"f": drive[0]}

    def step(self, params: Params, carry: jax.Array, drive: Any) -> jax.Array:
        f, written = drive
        return f * carry + written


class TypedCarry(NamedTuple):
    """The carry of a `TGRU`: h [H], and `previous` [3H], the product by the x before.

    That product is by the parameters of the step before: where a carry passes from one
    update of the parameters to the next, it is of the old ones.
    """

    h: jax.Array
    previous: jax.Array


class TypedLSTMCarry(NamedTuple):
    """The carry of a `TLSTM`: h [H], which is shown, memory c [H], and `previous` [3H],
    the product by the x before, and by the parameters of then, as in `TypedCarry`.
    """

    h: jax.Array
    c: jax.Array
    previous: jax.Array


class TypedDrive(NamedTuple):
    """The products by one x [3H]: what this step gets, and what the next one does."""

    now: jax.Array  # x W + b
    later: jax.Array  # x V


class Typed(Driven[Carry], kw_only=True):
    """A cell with gates of x and of the x before.

    The product by an x is made outside of the loop, for this step and for the next, and
    stands in the carry in between.
    """

    blocks = "f", "n", "o"

    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def init(self, key: jax.Array) -> Params:
        shape = self.input_size, 3 * self.hidden_size
        previous = "kernel_init", shape, self.blocks
        return super().init(key) | self.further(key, previous_kernel=previous)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> TypedDrive:
        return TypedDrive(affine(self, params, x), x @ params["previous_kernel"])

    def gates(self, params: Params, carry: Any, drive: TypedDrive) -> Any:
        """The activations {"f", "o"}, each [H], of the step from `carry`."""
        return self._all(carry, drive)[0]

    def _all(
        self, carry: Any, drive: TypedDrive
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The gates, and n."""
        f, n, o = jnp.split(drive.now + carry.previous, 3)
        return {"f": jax.nn.sigmoid(f), "o": activation_of(self.activation)(o)}, n


class TGRU(Typed[TypedCarry], kw_only=True):
    """The strongly typed GRU: gates of x and of the x before.

        f  = sigmoid(x W_f + x_before V_f + b_f)        forget gate, which keeps
        n  = x W_n + x_before V_n + b_n                 linear: the paper's z
        o  = tanh(x W_o + x_before V_o + b_o)           the gate of n
        h' = f h + n o

    with blocks in the order f, n, o and V = previous_kernel [I, 3H]. The carry is
    `TypedCarry(h, previous)` with previous = x_before V, so that no product is in the
    loop; zeros at first, as for an x of zeros. The output is h. Balduzzi and Ghifary,
    "Strongly-typed recurrent neural networks", ICML 2016, arXiv 1602.02218.

    Args:
        input_size, hidden_size: I and H.
        activation: that of o, in place of tanh: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them; `kernel_init`
            makes V too.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.TGRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, previous), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["previous_kernel"].shape, h.shape, previous.shape, ys.shape)
        (3, 15) (2, 5) (2, 15) (7, 2, 5)
    """

    def initial_carry(self, params: Params) -> TypedCarry:
        h = super().initial_carry(params)
        return TypedCarry(h, jnp.zeros(3 * self.hidden_size, h.dtype))

    def is_state(self, carry: TypedCarry) -> Any:
        return carry._replace(h=True, previous=False)

    def step(self, params: Params, carry: TypedCarry, drive: TypedDrive) -> TypedCarry:
        gate, n = self._all(carry, drive)
        return TypedCarry(gate["f"] * carry.h + n * gate["o"], drive.later)

    def output(self, params: Params, carry: TypedCarry, drive: Any) -> jax.Array:
        return carry.h


class TLSTM(Typed[TypedLSTMCarry], kw_only=True):
    """The strongly typed LSTM: gates of x and of the x before, and an output gate.

        f  = sigmoid(x W_f + x_before V_f + b_f)        forget gate, which keeps
        n  = x W_n + x_before V_n + b_n                 linear: the paper's z
        o  = tanh(x W_o + x_before V_o + b_o)           output gate
        c' = f c + (1 - f) n
        h' = c' o

    with blocks in the order f, n, o and V = previous_kernel [I, 3H]. The carry is
    `TypedLSTMCarry(h, c, previous)` with previous = x_before V, so that no product is in
    the loop; zeros at first, as for an x of zeros. The output is h, which no step reads.
    Balduzzi and Ghifary, "Strongly-typed recurrent neural networks", ICML 2016, arXiv
    1602.02218.

    Args:
        input_size, hidden_size: I and H.
        activation: that of o, in place of tanh: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them; `kernel_init`
            makes V too.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.TLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c, previous), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["previous_kernel"].shape, c.shape, previous.shape, ys.shape)
        (3, 15) (2, 5) (2, 15) (7, 2, 5)
    """

    def initial_carry(self, params: Params) -> TypedLSTMCarry:
        h = super().initial_carry(params)
        previous = jnp.zeros(3 * self.hidden_size, h.dtype)
        return TypedLSTMCarry(h, jnp.zeros_like(h), previous)

    def is_state(self, carry: TypedLSTMCarry) -> Any:
        return carry._replace(h=False, c=True, previous=False)

    def step(
        self, params: Params, carry: TypedLSTMCarry, drive: TypedDrive
    ) -> TypedLSTMCarry:
        gate, n = self._all(carry, drive)
        c = gate["f"] * carry.c + (1 - gate["f"]) * n
        return TypedLSTMCarry(c * gate["o"], c, drive.later)

    def output(self, params: Params, carry: TypedLSTMCarry, drive: Any) -> jax.Array:
        return carry.h
