"""Prefix beam search for connectionist temporal classification, of one example."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..cell import Cell
from ..context import contexts, emptied, filled
from ..unrolling.run import repeat
from .fed import speak, wide


class Prefixes(NamedTuple):
    """The beginnings that are kept, the best first; every entry has `width` rows.

    Where the score is -inf there is none, and the row counts for nothing.
    """

    symbols: jax.Array  # (width, T), -1 after the end
    lengths: jax.Array
    last: jax.Array  # the last symbol; -1 of the empty beginning
    silent: jax.Array  # ln p of all paths to it that end with the blank
    voiced: jax.Array  # ln p of all paths to it that end with its last symbol
    scores: jax.Array
    common: jax.Array  # (width, width): how many symbols two of them begin with alike

    @property
    def log_probs(self) -> jax.Array:
        return either(self.silent, self.voiced)


class Language(NamedTuple):
    """What a language model makes of every beginning."""

    carry: Any  # after its last symbol
    following: jax.Array  # (width, V), ln p of the next symbol
    log_probs: jax.Array  # ln p of all its symbols


Reader = Callable[[Any, jax.Array], tuple[Any, jax.Array]]


def either(a: jax.Array, b: jax.Array) -> jax.Array:
    """ln(e^a + e^b); where both are -inf too, with a gradient of zero."""
    none = (a == -jnp.inf) & (b == -jnp.inf)
    both = jnp.logaddexp(jnp.where(none, 0, a), jnp.where(none, 0, b))
    return jnp.where(none, -jnp.inf, both)


def log_softmax(logits: jax.Array) -> jax.Array:
    """Where all logits are -inf no symbol is possible: all stay -inf, and none is NaN."""
    none = jnp.max(logits, axis=-1, keepdims=True) == -jnp.inf
    return jnp.where(none, -jnp.inf, jax.nn.log_softmax(jnp.where(none, 0, logits)))


def reader(cell: Cell, params: Any, carry: Any, dtype: Any) -> Reader:
    """One step of a language model: (carry, symbol) -> (carry, ln p of the next)."""
    held = contexts(carry)  # one for all of the beam

    def read(carry: Any, symbol: jax.Array) -> tuple[Any, jax.Array]:
        carry, logits = speak(cell, params, filled(carry, held), symbol, None)
        return emptied(carry), log_softmax(wide(logits)).astype(dtype)

    return read


def search(
    log_p: jax.Array,
    width: int,
    blank: int,
    weight: jax.Array,
    bonus: jax.Array,
    read: Reader | None,
    carry: Any,
    first: jax.Array,
) -> Prefixes:
    """The best beginnings after all T steps of `log_p`, `(T, V)`."""
    T, V = log_p.shape
    dtype = log_p.dtype

    def scored(log_probs: jax.Array, lengths: jax.Array, said: Any, barred: Any) -> Any:
        added = bonus * lengths.astype(dtype)
        if said is not None:
            added = added + weight * said
        barred = barred | (log_probs == -jnp.inf)
        return jnp.where(barred, -jnp.inf, log_probs + added)

    def advance(state: Any, log_p: jax.Array) -> tuple[Any, None]:
        kept, language = state
        silent, voiced, grown = _paths(kept, log_p, blank)
        said = next_said = None
        stay_barred = kept.scores == -jnp.inf
        grow_barred = stay_barred[:, None]
        if language is not None:
            never = language.following == -jnp.inf
            grow_barred = grow_barred | (never & (weight != 0))
            said = language.log_probs
            next_said = said[:, None] + jnp.where(never, 0, language.following)
        stay = scored(either(silent, voiced), kept.lengths, said, stay_barred)
        grow = scored(grown, kept.lengths[:, None] + 1, next_said, grow_barred)
        scores = jnp.concatenate([stay, grow.ravel()])
        unknown = jnp.any(jnp.isnan(scores))  # it cannot be compared

        scores, chosen = jax.lax.top_k(scores, width)
        stays = chosen < width
        source, symbol = jnp.divmod(chosen - width, V)
        source, symbol = jnp.where(stays, chosen, source), jnp.where(stays, 0, symbol)
        kept = _chosen(kept, source, jnp.where(stays, -1, symbol))
        silent = jnp.where(stays, silent[source], -jnp.inf)
        voiced = jnp.where(stays, voiced[source], grown[source, symbol])
        values = [jnp.where(unknown, jnp.nan, x) for x in (silent, voiced, scores)]
        kept = kept._replace(silent=values[0], voiced=values[1], scores=values[2])
        if read is not None and next_said is not None:
            old = jax.tree.map(lambda leaf: leaf[source], language)
            after, following = jax.vmap(read)(old.carry, symbol.astype(first.dtype))
            new = Language(after, following, next_said[source, symbol])

            def select(a: jax.Array, b: jax.Array) -> jax.Array:
                return jnp.where(jnp.expand_dims(stays, range(1, a.ndim)), a, b)

            language = jax.tree.map(select, old, new)
        return (kept, language), None

    language = None
    if read is not None:
        carry, following = read(emptied(carry), first)
        start = Language(carry, following, jnp.zeros((), dtype))
        language = repeat(start, (width,))
    start = _empty(T, width, dtype), language
    (kept, _), _ = jax.lax.scan(advance, start, log_p)
    return kept


def _empty(T: int, width: int, dtype: Any) -> Prefixes:
    """One beginning, the empty one, and not `width` times the same."""
    none, zeros = jnp.full(width, -jnp.inf, dtype), jnp.zeros(width, "int32")
    return Prefixes(
        symbols=jnp.full((width, T), -1, "int32"),
        lengths=zeros,
        last=zeros - 1,
        silent=none.at[0].set(0),
        voiced=none,
        scores=none.at[0].set(0),
        common=jnp.zeros((width, width), "int32"),
    )


def _paths(kept: Prefixes, log_p: jax.Array, blank: int) -> tuple[jax.Array, ...]:
    """ln p of all paths a step later: silent, voiced, and `(width, V)` to what is longer.

    A path goes on with the blank, with its last symbol, or with another. By the first two
    its beginning stays, by the last it grows; and if that is kept too, paths join there.
    """
    total = kept.log_probs
    # By its own last symbol it grows only after a blank.
    again = jnp.arange(len(log_p), dtype="int32")[None] == kept.last[:, None]
    grown = jnp.where(again, kept.silent[:, None], total[:, None]) + log_p[None]
    grown = grown.at[:, blank].set(-jnp.inf)
    parent, known = _parents(kept)
    joined = jnp.where(known, grown[parent, kept.last], -jnp.inf)
    voiced = either(kept.voiced + log_p[kept.last], joined)
    moved = jnp.where(known, kept.last, len(log_p))
    grown = grown.at[parent, moved].set(-jnp.inf, mode="drop")
    return total + log_p[blank], voiced, grown


def _parents(kept: Prefixes) -> tuple[jax.Array, jax.Array]:
    """Of every beginning the row of that with a symbol less, and whether it is kept."""
    there = kept.scores != -jnp.inf
    before, lengths = kept.lengths[:, None], kept.lengths[None]
    of = (before + 1 == lengths) & (kept.common == before)
    of &= there[:, None] & there[None]
    return jnp.argmax(of, axis=0), jnp.any(of, axis=0)


def _chosen(kept: Prefixes, source: jax.Array, symbol: jax.Array) -> Prefixes:
    """These rows, each with its symbol behind it unless that is -1.

    Of two beginnings of which one begins the other, only the next symbol can make the
    common part longer, and that by one; of all others it is what it was.
    """
    rows, grows = jnp.arange(len(source)), symbol >= 0
    lengths, last = kept.lengths[source], kept.last[source]
    end = jnp.where(grows, lengths, kept.symbols.shape[1])
    symbols = kept.symbols[source].at[rows, end].set(symbol, mode="drop")
    common = kept.common[source][:, source]
    following = jnp.take_along_axis(symbols, common, axis=1)
    alike = (following == following.T) & (following >= 0)
    return kept._replace(
        symbols=symbols,
        lengths=jnp.where(grows, lengths + 1, lengths),
        last=jnp.where(grows, symbol, last),
        common=jnp.where(alike, common + 1, common),
    )
