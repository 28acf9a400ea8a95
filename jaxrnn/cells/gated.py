"""What cells with gates share: sizes, parameters of each gate, x W + b, dropout on h."""

import dataclasses
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate, check_sizes
from ..cell import Cell
from .affine import affine, draw

Carry = TypeVar("Carry")
Params = dict[str, Any]


class Drive(NamedTuple):
    """What the step of a cell with a recurrent kernel gets."""

    x: Any  # x W + b, or what a cell makes of it
    keep: jax.Array | None  # the units of h that U sees, [H]; None: all


class Driven(Cell[Params, Carry, Any], Generic[Carry]):
    """A cell of H units that has W = kernel [I, G H] and b = bias, and gets x W + b.

    A block of H columns is a gate's own. What derives from it names the gates in
    `blocks`, in their order, and has its equations in `step`:

        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class Decaying(jaxrnn.cells.Driven[jax.Array]):
        ...     blocks = "f", "n"
        ...     def step(self, params, carry, drive):
        ...         f, n = jnp.split(drive, 2)
        ...         return jax.nn.sigmoid(f) * carry + n
        >>> cell = Decaying(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].shape
        (7, 2, 5)

    Args:
        input_size: I.
        hidden_size: H.
        use_bias: False leaves b out.
        kernel_init, bias_init: see `jaxrnn.initializers`.

    Raises:
        ValueError: for a size that is no positive int.
    """

    blocks: ClassVar[tuple[str, ...]]

    input_size: int
    hidden_size: int
    _: dataclasses.KW_ONLY
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal
    bias_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        """Those of b, should it have others."""
        return self.blocks

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        """By name: the field of the initializer, the shape, and the blocks."""
        H, blocks = self.hidden_size, self.bias_blocks
        return {
            "kernel": (
                "kernel_init",
                (self.input_size, len(self.blocks) * H),
                self.blocks,
            ),
            "bias": ("bias_init", (len(blocks) * H,), blocks),
        }

    def init(self, key: jax.Array) -> Params:
        parameters = self._parameters()
        return self._drawn(jax.random.split(key, len(parameters)), parameters)

    def further(self, key: jax.Array, **parameters: Any) -> Params:
        """More parameters, for an `init` that has them, by their names.

            name=("kernel_init", shape, blocks)     the field of its initializer

        The key is that of `init`, from which others are drawn here. What `bias_init`
        makes is left out where there is no bias.
        """
        keys = jax.random.split(jax.random.fold_in(key, 3), len(parameters))
        return self._drawn(keys, parameters)

    def _drawn(self, keys: Any, parameters: dict[str, Any]) -> Params:
        return {
            name: draw(self, field, key, shape, blocks)
            for key, (name, (field, shape, blocks)) in zip(
                keys, parameters.items(), strict=True
            )
            if field != "bias_init" or self.use_bias
        }

    def initial_carry(self, params: Params) -> Any:
        return jnp.zeros(self.hidden_size, params["kernel"].dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        return affine(self, params, x)


class Gated(Driven[Carry], Generic[Carry]):
    """A cell of H units that has W = kernel [I, G H], U = recurrent_kernel [H, G H], b.

    A block of H columns is a gate's own. What derives from it names the gates in
    `blocks`, in their order, and has its equations in `step`, which gets x W + b as
    `drive.x`:

        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class UpdateGate(jaxrnn.cells.Gated[jax.Array]):
        ...     blocks = "g", "n"
        ...     def step(self, params, carry, drive):
        ...         h = self.seen(carry, drive)
        ...         g, n = jnp.split(drive.x + h @ params["recurrent_kernel"], 2)
        ...         return jax.nn.sigmoid(g) * carry + jax.nn.sigmoid(-g) * jnp.tanh(n)
        >>> cell = UpdateGate(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].shape
        (7, 2, 5)

    Args:
        input_size: I.
        hidden_size: H.
        use_bias: False leaves b out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`.
        recurrent_dropout: the probability at which a unit of h is hidden from U, when
            there is a key: one mask for the whole sequence, never on the carry itself
            (Gal and Ghahramani, NeurIPS 2016, arXiv 1512.05287).

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).
    """

    _: dataclasses.KW_ONLY
    recurrent_init: initializers.Initializer = initializers.orthogonal
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = check_rate(self, "recurrent_dropout", self.recurrent_dropout)
        object.__setattr__(self, "recurrent_dropout", rate)

    @property
    def state_size(self) -> int:
        """The units that U sees."""
        return self.hidden_size

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        """Those of U, should it have others."""
        return self.blocks

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        of, blocks = super()._parameters(), self.recurrent_blocks
        shape = self.state_size, len(blocks) * self.hidden_size
        recurrent = "recurrent_init", shape, blocks
        return {
            "kernel": of["kernel"],
            "recurrent_kernel": recurrent,
            "bias": of["bias"],
        }

    def initial_carry(self, params: Params) -> Any:
        return jnp.zeros(self.state_size, params["kernel"].dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        keep = None
        if keys is not None and self.recurrent_dropout > 0:
            kept, shape = 1 - self.recurrent_dropout, (self.state_size,)
            keep = jax.random.bernoulli(keys.sequence, kept, shape)
        return Drive(affine(self, params, x), keep)

    def seen(self, h: jax.Array, drive: Drive) -> jax.Array:
        """h as it meets U: with dropout, the units kept, scaled up."""
        if drive.keep is None:
            return h
        kept = h / (1 - self.recurrent_dropout)
        return jnp.where(drive.keep, kept, jnp.zeros_like(h))


def parted(params: Params, *columns: int) -> Params:
    """`recurrent_kernel` split at these columns, once per run, as `prepare` does it.

    For steps with products one after the other: each has a kernel of its own then.
    """
    if isinstance(params["recurrent_kernel"], tuple):  # already
        return params
    kernels = jnp.split(params["recurrent_kernel"], columns, axis=-1)
    return params | {"recurrent_kernel": tuple(kernels)}
