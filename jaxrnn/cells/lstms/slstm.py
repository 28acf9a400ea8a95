"""The LSTM with exponential gates and a memory that is normalised."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes
from ..gated import Drive, Gated, Params


class SLSTMCarry(NamedTuple):
    """The carry of an `SLSTM`: h, memory c, normaliser n and stabiliser m, each [H]."""

    h: jax.Array
    c: jax.Array
    n: jax.Array
    m: jax.Array


class SLSTM(Gated[SLSTMCarry], kw_only=True):
    """The sLSTM of the xLSTM: exponential gates, and heads that do not see each other.

        a_* = x W_* + h U_* + b_*           of each head its own h
        l   = log sigmoid(a_f)              or a_f, where `forget` is "exp"
        m'  = max(l + m, a_i)               stabiliser; a_i while n is 0
        i   = exp(a_i - m')                 input gate
        f   = exp(l + m - m')               forget gate
        g   = tanh(a_g)                     candidate
        o   = sigmoid(a_o)                  output gate
        c'  = f c + i g
        n'  = f n + i                       normaliser
        h'  = o c' / n'

    with kernel [I, 4H] and bias [4H] in the order i, f, g, o; recurrent_kernel [heads, D,
    4D] with D = H / heads, in the same order for each head. c and n are in units of
    exp(m), so that no exponent is above 0, and n is at least 1 after the first step: all
    stays finite. The carry is `SLSTMCarry(h, c, n, m)`, zeros at first; the output is h.
    None of c, n and m means anything without the two others; `Zoneout` acts on h alone.
    Beck et al., "xLSTM: extended long short-term memory", NeurIPS 2024, arXiv 2405.04517,
    where g is called z. The xlstm package bounds the gates by min(exp(.), 1), which has
    no derivative where exp(.) is infinite; here it is exp(min(., 0)).

    Args:
        input_size, hidden_size: I and H.
        heads: how many, of H / heads units each.
        forget: "sigmoid" or "exp", what the forget gate is.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the forget gate's bias starts at one.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that is no multiple
            of heads, a rate outside [0, 1), an unknown forget gate.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.SLSTM(3, 6, heads=2)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, carry.n.shape, ys.shape)
        (2, 3, 12) (2, 6) (7, 2, 6)
    """

    blocks = "i", "f", "g", "o"

    heads: int = 1
    forget: str = "sigmoid"
    bias_init: initializers.Initializer = initializers.unit_forget

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, heads=self.heads)
        if self.hidden_size % self.heads:
            raise ValueError(
                f"SLSTM: heads is {self.heads}, expected a divisor of hidden_size, "
                f"{self.hidden_size}"
            )
        if self.forget not in ("sigmoid", "exp"):
            raise ValueError(
                f'SLSTM: forget is {self.forget!r}, expected "sigmoid" or "exp"'
            )

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        D = self.hidden_size // self.heads
        shape, blocks = (D, 4 * self.hidden_size), self.heads * self.blocks
        recurrent = "recurrent_init", shape, blocks  # the heads side by side
        return super()._parameters() | {"recurrent_kernel": recurrent}

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        kernel = params["recurrent_kernel"]
        kernel = kernel.reshape(len(kernel), self.heads, -1).transpose(1, 0, 2)
        return params | {"recurrent_kernel": kernel}

    def initial_carry(self, params: Params) -> SLSTMCarry:
        h = super().initial_carry(params)
        return SLSTMCarry(h, jnp.zeros_like(h), jnp.zeros_like(h), jnp.zeros_like(h))

    def is_state(self, carry: SLSTMCarry) -> Any:
        return carry._replace(h=True, c=False, n=False, m=False)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        sums, keep = super().project(params, x, keys)
        by_head = sums.reshape(4, self.heads, -1).transpose(1, 0, 2)
        return Drive(by_head.reshape(self.heads, -1), keep)

    def gates(
        self, params: Params, carry: SLSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`.

        "i" and "f" are those by which c is written and kept, in units of exp(m).
        """
        return self._stabilised(params, carry, drive)[0]

    def _stabilised(
        self, params: Params, carry: SLSTMCarry, drive: Drive
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The gates, and the new m."""
        h = self.seen(carry.h, drive).reshape(self.heads, -1)
        sums = drive.x + jnp.einsum("hd,hdk->hk", h, params["recurrent_kernel"])
        i, f, g, o = (part.reshape(-1) for part in jnp.split(sums, 4, axis=1))
        log_f = f if self.forget == "exp" else jax.nn.log_sigmoid(f)
        kept = log_f + carry.m
        m = jnp.where(carry.n == 0, i, jnp.maximum(kept, i))
        gates = {
            "i": jnp.exp(jnp.minimum(i - m, 0)),
            "f": jnp.exp(jnp.minimum(kept - m, 0)),
            "g": jnp.tanh(g),
            "o": jax.nn.sigmoid(o),
        }
        return gates, m

    def step(self, params: Params, carry: SLSTMCarry, drive: Drive) -> SLSTMCarry:
        gate, m = self._stabilised(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        n = gate["f"] * carry.n + gate["i"]
        return SLSTMCarry(h=gate["o"] * c / n, c=c, n=n, m=m)

    def output(self, params: Params, carry: SLSTMCarry, drive: Drive) -> jax.Array:
        return carry.h
