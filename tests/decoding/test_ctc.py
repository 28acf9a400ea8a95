"""CTC decoding against sums over all paths, and against a search with dicts."""

import itertools
import math
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import params_of, random_like

import jaxrnn
from jaxrnn import (
    GRU,
    Context,
    Dense,
    Embedding,
    Stack,
    Transcripts,
    ctc_beam_search,
    ctc_greedy,
    ctc_loss,
)

T, B, V = 5, 4, 3
WIDE = 63  # all sequences of two symbols, up to five
RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(T, B, V))
LENGTHS = np.array([5, 3, 1, 0])
MODEL = Stack((Embedding(V, 3), GRU(3, 4), Dense(4, V)))
PARAMS = jax.tree.map(lambda leaf: 3 * leaf, params_of(MODEL))  # far from uniform
CARRY = random_like(jaxrnn.batched_carry(MODEL, PARAMS, (B,)), seed=1)
FIRST = jnp.array([0, 1, 2, 0])


def log_softmax(logits):
    return np.asarray(logits) - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def collapsed(path, blank):
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    return tuple(symbol for symbol in merged if symbol != blank)


def all_paths(logits, blank=0):
    """Of one example: every sequence, with the probability of all paths that give it."""
    p, sums = np.exp(log_softmax(logits)), defaultdict(float)
    for path in itertools.product(range(p.shape[-1]), repeat=len(p)):
        chance = math.prod(p[t, symbol] for t, symbol in enumerate(path))
        sums[collapsed(path, blank)] += chance
    return {symbols: chance for symbols, chance in sums.items() if chance > 0}


STEP = jax.jit(lambda carry, symbol: MODEL(PARAMS, carry, symbol))


def said(symbols, b):
    """ln p of a sequence by the language model, step by step."""
    carry, last = jax.tree.map(lambda leaf: leaf[b], CARRY), FIRST[b]
    total = 0.0
    for symbol in symbols:
        carry, logits = STEP(carry, last)
        total += log_softmax(logits)[symbol]
        last = jnp.array(symbol)
    return total


def dict_search(logits, width, blank, language=None, weight=1.0, bonus=0.0):
    """Prefix beam search in Python: {beginning: [p that ends silent, voiced]}."""
    p = np.exp(log_softmax(logits))

    def score(item):
        prefix, chances = item
        added = 0.0 if language is None else weight * language(prefix)
        return math.log(sum(chances)) + added + bonus * len(prefix)

    beam = {(): [1.0, 0.0]}
    for row in p:
        new = defaultdict(lambda: [0.0, 0.0])
        for prefix, (silent, voiced) in beam.items():
            new[prefix][0] += row[blank] * (silent + voiced)
            if prefix:
                new[prefix][1] += row[prefix[-1]] * voiced
            for symbol in set(range(len(row))) - {blank}:
                again = prefix[-1:] == (symbol,)
                before = silent if again else silent + voiced
                new[(*prefix, symbol)][1] += row[symbol] * before
        there = [item for item in new.items() if sum(item[1]) > 0]
        beam = dict(sorted(there, key=score, reverse=True)[:width])
    return [(prefix, sum(beam[prefix]), score((prefix, beam[prefix]))) for prefix in beam]


def sequences(found, *index):
    """The symbols of every row of one example, best first, as far as there are any."""
    symbols = np.moveaxis(found.symbols, 0, -1)[index]
    rows = zip(symbols, found.lengths[index], found.scores[index], strict=True)
    return [tuple(row[:n].tolist()) for row, n, score in rows if score > -np.inf]


# Greedy.


@pytest.mark.parametrize("blank", by_default([0, 2, 1], 2))
def test_greedy_collapses_the_best_path(blank):
    logits = RNG.normal(size=(12, 2, 3, V))
    lengths = np.array([[12, 7, 1], [0, 4, 11]])
    padded = np.where(
        np.arange(12)[:, None, None, None] < lengths[..., None], logits, np.nan
    )
    best = jax.jit(ctc_greedy, static_argnames="blank")(padded, lengths, blank=blank)
    whole = ctc_greedy(logits, blank=blank)
    for i in np.ndindex(2, 3):
        for actual, n in ((best, lengths[i]), (whole, 12)):
            rows = log_softmax(logits[:n, *i])
            expected = collapsed(rows.argmax(-1), blank)
            count = int(actual.lengths[i])
            assert tuple(actual.symbols[:count, *i].tolist()) == expected
            assert (actual.symbols[count:, *i] == blank).all()
            total = rows.max(-1).sum()
            np.testing.assert_allclose(actual.log_probs[i], total, rtol=1e-12, atol=1e-12)


