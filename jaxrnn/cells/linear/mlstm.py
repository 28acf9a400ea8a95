"""The LSTM whose memory is a matrix of values under keys."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes
from ..affine import affine, unbiased
from ..gated import Driven, Params


class MLSTMCarry(NamedTuple):
    """The carry of an `MLSTM`: C [heads, D, D], n [heads, D] and stabiliser m [heads]."""

    C: jax.Array
    n: jax.Array
    m: jax.Array


class MLSTMDrive(NamedTuple):
    """q, k and v [heads, D]; a_i and log f [heads]; o [H]."""

    q: jax.Array
    k: jax.Array
    v: jax.Array
    a_i: jax.Array
    log_f: jax.Array
    o: jax.Array


def long_memory(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """Those of the authors' code: N(0, 0.1^2) for i, from 3 to 6 by head for f."""
    heads = shape[0] // 2
    i = 0.1 * jax.random.normal(key, (heads,))
    return jnp.concatenate([i, jnp.linspace(3.0, 6.0, heads, dtype=i.dtype)])


class MLSTM(Driven[MLSTMCarry], kw_only=True):
    """The mLSTM of the xLSTM: a memory of values under keys, and exponential gates.

    In each of the heads alone, with D = H / heads,

        q   = x W_q + b_q                   query
        k   = x W_k / sqrt(D) + b_k         key
        v   = x W_v + b_v                   value
        a_* = x W_* + b_*                   of i and f, one number each
        l   = log sigmoid(a_f)              or a_f, where `forget` is "exp"
        m'  = max(l + m, a_i)               stabiliser
        i   = exp(a_i - m')                 input gate
        f   = exp(l + m - m')               forget gate
        C'  = f C + i v k^T                 memory
        n'  = f n + i k                     normaliser
        o   = sigmoid(x W_o + b_o)          output gate
        y   = o C' q / max(|n' q|, exp(-m'))

    with kernel [I, 4H] and bias [4H] in the order q, k, v, o; gate_kernel [I, 2 heads]
    and gate_bias [2 heads] in the order i, f. C and n are in units of exp(m), so that no
    exponent is above 0: all stays finite. The carry is `MLSTMCarry(C, n, m)`, zeros at
    first; the output is y [H]. None of C, n and m means anything without the two others,
    so that `Zoneout` leaves them alone. Beck et al., "xLSTM: extended long short-term
    memory", NeurIPS 2024, arXiv 2405.04517.

    The authors' code makes a_i and a_f from q, k and v, divides b_k by sqrt(D) too, adds
    1e-6 to what y is divided by, has a norm of each head before o, and a convolution over
    time in front of q and k. Its first gates are the ones here: W_i and W_f are 0, b_i is
    N(0, 0.01), and b_f goes from 3 to 6 over the heads. Here exp(-m') is no less than the
    root of the smallest number of the dtype, so that a q of 0 gives a y of 0.

    Args:
        input_size, hidden_size: I and H.
        heads: how many, of H / heads units each.
        forget: "sigmoid" or "exp", what the forget gate is.
        gate_init, gate_bias_init: those of gate_kernel and gate_bias.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that is no multiple
            of heads, an unknown forget gate.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MLSTM(3, 6, heads=2)
        >>> params = cell.init(jax.random.key(0))
        >>> (C, n, m), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 4, 3)))
        >>> print(C.shape, n.shape, m.shape, ys.shape)
        (4, 2, 3, 3) (4, 2, 3) (4, 2) (7, 4, 6)
    """

    blocks = "q", "k", "v", "o"

    heads: int = 1
    forget: str = "sigmoid"
    gate_init: initializers.Initializer = initializers.zeros
    gate_bias_init: initializers.Initializer = long_memory

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, heads=self.heads)
        if self.hidden_size % self.heads:
            raise ValueError(
                f"MLSTM: heads is {self.heads}, expected a divisor of hidden_size, "
                f"{self.hidden_size}"
            )
        if self.forget not in ("sigmoid", "exp"):
            raise ValueError(
                f'MLSTM: forget is {self.forget!r}, expected "sigmoid" or "exp"'
            )

    def init(self, key: jax.Array) -> Params:
        shape, gates = (self.input_size, 2 * self.heads), ("i", "f")
        more: Params = {"gate_kernel": ("gate_init", shape, gates)}
        if self.use_bias:
            more["gate_bias"] = "gate_bias_init", shape[1:], gates
        return super().init(key) | self.further(key, **more)

    def initial_carry(self, params: Params) -> MLSTMCarry:
        D, dtype = self.hidden_size // self.heads, params["kernel"].dtype
        shapes = (self.heads, D, D), (self.heads, D), (self.heads,)
        return MLSTMCarry(*(jnp.zeros(shape, dtype) for shape in shapes))

    def is_state(self, carry: MLSTMCarry) -> Any:
        return jax.tree.map(lambda _: False, carry)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> MLSTMDrive:
        q, k, v, o = jnp.split(affine(self, unbiased(params), x), 4)
        k = k * (self.hidden_size // self.heads) ** -0.5
        gates = x @ params["gate_kernel"]
        if "bias" in params:
            biases = jnp.split(params["bias"], 4)
            q, k, v, o = map(jnp.add, (q, k, v, o), biases)
            gates = gates + params["gate_bias"]
        q, k, v = (part.reshape(self.heads, -1) for part in (q, k, v))
        a_i, a_f = jnp.split(gates, 2)
        log_f = a_f if self.forget == "exp" else jax.nn.log_sigmoid(a_f)
        return MLSTMDrive(q, k, v, a_i, log_f, jax.nn.sigmoid(o))

    def gates(
        self, params: Params, carry: MLSTMCarry, drive: MLSTMDrive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f"}, each [heads], and "o" [H] of the step from `carry`.

        "i" and "f" are those by which C is written and kept, in units of exp(m).
        """
        _, i, f = self._stabilised(carry, drive)
        return {"i": i, "f": f, "o": drive.o}

    def _stabilised(
        self, carry: MLSTMCarry, drive: MLSTMDrive
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The new m, and the gates i and f."""
        kept = drive.log_f + carry.m
        m = jnp.maximum(kept, drive.a_i)
        return m, jnp.exp(drive.a_i - m), jnp.exp(kept - m)

    def step(self, params: Params, carry: MLSTMCarry, drive: MLSTMDrive) -> MLSTMCarry:
        m, i, f = self._stabilised(carry, drive)
        written = i[:, None] * drive.k
        C = f[:, None, None] * carry.C + jnp.einsum("hv,hk->hvk", drive.v, written)
        return MLSTMCarry(C, f[:, None] * carry.n + written, m)

    def output(self, params: Params, carry: MLSTMCarry, drive: MLSTMDrive) -> jax.Array:
        read = jnp.einsum("hvk,hk->hv", carry.C, drive.q)
        norm = jnp.abs(jnp.einsum("hk,hk->h", carry.n, drive.q))
        # Both sides of the ratio times exp(m) where m is below 0: no exp overflows.
        scale = jnp.exp(jnp.minimum(carry.m, 0))
        least = math.sqrt(float(jnp.finfo(carry.m.dtype).tiny))
        one = jnp.maximum(jnp.exp(-jnp.maximum(carry.m, 0)), least)
        h = read * (scale / jnp.maximum(norm * scale, one))[:, None]
        return drive.o * h.reshape(-1)
