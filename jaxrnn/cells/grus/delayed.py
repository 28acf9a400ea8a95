"""A cell that sees a state of some steps ago beside the last one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.numbers import check_sizes
from ..gated import Drive, Gated, Params


class DelayedCarry(NamedTuple):
    """The carry of a `TauGRU`: h [H], and the last states before it [delay, H]."""

    h: jax.Array
    past: jax.Array


class TauGRU(Gated[DelayedCarry], kw_only=True):
    """A gated unit with weighted feedback of the state `delay` steps before h.

        n  = tanh(x W_n + h U_n + b_n)              candidate: the paper's u
        d  = tanh(x W_d + h_past U_d + b_d)         that of the delayed state: its z
        i  = sigmoid(x W_i + h U_i + b_i)           update gate, which writes: its g
        a  = sigmoid(x W_a + h U_a + b_a)           the weight of the feedback
        h' = (1 - i) h + i (n + a d)

    with blocks in the order n, d, i, a; h_past is the state `delay` steps older than h,
    zeros before the start. The carry is `DelayedCarry(h, past)`, zeros at first, with the
    last `delay` states before h, the oldest first; the output is h. A step moves all of
    them on, and a gradient keeps them for every step: time and memory grow with the
    delay. Erichson, Lim and Mahoney, "Gated recurrent neural networks with weighted
    time-delay feedback", 2022, arXiv 2212.00228.

    Args:
        input_size, hidden_size: I and H.
        delay: how many steps h_past is older than h.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; both h and h_past are hidden in part.

    Raises:
        ValueError: for a size or a delay that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.TauGRU(3, 5, delay=4)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, past), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, past.shape, ys.shape)
        (3, 20) (2, 5) (2, 4, 5) (7, 2, 5)
    """

    blocks = "n", "d", "i", "a"

    delay: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, delay=self.delay)

    def initial_carry(self, params: Params) -> DelayedCarry:
        # The states, not their products by U_d, which would be those of an older U_d
        # in a carry that is passed on from one update of the parameters to the next.
        h = super().initial_carry(params)
        return DelayedCarry(h, jnp.zeros((self.delay, self.hidden_size), h.dtype))

    def is_state(self, carry: DelayedCarry) -> Any:
        return carry._replace(h=True, past=False)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params["recurrent_kernel"], tuple):  # already
            return params
        n, d, i, a = jnp.split(params["recurrent_kernel"], 4, axis=1)
        kernels = jnp.concatenate([n, i, a], axis=1), d
        return params | {"recurrent_kernel": kernels}

    def gates(
        self, params: Params, carry: DelayedCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"n", "d", "i", "a"}, each [H], of the step from `carry`."""
        kernel, delayed_kernel = self.prepare(params)["recurrent_kernel"]
        drive_n, drive_d, drive_i, drive_a = jnp.split(drive.x, 4)
        n, i, a = jnp.split(self.seen(carry.h, drive) @ kernel, 3)
        d = self.seen(carry.past[0], drive) @ delayed_kernel
        return {
            "n": jnp.tanh(drive_n + n),
            "d": jnp.tanh(drive_d + d),
            "i": jax.nn.sigmoid(drive_i + i),
            "a": jax.nn.sigmoid(drive_a + a),
        }

    def step(self, params: Params, carry: DelayedCarry, drive: Drive) -> DelayedCarry:
        n, d, i, a = self.gates(params, carry, drive).values()
        h = (1 - i) * carry.h + i * (n + a * d)
        return DelayedCarry(h, jnp.concatenate([carry.past[1:], carry.h[None]]))

    def output(self, params: Params, carry: DelayedCarry, drive: Drive) -> jax.Array:
        return carry.h
