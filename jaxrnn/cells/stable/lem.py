"""Long expressive memory."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_positive
from ..gated import Drive, Gated, Params, parted
from .oscillators import YZ, YZCarry


class LEM(YZ, Gated[YZCarry], kw_only=True):
    """Long expressive memory: two states, each with a time step of its own per unit.

        s, r = dt sigmoid(x W_* + y U_* + b_*)          time steps of z and of y
        g    = tanh(x W_g + y U_g + b_g)
        z'   = (1 - s) z + s g
        n    = tanh(x W_n + z' U_n + b_n)               reads the new z
        y'   = (1 - r) y + r n

    with blocks in the order s, r, g, n, which the paper numbers 1, 2, z, y. The carry is
    `YZCarry(y, z)`, zeros at first; the output is y. Rusch, Mishra, Erichson and Mahoney,
    "Long expressive memory for sequence modeling", ICLR 2022, arXiv 2110.04744. The
    torchrecurrent package reads the old z where the paper reads the new one.

    Args:
        input_size, hidden_size: I and H.
        dt: the longest time step; at most 1 keeps y and z between -1 and 1.
        kernel_init, recurrent_init, bias_init: U(-a, a) with a = 1 / sqrt(H) by default,
            as the authors' code has them.
        use_bias, recurrent_dropout: as `jaxrnn.cells.Gated` has them; y and z' have the
            same units dropped.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a dt that
            is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LEM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (y, z), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, z.shape, ys.shape)
        (3, 20) (2, 5) (7, 2, 5)
    """

    blocks = "s", "r", "g", "n"

    kernel_init: initializers.Initializer = initializers.uniform
    recurrent_init: initializers.Initializer = initializers.uniform
    bias_init: initializers.Initializer = initializers.uniform
    dt: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "dt")

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, 3 * self.hidden_size)

    def gates(self, params: Params, carry: YZCarry, drive: Drive) -> dict[str, jax.Array]:
        """The activations {"s", "r", "g", "n"}, each [H], of the step from `carry`."""
        of_y, of_z = self.prepare(params)["recurrent_kernel"]
        drive_y, drive_z = jnp.split(drive.x, [3 * self.hidden_size])
        s, r, g = jnp.split(drive_y + self.seen(carry.y, drive) @ of_y, 3)
        s, r = self.dt * jax.nn.sigmoid(s), self.dt * jax.nn.sigmoid(r)
        g = jnp.tanh(g)
        z = (1 - s) * carry.z + s * g
        n = jnp.tanh(drive_z + self.seen(z, drive) @ of_z)
        return {"s": s, "r": r, "g": g, "n": n}

    def step(self, params: Params, carry: YZCarry, drive: Drive) -> YZCarry:
        s, r, g, n = self.gates(params, carry, drive).values()
        return YZCarry(y=(1 - r) * carry.y + r * n, z=(1 - s) * carry.z + s * g)
