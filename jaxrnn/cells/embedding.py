"""Vectors for symbols."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import initializers
from ..arguments.keys import Keys
from ..arguments.numbers import check_sizes
from .affine import draw
from .memoryless import Memoryless


class Embedding(Memoryless[dict[str, jax.Array]]):
    """A cell without memory for integer inputs: row x of a matrix, at every step.

        y = E[x]

    with x an integer scalar in 0..V-1 and E = embedding [V, features]. The carry is `()`.
    A compiled program cannot raise, so an x outside 0..V-1 gives NaN, never another
    symbol's row.

    Args:
        vocabulary: V, the number of symbols.
        features: the length of a row.
        embedding_init: see `jaxrnn.initializers`.

    Raises:
        ValueError: for a size that is no positive int, or an x that is no scalar.
        TypeError: for an x that is not of an integer dtype.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Embedding(vocabulary=10, features=4)
        >>> params = cell.init(jax.random.key(0))
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.array([3, 1, 4, 1, 5]))
        >>> print(ys.shape)
        (5, 4)
    """

    vocabulary: int
    features: int
    embedding_init: initializers.Initializer = initializers.unit_rows

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, vocabulary=self.vocabulary, features=self.features)

    @property
    def input_shape(self) -> tuple[()]:
        return ()

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        shape = (self.vocabulary, self.features)
        return {"embedding": draw(self, "embedding_init", key, shape, ("y",))}

    def project(
        self, params: dict[str, jax.Array], x: Any, keys: Keys | None = None
    ) -> jax.Array:
        if jnp.shape(x) != ():
            raise ValueError(
                f"Embedding.project: x has shape {jnp.shape(x)}, expected () for {self}: "
                "one symbol; unroll and jax.vmap add the other axes"
            )
        if not jnp.issubdtype(jnp.result_type(x), jnp.integer):
            raise TypeError(
                f"Embedding.project: x has dtype {jnp.result_type(x)}, expected an "
                "integer: the index of a symbol"
            )
        row = params["embedding"].at[x]
        return row.get(mode="fill", wrap_negative_indices=False)
