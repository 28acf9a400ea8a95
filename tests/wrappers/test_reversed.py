"""A cell that reads backward is `unroll(reverse=True)`, wherever it stands."""

import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, params_of

from jaxrnn import GRU, LSTM, Bidirectional, LearnedCarry, Residual, Reversed, unroll

LENGTHS = jnp.array([6, 2, 0])


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("reverse", [False, True])
def test_it_is_the_run_in_the_other_direction(reverse, lengths):
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (6, 3))
    carry = carry_of(cell, params, (3,))
    found = unroll(Reversed(cell), params, xs, carry, lengths=lengths, reverse=reverse)
    expected = unroll(cell, params, xs, carry, lengths=lengths, reverse=not reverse)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0].h, expected[0].h)
    np.testing.assert_array_equal(found[0].c, expected[0].c)


def test_two_turns_are_none_and_the_backward_half_may_turn():
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (6, 3))
    _, once = unroll(cell, params, xs, lengths=LENGTHS)
    _, twice = unroll(Reversed(Reversed(cell)), params, xs, lengths=LENGTHS)
    np.testing.assert_array_equal(twice, once)
    both = Bidirectional(cell, Reversed(cell))
    _, ys = unroll(both, (params, params), xs, lengths=LENGTHS)
    np.testing.assert_array_equal(ys, jnp.concatenate([once, once], -1))


def test_it_goes_around_wrappers_and_into_them():
    cell = LearnedCarry(GRU(3, 3))
    params, xs = params_of(cell), inputs_of(cell, (6, 3))
    around = unroll(Residual(Reversed(cell)), params, xs, lengths=LENGTHS)
    inside = unroll(Reversed(Residual(cell)), params, xs, lengths=LENGTHS)
    np.testing.assert_array_equal(around[0], inside[0])
    np.testing.assert_array_equal(around[1], inside[1])


def test_a_single_step_of_it_is_refused():
    cell = Reversed(GRU(3, 4))
    params, x = params_of(cell), inputs_of(cell, ())
    with pytest.raises(TypeError, match=r"Reversed\(.* cannot take a single step"):
        cell(params, cell.initial_carry(params), x)


def test_what_is_no_cell_is_refused():
    with pytest.raises(TypeError, match="Reversed: cell is the class GRU"):
        Reversed(GRU)
