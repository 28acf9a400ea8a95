"""A nonlinearity between layers."""

from typing import Any

import jax

from ..arguments.keys import Keys
from .activations import activation_of, check_activations
from .memoryless import Memoryless


class Activation(Memoryless[tuple[()]]):
    """A cell without memory or parameters: one function at every step.

        y = act(x)

    A cell between other cells, for an x of any shape; each leaf of a pytree gets it. The
    params and the carry are `()`.

    Args:
        activation: the name of a function of `jax.nn` or "onnx_hard_sigmoid", or a
            function of a module, which keeps shapes; "softmax" is along the features.

    Raises:
        ValueError: for an unknown activation, or if `unroll` gets it alone: it cannot
            then tell batch axes from features.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn import Activation, Dense, GRU
        >>> cell = jaxrnn.Stack((GRU(3, 5), Dense(5, 4), Activation("relu"), Dense(4, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(ys.shape)
        (7, 2, 2)
    """

    activation: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    @property
    def input_shape(self) -> Any:
        return ...

    def init(self, key: jax.Array) -> tuple[()]:
        return ()

    def project(self, params: tuple[()], x: Any, keys: Keys | None = None) -> Any:
        return jax.tree.map(activation_of(self.activation), x)