# Beam search.


@pytest.mark.parametrize("blank", by_default([0, 2, 1], 2))
def test_a_wide_beam_is_the_sum_over_all_paths(blank):
    logits = np.where(np.arange(T)[:, None, None] < LENGTHS[:, None], LOGITS, np.nan)
    found = ctc_beam_search(logits, LENGTHS, width=WIDE, blank=blank)
    np.testing.assert_array_equal(found.scores, found.log_probs)
    for b in range(B):
        every = all_paths(LOGITS[: LENGTHS[b], b], blank)
        ranked = sorted(every, key=every.__getitem__, reverse=True)
        assert sequences(found, b) == ranked
        chances = np.exp(found.log_probs[b])
        expected = [every[symbols] for symbols in ranked]
        np.testing.assert_allclose(chances[: len(ranked)], expected, rtol=1e-11)
        assert (chances[len(ranked) :] == 0).all()
        np.testing.assert_allclose(chances.sum(), 1, rtol=1e-11)
        beyond = np.arange(T)[:, None] >= np.asarray(found.lengths[b])
        assert (found.symbols[:, b][beyond] == blank).all()
        assert (found.lengths[b, len(ranked) :] == 0).all()


@pytest.mark.parametrize("width", by_default([1, 2, 3, 7], 3))
def test_a_narrow_beam_is_a_search_with_dicts(width):
    """Long enough for beginnings to fall out of the beam and to come back."""
    rng = np.random.default_rng(width)
    logits = rng.normal(size=(20, 40, V)) * np.linspace(0, 3, 40)[:, None]
    lengths = rng.integers(10, 21, 40)
    found = ctc_beam_search(logits, lengths, width=width, blank=1, bonus=0.3)
    compared = 0
    for b in range(1, 40):  # the first has ties
        kept = dict_search(logits[: lengths[b], b], width, 1, bonus=0.3)
        assert sequences(found, b) == [prefix for prefix, _, _ in kept]
        chances, scores = [k[1] for k in kept], [k[2] for k in kept]
        np.testing.assert_allclose(np.exp(found.log_probs[b]), chances, rtol=1e-10)
        np.testing.assert_allclose(found.scores[b], scores, rtol=1e-10, atol=1e-10)
        compared += len(kept)
    assert compared == 39 * width


@pytest.mark.slow
def test_no_beam_reports_more_than_the_loss_does():
    logits = RNG.normal(size=(15, 6, 4))
    missing = {}
    for width in (2, 30):
        found = ctc_beam_search(logits, width=width)
        rows = np.broadcast_to(logits[..., None, :], (15, 6, width, 4))
        exact = -ctc_loss(rows, found.symbols, label_lengths=found.lengths)
        missing[width] = exact - found.log_probs
        assert (missing[width] > -1e-9).all()
    assert missing[2][:, 0].mean() > 5 * missing[30][:, 0].mean() > 0


def test_equal_sequences_are_all_found_once():
    found = ctc_beam_search(np.zeros((4, V)), width=31)
    every = all_paths(np.zeros((4, V)))
    kept = sequences(found)
    assert len(kept) == len(every) and set(kept) == set(every)
    chances = [every[symbols] for symbols in kept]
    np.testing.assert_allclose(np.exp(found.log_probs[: len(kept)]), chances, rtol=1e-12)


def test_barred_symbols():
    """A symbol that is barred, the blank, all but one; of all of them nothing is left."""
    logits = np.array(LOGITS)
    logits[:, 0, 1] = logits[1:3, 1, 0] = logits[2, 2, [0, 2]] = -np.inf
    logits[3, 3] = -np.inf
    found, best = ctc_beam_search(logits, width=WIDE), ctc_greedy(logits)
    for b in range(3):
        every = all_paths(logits[:, b])
        ranked = sorted(every, key=every.__getitem__, reverse=True)
        assert sequences(found, b) == ranked
        chances = [every[symbols] for symbols in ranked]
        actual = np.exp(found.log_probs[b, : len(ranked)])
        np.testing.assert_allclose(actual, chances, rtol=1e-11)
    assert sequences(found, 3) == [] and (found.log_probs[3] == -np.inf).all()
    assert (found.symbols[:, 3] == 0).all() and (found.lengths[3] == 0).all()
    assert best.lengths[3] == 0 and best.log_probs[3] == -np.inf
    assert (best.symbols[:, 3] == 0).all()


