"""How well a query fits every place of a memory."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from ..arguments.numbers import check_sizes
from ..initializers import glorot_uniform
from ..value import Value


class Score(Protocol):
    """A frozen value that names three pure functions.

    `keys` is all that ignores the query: it is computed once for a source, outside of
    every loop.
    """

    def init(self, key: jax.Array, query_size: int, memory_size: int) -> Any:
        """Fresh parameters."""
        ...

    def keys(self, params: Any, memory: jax.Array) -> jax.Array:
        """Of a memory `(S, memory_size)`, `(S, ...)`."""
        ...

    def __call__(self, params: Any, query: jax.Array, keys: jax.Array) -> jax.Array:
        """Of a query `(query_size,)`, `(S,)`."""
        ...


class Additive(Value):
    """A network of one hidden layer: Bahdanau's score, Luong's "concat".

        score_s = v tanh(q W_q + m_s W_m + b)

    with params `query_kernel` (Q, A), `memory_kernel` (M, A), `bias` (A,), `v` (A,).
    Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and
    translate", ICLR 2015, arXiv 1409.0473.

    Args:
        size: A, the units of the hidden layer.

    Raises:
        ValueError: for a size that is no positive int.

    Example:
        >>> import jax, jaxrnn
        >>> params = jaxrnn.Additive(8).init(jax.random.key(0), 5, 4)
        >>> print(params["memory_kernel"].shape)
        (4, 8)
    """

    size: int

    def __post_init__(self) -> None:
        check_sizes(self, size=self.size)

    def init(self, key: jax.Array, query_size: int, memory_size: int) -> dict:
        of_query, of_memory, of_v = jax.random.split(key, 3)
        v = glorot_uniform(of_v, (self.size, 1), ("v",))[:, 0]
        return {
            "query_kernel": glorot_uniform(of_query, (query_size, self.size), ("q",)),
            "memory_kernel": glorot_uniform(of_memory, (memory_size, self.size), ("m",)),
            "bias": jnp.zeros(self.size),
            "v": v,
        }

    def keys(self, params: dict, memory: jax.Array) -> jax.Array:
        return memory @ params["memory_kernel"] + params["bias"][None]

    def __call__(self, params: dict, query: jax.Array, keys: jax.Array) -> jax.Array:
        hidden = jnp.tanh((query @ params["query_kernel"])[None] + keys)
        # No product: its gradient in v would keep all of `hidden`, of every step.
        return jnp.sum(hidden * params["v"][None], axis=-1)


class Dot(Value):
    """The inner product, of a query and a memory of the same size; without parameters.

        score_s = q m_s

    Luong, Pham and Manning, "Effective approaches to attention-based neural machine
    translation", EMNLP 2015, arXiv 1508.04025.

    Raises:
        ValueError: at `init`, if the sizes differ.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.Dot()((), jnp.array([1.0, 2.0]), jnp.eye(2)))
        [1. 2.]
    """

    def init(self, key: jax.Array, query_size: int, memory_size: int) -> tuple[()]:
        if query_size != memory_size:
            raise ValueError(
                f"Dot: the query has {query_size} numbers and the memory {memory_size}, "
                "expected as many; General() has a matrix between them"
            )
        return ()

    def keys(self, params: tuple[()], memory: jax.Array) -> jax.Array:
        return memory

    def __call__(self, params: Any, query: jax.Array, keys: jax.Array) -> jax.Array:
        return keys @ query


class General(Value):
    """The inner product with a matrix between: Luong's "general".

        score_s = q (m_s W)

    with params `kernel` (M, Q). Luong, Pham and Manning, 2015, as `Dot`.

    Example:
        >>> import jax, jaxrnn
        >>> print(jaxrnn.General().init(jax.random.key(0), 5, 4)["kernel"].shape)
        (4, 5)
    """

    def init(self, key: jax.Array, query_size: int, memory_size: int) -> dict:
        return {"kernel": glorot_uniform(key, (memory_size, query_size), ("m",))}

    def keys(self, params: dict, memory: jax.Array) -> jax.Array:
        return memory @ params["kernel"]

    def __call__(self, params: Any, query: jax.Array, keys: jax.Array) -> jax.Array:
        return keys @ query
