"""The LSTM of ordered neurons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, sigmoid, softmax, sums, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import LSTM, LSTMCarry, cells, gate_activations, unroll


def ordered(cell, params, carry, x):
    z = sums(params, x, carry.h, "ifgo")
    W = blocks(params, "master_kernel", "FI")
    U = blocks(params, "master_recurrent_kernel", "FI")
    b = blocks(params, "master_bias", "FI")
    level = np.arange(cell.hidden_size) // cell.chunk_size
    p, q = (softmax(x @ W[gate] + carry.h @ U[gate] + b[gate]) for gate in "FI")
    # F of a level: that the split is at it or below; I: that it is above.
    F = np.stack([p[: k + 1].sum() for k in level])
    I = np.stack([q[k + 1 :].sum() for k in level])
    both = F * I
    f = sigmoid(z["f"]) * both + (F - both)
    i = sigmoid(z["i"]) * both + (I - both)
    g, o = np.tanh(z["g"]), sigmoid(z["o"])
    c = f * carry.c + i * g
    h = o * np.tanh(c)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": g, "o": o, "F": F, "I": I}


@every_bias
@pytest.mark.parametrize("chunk_size", [1, 2])
def test_a_run_is_the_papers(chunk_size, use_bias):
    cell = cells.OrderedLSTM(3, 4, chunk_size=chunk_size, use_bias=use_bias)
    equals_paper(cell, ordered)


def test_all_gates_are_of_one_product():
    assert taps(cells.OrderedLSTM(3, 4, chunk_size=2)) == 1


def test_master_gates_are_monotone_and_shared_by_chunks():
    cell = cells.OrderedLSTM(3, 12, chunk_size=3)
    gates = gate_activations(cell, params_of(cell), inputs_of(cell, (9,)))
    F, I = (np.asarray(gates[name]).reshape(9, 4, 3) for name in "FI")
    assert np.ptp(F, axis=2).max() == np.ptp(I, axis=2).max() == 0
    assert np.diff(F, axis=1).min() > 0 > np.diff(I, axis=1).max()
    np.testing.assert_allclose(F[:, -1], 1, rtol=1e-12)
    np.testing.assert_allclose(I[:, -1], 0, atol=1e-12)


def test_one_level_only_adds_up_what_came():
    """F = 1 and I = 0 then: c keeps all that it has, and nothing is written."""
    cell = cells.OrderedLSTM(3, 4, chunk_size=4)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    carry = carry_of(cell, params)
    final, _ = unroll(cell, params, xs, carry)
    np.testing.assert_allclose(final.c, carry.c, rtol=1e-12)


def test_its_plain_gates_start_as_those_of_an_lstm():
    """What the master gates have beside is drawn from keys of its own."""
    key, ordered = jax.random.key(0), cells.OrderedLSTM(3, 4).init(jax.random.key(0))
    for name, leaf in LSTM(3, 4).init(key).items():
        np.testing.assert_array_equal(ordered[name], leaf)
    assert not ordered["master_bias"].any()


def test_ten_thousand_steps_of_large_inputs_stay_finite():
    cell = cells.OrderedLSTM(3, 4, chunk_size=2)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    xs = 1e4 * inputs_of(cell, (10_000,)).astype("float32")
    loss = jax.value_and_grad(lambda params: jnp.mean(unroll(cell, params, xs)[1] ** 2))
    value, gradient = jax.jit(loss)(params)
    assert 0 < value <= 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_chunk_size_that_divides_nothing_is_refused():
    with pytest.raises(ValueError, match=r"chunk_size is 3, expected a divisor of.* 4"):
        cells.OrderedLSTM(3, 4, chunk_size=3)
