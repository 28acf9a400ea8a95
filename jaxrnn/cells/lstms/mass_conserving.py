"""An LSTM whose memory is a store: nothing comes from nowhere, nothing is lost."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_positive, check_sizes
from ...cell import Cell
from ..affine import check_x, draw
from ..gated import Params
from ..lstm import LSTMCarry

Drive = tuple[jax.Array, jax.Array]  # the masses, and a W + b of all gates
NORMALIZATIONS = "softmax", "sigmoid"


class MassInput(NamedTuple):
    """One x of an `MCLSTM`: what is conserved, and what only steers where it goes."""

    mass: Any
    auxiliary: Any


def conserving(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Biases of an `MCLSTM` at first: -3 for "o", the identity for "r", else zeros.

    Little goes out, and no part of the store gets more of another than that keeps.
    """
    if tuple(gates) == ("r",):
        return jnp.ravel(jnp.eye(math.isqrt(shape[-1])))
    return jnp.full(shape, -3.0 if tuple(gates) == ("o",) else 0.0)


def spread(z: jax.Array, normalization: str) -> jax.Array:
    """Shares that sum to one, along the last axis."""
    if normalization == "sigmoid":
        z = jax.nn.log_sigmoid(z)  # the softmax has sigmoids in place of exponentials
    return jax.nn.softmax(z, axis=-1)


def drawn(
    cell: Cell, field: str, key: jax.Array, rows: tuple[int, ...], columns: dict[str, int]
) -> jax.Array:
    """A parameter whose gates, of so many columns each, are made one by one."""
    keys = jax.random.split(key, len(columns))
    blocks = [
        draw(cell, field, own, (*rows, size), (gate,))
        for own, (gate, size) in zip(keys, columns.items(), strict=True)
    ]
    return jnp.concatenate(blocks, axis=-1)


class Store(Cell[Params, LSTMCarry, Drive]):
    """A cell whose gates share out the masses that are there, c and those that come.

    They say where each inflow goes, "i", and each part of the store, "r", row by row; and
    what part of all that comes together flows out, "o".
    """

    def initial_carry(self, params: Params) -> LSTMCarry:
        kernel = params["recurrent_kernel"]
        nothing = jnp.zeros(kernel.shape[0], kernel.dtype)
        return LSTMCarry(h=nothing, c=nothing)

    def is_state(self, carry: LSTMCarry) -> Any:
        return carry._replace(h=False, c=True)

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        H, (masses, _) = carry.c.shape[0], drive
        gate = self.gates(params, carry, drive)
        total = masses @ gate["i"].reshape(-1, H) + carry.c @ gate["r"].reshape(H, H)
        return LSTMCarry(h=gate["o"] * total, c=(1 - gate["o"]) * total)

    def output(self, params: Params, carry: LSTMCarry, drive: Drive) -> jax.Array:
        return carry.h


class MCLSTM(Store):
    """The mass-conserving LSTM: all that comes in is in store or has gone out.

        s  = c / max(|c|_1, epsilon)                  shares of the store
        i  = softmax(a W_i + s U_i + b_i)             where each inflow goes
        r  = softmax(a W_r + s U_r + b_r)             where each part of the store goes
        o  = sigmoid(a W_o + s U_o + b_o)             what part of it flows out
        c' = (1 - o) (x i + c r)
        h' = o (x i + c r)

    for the input `MassInput(mass=x, auxiliary=a)`, with x [M], none of it negative, and a
    [A]; i [M, H] and r [H, H] are softmaxes over their last axis. kernel [A, (M+1+H) H],
    recurrent_kernel [H, (M+1+H) H] and bias hold i, r and o in that order, i and r row by
    row. The carry is `LSTMCarry(h, c)`, zeros at first, of which h is only shown; the
    output is h, the outflow, and sum(x) + sum(c) = sum(h') + sum(c') at every step. All
    products by a are made for all steps at once.

    Hoedt et al., "MC-LSTM: mass-conserving LSTM", ICML 2021, arXiv 2101.05186, which
    writes r transposed, and divides by |c|_1 where it is not zero. torchrecurrent's cell
    of this name is another, a memory controller, which conserves nothing.

    Args:
        mass_size, auxiliary_size, hidden_size: M, A and H.
        normalization: "softmax", or "sigmoid" for sigmoids divided by their sum, in i
            and r.
        epsilon: a store of less is taken as nearly empty, and its shares sum to less than
            one: gradients stay finite.
        use_bias: False leaves b out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`; called for i, r
            and o one by one, each as one gate.

    Raises:
        ValueError: for a size that is no positive int, an unknown normalization, an
            epsilon that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MCLSTM(1, 3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> rain, weather = jnp.ones((7, 2, 1)), jnp.ones((7, 2, 3))
        >>> xs = jaxrnn.cells.MassInput(mass=rain, auxiliary=weather)
        >>> (h, c), ys = jaxrnn.unroll(cell, params, xs)
        >>> print(c.shape, ys.shape, jnp.allclose(ys.sum((0, 2)) + c.sum(1), 7))
        (2, 5) (7, 2, 5) True
    """

    mass_size: int
    auxiliary_size: int
    hidden_size: int
    _: dataclasses.KW_ONLY
    normalization: str = "softmax"
    epsilon: float = 1e-6
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.orthogonal
    recurrent_init: initializers.Initializer = initializers.orthogonal
    bias_init: initializers.Initializer = conserving

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, mass_size=self.mass_size, hidden_size=self.hidden_size)
        check_sizes(self, auxiliary_size=self.auxiliary_size)
        check_positive(self, "epsilon")
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(
                f"MCLSTM: normalization is {self.normalization!r}, expected one of "
                f"{NORMALIZATIONS}"
            )

    @property
    def input_shape(self) -> MassInput:
        return MassInput(mass=(self.mass_size,), auxiliary=(self.auxiliary_size,))

    def init(self, key: jax.Array) -> Params:
        keys, A, H = jax.random.split(key, 3), self.auxiliary_size, self.hidden_size
        columns = {"i": self.mass_size * H, "r": H * H, "o": H}
        params = {
            "kernel": drawn(self, "kernel_init", keys[0], (A,), columns),
            "recurrent_kernel": drawn(self, "recurrent_init", keys[1], (H,), columns),
        }
        if self.use_bias:
            params["bias"] = drawn(self, "bias_init", keys[2], (), columns)
        return params

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        check_x(self, x)
        z = x.auxiliary @ params["kernel"]
        return x.mass, z + params["bias"] if self.use_bias else z

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "r", "o"} of the step from `carry`, [M H], [H H], [H]."""
        H, rows = self.hidden_size, self.mass_size + self.hidden_size
        shares = carry.c / jnp.maximum(jnp.sum(jnp.abs(carry.c)), self.epsilon)
        z = drive[1] + shares @ params["recurrent_kernel"]
        z, o = jnp.split(z, [rows * H])
        whither = jnp.ravel(spread(z.reshape(rows, H), self.normalization))
        i, r = jnp.split(whither, [self.mass_size * H])
        return {"i": i, "r": r, "o": jax.nn.sigmoid(o)}