@pytest.mark.slow
def test_where_logits_are_nan_nothing_is_said():
    logits = np.array(LOGITS)
    logits[2, 0, 1] = logits[4, 1, 0] = np.nan
    logits[0, 2] = np.inf  # no softmax either
    for options in ({}, {"language_model": (MODEL, PARAMS, CARRY, FIRST)}):
        found = ctc_beam_search(logits, width=6, **options)
        assert (found.symbols[:, :3] == -1).all() and (found.lengths[:3] == 0).all()
        assert jnp.isnan(found.scores[:3]).all() and jnp.isnan(found.log_probs[:3]).all()
        alone = ctc_beam_search(LOGITS, width=6, **options)
        jax.tree.map(np.testing.assert_array_equal, found.scores[3], alone.scores[3])
    best = ctc_greedy(logits)
    assert (best.symbols[:, :3] == -1).all() and (best.lengths[:3] == 0).all()
    assert jnp.isnan(best.log_probs[:3]).all() and best.log_probs[3] < 0
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, PARAMS)
    found = ctc_beam_search(LOGITS, width=2, language_model=(MODEL, broken, None, 0))
    assert (found.symbols == -1).all() and jnp.isnan(found.scores).all()


# With a language model.


@pytest.mark.parametrize("numbers", by_default([(0.7, 0.9), (2, -1)], (0.7, 0.9)))
def test_a_wide_beam_with_a_language_model_is_exhaustive(numbers):
    weight, bonus = numbers
    model = MODEL, PARAMS, CARRY, FIRST
    options = {"width": WIDE, "language_model": model, "weight": weight, "bonus": bonus}
    found = ctc_beam_search(LOGITS, LENGTHS, **options)
    for b in range(B):
        every = all_paths(LOGITS[: LENGTHS[b], b])
        scores = {
            symbols: math.log(p) + weight * said(symbols, b) + bonus * len(symbols)
            for symbols, p in every.items()
        }
        ranked = sorted(scores, key=scores.__getitem__, reverse=True)
        assert sequences(found, b) == ranked
        n = len(ranked)
        expected = [scores[symbols] for symbols in ranked]
        np.testing.assert_allclose(found.scores[b, :n], expected, rtol=1e-10, atol=1e-12)
        chances = [every[symbols] for symbols in ranked]
        np.testing.assert_allclose(np.exp(found.log_probs[b, :n]), chances, rtol=1e-10)
        assert (found.scores[b, n:] == -np.inf).all()


def test_a_narrow_beam_with_a_model_of_pairs_is_a_search_with_dicts():
    """The first symbol and the carry by default; the model in another dtype."""
    rng = np.random.default_rng(5)
    logits, table = rng.normal(size=(14, 12, V)), rng.normal(size=(V, V))
    pairs = log_softmax(table.astype("float32").astype(float))
    params = {"embedding": table.astype("float32")}
    options = {"width": 3, "weight": 0.8, "bonus": 1.0}
    found = ctc_beam_search(
        logits, language_model=(Embedding(V, V), params, None, 0), **options
    )

    def language(symbols):
        return sum(pairs[pair] for pair in itertools.pairwise((0, *symbols)))

    for b in range(12):
        kept = dict_search(logits[:, b], 3, 0, language, 0.8, 1.0)
        assert sequences(found, b) == [prefix for prefix, _, _ in kept]
        scores = [score for _, _, score in kept]
        np.testing.assert_allclose(found.scores[b], scores, rtol=1e-5)


def test_what_a_language_bars_is_not_said_unless_its_weight_is_zero():
    """After 1 only 2, after 2 nothing."""
    table = np.array([[0.0, 0.0, 0.0], [-np.inf, -np.inf, 0.0], [-np.inf] * 3])
    model = Embedding(V, V), {"embedding": table}, None, 0
    search = lambda weight: ctc_beam_search(  # noqa: E731
        LOGITS[:, 0], width=WIDE, language_model=model, weight=weight
    )
    every, found = all_paths(LOGITS[:, 0]), search(1.0)
    kept = sequences(found)
    assert set(kept) == {(), (1,), (2,), (1, 2)}
    prior = {(): 1, (1,): 1 / 3, (2,): 1 / 3, (1, 2): 1 / 3}
    scores = [math.log(every[symbols] * prior[symbols]) for symbols in kept]
    np.testing.assert_allclose(found.scores[:4], scores, rtol=1e-11)
    jax.tree.map(
        np.testing.assert_array_equal,
        jax.jit(search)(0.0),
        ctc_beam_search(LOGITS[:, 0], width=WIDE),
    )


