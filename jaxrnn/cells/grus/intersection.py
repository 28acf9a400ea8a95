"""A cell that is gated in depth as it is in time."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params


class IntersectionCarry(NamedTuple):
    """The carry of an `IntersectionRNN`: state h [H], and y [H], which is shown."""

    h: jax.Array
    y: jax.Array


class IntersectionRNN(Gated[IntersectionCarry], kw_only=True):
    """The intersection network, +RNN: one gate lets h through time, one x through depth.

        y_in  = relu(x W_y + h U_y + b_y)           candidate of the output
        h_in  = tanh(x W_h + h U_h + b_h)           candidate of the state
        g_y   = sigmoid(x W_gy + h U_gy + b_gy)     how much of x is passed on
        g_h   = sigmoid(x W_gh + h U_gh + b_gh)     how much of h is kept
        y     = g_y x + (1 - g_y) y_in
        h'    = g_h h + (1 - g_h) h_in

    with blocks in the order y, h, gy, gh. As x goes on to the output, it is of the size
    of h. The output is y, which the old h makes and no step reads; so it stands in the
    carry, `IntersectionCarry(h, y)`, zeros at first. Made for stacks of two and more.
    Collins, Sohl-Dickstein and Sussillo, "Capacity and trainability in recurrent neural
    networks", ICLR 2017, arXiv 1611.09913. TensorFlow's cell has its blocks in the order
    gh, h, gy, y, and can project x to the size of h; here a `Dense` in front does.

    Args:
        input_size, hidden_size: I and H, equal.
        activation: that of y_in, in place of relu: the name of a function of `jax.nn` or
            "onnx_hard_sigmoid", or a function of a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, sizes that differ, a rate outside
            [0, 1), an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> layers = [jaxrnn.cells.IntersectionRNN(5, 5) for _ in range(2)]
        >>> cell = jaxrnn.Stack((jaxrnn.Dense(3, 5), *layers))
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params[1]["kernel"].shape, carry[1].h.shape, ys.shape)
        (5, 20) (2, 5) (7, 2, 5)
    """

    blocks = "y", "h", "gy", "gh"

    activation: Activation = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")
        if self.input_size != self.hidden_size:
            raise ValueError(
                f"IntersectionRNN: input_size is {self.input_size} and hidden_size "
                f"{self.hidden_size}, expected equal ones, as x is a part of y: put a "
                f"Dense({self.input_size}, {self.hidden_size}) before it in a Stack"
            )

    def initial_carry(self, params: Params) -> IntersectionCarry:
        h = super().initial_carry(params)
        return IntersectionCarry(h, jnp.zeros_like(h))

    def is_state(self, carry: IntersectionCarry) -> Any:
        return carry._replace(h=True, y=False)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        sums, keep = super().project(params, x, keys)
        return Drive((sums, x), keep)

    def gates(
        self, params: Params, carry: IntersectionCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"y", "h", "gy", "gh"}, each [H], of the step from `carry`."""
        sums, _ = drive.x
        z = sums + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        y, h, gy, gh = jnp.split(z, 4)
        return {
            "y": activation_of(self.activation)(y),
            "h": jnp.tanh(h),
            "gy": jax.nn.sigmoid(gy),
            "gh": jax.nn.sigmoid(gh),
        }

    def step(
        self, params: Params, carry: IntersectionCarry, drive: Drive
    ) -> IntersectionCarry:
        y, h, gy, gh = self.gates(params, carry, drive).values()
        return IntersectionCarry(
            h=gh * carry.h + (1 - gh) * h, y=gy * drive.x[1] + (1 - gy) * y
        )

    def output(self, params: Params, carry: IntersectionCarry, drive: Drive) -> jax.Array:
        return carry.y
