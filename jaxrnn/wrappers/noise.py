"""Noise in training: it needs a key, and there is none of it without."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import structure
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate
from ..cells.memoryless import Memoryless
from .wrapper import Wrapper


class _ElementDropout(Memoryless[tuple[()]]):
    """A cell without memory or parameters that hides a part of x."""

    rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", check_rate(self, "rate", self.rate))

    @property
    def input_shape(self) -> Any:
        return ...

    def init(self, key: jax.Array) -> tuple[()]:
        return ()

    def _mask_key(self, keys: Keys) -> jax.Array:
        raise NotImplementedError

    def project(self, params: tuple[()], x: Any, keys: Keys | None = None) -> Any:
        leaves, treedef = jax.tree.flatten(x)
        for leaf in leaves:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise TypeError(
                    f"{type(self).__name__}.project: x has dtype {leaf.dtype}, expected "
                    "a floating one: what stands for a symbol comes after its Embedding"
                )
        if keys is None or self.rate == 0:
            return x
        key, count = self._mask_key(keys), len(leaves)
        mask_keys = jax.random.split(key, count) if count > 1 else [key]
        dropped = [
            jnp.where(
                jax.random.bernoulli(key, 1 - self.rate, leaf.shape),
                leaf / (1 - self.rate),
                jnp.zeros_like(leaf),
            )
            for key, leaf in zip(mask_keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(treedef, dropped)


class Dropout(_ElementDropout):
    """Every entry of x hidden with probability `rate`, anew at every step.

        y_t = m_t x_t / (1 - rate)    m_t ~ Bernoulli(1 - rate); y_t = x_t without a key

    A cell between other cells, for an x of any shape, without params and carry.
    Srivastava et al., "Dropout", JMLR 15, 2014; between recurrent layers: Zaremba et al.,
    2014, arXiv 1409.2329.

    Args:
        rate: the probability of being hidden, at least 0 and less than 1.

    Raises:
        ValueError: for another rate, or if `unroll` gets it alone: it cannot then tell
            batch axes from features.
        TypeError: for an x that is not of a floating dtype.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.GRU(3, 5), jaxrnn.Dropout(0.5), jaxrnn.GRU(5, 4)))
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jnp.ones((7, 2, 3))
        >>> _, evaluated = jaxrnn.unroll(cell, params, xs)
        >>> _, trained = jaxrnn.unroll(cell, params, xs, key=jax.random.key(1))
        >>> print(bool(jnp.any(trained != evaluated)))
        True
    """

    def _mask_key(self, keys: Keys) -> jax.Array:
        return keys.step


class VariationalDropout(_ElementDropout):
    """Entries of x hidden with probability `rate`, the same ones at every step.

        y_t = m x_t / (1 - rate)    m ~ Bernoulli(1 - rate); y_t = x_t without a key

    As `Dropout`, with one mask for an example's whole sequence, resets or not. Gal and
    Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", NeurIPS 2016, arXiv 1512.05287, who hide h in the recurrence too: that is
    the field `recurrent_dropout` of the recurrent cells.

    Args:
        rate: the probability of being hidden, at least 0 and less than 1.

    Raises:
        ValueError, TypeError: as `Dropout`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> lstm = jaxrnn.LSTM(3, 5, recurrent_dropout=0.25)
        >>> cell = jaxrnn.Stack((jaxrnn.VariationalDropout(0.25), lstm))
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 3))
        >>> _, ys = jaxrnn.unroll(cell, params, xs, key=jax.random.key(1))
        >>> print(ys.shape)
        (7, 5)
    """

    def _mask_key(self, keys: Keys) -> jax.Array:
        return keys.sequence


class WeightDrop(Wrapper):
    """A cell, or combinator, with a part of its recurrent kernels hidden.

        U <- m U / (1 - rate)    m ~ Bernoulli(1 - rate) [H, G H]; U without a key

    One mask for a whole `unroll`, the same for all its examples; params and carry are
    those of the cell. Merity, Keskar and Socher, "Regularizing and optimizing LSTM
    language models", ICLR 2018, arXiv 1708.02182.

    Args:
        cell: a cell whose params have an entry `recurrent_kernel`, at any depth. Matrices
            of other names that h meets, which some cells have beside it, stay whole.
        rate: the probability of being hidden, at least 0 and less than 1.

    Raises:
        TypeError: if `cell` is no cell.
        ValueError: for another rate, or at the first evaluation, if there is no
            `recurrent_kernel`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.WeightDrop(jaxrnn.LSTM(3, 5), 0.5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 3))
        >>> _, ys = jaxrnn.unroll(cell, params, xs, key=jax.random.key(1))
        >>> print(ys.shape)
        (7, 5)
    """

    rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", check_rate(self, "rate", self.rate))

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
        name = jax.tree_util.DictKey("recurrent_kernel")
        places = [i for i, (path, _) in enumerate(leaves) if name in path]
        if not places:
            raise ValueError(
                f"WeightDrop: the params of {self.cell} are {structure(params)}, "
                "expected an entry 'recurrent_kernel' to drop weights from"
            )
        if key is None or self.rate == 0:
            return self.cell.prepare(params, key)
        key, drop_key = jax.random.split(key)
        values = [leaf for _, leaf in leaves]
        for place, mask_key in zip(
            places, jax.random.split(drop_key, len(places)), strict=True
        ):
            U = values[place]
            keep = jax.random.bernoulli(mask_key, 1 - self.rate, U.shape)
            values[place] = jnp.where(keep, U / (1 - self.rate), jnp.zeros_like(U))
        return self.cell.prepare(jax.tree.unflatten(treedef, values), key)

    def sequence(self, params: Any, carry: Any, xs: Any, run: Any) -> tuple:
        return self.cell.sequence(params, carry, xs, run)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.step(params, carry, drive)
