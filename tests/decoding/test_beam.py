"""Beam search against exhaustive search over a small vocabulary."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import params_of, random_like

import jaxrnn
from jaxrnn import LSTM, Dense, Embedding, Greedy, Stack, beam_search, generate

V, L, B = 3, 4, 2
CELL = Stack((Embedding(V, 3), LSTM(3, 4), Dense(4, V)))
PARAMS = jax.tree.map(lambda leaf: 2 * leaf, params_of(CELL))
FIRST = jnp.array([1, 2])
CARRY = random_like(jaxrnn.batched_carry(CELL, PARAMS, (B,)), seed=1)


def log_prob(b, symbols):
    carry, symbol = jax.tree.map(lambda leaf: leaf[b], CARRY), FIRST[b]
    total = 0.0
    for following in symbols:
        carry, logits = CELL(PARAMS, carry, symbol)
        total += float(jax.nn.log_softmax(logits)[following])
        symbol = jnp.array(following)
    return total


def exhaustive(b, stop):
    """Every sequence that ends with `stop` or has L symbols, with its log probability."""
    every = {}
    for count in range(1, L + 1):
        for symbols in itertools.product(range(V), repeat=count):
            inner = symbols[:-1] if count < L or symbols[-1] == stop else symbols
            ended = symbols[-1] == stop or count == L
            if ended and stop not in inner:
                every[symbols] = log_prob(b, symbols)
    return every


@pytest.mark.parametrize(
    ("stop", "power"),
    [
        pytest.param(None, 0.0, marks=pytest.mark.slow),
        (0, 1.0),
        pytest.param(2, 0.6, marks=pytest.mark.slow),
    ],
)
def test_a_wide_beam_is_exhaustive_search(stop, power):
    beams = beam_search(CELL, PARAMS, CARRY, FIRST, 81, L, stop=stop, length_power=power)
    for b in range(B):
        every = exhaustive(b, stop)
        ranked = sorted(every, key=lambda s: -every[s] / len(s) ** power)
        count = len(ranked)
        assert count == (81 if stop is None else 31)
        assert (beams.lengths[b] > 0).sum() == count
        for i, symbols in enumerate(ranked):
            length = int(beams.lengths[b, i])
            assert tuple(beams.symbols[:length, b, i].tolist()) == symbols
            assert stop is None or (beams.symbols[length:, b, i] == stop).all()
            np.testing.assert_allclose(beams.log_probs[b, i], every[symbols], rtol=1e-10)
            score = every[symbols] / len(symbols) ** power
            np.testing.assert_allclose(beams.scores[b, i], score, rtol=1e-10)


def test_a_narrow_beam_keeps_the_best_beginnings():
    """Width 2 in Python."""
    beams = beam_search(CELL, PARAMS, CARRY, FIRST, 2, L)
    for b in range(B):
        kept = [()]
        for _ in range(L):
            longer = [(*start, symbol) for start in kept for symbol in range(V)]
            kept = sorted(longer, key=lambda s, b=b: -log_prob(b, s))[:2]
        found = [tuple(beams.symbols[:, b, i].tolist()) for i in range(2)]
        assert found == kept


def test_a_beam_of_one_is_greedy_generation():
    beams = beam_search(CELL, PARAMS, CARRY, FIRST, 1, 9)
    said = generate(CELL, PARAMS, CARRY, FIRST, Greedy(), 9)
    np.testing.assert_array_equal(beams.symbols[..., 0], said.symbols)
    np.testing.assert_allclose(beams.log_probs[:, 0], said.log_probs.sum(0), rtol=1e-10)
    alone = beam_search(CELL, PARAMS, None, FIRST[0], 1, 9)
    said = generate(CELL, PARAMS, None, FIRST[0], Greedy(), 9)
    np.testing.assert_array_equal(alone.symbols[:, 0], said.symbols)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"length": True}, "length is True"),
        ({"length_power": -1.0}, "length_power is -1.0"),
        ({"stop": V}, "stop is 3"),
        ({"carry": CELL.initial_carry(PARAMS)}, r"expected \(2, 4\)"),
    ],
)
def test_bad_options(options, message):
    given = {"carry": CARRY, "first": FIRST, "width": 2, "length": L} | options
    with pytest.raises(ValueError, match=message):
        beam_search(CELL, PARAMS, **given)


def test_half_precision_is_searched_in_single():
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), PARAMS)
    exact = jax.tree.map(lambda leaf: leaf.astype("float64"), half)
    found = beam_search(CELL, half, None, FIRST, 3, L, stop=0, length_power=1.0)
    assert found.scores.dtype == "float32" and (jnp.diff(found.scores) <= 0).all()
    expected = beam_search(CELL, exact, None, FIRST, 3, L, stop=0, length_power=1.0)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.05)
