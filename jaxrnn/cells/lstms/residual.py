"""An LSTM with a way around it."""

from typing import Any, NamedTuple

import jax

from ...arguments.keys import Keys
from ...arguments.numbers import check_flags
from ..activations import activation_of
from ..gated import Params
from ..lstm import LSTMCarry
from .peephole import PeepholeLSTM


class ShortcutDrive(NamedTuple):
    """What the step of a residual LSTM gets."""

    x: Any  # x W + b
    keep: jax.Array | None  # the units of h that U sees, [H]; None: all
    shortcut: jax.Array  # what of x goes around the memory, [H]


class ResLSTM(PeepholeLSTM, kw_only=True):
    """The residual LSTM: its output gate lets x through beside the memory.

        i, f = sigmoid(x W_* + h U_* + p_* c + b_*)      input and forget gate
        g    = tanh(x W_g + h U_g + b_g)                 candidate
        c'   = f c + i g
        o    = sigmoid(x W_o + h U_o + p_o c' + b_o)     output gate
        h'   = o (tanh(c') P + x S)                      x in place of x S with `identity`

    with kernel, recurrent_kernel, bias and peephole as in `PeepholeLSTM`, P = projection
    [H, H] and S = shortcut_kernel [I, H]. The carry is `LSTMCarry(h, c)`, zeros at first;
    the output is h. Kim, El-Khamy and Lee, "Residual LSTM: design of a deep recurrent
    architecture for distant speech recognition", Interspeech 2017, arXiv 1701.03360.

    Args:
        input_size, hidden_size: I and H.
        identity: leaves S out, as the paper does where I is H.
        activation, gate_activation, use_bias, kernel_init, recurrent_init, bias_init,
            recurrent_dropout, peephole_init: as `PeepholeLSTM` has them; `kernel_init`
            makes S too, and `recurrent_init` P.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an identity
            between two different sizes.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ResLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["shortcut_kernel"].shape, c.shape, ys.shape)
        (3, 5) (2, 5) (7, 2, 5)
    """

    identity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "identity")
        if self.identity and self.input_size != self.hidden_size:
            raise ValueError(
                f"ResLSTM: identity is True with input_size {self.input_size} and "
                f"hidden_size {self.hidden_size}, expected equal sizes"
            )

    def init(self, key: jax.Array) -> Params:
        I, H = self.input_size, self.hidden_size
        further = {"projection": ("recurrent_init", (H, H), ("h",))}
        if not self.identity:
            further["shortcut_kernel"] = "kernel_init", (I, H), ("h",)
        own = jax.random.fold_in(key, 1)  # the base has drawn from the key's own
        return super().init(key) | self.further(own, **further)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        z, keep = super().project(params, x, keys)
        shortcut = x if self.identity else x @ params["shortcut_kernel"]
        return ShortcutDrive(z, keep, shortcut)

    def step(self, params: Params, carry: LSTMCarry, drive: Any) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        shown = activation_of(self.activation)(c) @ params["projection"] + drive.shortcut
        return LSTMCarry(h=gate["o"] * shown, c=c)
