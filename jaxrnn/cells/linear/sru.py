"""The simple recurrent unit, as it was published first."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..affine import padded
from ..gated import Driven, Params


class SRUDrive(NamedTuple):
    """What the step and the output of an `SRU` get, each [H]."""

    f: jax.Array
    written: jax.Array  # (1 - f) n
    r: jax.Array
    passed: jax.Array  # (1 - r) x


class SRU(Driven[jax.Array], kw_only=True):
    """The simple recurrent unit: a gated average of the inputs, beside a highway for x.

        f  = sigmoid(x W_f + b_f)                   forget gate
        r  = sigmoid(x W_r + b_r)                   highway gate, the paper's reset gate
        n  = x W_n                                  linear: the paper's x with a tilde
        c' = f c + (1 - f) n
        y  = r act(c') + (1 - r) x                  x V, where I is not H

    with kernel [I, 3H] in the order f, r, n, bias [2H] in the order f, r, and V =
    highway_kernel [I, H], which is there only if the sizes differ. Nothing but the line
    of c' is in the loop. The carry is c, zeros at first; the output is y. All kernels
    start at U(-a, a) with a = sqrt(3 / I).

    This is the first version of Lei, Zhang and Artzi, "Training RNNs as fast as CNNs",
    2017, arXiv 1709.02755v1. In that of EMNLP 2018, which the sru package has too, the
    gates see v c as well, so that the step is not affine in c; act is the identity, and x
    is scaled up. Other libraries' cells of the name add h U to the gates.

    Args:
        input_size, hidden_size: I and H.
        activation: the tanh of c', or the name of another function of `jax.nn`, or a
            function of a module.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them; `kernel_init`
            makes V too.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.SRU(5, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> c, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 5)))
        >>> print(params["kernel"].shape, params["bias"].shape, c.shape, ys.shape)
        (5, 15) (10,) (2, 5) (7, 2, 5)
    """

    blocks = "f", "r", "n"

    activation: Activation = "tanh"
    kernel_init: initializers.Initializer = initializers.PerGate(
        jax.nn.initializers.lecun_uniform
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "f", "r"

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.input_size == self.hidden_size:
            return params
        highway = "kernel_init", (self.input_size, self.hidden_size), ("y",)
        return params | self.further(key, highway_kernel=highway)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> SRUDrive:
        f, r, n = jnp.split(super().project(padded(params), x, keys), 3)
        if "highway_kernel" in params:
            x = x @ params["highway_kernel"]
        written, passed = jax.nn.sigmoid(-f) * n, jax.nn.sigmoid(-r) * x
        return SRUDrive(jax.nn.sigmoid(f), written, jax.nn.sigmoid(r), passed)

    def gates(
        self, params: Params, carry: jax.Array, drive: SRUDrive
    ) -> dict[str, jax.Array]:
        """The activations {"f", "r"}, each [H]."""
        return {"f": drive.f, "r": drive.r}

    def step(self, params: Params, carry: jax.Array, drive: SRUDrive) -> jax.Array:
        return drive.f * carry + drive.written

    def output(self, params: Params, carry: jax.Array, drive: SRUDrive) -> jax.Array:
        return drive.r * activation_of(self.activation)(carry) + drive.passed
