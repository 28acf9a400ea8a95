"""The most probable sequences, by beam search."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.arrays import as_array, has_values
from ..arguments.numbers import check_count
from ..cell import Cell
from ..context import contexts, emptied, filled
from ..unrolling.run import repeat
from .fed import (
    check_known,
    check_speaker,
    check_stop,
    check_symbols,
    speak,
    wide,
    widened,
)


class Beams(NamedTuple):
    """The sequences found, the best first.

    Attributes:
        symbols: `(length, *batch, width)`, after the stop symbol nothing but it. Where
            logits are NaN nothing can be compared: all symbols are -1, which is none,
            from there on, and all scores of the example NaN.
        lengths: `(*batch, width)`, the stop symbol among them; 0 where fewer sequences
            than `width` are possible.
        log_probs: `(*batch, width)`, of the whole sequence by the model, in nats.
        scores: `(*batch, width)`, log_probs / lengths^length_power, descending.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> beams = jaxrnn.Beams(jnp.ones((4, 2), int), jnp.array([4, 4]), 0.0, 0.0)
        >>> print(beams.symbols[:, 0])
        [1 1 1 1]
    """

    symbols: jax.Array
    lengths: jax.Array
    log_probs: jax.Array
    scores: jax.Array


def beam_search(
    cell: Cell,
    params: Any,
    carry: Any,
    first: Any,
    width: int,
    length: int,
    *,
    stop: int | None = None,
    length_power: Any = 0.0,
) -> Beams:
    """Sequences of high probability: the best `width` beginnings are kept at every step.

        score = ln p(symbols) / lengths^length_power

    Beginnings are compared by their log probability. Those that end with `stop` leave
    the beam, and compete by their score for a place among the best `width`; at the last
    step those that have not ended compete too. With a width that holds all beginnings it
    is exhaustive search. Wu et al., "Google's neural machine translation system", 2016,
    arXiv 1609.08144, has such normalisations.

    Args:
        cell, params, carry, first: as in `generate`.
        width: how many sequences are kept.
        length: how many symbols, at most.
        stop: the symbol that ends a sequence; None: all have `length` symbols.
        length_power: a number, which may be traced: 0 compares sequences by probability,
            which prefers short ones; 1 by the mean log probability of a symbol.

    Returns:
        `Beams(symbols, lengths, log_probs, scores)`.

    Raises:
        TypeError, ValueError: as `generate`; for a width that is no positive int, a
            length_power below 0.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack(
        ...     (jaxrnn.Embedding(7, 3), jaxrnn.GRU(3, 5), jaxrnn.Dense(5, 7))
        ... )
        >>> params = cell.init(jax.random.key(0))
        >>> first = jnp.array([1, 2])
        >>> beams = jaxrnn.beam_search(cell, params, None, first, 4, 6, stop=0)
        >>> print(beams.symbols.shape, bool((jnp.diff(beams.scores) <= 0).all()))
        (6, 2, 4) True
    """
    name = "beam_search"
    first = check_symbols(name, "first", first)
    width = check_count(name, "width", width)
    length = check_count(name, "length", length)
    power = as_array(name, "length_power", length_power)
    if power.shape != () or (has_values(power) and not power >= 0):
        raise ValueError(f"{name}: length_power is {length_power!r}, expected 0 or more")
    params, carry, logits = check_speaker(name, cell, params, carry, first.shape)
    check_stop(name, stop, logits.shape[0])
    check_known(name, first, logits.shape[0])
    stop = None if stop is None else int(stop)
    power = jnp.asarray(power, wide(logits).dtype)
    return _search(cell, width, length, stop, params, carry, widened(first), power)


class _Kept(NamedTuple):
    """Sequences of one example: `(width, length)` symbols, and what is known of each."""

    symbols: jax.Array
    lengths: jax.Array
    log_probs: jax.Array
    scores: jax.Array  # -inf where there is none


@partial(jax.jit, static_argnames=("cell", "width", "length", "stop"))
def _search(
    cell: Cell,
    width: int,
    length: int,
    stop: int | None,
    params: Any,
    carry: Any,
    first: jax.Array,
    power: jax.Array,
) -> Beams:
    prepared = cell.prepare(params)

    def one(carry: Any, first: jax.Array) -> _Kept:
        return _one(cell, width, length, stop, prepared, carry, first, power)

    for _ in first.shape:
        one = jax.vmap(one)
    kept = one(carry, first)
    return Beams(jnp.moveaxis(kept.symbols, -1, 0), *kept[1:])


def _one(
    cell: Cell,
    width: int,
    length: int,
    stop: int | None,
    params: Any,
    carry: Any,
    first: jax.Array,
    power: jax.Array,
) -> _Kept:
    """Of one example; a beam is its batch."""
    dtype = power.dtype
    held = contexts(carry)  # one for all of the beam
    none = jnp.full(width, -jnp.inf, dtype)
    fill = jnp.full((width, length), 0 if stop is None else stop, first.dtype)
    ended = _Kept(fill, jnp.zeros(width, int), none, none)

    def normalised(log_probs: jax.Array, count: jax.Array) -> jax.Array:
        return log_probs / count.astype(dtype) ** power

    def best(kept: _Kept, more: _Kept) -> _Kept:
        both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), kept, more)
        chosen = jax.lax.top_k(both.scores, width)[1]
        return jax.tree.map(lambda leaf: leaf[chosen], both)

    def ends(symbols: jax.Array, count: jax.Array, log_probs: jax.Array) -> _Kept:
        scores = normalised(log_probs, count)
        return _Kept(symbols, jnp.full(width, count), log_probs, scores)

    def one_beam(carry: Any, symbol: jax.Array) -> tuple[Any, jax.Array]:
        carry, logits = speak(cell, params, filled(carry, held), symbol, None)
        return emptied(carry), logits

    def advance(state: Any, t: jax.Array) -> tuple[Any, None]:
        carries, last, symbols, log_probs, ended = state
        carries, logits = jax.vmap(one_beam)(carries, last)
        of_next = log_probs[:, None] + jax.nn.log_softmax(wide(logits))
        if stop is not None:
            stopped = symbols.at[:, t].set(stop)
            ended = best(ended, ends(stopped, t + 1, of_next[:, stop]))
            of_next = of_next.at[:, stop].set(-jnp.inf)
        lost = jnp.any(jnp.isnan(of_next))
        log_probs, chosen = jax.lax.top_k(of_next.ravel(), width)
        log_probs = jnp.where(lost, jnp.nan, log_probs)
        beam, symbol = jnp.divmod(chosen, logits.shape[-1])
        symbol = jnp.where(lost, -1, symbol).astype(first.dtype)
        carries = jax.tree.map(lambda leaf: leaf[beam], carries)
        symbols = symbols[beam].at[:, t].set(symbol)
        return (carries, symbol, symbols, log_probs, ended), None

    carries = repeat(emptied(carry), (width,))
    settled = jax.eval_shape(jax.vmap(one_beam), carries, jnp.full(width, first))[0]
    carries = jax.tree.map(lambda a, b: a.astype(b.dtype), carries, settled)
    start = (
        carries,
        jnp.full(width, first),
        fill,
        none.at[0].set(0),  # one beginning, not `width` times the same
        ended,
    )
    (_, _, symbols, log_probs, ended), _ = jax.lax.scan(
        advance, start, jnp.arange(length)
    )
    running = ends(symbols, jnp.array(length), log_probs)
    kept = best(ended, running)
    lost = jnp.any(jnp.isnan(log_probs))
    kept = jax.tree.map(lambda a, b: jnp.where(lost, a, b), running, kept)
    return kept._replace(lengths=jnp.where(kept.scores == -jnp.inf, 0, kept.lengths))
