"""Cells whose units feed themselves back, and so rest at either of two values."""

import abc
from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..affine import padded
from ..gated import Drive, Driven, Gated, Params


class Bistable(Driven[jax.Array], kw_only=True):
    """A cell of the gates a and c, whose sums `sums` makes with those of n."""

    blocks = "a", "c", "n"

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "a", "c"

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        return super().project(padded(params), x, keys)

    @abc.abstractmethod
    def sums(self, params: Params, carry: jax.Array, drive: Any) -> tuple:
        """Those of a and c, [H], of x and h, and that of n, of x alone."""

    def gates(self, params: Params, carry: jax.Array, drive: Any) -> dict[str, jax.Array]:
        """The activations {"a", "c", "n"}, each [H], of the step from `carry`."""
        a, c, n = self.sums(params, carry, drive)
        a = 1 + jnp.tanh(a)
        return {"a": a, "c": jax.nn.sigmoid(c), "n": jnp.tanh(n + a * carry)}

    def step(self, params: Params, carry: jax.Array, drive: Any) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["c"] * carry + (1 - gate["c"]) * gate["n"]


class BR(Bistable, kw_only=True):
    """The bistable recurrent cell: units that keep a value for ever, each by itself.

        a  = 1 + tanh(x W_a + u_a h + b_a)          feedback: two resting values above 1
        c  = sigmoid(x W_c + u_c h + b_c)           update gate, which keeps
        n  = tanh(x W_n + a h)                      candidate
        h' = c h + (1 - c) n

    with kernel [I, 3H] in the order a, c, n, and u = recurrent_scale [2H] and bias [2H]
    in the order a, c. No unit sees another. The carry and the output are h, zeros at
    first. Vecoven, Ernst and Drion, "A bio-inspired bistable recurrent cell allows for
    long-lasting memory", PLOS ONE 2021, arXiv 2006.05252, where it is called BRC; the
    biases are those of its authors' code. torchrecurrent adds a bias to the candidate.

    Args:
        input_size, hidden_size: I and H.
        recurrent_init: that of u; ones, as in the authors' code.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.BR(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_scale"].shape, h.shape, ys.shape)
        (10,) (2, 5) (7, 2, 5)
    """

    recurrent_init: initializers.Initializer = initializers.ones

    def init(self, key: jax.Array) -> Params:
        scale = "recurrent_init", (2 * self.hidden_size,), ("a", "c")
        return super().init(key) | self.further(key, recurrent_scale=scale)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params["recurrent_scale"], tuple):  # already
            return params
        scales = jnp.split(params["recurrent_scale"], 2)
        return params | {"recurrent_scale": tuple(scales)}

    def sums(self, params: Params, carry: jax.Array, drive: Any) -> tuple:
        u_a, u_c = self.prepare(params)["recurrent_scale"]
        a, c, n = jnp.split(drive, 3)
        return a + u_a * carry, c + u_c * carry, n


class NBR(Bistable, Gated[jax.Array], kw_only=True):
    """The neuromodulated bistable recurrent cell: other units decide what one keeps.

        a  = 1 + tanh(x W_a + h U_a + b_a)          feedback: two resting values above 1
        c  = sigmoid(x W_c + h U_c + b_c)           update gate, which keeps
        n  = tanh(x W_n + a h)                      candidate
        h' = c h + (1 - c) n

    with kernel [I, 3H] in the order a, c, n, and recurrent_kernel [H, 2H] and bias [2H]
    in the order a, c. The carry and the output are h, zeros at first. Vecoven, Ernst and
    Drion, "A bio-inspired bistable recurrent cell allows for long-lasting memory", PLOS
    ONE 2021, arXiv 2006.05252, where it is called nBRC; the biases are those of its
    authors' code. torchrecurrent adds a bias to the candidate.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.NBR(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 10) (2, 5) (7, 2, 5)
    """

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "a", "c"

    def sums(self, params: Params, carry: jax.Array, drive: Drive) -> tuple:
        a, c, n = jnp.split(drive.x, 3)
        product = self.seen(carry, drive) @ params["recurrent_kernel"]
        product_a, product_c = jnp.split(product, 2)
        return a + product_a, c + product_c, n
