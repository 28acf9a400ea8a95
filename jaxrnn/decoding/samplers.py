"""How a symbol is drawn from logits: functions of logits, and one draw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..checks import is_number

# One, or several in a tuple, the first first: each turns logits into other logits.
Sampler = Callable[[jax.Array], jax.Array] | tuple[Callable[[jax.Array], jax.Array], ...]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Greedy:
    """The most probable symbol, the first of several: 0 for its logit, -inf for others.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.Greedy()(jnp.array([1.0, 3.0, 2.0])))
        [-inf   0. -inf]
    """

    def __call__(self, logits: jax.Array) -> jax.Array:
        best = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
        return jnp.where(best, 0, -jnp.inf).astype(logits.dtype)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Temperature:
    """Logits divided by `temperature`: below 1 bolder, 1 the model's own, above 1 wilder.

        p_i = exp(logits_i / temperature) / sum over j of exp(logits_j / temperature)

    Args:
        temperature: positive.

    Raises:
        ValueError: if it is not.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.Temperature(0.5)(jnp.array([1.0, 3.0])))
        [2. 6.]
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not is_number(self.temperature) or not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"Temperature: temperature is {self.temperature!r}, expected a positive "
                "number; for the most probable symbol take Greedy()"
            )

    def __call__(self, logits: jax.Array) -> jax.Array:
        return logits / self.temperature


@jax.tree_util.register_static
@dataclass(frozen=True)
class TopK:
    """The `count` most probable symbols alone, and those that equal the last of them.

    Fan, Lewis and Dauphin, "Hierarchical neural story generation", ACL 2018, arXiv
    1805.04833.

    Args:
        count: positive; more than there are symbols keeps all.

    Raises:
        ValueError: if it is no positive int.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.TopK(2)(jnp.array([1.0, 3.0, 2.0])))
        [-inf   3.   2.]
    """

    count: int

    def __post_init__(self) -> None:
        whole = isinstance(self.count, (int, np.integer))
        if isinstance(self.count, bool) or not whole or self.count < 1:
            raise ValueError(f"TopK: count is {self.count!r}, expected a positive int")

    def __call__(self, logits: jax.Array) -> jax.Array:
        count = min(self.count, logits.shape[-1])
        least = jax.lax.top_k(logits, count)[0][..., -1:]
        return jnp.where(logits >= least, logits, -jnp.inf)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Nucleus:
    """The most probable symbols whose probabilities together reach `mass`, no others.

    A symbol is kept if those before it, the more probable ones, have less than `mass`
    together; the most probable one always is. Holtzman, Buys, Du, Forbes and Choi, "The
    curious case of neural text degeneration", ICLR 2020, arXiv 1904.09751.

    Args:
        mass: in (0, 1].

    Raises:
        ValueError: if it is not.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
        >>> print(jnp.isfinite(jaxrnn.Nucleus(0.7)(logits)))
        [ True  True False]
    """

    mass: float

    def __post_init__(self) -> None:
        if not is_number(self.mass) or not 0 < self.mass <= 1:
            raise ValueError(f"Nucleus: mass is {self.mass!r}, expected one in (0, 1]")

    def __call__(self, logits: jax.Array) -> jax.Array:
        if self.mass == 1:  # a sum of roundings may reach 1 early
            return logits
        order = jnp.argsort(logits, axis=-1, descending=True)
        probabilities = jax.nn.softmax(jnp.take_along_axis(logits, order, -1), axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        kept = (before < self.mass).at[..., 0].set(True)
        back = jnp.argsort(order, axis=-1)
        return jnp.where(jnp.take_along_axis(kept, back, -1), logits, -jnp.inf)


def adjusted(sampler: Sampler, logits: jax.Array) -> jax.Array:
    """The logits of what is drawn."""
    for function in sampler if isinstance(sampler, tuple) else (sampler,):
        logits = function(logits)
    return logits


def draws(sampler: Sampler) -> bool:
    """Whether chance plays a part."""
    every = sampler if isinstance(sampler, tuple) else (sampler,)
    return not any(isinstance(function, Greedy) for function in every)


def check_sampler(call: str, sampler: Any, key: Any) -> None:
    """Raise unless `sampler` is one function or more, and there is a key if it draws."""
    every = sampler if isinstance(sampler, tuple) else (sampler,)
    for function in every:
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"{call}: sampler is {sampler!r}, expected one such as Temperature(0.8), "
                "or several in a tuple"
            )
    if key is None and draws(sampler):
        raise ValueError(
            f"{call}: key is None, but {sampler!r} draws: give a jax.random.key, or "
            "the sampler Greedy()"
        )
