"""Combinators in any order and depth: the laws, for compositions drawn at random.

`pytest -m slow tests/test_compositions.py --compositions=100 --seed=1` draws others.
"""

from functools import partial

import numpy as np
import pytest
import test_laws
from zoo import within

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    DenseSkip,
    Dropout,
    Elman,
    LearnedCarry,
    LSTMCarry,
    Residual,
    Stack,
    VariationalDropout,
    WeightDrop,
    Zoneout,
)

DEPTH = 3


def leaf(rng, size, out):
    """A cell of the given sizes that is no combinator, perhaps with noise."""
    rate = 0.3 * int(rng.integers(2))
    gru = GRU(size, out, reset_after=bool(rng.integers(2)), recurrent_dropout=rate)
    return (
        Elman(size, out, recurrent_dropout=rate),
        LSTM(size, out, recurrent_dropout=rate),
        gru,
        Zoneout(LSTM(size, out), LSTMCarry(h=0.2, c=0.4)),
        Zoneout(gru, 0.3),
        WeightDrop(gru, 0.3),
        Dense(size, out),
    )[rng.integers(7)]


def composition(rng, depth, size, out):
    """A cell from `size` to `out` features, `depth` combinators deep."""
    if depth == 0:
        return leaf(rng, size, out)

    def inner(size, out):
        return composition(rng, depth - 1, size, out)

    def either(first, second):
        return (first, second) if rng.integers(2) else (second, first)

    kind = rng.integers(6)
    if kind == 0:
        middle = (Dropout, VariationalDropout)[rng.integers(2)](0.3)
        return Stack((inner(size, 3), middle, leaf(rng, 3, out)))
    if kind == 1:
        return Stack((leaf(rng, size, 2), inner(2, out)))
    if kind == 2 and out > 1:
        return Bidirectional(*either(inner(size, out - 1), leaf(rng, size, 1)))
    if kind == 3 and size == out:
        return Residual(inner(size, out))
    if kind == 4 and out > 1:
        return DenseSkip((leaf(rng, size, 1), inner(size + 1, out - 1)))
    if kind == 5:
        return LearnedCarry(inner(size, out))
    return composition(rng, depth, size, out)  # what was drawn does not fit: draw again


def draw(number, seed):
    """Compositions, each from a seed of its own: more of them are the same and others."""
    rngs = [np.random.default_rng((seed, index)) for index in range(number)]
    return [composition(rng, DEPTH, 3, int(rng.integers(3, 5))) for rng in rngs]


LAWS = {
    "loop": test_laws.test_unroll_and_trajectory_equal_a_loop_of_single_steps,
    "masks": partial(
        test_laws.test_masks_and_resets_equal_the_loop_that_skips_and_restarts,
        reverse=False,
    ),
    "masks_backwards": partial(
        test_laws.test_masks_and_resets_equal_the_loop_that_skips_and_restarts,
        reverse=True,
    ),
    "batch": test_laws.test_a_batch_equals_a_loop_over_examples,
    "gradients": partial(
        test_laws.test_gradients_equal_those_of_the_loop, reverse=True, masked=True
    ),
    "carry_gradients": partial(
        test_laws.test_carry_gradients_equal_those_of_a_loop, reverse=False, masked=True
    ),
    "repr": test_laws.test_pickle_and_repr_round_trip,
}


def pytest_generate_tests(metafunc):
    if "cell" in metafunc.fixturenames:
        number, seed = map(metafunc.config.getoption, ("compositions", "seed"))
        ids = [f"{seed}_{index}" for index in range(number)]
        metafunc.parametrize("cell", draw(number, seed), ids=ids)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_laws_hold_for_compositions(law, cell):
    LAWS[law](cell)


def test_the_compositions_are_various():
    cells = draw(14, seed=0)
    assert len(set(cells)) > 12
    kinds = {type(inner) for cell in cells for inner in within(cell)}
    assert {Bidirectional, Residual, DenseSkip, LearnedCarry, Stack} <= kinds
    assert {Dropout, VariationalDropout, WeightDrop, Zoneout} <= kinds
