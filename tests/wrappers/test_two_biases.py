"""A bias that is the sum of two learns twice as fast, and computes the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, Elman, TwoBiases, unroll

H = 5


@pytest.mark.parametrize("cell", [Elman(3, H), LSTM(3, H), GRU(3, H)], ids=str)
def test_the_sum_is_the_bias_and_each_part_gets_its_gradient(cell):
    both = TwoBiases(cell)
    params, xs = random_like(both.init(jax.random.key(0))), inputs_of(cell, (4, 2))
    first, second = params["bias"], params["recurrent_bias"]
    assert first.shape == second.shape

    inner = {**params, "bias": first + second}
    del inner["recurrent_bias"]
    own = 0
    if isinstance(cell, GRU):  # b_hn stands inside the reset, and b_n outside
        own, inner["recurrent_bias"] = H, second[-H:]
        inner["bias"] = jnp.concatenate([(first + second)[:-H], first[-H:]])

    loss = lambda cell: lambda params: jnp.sum(unroll(cell, params, xs)[1] ** 2)  # noqa: E731
    value, gradient = jax.value_and_grad(loss(both))(params)
    expected, single = jax.value_and_grad(loss(cell))(inner)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    for name in params.keys() - {"recurrent_bias"}:
        np.testing.assert_allclose(gradient[name], single[name], rtol=1e-12, atol=1e-14)
    shared = slice(0, first.size - own)
    np.testing.assert_array_equal(
        gradient["recurrent_bias"][shared], gradient["bias"][shared]
    )
    if own:
        np.testing.assert_allclose(
            gradient["recurrent_bias"][-H:], single["recurrent_bias"], rtol=1e-12
        )


def test_a_new_one_computes_what_the_cell_does():
    cell, key = jaxrnn.GRU(3, H), jax.random.key(0)
    xs = inputs_of(cell, (4, 2))
    np.testing.assert_allclose(
        unroll(TwoBiases(cell), TwoBiases(cell).init(key), xs)[1],
        unroll(cell, cell.init(key), xs)[1],
        rtol=1e-14,
    )


@pytest.mark.parametrize("cell", [Elman(3, H, use_bias=False), jaxrnn.Dropout(0.5)])
def test_a_cell_without_a_bias_is_refused(cell):
    with pytest.raises(TypeError, match="without a bias of one axis"):
        TwoBiases(cell)


@pytest.mark.parametrize("cell", [Elman(3, H), jaxrnn.GRU(3, H)])
def test_two_biases_are_not_made_two(cell):
    with pytest.raises(TypeError, match="is the sum of two already"):
        TwoBiases(TwoBiases(cell))
