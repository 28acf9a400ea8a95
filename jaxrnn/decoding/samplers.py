"""How a symbol is drawn from logits: functions of logits, and one draw."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.arrays import has_values
from ..arguments.numbers import check_count, is_number
from ..value import Value

NAN = float("nan")
# One, or several in a tuple, the first first: each turns logits into other logits.
Sampler = Callable[[jax.Array], jax.Array] | tuple[Callable[[jax.Array], jax.Array], ...]


def _with_number(cls: type) -> type:
    """A sampler of one number: part of the program, or data if it is an array.

    So that it may be traced, as one that an annealing schedule gives under `jax.jit`.
    """
    (name,) = (field.name for field in dataclasses.fields(cls))

    def flatten(sampler: Any) -> tuple[tuple, Any]:
        number = getattr(sampler, name)
        return ((), number) if is_number(number) else ((number,), None)

    def unflatten(number: Any, children: tuple) -> Any:
        sampler = object.__new__(cls)  # what jax puts together is not to be checked
        object.__setattr__(sampler, name, children[0] if children else number)
        return sampler

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)
    return cls


def _lies(number: Any, inside: Callable[[Any], Any]) -> bool:
    """Whether it is a scalar that lies in a range, as far as that is known."""
    if not is_number(number):
        if not isinstance(number, jax.Array) or number.shape != ():
            return False
        if not jnp.issubdtype(number.dtype, jnp.floating):
            return False
    return not has_values(number) or bool(inside(float(number)))


class Greedy(Value):
    """The most probable symbol, the first of several: 0 for its logit, -inf for others.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.Greedy()(jnp.array([1.0, 3.0, 2.0])))
        [-inf   0. -inf]
    """

    def __call__(self, logits: jax.Array) -> jax.Array:
        best = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
        return jnp.where(best, 0, -jnp.inf).astype(logits.dtype)


@_with_number
@dataclass(frozen=True)
class Temperature:
    """Logits divided by `temperature`: below 1 bolder, 1 the model's own, above 1 wilder.

        p_i = exp(logits_i / temperature) / sum over j of exp(logits_j / temperature)

    The largest is subtracted first, which changes no p_i, so that nothing overflows: a
    tiny temperature draws the most probable symbol.

    Args:
        temperature: positive; a number, or a scalar array, which may be traced: an
            annealed one changes no program. Traced, 0 is the limit, the most probable
            symbol, and a negative one gives NaN.

    Raises:
        ValueError: if it is not.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.Temperature(0.5)(jnp.array([1.0, 3.0])))
        [-4.  0.]
    """

    temperature: Any = 1.0

    def __post_init__(self) -> None:
        if not _lies(self.temperature, lambda t: 0 < t < float("inf")):
            raise ValueError(
                f"Temperature: temperature is {self.temperature!r}, expected a positive "
                "number; for the most probable symbol take Greedy()"
            )

    def __call__(self, logits: jax.Array) -> jax.Array:
        below = logits - jnp.max(logits, axis=-1, keepdims=True)
        t = jnp.asarray(self.temperature, logits.dtype)
        divided = jnp.where(below == 0, below, below / t)  # 0 even where t rounds to 0
        return divided if is_number(self.temperature) else jnp.where(t >= 0, divided, NAN)


class TopK(Value):
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
        object.__setattr__(self, "count", check_count("TopK", "count", self.count))

    def __call__(self, logits: jax.Array) -> jax.Array:
        count = min(self.count, logits.shape[-1])
        least = jax.lax.top_k(logits, count)[0][..., -1:]
        return jnp.where(logits >= least, logits, -jnp.inf)


@_with_number
@dataclass(frozen=True)
class Nucleus:
    """The most probable symbols whose probabilities together reach `mass`, no others.

    A symbol is kept if those before it, the more probable ones, have less than `mass`
    together; the most probable one always is. Holtzman, Buys, Du, Forbes and Choi, "The
    curious case of neural text degeneration", ICLR 2020, arXiv 1904.09751.

    Args:
        mass: in (0, 1]; a number, or a scalar array, which may be traced.

    Raises:
        ValueError: if it is not.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
        >>> print(jnp.isfinite(jaxrnn.Nucleus(0.7)(logits)))
        [ True  True False]
    """

    mass: Any

    def __post_init__(self) -> None:
        if not _lies(self.mass, lambda mass: 0 < mass <= 1):
            raise ValueError(f"Nucleus: mass is {self.mass!r}, expected one in (0, 1]")

    def __call__(self, logits: jax.Array) -> jax.Array:
        if is_number(self.mass) and self.mass == 1:
            return logits
        order = jnp.argsort(logits, axis=-1, descending=True)
        probabilities = jax.nn.softmax(jnp.take_along_axis(logits, order, -1), axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        mass = jnp.asarray(self.mass, logits.dtype)
        # Of 1 all: a sum of roundings may reach it early.
        kept = ((before < mass) | (mass >= 1)).at[..., 0].set(True)
        back = jnp.argsort(order, axis=-1)
        return jnp.where(jnp.take_along_axis(kept, back, -1), logits, -jnp.inf)


def adjusted(sampler: Sampler, logits: jax.Array) -> jax.Array:
    """The logits of what is drawn."""
    for function in sampler if isinstance(sampler, tuple) else (sampler,):
        logits = function(logits)
    return logits


class Parted(NamedTuple):
    """A sampler without its traced numbers: hashable, so that a cell may hold it."""

    tree: Any
    functions: tuple  # None in the place of a number

    def whole(self, numbers: Sequence[jax.Array]) -> Sampler:
        given = iter(numbers)
        leaves = [next(given) if leaf is None else leaf for leaf in self.functions]
        return jax.tree.unflatten(self.tree, leaves)


def parted(sampler: Sampler) -> tuple[Parted, list[jax.Array]]:
    """What of a sampler is part of the program, and its traced numbers."""
    leaves, tree = jax.tree.flatten(sampler)
    functions = tuple(leaf if callable(leaf) else None for leaf in leaves)
    return Parted(tree, functions), [leaf for leaf in leaves if not callable(leaf)]


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
