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

        m  = relu(x W_m + h U_m + b_m)              candidate of the output: its y_in
        n  = tanh(x W_n + h U_n + b_n)              candidate of the state: its h_in
        p  = sigmoid(x W_p + h U_p + b_p)           depth gate, which passes: its g_y
        z  = sigmoid(x W_z + h U_z + b_z)           update gate, which keeps: its g_h
        y  = p x + (1 - p) m
        h' = z h + (1 - z) n

    with blocks in the order m, n, p, z. As x goes on to the output, it is of the size
    of h. The output is y, which the old h makes and no step reads; so it stands in the
    carry, `IntersectionCarry(h, y)`, zeros at first. Made for stacks of two and more.
    Collins, Sohl-Dickstein and Sussillo, "Capacity and trainability in recurrent neural
    networks", ICLR 2017, arXiv 1611.09913. TensorFlow's cell has its blocks in the order
    z, n, p, m, and can project x to the size of h; here a `Dense` in front does.

    Args:
        input_size, hidden_size: I and H, equal.
        activation: that of m, in place of relu: the name of a function of `jax.nn` or
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

    blocks = "m", "n", "p", "z"

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
        """The activations {"m", "n", "p", "z"}, each [H], of the step from `carry`."""
        sums, _ = drive.x
        sums = sums + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        m, n, p, z = jnp.split(sums, 4)
        return {
            "m": activation_of(self.activation)(m),
            "n": jnp.tanh(n),
            "p": jax.nn.sigmoid(p),
            "z": jax.nn.sigmoid(z),
        }

    def step(
        self, params: Params, carry: IntersectionCarry, drive: Drive
    ) -> IntersectionCarry:
        m, n, p, z = self.gates(params, carry, drive).values()
        return IntersectionCarry(
            h=z * carry.h + (1 - z) * n, y=p * drive.x[1] + (1 - p) * m
        )

    def output(self, params: Params, carry: IntersectionCarry, drive: Drive) -> jax.Array:
        return carry.y
