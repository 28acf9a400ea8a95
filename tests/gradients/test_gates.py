"""Gates of a run against a loop; what is said of them against arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, Bidirectional, Elman, LearnedCarry, Residual, Stack, Zoneout

T, B = 6, 2


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("reverse", [False, True])
def test_they_are_those_of_a_loop(reverse):
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = random_like(jaxrnn.batched_carry(cell, params, (B,)), seed=3)
    actual = jaxrnn.gate_activations(cell, params, xs, carry, reverse=reverse)
    for b in range(B):
        h, c = carry.h[b], carry.c[b]
        for t in reversed(range(T)) if reverse else range(T):
            z = xs[t, b] @ params["kernel"] + h @ params["recurrent_kernel"]
            i, f, g, o = np.split(np.asarray(z + params["bias"]), 4)
            expected = {"i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g)}
            expected["o"] = sigmoid(o)
            for name, value in expected.items():
                np.testing.assert_allclose(actual[name][t, b], value, rtol=1e-12)
            c = expected["f"] * c + expected["i"] * expected["g"]
            h = expected["o"] * np.tanh(c)


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_step_of_a_gru_follows_from_them(reset_after):
    cell = GRU(3, 4, reset_after=reset_after)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    gates = jaxrnn.gate_activations(cell, params, xs)
    hs = jaxrnn.trajectory(cell, params, xs)
    before = jnp.concatenate([jnp.zeros((1, B, 4)), hs[:-1]])
    new = (1 - gates["z"]) * gates["n"] + gates["z"] * before
    np.testing.assert_allclose(hs, new, rtol=1e-12)


def test_masked_steps_are_zero_and_resets_start_anew():
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    resets = jnp.zeros((T, B), bool).at[2].set(True)
    actual = jaxrnn.gate_activations(
        cell, params, xs, lengths=jnp.array([T, 4]), resets=resets
    )
    alone = jaxrnn.gate_activations(cell, params, xs[2:4, 1])
    np.testing.assert_allclose(actual["f"][2:4, 1], alone["f"], rtol=1e-12)
    np.testing.assert_array_equal(actual["f"][4:, 1], np.zeros((2, 4)))


def test_combinators_have_one_entry_a_cell():
    cells = Zoneout(LSTM(3, 4), 0.1), Residual(LearnedCarry(GRU(4, 4))), Elman(4, 2)
    cell = Bidirectional(Stack(cells), Stack(cells))
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    (lstm, gru, elman), _ = jaxrnn.gate_activations(cell, params, xs)
    assert elman == {}
    below = Stack(cells[:1])
    ys = jaxrnn.unroll(below, params[0][:1], xs)[1]
    alone = jaxrnn.gate_activations(cells[1].cell, params[0][1], ys)
    np.testing.assert_allclose(gru["z"], alone["z"], rtol=1e-12)
    alone = jaxrnn.gate_activations(below, params[0][:1], xs)
    np.testing.assert_allclose(lstm["f"], alone[0]["f"], rtol=1e-12)


def test_time_constants():
    gate = jnp.stack([jnp.full((9, 2), 0.5), jnp.ones((9, 2)), jnp.zeros((9, 2))], -1)
    expected = [1 / np.log(2), np.inf, 0]
    np.testing.assert_allclose(jaxrnn.time_constants(gate), expected)
    where = jnp.arange(9)[:, None] < jnp.array([[9, 4]])
    gate = jnp.where(where[..., None], 0.9, 0.0) * jnp.ones((1, 1, 3))
    np.testing.assert_allclose(
        jaxrnn.time_constants(gate, where=where), [-1 / np.log(0.9)] * 3
    )


def test_saturation():
    gate = jnp.array([[[0.05, 0.95]], [[0.5, 0.99]], [[0.02, 0.2]]])
    ends = jaxrnn.saturation(gate)
    np.testing.assert_allclose(ends.low, [2 / 3, 0])
    np.testing.assert_allclose(ends.high, [0, 2 / 3])
    where = jnp.array([True, True, False])[:, None]
    ends = jaxrnn.saturation(gate, where=where)
    np.testing.assert_allclose(ends.low, [1 / 2, 0])
    np.testing.assert_allclose(ends.high, [0, 1])


@pytest.mark.parametrize("where", [jnp.ones((9, 1), bool), jnp.ones(9, bool)])
def test_a_where_of_another_shape_is_refused(where):
    gate = jnp.full((9, 4, 2), 0.95)
    with pytest.raises(ValueError, match=r"saturation: where has .* expected \(9, 4\)"):
        jaxrnn.saturation(gate, where=where)
    with pytest.raises(ValueError, match="time_constants: where has"):
        jaxrnn.time_constants(gate, where=where)


def test_long_sums_of_halves_are_made_in_full():
    gate = jnp.full((100_000, 1), 0.9, "float16")
    exact = -1 / np.log(float(jnp.float16(0.9)))
    np.testing.assert_allclose(jaxrnn.time_constants(gate), [exact], rtol=1e-4)
    assert jaxrnn.saturation(gate, high=0.5).high == 1
    assert jnp.isnan(jaxrnn.time_constants(jnp.array([[jnp.nan]])))[0]


def test_gates_know_the_noise_of_the_run():
    cell = LSTM(3, 4, recurrent_dropout=0.5)
    params, xs = params_of(cell), inputs_of(cell, (T,))
    key = jax.random.key(5)
    gates = jaxrnn.gate_activations(cell, params, xs, key=key)
    cs = jaxrnn.trajectory(cell, params, xs, key=key).c
    before = jnp.concatenate([jnp.zeros((1, 4)), cs[:-1]])
    np.testing.assert_allclose(cs, gates["f"] * before + gates["i"] * gates["g"])
    assert not np.allclose(gates["f"], jaxrnn.gate_activations(cell, params, xs)["f"])