class Toward(jaxrnn.Cell):
    """A model of pairs that stands in its context."""

    @property
    def input_shape(self):
        return ()

    init = lambda self, key: ()  # noqa: E731
    initial_carry = lambda self, params: (jnp.zeros((), int), Context(None))  # noqa: E731
    step = lambda self, params, carry, x: (x, carry[1])  # noqa: E731
    output = lambda self, params, carry, x: carry[1].value[carry[0]]  # noqa: E731


def test_a_language_model_may_read_a_context():
    tables = RNG.normal(size=(B, V, V))
    carry = jnp.zeros(B, int), Context(jnp.asarray(tables))
    model = Toward(), (), carry, FIRST
    found = ctc_beam_search(LOGITS, width=4, language_model=model)
    for b in range(B):
        pairs = Embedding(V, V), {"embedding": tables[b]}, None, FIRST[b]
        alone = ctc_beam_search(LOGITS[:, b], width=4, language_model=pairs)
        np.testing.assert_array_equal(found.symbols[:, b], alone.symbols)
        np.testing.assert_allclose(found.scores[b], alone.scores, rtol=1e-12)


# Transformations and dtypes.


@pytest.mark.slow
def test_batches_are_loops_and_vmap_is_a_batch():
    logits, lengths = LOGITS.reshape(T, 2, 2, V), LENGTHS.reshape(2, 2)
    carry = jax.tree.map(lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), CARRY)
    first = FIRST.reshape(2, 2)

    @jax.jit
    def search(logits, lengths, params, carry, first, weight):
        model = MODEL, params, carry, first
        options = {"width": 5, "language_model": model, "weight": weight}
        return ctc_beam_search(logits, lengths, **options)

    batch = search(logits, lengths, PARAMS, carry, first, 0.5)
    assert batch.symbols.shape == (T, 2, 2, 5) and batch.scores.shape == (2, 2, 5)
    for i in np.ndindex(2, 2):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], carry)
        alone = search(logits[:, *i], lengths[i], PARAMS, one, first[i], 0.5)
        np.testing.assert_array_equal(batch.symbols[:, *i], alone.symbols)
        np.testing.assert_array_equal(batch.lengths[i], alone.lengths)
        np.testing.assert_allclose(batch.scores[i], alone.scores, rtol=1e-12)
    outs = Transcripts(1, 0, 0, 0)
    mapped = jax.vmap(search, (1, 0, None, 0, 0, None), outs)
    actual = mapped(logits, lengths, PARAMS, carry, first, 0.5)._asdict()
    for name, value in batch._asdict().items():
        close = dict(rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(actual[name], value, err_msg=name, **close)
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, 0 * leaf]), PARAMS)
    models = jax.vmap(search, (None, None, 0, None, None, 0))
    found = models(logits, lengths, both, carry, first, jnp.array([0.5, 0.0]))
    np.testing.assert_allclose(found.scores[0], batch.scores, rtol=1e-12)
    plain = ctc_beam_search(logits, lengths, width=5)
    np.testing.assert_allclose(found.scores[1], plain.scores, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_narrow_dtypes_are_searched_in_single(dtype):
    logits = jnp.asarray(LOGITS, dtype)
    exact = logits.astype(float)
    for function in (ctc_greedy, lambda *args: ctc_beam_search(*args, width=3)):
        found, expected = function(logits, LENGTHS), function(exact, LENGTHS)
        assert found.log_probs.dtype == "float32"
        assert found.symbols.dtype == found.lengths.dtype == int
        np.testing.assert_array_equal(found.symbols, expected.symbols)
        np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-5)


