"""A cell that has no chaos: without inputs it goes to zero."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..affine import padded
from ..gated import Drive, Gated, Params


def open_forget(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """Ones for the forget gate "f" and minus ones for the input gate "i", else zeros."""
    ones = jnp.ones(shape[-1] // len(gates))
    signs = {"f": 1, "i": -1}
    return jnp.concatenate([signs.get(gate, 0) * ones for gate in gates])


class CFN(Gated[jax.Array], kw_only=True):
    """The chaos-free network: each unit of h falls to zero unless inputs hold it up.

        f  = sigmoid(x W_f + h U_f + b_f)           forget gate, the paper's theta
        i  = sigmoid(x W_i + h U_i + b_i)           input gate, the paper's eta
        n  = tanh(x W_n)                            candidate
        h' = f tanh(h) + i n

    with kernel [I, 3H] in the order f, i, n, and recurrent_kernel [H, 2H] and bias [2H]
    in the order f, i. The carry and the output are h, zeros at first. b_f starts at 1 and
    b_i at -1, as the paper's do. Laurent and von Brecht, "A recurrent neural network
    without chaos", ICLR 2017, arXiv 1612.06212. torchrecurrent adds a bias to the
    candidate, and its biases start at zero.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them, but for where the biases start.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CFN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "f", "i", "n"

    bias_init: initializers.Initializer = open_forget

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "f", "i"

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "f", "i"

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        drive, keep = super().project(padded(params), x, keys)
        gates, n = jnp.split(drive, [2 * self.hidden_size])
        return Drive((gates, jnp.tanh(n)), keep)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"f", "i", "n"}, each [H], of the step from `carry`."""
        gates, n = drive.x
        z = gates + self.seen(carry, drive) @ params["recurrent_kernel"]
        f, i = jnp.split(jax.nn.sigmoid(z), 2)
        return {"f": f, "i": i, "n": n}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["f"] * jnp.tanh(carry) + gate["i"] * gate["n"]
