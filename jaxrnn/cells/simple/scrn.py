"""A simple network beside a context that changes slowly."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_rate, check_sizes
from ..activations import Activation, activation_of, check_activations
from ..affine import affine
from ..gated import Drive, Gated, Params


class SCRNCarry(NamedTuple):
    """The carry of an SCRN: hidden units h [H] and the context s [C]."""

    h: jax.Array
    s: jax.Array


class SCRN(Gated[SCRNCarry], kw_only=True):
    """The structurally constrained network: hidden units, and a context that lasts.

        s' = (1 - alpha) x B + alpha s              context, linear and slow
        h' = sigmoid(s' P + x A + h R + b)          hidden units, which see it
        y  = act(h' U + s' V + b_y)

    with A = kernel [I, H], R = recurrent_kernel [H, H], B = context_embedding [I, C],
    P = context_kernel [C, H], U over V = output_kernel [H + C, O], b_y = output_bias [O].
    The carry is `SCRNCarry(h, s)`, zeros at first; the output is y. The paper's act is a
    softmax, here left to the loss, and it has no biases. Mikolov, Joulin, Chopra, Mathieu
    and Ranzato, "Learning longer memory in recurrent neural networks", 2014, arXiv
    1412.7753. The SCRN of torchrecurrent feeds y back in the place of h, through a tanh,
    and trains one alpha.

    Args:
        input_size, hidden_size: I and H.
        context_size: C; H, if not given. The paper has 10 or 40 beside an H of 40 to 300.
        output_size: O; H, if not given.
        alpha: how much of the context is kept in a step.
        activation: that of y: the name of a function of `jax.nn` or a function of a
            module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `kernel_init` makes B, P, U and V too, and
            `bias_init` b_y.

    Raises:
        ValueError: for a size that is no positive int, a rate or an alpha outside [0, 1),
            an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.SCRN(3, 5, context_size=2, output_size=4)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, s), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, s.shape, ys.shape)
        (2, 5) (2, 2) (7, 2, 4)
    """

    blocks = ("h",)

    context_size: int | None = None
    output_size: int | None = None
    alpha: float = 0.95
    activation: Activation = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")
        object.__setattr__(self, "alpha", check_rate(self, "alpha", self.alpha))
        for name in ("context_size", "output_size"):
            if getattr(self, name) is not None:
                check_sizes(self, **{name: getattr(self, name)})

    def init(self, key: jax.Array) -> Params:
        H, C = self.hidden_size, self.context_size or self.hidden_size
        O = self.output_size or H
        return super().init(key) | self.further(
            key,
            context_embedding=("kernel_init", (self.input_size, C), ("s",)),
            context_kernel=("kernel_init", (C, H), ("h",)),
            output_kernel=("kernel_init", (H + C, O), ("y",)),
            output_bias=("bias_init", (O,), ("y",)),
        )

    def initial_carry(self, params: Params) -> SCRNCarry:
        h = super().initial_carry(params)
        return SCRNCarry(h=h, s=jnp.zeros(params["context_kernel"].shape[0], h.dtype))

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        drive = super().project(params, x, keys)
        context = affine(self, {"kernel": params["context_embedding"]}, x)
        return Drive((drive.x, (1 - self.alpha) * context), drive.keep)

    def step(self, params: Params, carry: SCRNCarry, drive: Drive) -> SCRNCarry:
        hidden, context = drive.x
        s = context + self.alpha * carry.s
        recurrent = self.seen(carry.h, drive) @ params["recurrent_kernel"]
        h = jax.nn.sigmoid(hidden + s @ params["context_kernel"] + recurrent)
        return SCRNCarry(h=h, s=s)

    def output(self, params: Params, carry: SCRNCarry, drive: Drive) -> jax.Array:
        y = jnp.concatenate(carry) @ params["output_kernel"]
        y = y + params["output_bias"] if self.use_bias else y
        return activation_of(self.activation)(y)
