"""The readout: an affine map at every step."""

from typing import Any

import jax

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_sizes
from .affine import affine, draw
from .memoryless import Memoryless

GATES = ("y",)


class Dense(Memoryless[dict[str, jax.Array]]):
    """A cell without memory: the same affine map at every step.

        y = x W + b

    with x [I], y [O], W = kernel [I, O], b = bias [O]. The carry is `()`; over a sequence
    it is one matrix product.

    Args:
        input_size: I.
        output_size: O.
        use_bias: False leaves b out.
        kernel_init, bias_init: see `jaxrnn.initializers`.

    Raises:
        ValueError: for a size that is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> (lstm_carry, dense_carry), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(ys.shape, dense_carry)
        (7, 2) ()
    """

    input_size: int
    output_size: int
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal
    bias_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, output_size=self.output_size)

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        kernel_key, bias_key = jax.random.split(key)
        I, O = self.input_size, self.output_size
        params = {"kernel": draw(self, "kernel_init", kernel_key, (I, O), GATES)}
        if self.use_bias:
            params["bias"] = draw(self, "bias_init", bias_key, (O,), GATES)
        return params

    def project(
        self, params: dict[str, jax.Array], x: Any, keys: Keys | None = None
    ) -> jax.Array:
        return affine(self, params, x)