@pytest.mark.slow
def test_gradients_are_those_of_the_sums():
    """Of ln p of the best sequences; of scores by weight and bonus; and none is NaN."""
    logits = np.array(LOGITS)
    logits[1, 1, 2] = logits[2, 0, 0] = -np.inf
    found = ctc_beam_search(logits, width=WIDE)
    paths = list(itertools.product(range(V), repeat=T))
    gives = np.array(
        [
            [[collapsed(path, 0) == symbols for path in paths] for symbols in some[:4]]
            for some in (sequences(found, b) for b in range(B))
        ]
    ).astype(float)

    def best(logits):
        return ctc_beam_search(logits, width=WIDE).log_probs[:, :4].sum()

    def sums(logits):
        p = jax.nn.softmax(logits)[np.arange(T)[:, None], :, np.array(paths).T]
        return jnp.log(jnp.einsum("pb,bip->bi", p.prod(0), gives)).sum()

    actual, expected = jax.grad(best)(logits), jax.grad(sums)(logits)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
    forward = jax.jvp(best, (logits,), (np.ones_like(logits),))[1]
    np.testing.assert_allclose(forward, expected.sum(), atol=1e-9)

    table = np.array([[0.0, 1.0, 0.5], [0.0, -np.inf, 0.3], [0.1, 0.2, 0.0]])
    pairs = log_softmax(table)

    def score(weight, bonus):
        model = Embedding(V, V), {"embedding": table}, None, 0
        options = {"language_model": model, "weight": weight, "bonus": bonus}
        scored = ctc_beam_search(logits[:, 0], width=WIDE, **options)
        return scored.scores[0], scored

    by, scored = jax.grad(score, (0, 1), has_aux=True)(0.6, 0.4)
    symbols = sequences(scored)[0]
    expected = sum(pairs[pair] for pair in itertools.pairwise((0, *symbols)))
    np.testing.assert_allclose(by, [expected, len(symbols)], rtol=1e-10)


# Errors.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"logits": np.zeros((T, B, V), int)}, TypeError, r"logits is int64\[5, 4, 3\]"),
        ({"logits": np.zeros(V)}, TypeError, r"expected floating ones \(T, \*batch, V\)"),
        ({"logits": np.zeros((0, B, V))}, ValueError, "expected a step"),
        ({"blank": V}, ValueError, r"blank is 3, expected one in 0\.\.2"),
        ({"blank": True}, ValueError, "blank is True"),
        ({"lengths": np.array([5, 5, 5, 6])}, ValueError, "has the entry 6"),
        ({"lengths": np.ones(B, bool)}, TypeError, "booleans are a mask"),
        ({"lengths": np.array(3)}, ValueError, r"lengths has shape \(\)"),
    ],
)
def test_bad_arguments(options, error, message):
    given = {"logits": LOGITS} | options
    for name, call in (("ctc_greedy", ctc_greedy), ("ctc_beam_search", narrow)):
        with pytest.raises(error, match=f"^{name}: .*{message}"):
            call(**given)


def narrow(**options):
    return ctc_beam_search(**{"width": 2} | options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 0}, ValueError, "width is 0, expected a positive int"),
        ({"weight": -0.5}, ValueError, "weight is -0.5, expected a number of at least 0"),
        ({"weight": np.ones(2)}, ValueError, "weight is"),
        ({"bonus": np.nan}, ValueError, "bonus is nan, expected a finite number"),
        ({"bonus": -np.inf}, ValueError, "bonus is -inf"),
        ({"language_model": MODEL}, TypeError, "is a Stack, expected the tuple"),
        ({"language_model": (MODEL, PARAMS)}, TypeError, "is a tuple of 2 entries"),
        (
            {"language_model": (MODEL, PARAMS, None, jnp.zeros(3, int))},
            ValueError,
            r"first of language_model has shape \(3,\), expected \(\), or \(4,\)",
        ),
        (
            {"language_model": (MODEL, PARAMS, None, 0.0)},
            TypeError,
            "first has the dtype float64, expected integers",
        ),
        ({"language_model": (MODEL, PARAMS, None, V)}, ValueError, "first is 3"),
        (
            {"language_model": (GRU(3, 3), None, None, 0)},
            TypeError,
            "expected one that reads a symbol",
        ),
        (
            {
                "language_model": (
                    Embedding(V, 5),
                    {"embedding": np.ones((V, 5))},
                    None,
                    0,
                )
            },
            ValueError,
            r"answers logits of the shape \(5,\), expected \(3,\): one for each symbol",
        ),
        (
            {"language_model": (MODEL, PARAMS, MODEL.initial_carry(PARAMS), 0)},
            ValueError,
            r"expected .*\(4, 4\)",
        ),
    ],
)
def test_bad_options_of_the_search(options, error, message):
    with pytest.raises(error, match=f"^ctc_beam_search: .*{message}"):
        narrow(logits=LOGITS, **options)
