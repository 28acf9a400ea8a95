"""Cells that add up their inputs, which no nonlinearity has touched."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..affine import padded, unbiased
from ..gated import Drive, Gated, Params


class RAN(Gated[jax.Array], kw_only=True):
    """The recurrent additive network: c is a weighted sum of the inputs, nothing more.

        i  = sigmoid(x W_i + h U_i + b_i)           input gate
        f  = sigmoid(x W_f + h U_f + b_f)           forget gate
        c' = i (x W_n) + f c                        x W_n is the content, linear in x
        h' = tanh(c')

    with kernel [I, 3H] in the order i, f, n, and recurrent_kernel [H, 2H] and bias [2H]
    in the order i, f. The carry is c, zeros at first, of which h is a function; the
    output is h. Lee, Levy and Zettlemoyer, "Recurrent additive networks", 2017, arXiv
    1705.07393.

    Args:
        input_size, hidden_size: I and H.
        activation: that of c', in place of tanh; "identity" is the paper's other one.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.RAN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> c, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "i", "f", "n"

    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "i", "f"

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "i", "f"

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        drive, keep = super().project(padded(params), x, keys)
        gates, content = jnp.split(drive, [2 * self.hidden_size])
        return Drive((gates, content), keep)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f"}, each [H], of the step from `carry`."""
        h = self.seen(self.output(params, carry, drive), drive)
        z = drive.x[0] + h @ params["recurrent_kernel"]
        i, f = jnp.split(jax.nn.sigmoid(z), 2)
        return {"i": i, "f": f}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["i"] * drive.x[1] + gate["f"] * carry

    def output(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return activation_of(self.activation)(carry)


class ATR(Gated[jax.Array], kw_only=True):
    """The addition-subtraction twin-gated network: two gates from two products.

        p  = x W
        q  = h U + b
        i  = sigmoid(p + q)                         input gate
        f  = sigmoid(p - q)                         forget gate
        h' = i p + f h

    with W = kernel [I, H], U = recurrent_kernel [H, H] and bias [H]. The carry and the
    output are h, zeros at first. Zhang, Xiong, Su, Lin and Zhang, "Simplifying neural
    machine translation with addition-subtraction twin-gated recurrent networks", EMNLP
    2018, arXiv 1810.12546; the bias, which the paper leaves out, is where its authors'
    code has it. torchrecurrent adds another one to p.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ATR(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("p",)

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return ("q",)

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return ("q",)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        return super().project(unbiased(params), x, keys)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f"}, each [H], of the step from `carry`."""
        p = drive.x
        q = self.seen(carry, drive) @ params["recurrent_kernel"]
        q = q + params["bias"] if self.use_bias else q
        return {"i": jax.nn.sigmoid(p + q), "f": jax.nn.sigmoid(p - q)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return gate["i"] * drive.x + gate["f"] * carry
