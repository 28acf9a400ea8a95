"""The phased LSTM, which has a time for every input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import equals_paper, every_bias, sigmoid, sums, taps
from zoo import inputs_of, params_of

from jaxrnn import LSTMCarry, cells, gate_activations, initializers, unroll
from jaxrnn.cells import TimedInput


def openness(params, time, r, leak):
    tau = params["period"] * np.sign(np.real(params["period"]))
    since = time - params["shift"]
    since = since - np.floor(np.real(since) / np.real(tau)) * tau  # since it began
    opening, closing = since / (r / 2 * tau), (r * tau - since) / (r / 2 * tau)
    phase = np.real(since) / np.real(tau)
    return np.where(
        phase < r / 2, opening, np.where(phase < r, closing, leak * since / tau)
    )


def phased(cell, params, carry, x):
    z = sums(params, x.x, carry.h, "ifgo")
    p_i, p_f, p_o = np.split(params["peephole"], 3)
    i, f = sigmoid(z["i"] + p_i * carry.c), sigmoid(z["f"] + p_f * carry.c)
    c = f * carry.c + i * np.tanh(z["g"])
    o = sigmoid(z["o"] + p_o * c)
    k = openness(params, x.time, cell.ratio_on, 0)
    h = carry.h + k * (o * np.tanh(c) - carry.h)
    c = carry.c + k * (c - carry.c)
    gates = {"i": i, "f": f, "g": np.tanh(z["g"]), "o": o, "k": k}
    return LSTMCarry(h, c), h, gates


@every_bias
@pytest.mark.parametrize("ratio_on", [0.5, 1.0])
def test_a_run_is_the_papers(ratio_on, use_bias):
    equals_paper(cells.PhasedLSTM(3, 5, ratio_on=ratio_on, use_bias=use_bias), phased)


def test_its_product_is_found():
    assert taps(cells.PhasedLSTM(3, 5)) == 1


@pytest.mark.slow
def test_the_leak_acts_where_there_is_a_key():
    """And through it units that are closed have gradients in period and shift."""
    cell = cells.PhasedLSTM(3, 5, leak=0.1)
    params = params_of(cell) | {
        "period": jnp.asarray([4.0, 5.0, 6.0, 7.0, 8.0]),
        "shift": jnp.asarray([0.5, 0.4, 0.3, 0.2, 0.1]),
    }
    times = jnp.asarray([1.0, 2.0, 3.0])  # all closed
    xs = TimedInput(inputs_of(cell, (3,)).x, times)
    expected = [openness(params, time, 0.05, 0.1) for time in times]
    key = jax.random.key(0)
    k = gate_activations(cell, params, xs, key=key)["k"]
    np.testing.assert_allclose(k, expected, rtol=1e-12)
    assert not gate_activations(cell, params, xs)["k"].any()

    def loss(params, key):
        return jnp.sum(unroll(cell, params, xs, key=key)[1])

    assert not unroll(cell, params, xs)[1].any()
    learns = jax.grad(loss)(params, key)
    assert all(np.all(learns[name] != 0) for name in ("period", "shift", "bias"))


def test_the_openness_is_a_triangle_over_the_start_of_each_period():
    cell = cells.PhasedLSTM(1, 1, ratio_on=0.4)
    params = params_of(cell) | {"period": jnp.array([10.0]), "shift": jnp.array([3.0])}
    times = jnp.asarray([3.0, 4, 5, 6, 7, 8, 12, 13, 14, -7, -6.5])
    xs = TimedInput(jnp.zeros((11, 1)), times)
    k = gate_activations(cell, params, xs)["k"][:, 0]
    expected = [0, 0.5, 1, 0.5, 0, 0, 0, 0, 0.5, 0, 0.25]
    np.testing.assert_allclose(k, expected, atol=1e-12)


def test_a_closed_unit_keeps_its_state_exactly():
    cell = cells.PhasedLSTM(3, 2, ratio_on=0.25)
    params = params_of(cell) | {
        "period": jnp.array([100.0, 4.0]),
        "shift": jnp.zeros(2),
    }
    carry = LSTMCarry(h=jnp.array([0.3, 0.4]), c=jnp.array([0.5, 0.6]))
    times = jnp.linspace(30, 90, 40)
    xs = TimedInput(inputs_of(cell, (40,)).x, times)
    final, _ = unroll(cell, params, xs, carry)
    assert final.h[0] == 0.3 and final.c[0] == 0.5
    assert final.h[1] != 0.4 and final.c[1] != 0.6


@pytest.mark.slow
def test_periods_and_shifts_start_as_said():
    cell = cells.PhasedLSTM(3, 4000, recurrent_init=initializers.zeros)
    params = cell.init(jax.random.key(0))
    logs = np.log(params["period"])
    np.testing.assert_allclose(np.quantile(logs, [0, 0.5, 1]), [0, 1.5, 3], atol=0.1)
    phase = np.asarray(params["shift"] / params["period"])
    np.testing.assert_allclose(np.quantile(phase, [0, 0.5, 1]), [0, 0.5, 1], atol=0.05)
    assert abs(np.corrcoef(phase, logs)[0, 1]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_times_of_a_wider_dtype_do_not_widen_the_carry(dtype):
    """bfloat16 cannot tell 1000 from 1003; a time may be an integer too."""
    cell = cells.PhasedLSTM(3, 5, ratio_on=0.5)
    params = cell.init(jax.random.key(0))
    params = {name: leaf.astype(dtype) for name, leaf in params.items()}
    exact = {name: np.asarray(leaf, "float64") for name, leaf in params.items()}
    times = np.arange(1000.0, 1007.0)
    expected = openness(exact, times[:, None], 0.5, 0)
    for dtype_of_time in ("float32", "int32") if dtype == "float32" else ("float32",):
        xs = TimedInput(jnp.ones((7, 3), dtype), jnp.asarray(times, dtype_of_time))
        carry, _ = unroll(cell, params, xs)
        assert {leaf.dtype for leaf in carry} == {jnp.dtype(dtype)}
        k = gate_activations(cell, params, xs)["k"]
        np.testing.assert_allclose(k.astype("float64"), expected, atol=0.02)


def test_a_time_may_be_a_number_of_python():
    cell = cells.PhasedLSTM(3, 5, ratio_on=0.5)
    params, x = params_of(cell), jnp.ones(3)
    carry = cell.initial_carry(params)
    for time in (3.5, 4):
        expected = cell(params, carry, TimedInput(x, jnp.asarray(float(time))))
        actual = cell(params, carry, TimedInput(x, time))
        jax.tree.map(np.testing.assert_array_equal, actual, expected)
    single = {name: leaf.astype("float32") for name, leaf in params.items()}
    drive = cell.project(single, TimedInput(x.astype("float32"), 3.5))
    assert {leaf.dtype for leaf in jax.tree.leaves(drive)} == {jnp.dtype("float32")}


def test_ten_thousand_steps_of_large_inputs_stay_finite():
    cell = cells.PhasedLSTM(3, 4)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    x = 1e4 * inputs_of(cell, (10_000,)).x.astype("float32")
    xs, key = TimedInput(x, jnp.arange(10_000)), jax.random.key(0)

    def loss(params):
        return jnp.mean(unroll(cell, params, xs, key=key)[1] ** 2)

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    assert 0 < value <= 1
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all() and np.any(leaf)


def test_a_leak_is_a_rate():
    assert cells.PhasedLSTM(3, 5, leak=np.float64(0.1)) == cells.PhasedLSTM(
        3, 5, leak=0.1
    )
    with pytest.raises(ValueError, match=r"PhasedLSTM: leak is 1, expected"):
        cells.PhasedLSTM(3, 5, leak=1)


@pytest.mark.parametrize("ratio_on", [0, 1.5, "0.5"])
def test_a_ratio_outside_of_0_and_1_is_refused(ratio_on):
    with pytest.raises(ValueError, match=r"PhasedLSTM: ratio_on is .*expected"):
        cells.PhasedLSTM(3, 5, ratio_on=ratio_on)
