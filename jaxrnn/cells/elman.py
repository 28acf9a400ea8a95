"""The simple recurrent network of Elman."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate, check_sizes
from ..cell import Cell
from .affine import Drive, recurrent_drive, recurrent_params, seen

GATES = ("h",)


class Elman(Cell[dict[str, jax.Array], jax.Array, Drive]):
    """The plain recurrent layer: one matrix, one nonlinearity.

        h' = act(x W + h U + b)

    with x [I], h [H], W = kernel [I, H], U = recurrent_kernel [H, H], b = bias [H]. The
    carry and the output are h, zeros at first. J. L. Elman, "Finding structure in time",
    Cognitive Science 14, 1990.

    Args:
        input_size: I.
        hidden_size: H.
        activation: "tanh", "relu", "identity" or another function of `jax.nn` that
            keeps the shape, by name.
        use_bias: False leaves b out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`.
        recurrent_dropout: the probability at which a unit of h is hidden from U, when
            there is a key: one mask for the whole sequence, never on the output (Gal and
            Ghahramani, NeurIPS 2016, arXiv 1512.05287).

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), or an
            unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5, activation="relu")
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, ys.shape)
        (2, 5) (7, 2, 5)
    """

    input_size: int
    hidden_size: int
    activation: str = "tanh"
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal
    recurrent_init: initializers.Initializer = initializers.orthogonal
    bias_init: initializers.Initializer = initializers.zeros
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)
        rate = check_rate(self, "recurrent_dropout", self.recurrent_dropout)
        object.__setattr__(self, "recurrent_dropout", rate)
        act = getattr(jax.nn, str(self.activation), None)
        unit = jax.ShapeDtypeStruct((2,), jnp.float32)
        try:
            keeps = jax.eval_shape(act, unit).shape == unit.shape  # pyright: ignore
        except TypeError:
            keeps = False
        if not keeps:
            raise ValueError(
                f'Elman: activation is {self.activation!r}, expected "tanh", "relu", '
                '"identity" or the name of another function of jax.nn that keeps shapes'
            )

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        return recurrent_params(self, key, GATES, GATES)

    def initial_carry(self, params: dict[str, jax.Array]) -> jax.Array:
        return jnp.zeros(self.hidden_size, params["recurrent_kernel"].dtype)

    def project(
        self, params: dict[str, jax.Array], x: Any, keys: Keys | None = None
    ) -> Drive:
        return recurrent_drive(self, params, x, keys)

    def step(
        self, params: dict[str, jax.Array], carry: jax.Array, drive: Drive
    ) -> jax.Array:
        act = getattr(jax.nn, self.activation)
        return act(drive.x + seen(self, carry, drive) @ params["recurrent_kernel"])
