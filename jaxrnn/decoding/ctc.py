"""Symbols without timing: decoding for connectionist temporal classification."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.arrays import as_array, has_values
from ..arguments.numbers import check_count, is_whole
from ..cell import Cell
from ..unrolling.streams import check_streams, valid_steps, zeroed
from .fed import check_known, check_speaker, check_symbols, wide, widened
from .prefixes import Prefixes, log_softmax, reader, search


class BestPath(NamedTuple):
    """What the most probable path says.

    Attributes:
        symbols: `(T, *batch)`, after the end nothing but the blank. Where logits are NaN
            nothing can be compared: all symbols of the example are -1, which is none, its
            length is 0 and its log_probs NaN.
        lengths: `(*batch)`, how many symbols.
        log_probs: `(*batch)`, ln p of the path, in nats; the symbols, which other paths
            give too, are at least as probable. -inf where no path is possible.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> best = jaxrnn.BestPath(jnp.array([3, 1, 0]), jnp.array(2), jnp.zeros(()))
        >>> print(best.symbols[: best.lengths])
        [3 1]
    """

    symbols: jax.Array
    lengths: jax.Array
    log_probs: jax.Array


class Transcripts(NamedTuple):
    """The sequences found, the best first.

    Attributes:
        symbols: `(T, *batch, width)`, after the end nothing but the blank. Where logits
            are NaN nothing can be compared: all symbols of the example are -1, which is
            none, all lengths 0 and all scores NaN.
        lengths: `(*batch, width)`, how many symbols.
        log_probs: `(*batch, width)`, ln p(symbols), in nats, of all paths that the search
            has kept: never more than that of all paths, `-ctc_loss`, and just that where
            no beginning of the symbols has fallen out of the beam. -inf where fewer
            sequences than `width` are possible.
        scores: `(*batch, width)`, descending; log_probs without a language model and a
            bonus.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> symbols = jnp.array([[3, 3], [1, 0], [0, 0]])
        >>> found = jaxrnn.Transcripts(symbols, jnp.array([2, 1]), 0.0, 0.0)
        >>> print(found.symbols[: found.lengths[0], 0])
        [3 1]
    """

    symbols: jax.Array
    lengths: jax.Array
    log_probs: jax.Array
    scores: jax.Array


def ctc_greedy(logits: Any, lengths: Any = None, *, blank: int = 0) -> BestPath:
    """What the most probable path says: the best symbol of every step, then collapsed.

        path_t = argmax logits_t
        symbols = path, with repeated symbols merged and blanks then left out

    Best path decoding of Graves, Fernandez, Gomez and Schmidhuber, "Connectionist
    temporal classification", ICML 2006. Others may be more probable, which many paths
    give: `ctc_beam_search` adds those up.

    Args:
        logits: `(T, *batch, V)`, of the symbols and the blank, as for `ctc_loss`; log
            probabilities are logits too.
        lengths: how many of the T steps are valid, `(*batch)`; by default all.
        blank: the symbol that says nothing.

    Returns:
        `BestPath(symbols, lengths, log_probs)`.

    Raises:
        TypeError: for logits that are not floating.
        ValueError: for a blank that is no symbol, logits without a step, lengths that do
            not fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> path = jnp.array([1, 1, 0, 1, 2, 2, 0])
        >>> best = jaxrnn.ctc_greedy(5 * jax.nn.one_hot(path, 3))
        >>> print(best.symbols, best.lengths)
        [1 1 2 0 0 0 0] 3
    """
    logits, valid = _checked("ctc_greedy", logits, lengths, blank)
    return _greedy(logits, valid, int(blank))


def ctc_beam_search(
    logits: Any,
    lengths: Any = None,
    *,
    width: int,
    blank: int = 0,
    language_model: tuple[Cell, Any, Any, Any] | None = None,
    weight: Any = 1.0,
    bonus: Any = 0.0,
) -> Transcripts:
    """Sequences of high probability, whatever their timing, by prefix beam search.

        p(symbols) = sum over all paths that give the symbols of
                     the product of softmax(logits_t)[path_t]
        score = ln p(symbols) + weight ln p_language(symbols) + bonus lengths

    After every step the `width` beginnings of the best scores are kept, each once with
    all paths that led to it. A width that holds all beginnings gives the sums of all
    paths. Graves, "Sequence transduction with recurrent neural networks", 2012, arXiv
    1211.3711; Hannun, Maas, Jurafsky and Ng, "First-pass large vocabulary continuous
    speech recognition using bi-directional recurrent DNNs", 2014, arXiv 1408.2873, with
    the language model and the bonus. A step takes time in width (width + V + T).

    Args:
        logits, lengths, blank: as in `ctc_greedy`.
        width: how many sequences are kept.
        language_model: `(cell, params, carry, first)` as in `generate`: a cell that reads
            a symbol and answers logits `(V,)` of the next, of the same V symbols, its
            params, its carry, `(*batch)` first, or None for the initial one, and the
            symbol that it reads before the first, `(*batch)` or one for all, which may be
            the blank. What it answers for the blank is in its softmax, and not asked for.
            An `Embedding(V, V)` of log probabilities is a model of pairs.
        weight: of the language model, a number of at least 0, which may be traced.
        bonus: for every symbol, a number, which may be traced: a language model makes
            long sequences improbable.

    Returns:
        `Transcripts(symbols, lengths, log_probs, scores)`.

    Raises:
        TypeError, ValueError: as `ctc_greedy`; for a width that is no positive int, a
            weight below 0, a bonus that is not finite, a language model that is no such
            tuple or has other symbols.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> logits = jnp.log(jnp.array([[0.6, 0.4], [0.6, 0.4]]))
        >>> print(jaxrnn.ctc_greedy(logits).lengths)  # 0 0, with a probability of 0.36
        0
        >>> found = jaxrnn.ctc_beam_search(logits, width=2)
        >>> print(found.symbols[:, 0], found.lengths)  # paths 0 1, 1 0 and 1 1
        [1 0] [1 0]
        >>> print((100 * jnp.exp(found.scores)).round())  # in percent
        [64. 36.]
    """
    name = "ctc_beam_search"
    logits, valid = _checked(name, logits, lengths, blank)
    width = check_count(name, "width", width)
    weight, bonus = (
        _number(name, "weight", weight, 0.0, "a number of at least 0"),
        _number(name, "bonus", bonus, -jnp.inf, "a finite number"),
    )
    _, *batch, V = logits.shape
    cell = params = carry = None
    first = jnp.zeros(batch, "int32")
    if language_model is not None:
        some = isinstance(language_model, (tuple, list))
        if not some or len(language_model) != 4:
            got = type(language_model).__name__
            got += f" of {len(language_model)} entries" if some else ""
            raise TypeError(
                f"{name}: language_model is a {got}, expected the tuple (cell, params, "
                "carry, first) as in generate: carry None for the initial one, first a "
                "symbol such as the blank"
            )
        cell, params, carry, first = language_model
        first = check_symbols(name, "first", first)
        if first.shape not in ((), tuple(batch)):
            raise ValueError(
                f"{name}: first of language_model has shape {first.shape}, expected (), "
                f"or {tuple(batch)}: one for each example"
            )
        params, carry, answer = check_speaker(name, cell, params, carry, tuple(batch))
        if answer.shape != (V,):
            raise ValueError(
                f"{name}: the language model {cell} answers logits of the shape "
                f"{answer.shape}, expected {(V,)}: one for each symbol of logits, the "
                "blank among them"
            )
        check_known(name, first, V)
        first = jnp.broadcast_to(widened(first), batch)
    dtype = wide(logits).dtype
    numbers = jnp.asarray(weight, dtype), jnp.asarray(bonus, dtype)
    return _search(cell, width, int(blank), logits, valid, params, carry, first, *numbers)


@partial(jax.jit, static_argnames="blank")
def _greedy(logits: jax.Array, valid: jax.Array | None, blank: int) -> BestPath:
    log_p = _log_probs(logits, valid, blank)
    log_probs = jnp.sum(jnp.max(log_p, axis=-1), axis=0)
    path = jnp.argmax(log_p, axis=-1)
    before = jnp.concatenate([jnp.full_like(path[:1], blank), path[:-1]])
    possible = log_probs > -jnp.inf  # NaN is not
    new = (path != blank) & (path != before) & possible[None]
    lengths = jnp.sum(new, axis=0)
    symbols = jnp.take_along_axis(path, jnp.argsort(~new, axis=0, stable=True), axis=0)
    steps = jnp.arange(path.shape[0]).reshape((-1,) + (1,) * lengths.ndim)
    symbols = jnp.where(steps < lengths[None], symbols, blank)
    lost = jnp.isnan(log_probs)[None]
    return BestPath(jnp.where(lost, -1, symbols), lengths, log_probs)


@partial(jax.jit, static_argnames=("cell", "width", "blank"))
def _search(
    cell: Cell | None,
    width: int,
    blank: int,
    logits: jax.Array,
    valid: jax.Array | None,
    params: Any,
    carry: Any,
    first: jax.Array,
    weight: jax.Array,
    bonus: jax.Array,
) -> Transcripts:
    prepared = None if cell is None else cell.prepare(params)

    def one(log_p: jax.Array, carry: Any, first: jax.Array) -> Prefixes:
        read = None
        if cell is not None:
            read = reader(cell, prepared, carry, log_p.dtype)
        return search(log_p, width, blank, weight, bonus, read, carry, first)

    for _ in first.shape:
        one = jax.vmap(one, in_axes=(1, 0, 0))
    kept = one(_log_probs(logits, valid, blank), carry, first)
    there = kept.scores != -jnp.inf
    lost = jnp.any(jnp.isnan(kept.scores), axis=-1, keepdims=True)
    said = there[..., None] & (kept.symbols >= 0)
    symbols = jnp.where(said, kept.symbols, blank)
    symbols = jnp.where(lost[..., None], -1, symbols).astype(int)
    lengths = jnp.where(there & ~lost, kept.lengths, 0).astype(int)
    log_probs = jnp.where(there, kept.log_probs, -jnp.inf)
    return Transcripts(jnp.moveaxis(symbols, -1, 0), lengths, log_probs, kept.scores)


def _log_probs(logits: jax.Array, valid: jax.Array | None, blank: int) -> jax.Array:
    """Of every symbol at every step: at one that is not valid the blank is certain.

    So it adds nothing, not even by rounding, to what has been said.
    """
    log_p = log_softmax(wide(zeroed(valid, logits)))
    if valid is None:
        return log_p
    certain = jnp.where(jnp.arange(log_p.shape[-1]) == blank, 0, -jnp.inf)
    shape = (1,) * valid.ndim + certain.shape
    return jnp.where(valid[..., None], log_p, certain.astype(log_p.dtype).reshape(shape))


def _checked(
    call: str, logits: Any, lengths: Any, blank: Any
) -> tuple[jax.Array, jax.Array | None]:
    """The logits, and which steps are valid; raises unless all fits."""
    logits = as_array(call, "logits", logits)
    if logits.ndim < 2 or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"{call}: logits is {logits.dtype}{list(logits.shape)}, expected floating "
            "ones (T, *batch, V)"
        )
    T, *batch, V = logits.shape
    if T == 0:
        raise ValueError(f"{call}: logits has shape {logits.shape}, expected a step")
    if not is_whole(blank) or not 0 <= blank < V:
        raise ValueError(f"{call}: blank is {blank!r}, expected one in 0..{V - 1}")
    lengths, _, _ = check_streams(call, lengths, None, None, (T, *batch))
    return jnp.asarray(logits), valid_steps(lengths, None, T)


def _number(call: str, name: str, value: Any, least: float, expected: str) -> Any:
    """A number as an array; raises, where its value is known, unless it is one."""
    number = as_array(call, name, value)
    fits = number.shape == () and not jnp.issubdtype(number.dtype, jnp.complexfloating)
    if fits and has_values(number):
        fits = bool(np.isfinite(number) and number >= least)
    if not fits:
        raise ValueError(f"{call}: {name} is {value!r}, expected {expected}")
    return number
