"""Cells with more in the carry than their state: older states, or the output."""

import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, relu, sigmoid, sums, taps
from zoo import inputs_of, params_of

from jaxrnn import Dense, Stack, Zoneout, cells, trajectory, unroll
from jaxrnn.cells import DelayedCarry, IntersectionCarry


def tau_gru(cell, params, carry, x):
    z = sums(params, x, carry.h, "ndia")
    delayed = sums(params, x, carry.past[0], "ndia")
    n, d = np.tanh(z["n"]), np.tanh(delayed["d"])
    i, a = sigmoid(z["i"]), sigmoid(z["a"])
    h = carry.h + i * (n + a * d - carry.h)
    past = np.stack([*carry.past, carry.h])[1:]
    return DelayedCarry(h, past), h, {"n": n, "d": d, "i": i, "a": a}


def intersection(cell, params, carry, x):
    a = sums(params, x, carry.h, "mnpz")
    act = np.tanh if cell.activation == "tanh" else relu
    m, n = act(a["m"]), np.tanh(a["n"])
    p, z = sigmoid(a["p"]), sigmoid(a["z"])
    gates = {"m": m, "n": n, "p": p, "z": z}
    y, h = m + p * (x - m), n + z * (carry.h - n)
    return IntersectionCarry(h, y), y, gates


CELLS = {
    "tau_gru": (cells.TauGRU(3, 5), tau_gru),
    "tau_gru_of_two": (cells.TauGRU(3, 5, delay=2), tau_gru),
    "tau_gru_without_bias": (cells.TauGRU(3, 5, delay=3, use_bias=False), tau_gru),
    "intersection": (cells.IntersectionRNN(4, 4), intersection),
    "intersection_without_bias": (
        cells.IntersectionRNN(4, 4, use_bias=False, activation="tanh"),
        intersection,
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_run_is_the_papers(name):
    equals_paper(*CELLS[name])


def test_every_product_of_a_step_is_found():
    assert taps(cells.TauGRU(3, 5, delay=2)) == 2  # of h and of h_past
    assert taps(cells.IntersectionRNN(4, 4)) == 1


@pytest.mark.parametrize("delay", [1, 4, 9])
def test_the_past_is_that_of_the_whole_run_and_zeros_before_it(delay):
    """By an array of all states, into which the delay is an index."""
    cell = cells.TauGRU(3, 5, delay=delay)
    params, xs = params_of(cell), inputs_of(cell, (7,))
    U = blocks(params, "recurrent_kernel", "ndia")
    states = np.zeros((delay + 8, 5))  # states[t + delay] is h before step t
    for t, x in enumerate(np.asarray(xs)):
        h, past = states[t + delay], states[t]
        z = {name: np.asarray(a) for name, a in sums(params, x, h, "ndia").items()}
        z["d"] += (past - h) @ U["d"]
        i, a = sigmoid(z["i"]), sigmoid(z["a"])
        new = (1 - i) * h + i * (np.tanh(z["n"]) + a * np.tanh(z["d"]))
        states[t + delay + 1] = new
    carry, ys = unroll(cell, params, xs)
    np.testing.assert_allclose(ys, states[delay + 1 :], rtol=1e-12)
    np.testing.assert_allclose(carry.past, states[-delay - 1 : -1], rtol=1e-12)


def test_zoneout_holds_h_and_its_past_is_what_h_was():
    cell = cells.TauGRU(3, 5, delay=2)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    carries = trajectory(Zoneout(cell, 0.5), params, xs)
    np.testing.assert_array_equal(carries.past[2:, 0], carries.h[:-2])
    assert np.abs(carries.h - trajectory(cell, params, xs).h).max() > 0.1


def test_a_delay_that_is_no_positive_int_is_refused():
    with pytest.raises(ValueError, match="TauGRU: delay is 0, expected a positive int"):
        cells.TauGRU(3, 5, delay=0)


def test_the_gate_in_depth_can_pass_x_on_as_it_is():
    """And the one in time h: with both wide open nothing happens."""
    cell = cells.IntersectionRNN(4, 4)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    params["bias"] = jnp.repeat(jnp.asarray([0.0, 0.0, 60.0, 60.0]), 4)
    first = IntersectionCarry(jnp.arange(4.0), jnp.zeros(4))
    carry, ys = unroll(cell, params, xs, first)
    np.testing.assert_allclose(ys, xs, rtol=1e-12)
    np.testing.assert_allclose(carry.h, first.h, rtol=1e-12)


def test_sizes_that_differ_are_refused_with_the_dense_that_is_missing():
    with pytest.raises(ValueError, match=r"put a Dense\(3, 5\) before it in a Stack"):
        cells.IntersectionRNN(3, 5)
    Stack((Dense(3, 5), cells.IntersectionRNN(5, 5)))
