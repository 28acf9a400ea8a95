"""Light cells: the candidate, if there is one, is made of x alone."""

from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..affine import padded, unbiased
from ..gated import Drive, Gated, Params
from .writing import Writing


class Light(Writing, kw_only=True):
    """A cell whose one gate sees h, and whose candidate is a tanh of x alone."""

    blocks = "i", "n"

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return ("i",)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        drive, keep = super().project(params, x, keys)
        i, n = jnp.split(drive, 2)
        return Drive((i, jnp.tanh(n)), keep)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "n"}, each [H], of the step from `carry`."""
        i, n = drive.x
        i = i + self.seen(carry, drive) @ params["recurrent_kernel"]
        return {"i": jax.nn.sigmoid(i), "n": n}


class LightRU(Light, kw_only=True):
    """The light recurrent unit: a GRU without a reset, its candidate of x alone.

        i  = sigmoid(x W_i + h U + b)               gate, which writes: the paper's f
        n  = tanh(x W_n)                            candidate
        h' = (1 - i) h + i n

    with kernel [I, 2H] in the order i, n, recurrent_kernel [H, H] and bias [H]. The carry
    and the output are h, zeros at first. Ye, Zhang, Liu, Li, Chang and Zheng, "Light
    recurrent unit: towards an interpretable recurrent neural network for modeling
    long-range dependency", Electronics 13, 2024. torchrecurrent adds a bias to the
    candidate.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LightRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return ("i",)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        return super().project(padded(params), x, keys)


class STAR(Light, kw_only=True):
    """The stackable recurrent cell: its gradients keep their size over many layers.

        i  = sigmoid(x W_i + h U + b_i)             gate, which writes: the paper's k
        n  = tanh(x W_n + b_n)                      candidate, the paper's z
        h' = tanh((1 - i) h + i n)

    with kernel [I, 2H] and bias [2H] in the order i, n, and recurrent_kernel [H, H]. The
    carry and the output are h, zeros at first. W and U start orthogonal. Turkoglu,
    D'Aronco, Wegner and Schindler, "Gating revisited: deep multi-layer RNNs that can be
    trained", 2019, arXiv 1911.11033. The authors' code has sigmoid(1 + ...) for the i
    that writes, not for the one that keeps, and starts b_i at -log U(1, t_max).

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; kernel_init is orthogonal.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.STAR(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    kernel_init: initializers.Initializer = initializers.orthogonal

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return jnp.tanh(super().step(params, carry, drive))


class SGRN(Gated[jax.Array], kw_only=True):
    """The simple gated recurrent network: one W for the gate and for what it lets in.

        f  = sigmoid(x W + h U + b)                 forget gate
        i  = 1 - f                                  input gate
        h' = tanh(i (x W) + f h)

    with W = kernel [I, H], U = recurrent_kernel [H, H] and bias [H]. The carry and the
    output are h, zeros at first. Zu and Wei, "A simple gated recurrent network for
    detection of power quality disturbances", IET Generation, Transmission and
    Distribution 15, 2021. torchrecurrent adds a bias to the second x W too.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.SGRN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("f",)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        product, keep = super().project(unbiased(params), x, keys)
        f = product + params["bias"] if self.use_bias else product
        return Drive((f, product), keep)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"f", "i"}, each [H], of the step from `carry`."""
        f = drive.x[0] + self.seen(carry, drive) @ params["recurrent_kernel"]
        f = jax.nn.sigmoid(f)
        return {"f": f, "i": 1 - f}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return jnp.tanh(gate["i"] * drive.x[1] + gate["f"] * carry)
