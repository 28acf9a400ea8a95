"""The quasi-recurrent network: a convolution over time, and gated pooling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes
from ..activations import Activation, activation_of, check_activations
from ..affine import check_x
from ..gated import Driven, Params

BLOCKS = {"f": ("n", "f"), "fo": ("n", "f", "o"), "ifo": ("n", "i", "f", "o")}


class QRNNCarry(NamedTuple):
    """The carry of a `QRNN`: h [H], which is shown, memory c [H], and `pending`.

    `pending` has a leaf [G H] for each of the next width - 1 steps: what the inputs so
    far give to its sums. Those products are by the parameters of their own steps: where
    a carry passes from one update of the parameters to the next, they are of the old.
    """

    h: jax.Array
    c: jax.Array
    pending: tuple[jax.Array, ...]


class QRNN(Driven[QRNNCarry], kw_only=True):
    """The quasi-recurrent network: gates of the last inputs, and an average over time.

        z  = x W_1 + x_before W_2 + ... + b         a convolution of `width` inputs
        n  = tanh(z_n)                              candidate: the paper's z
        i, f, o = sigmoid(z_i, z_f, z_o)
        c' = f c + (1 - f) n        h' = c'         pooling="f"
        c' = f c + (1 - f) n        h' = o c'       pooling="fo"
        c' = f c + i n              h' = o c'       pooling="ifo"

    with kernel [width I, G H], W_1 above W_2 and so on, and bias [G H], of blocks in the
    order n, i, f, o without those that the pooling has not. The carry is `QRNNCarry(h, c,
    pending)`, zeros at first, as for inputs of zeros before the start; the output is h,
    which no step reads. Bradbury, Merity, Xiong and Socher, "Quasi-recurrent neural
    networks", ICLR 2017, arXiv 1611.01576.

    All products are made outside of the loop, each x by the whole kernel; what they give
    to later steps waits in the carry. Given that, c' is affine in c. Zoneout, the paper's
    way to regularise it, is `Zoneout(cell, rate)`.

    Args:
        input_size, hidden_size: I and H.
        width: of the convolution, in steps. The pytorch-qrnn package has 1, and no more
            than 2.
        pooling: "f", "fo" or "ifo".
        activation: that of n, in place of tanh: the name of a function of `jax.nn`, or a
            function of a module.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size or a width that is no positive int, another pooling, an
            unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.QRNN(3, 5, width=2)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, carry.pending[0].shape, ys.shape)
        (6, 15) (2, 15) (7, 2, 5)
    """

    width: int = 2
    pooling: str = "fo"
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, width=self.width)
        check_activations(self, "activation")
        if self.pooling not in BLOCKS:
            raise ValueError(
                f'QRNN: pooling is {self.pooling!r}, expected "f", "fo" or "ifo"'
            )

    @property
    def blocks(self) -> tuple[str, ...]:  # pyright: ignore
        return BLOCKS[self.pooling]

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        of = super()._parameters()
        field, (_, columns), blocks = of["kernel"]
        return of | {"kernel": (field, (self.width * self.input_size, columns), blocks)}

    def initial_carry(self, params: Params) -> QRNNCarry:
        h = super().initial_carry(params)
        sums = jnp.zeros(params["kernel"].shape[1], h.dtype)
        return QRNNCarry(h, jnp.zeros_like(h), (sums,) * (self.width - 1))

    def is_state(self, carry: QRNNCarry) -> Any:
        return QRNNCarry(False, True, (False,) * len(carry.pending))  # pyright: ignore

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        """The products by x: what this step gets, with b, and every later one."""
        check_x(self, x)
        kernel = params["kernel"].reshape(self.width, self.input_size, -1)
        now, *later = jnp.einsum("i,kig->kg", x, kernel)
        return (now + params["bias"] if self.use_bias else now), *later

    def gates(self, params: Params, carry: QRNNCarry, drive: Any) -> dict[str, jax.Array]:
        """The activations {"n", "i", "f", "o"} that there are, each [H]."""
        z = drive[0] + carry.pending[0] if carry.pending else drive[0]
        acts = {"n": activation_of(self.activation)}
        parts = zip(self.blocks, jnp.split(z, len(self.blocks)), strict=True)
        return {name: acts.get(name, jax.nn.sigmoid)(part) for name, part in parts}

    def step(self, params: Params, carry: QRNNCarry, drive: Any) -> QRNNCarry:
        gate = self.gates(params, carry, drive)
        i = gate["i"] if "i" in gate else 1 - gate["f"]
        c = gate["f"] * carry.c + i * gate["n"]
        h = gate["o"] * c if "o" in gate else c
        waiting = (*carry.pending[1:], None)
        pending = (
            product if sums is None else sums + product
            for sums, product in zip(waiting, drive[1:], strict=False)
        )
        return QRNNCarry(h, c, tuple(pending))

    def output(self, params: Params, carry: QRNNCarry, drive: Any) -> jax.Array:
        return carry.h
