"""Cells that step every k-th step."""

import jax.numpy as jnp
import numpy as np
import pytest
from papers import equals_paper
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Elman,
    Multiscale,
    MultiscaleCarry,
    Stack,
    unroll,
)


def multiscale(cell, params, carry, x):
    h = carry.cell
    if carry.count == 0:
        product = x @ params["kernel"] + h @ params["recurrent_kernel"]
        h = np.tanh(product + params["bias"])
    return MultiscaleCarry(h, (carry.count + 1) % cell.period), h, {}


@pytest.mark.parametrize("period", [1, 2, 3])
def test_a_slow_cell_steps_at_every_kth_step(period):
    cell = Multiscale(Elman(3, 5), period)
    equals_paper(cell, multiscale)
    params, xs = params_of(cell), inputs_of(cell, (7,))
    _, ys = unroll(cell, params, xs)
    _, seen = unroll(cell.cell, params, xs[::period])
    np.testing.assert_allclose(ys, jnp.repeat(seen, period, axis=0)[:7], rtol=1e-14)


def test_after_a_reset_it_steps_at_once():
    cell = Multiscale(Elman(3, 5), 3)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    resets = np.array([False, False, True, False, False, False])
    _, ys = unroll(cell, params, xs, resets=resets)
    _, alone = unroll(cell, params, xs[2:])
    np.testing.assert_allclose(ys[2:], alone, rtol=1e-14)


def test_layers_of_a_stack_may_have_periods():
    cell = Stack((GRU(3, 4), Multiscale(LSTM(4, 2), 2)))
    params, xs = params_of(cell), inputs_of(cell, (5, 2))
    _, ys = unroll(cell, params, xs)
    assert ys.shape == (5, 2, 2)
    assert jnp.all(ys[0] == ys[1]) and jnp.any(ys[1] != ys[2])


def test_multiscale_refuses_what_does_not_step():
    with pytest.raises(TypeError, match=r"Multiscale: cell is .* a combinator of cells"):
        Multiscale(Bidirectional(GRU(3, 4), GRU(3, 4)), 2)
    with pytest.raises(ValueError, match="period is 0, expected a positive int"):
        Multiscale(GRU(3, 4), 0)
