"""Minion recurrent units: GRUs in which numbers stand for gates."""

import jax
import jax.numpy as jnp

from ...arguments.numbers import check_positive, check_rate
from ..gated import Drive, Gated, Params, parted


class Minion(Gated[jax.Array], kw_only=True):
    """A cell that keeps the same part of h at every step."""

    update_coefficient: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = check_rate(self, "update_coefficient", self.update_coefficient)
        object.__setattr__(self, "update_coefficient", rate)

    def kept(self, h: jax.Array, n: jax.Array) -> jax.Array:
        """h' of h and of the candidate n."""
        return self.update_coefficient * h + (1 - self.update_coefficient) * n


class MiRU1(Minion, kw_only=True):
    """The first minion recurrent unit: a GRU whose update gate is a number.

        r  = sigmoid(x W_r + h U_r + b_r)           reset gate
        n  = tanh(x W_n + (r h) U_n + b_n)          candidate
        h' = lambda h + (1 - lambda) n

    with blocks in the order r, n. The carry and the output are h, zeros at first. Zyarah
    and Kudithipudi, "Minion gated recurrent unit for continual learning", Neurocomputing
    673, 2026, arXiv 2503.06175.

    Args:
        input_size, hidden_size: I and H.
        update_coefficient: lambda, the part of h that is kept, in [0, 1).
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate or an update_coefficient
            outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MiRU1(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "r", "n"

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"r", "n"}, each [H], of the step from `carry`."""
        kernel_r, kernel_n = self.prepare(params)["recurrent_kernel"]
        drive_r, drive_n = jnp.split(drive.x, 2)
        h = self.seen(carry, drive)
        r = jax.nn.sigmoid(drive_r + h @ kernel_r)
        return {"r": r, "n": jnp.tanh(drive_n + (r * h) @ kernel_n)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return self.kept(carry, self.gates(params, carry, drive)["n"])


class MiRU2(Minion, kw_only=True):
    """The second minion recurrent unit: a GRU in which both gates are numbers.

        n  = tanh(x W + beta (h U) + b)             candidate
        h' = lambda h + (1 - lambda) n

    with W = kernel [I, H], U = recurrent_kernel [H, H] and bias [H]. The carry and the
    output are h, zeros at first. Zyarah and Kudithipudi, "Minion gated recurrent unit for
    continual learning", Neurocomputing 673, 2026, arXiv 2503.06175.

    Args:
        input_size, hidden_size: I and H.
        update_coefficient: lambda, the part of h that is kept, in [0, 1).
        reset_coefficient: beta, the part of h that the candidate sees, above zero.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate or an update_coefficient
            outside [0, 1), a reset_coefficient that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MiRU2(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("n",)

    reset_coefficient: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "reset_coefficient")

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        h = self.reset_coefficient * self.seen(carry, drive)
        n = jnp.tanh(drive.x + h @ params["recurrent_kernel"])
        return self.kept(carry, n)
