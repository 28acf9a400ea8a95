"""The network of Jordan, which hears its own output."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.numbers import check_rate, check_sizes
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params


class JordanCarry(NamedTuple):
    """The carry of a Jordan network: the state units s [O], and the output y [O].

    y stands here for `output` only: the next step reads s alone.
    """

    s: jax.Array
    y: jax.Array


class JordanRNN(Gated[JordanCarry], kw_only=True):
    """The network of Jordan: its output is fed back, not its hidden units.

        h  = act(x W + s U + b)                 hidden units, which are not kept
        y  = output_act(h V + b_y)              output
        s' = y + decay s                        state units

    with W = kernel [I, H], U = recurrent_kernel [O, H], b = bias [H], V = output_kernel
    [H, O], b_y = output_bias [O]. The carry is `JordanCarry(s, y)`, zeros at first; the
    output is y. With decay = 0, the usual form, s is the output before. M. I. Jordan,
    "Serial order: a parallel distributed processing approach", ICS report 8604, 1986.

    Args:
        input_size, hidden_size: I and H.
        output_size: O; H, if not given.
        decay: how much of the state units is kept, Jordan's mu.
        activation, output_activation: names of functions of `jax.nn`, or functions of a
            module. Jordan's units are logistic: "sigmoid" for both.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `kernel_init` makes V and `bias_init` b_y too.

    Raises:
        ValueError: for a size that is no positive int, a rate or a decay outside [0, 1),
            an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.JordanRNN(3, 5, output_size=4)
        >>> params = cell.init(jax.random.key(0))
        >>> (s, y), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, s.shape, ys.shape)
        (4, 5) (2, 4) (7, 2, 4)
    """

    blocks = ("h",)

    output_size: int | None = None
    decay: float = 0.0
    activation: Activation = "tanh"
    output_activation: Activation = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "output_activation")
        object.__setattr__(self, "decay", check_rate(self, "decay", self.decay))
        if self.output_size is not None:
            check_sizes(self, output_size=self.output_size)

    @property
    def state_size(self) -> int:
        return self.output_size or self.hidden_size

    def init(self, key: jax.Array) -> Params:
        H, O = self.hidden_size, self.state_size
        return super().init(key) | self.further(
            key,
            output_kernel=("kernel_init", (H, O), ("y",)),
            output_bias=("bias_init", (O,), ("y",)),
        )

    def initial_carry(self, params: Params) -> JordanCarry:
        s = super().initial_carry(params)
        return JordanCarry(s=s, y=jnp.zeros_like(s))

    def is_state(self, carry: JordanCarry) -> JordanCarry:
        return JordanCarry(s=True, y=False)  # pyright: ignore[reportArgumentType]

    def step(self, params: Params, carry: JordanCarry, drive: Drive) -> JordanCarry:
        product = self.seen(carry.s, drive) @ params["recurrent_kernel"]
        h = activation_of(self.activation)(drive.x + product)
        y = h @ params["output_kernel"]
        y = y + params["output_bias"] if self.use_bias else y
        y = activation_of(self.output_activation)(y)
        return JordanCarry(s=y + self.decay * carry.s, y=y)

    def output(self, params: Params, carry: JordanCarry, drive: Drive) -> jax.Array:
        return carry.y
