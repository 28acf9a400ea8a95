"""Gradients by lag: against closed forms, and against gradients of single losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, LSTM, Elman, Stack, gradient_map, lag_profile, memory_horizon
from jaxrnn.initializers import Chrono

T, B = 7, 2
CELLS = {"lstm": LSTM(3, 4), "stack": Stack((GRU(3, 4), Elman(4, 2)))}


def squares(ys):
    return jnp.sum(ys**2, -1)


@pytest.mark.parametrize(
    "cell", [CELLS["lstm"], pytest.param(CELLS["stack"], marks=pytest.mark.slow)]
)
def test_a_row_of_the_map_is_the_gradient_of_the_loss_of_one_step(cell):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    lengths = jnp.array([T, 4])
    actual = gradient_map(squares, cell, params, xs, lengths=lengths)
    for t in range(T):
        expected = jaxrnn.gradient_norms(
            lambda ys, t=t: jnp.sum(squares(ys)[t]), cell, params, xs, lengths=lengths
        )
        row = jax.tree.map(lambda leaf, t=t: leaf[t], actual)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), row, expected
        )


def test_steps_may_differ_between_examples():
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    every = gradient_map(squares, cell, params, xs)
    some = gradient_map(squares, cell, params, xs, steps=jnp.array([[1, 5], [6, 0]]))
    for i, steps in enumerate([(1, 5), (6, 0)]):
        for b, t in enumerate(steps):
            np.testing.assert_allclose(some.c[i, :, b], every.c[t, :, b], atol=1e-15)


def test_of_a_linear_network_the_profile_is_exact():
    """dL_t/dh_(t-k) = U^k dL_t/dh_t, whatever t is."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(4, 4)) * 0.6
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell) | {"recurrent_kernel": jnp.asarray(U)}
    weights = np.arange(1.0, 5)
    actual = lag_profile(
        lambda ys: ys @ weights,
        cell,
        params,
        inputs_of(cell, (20, B)),
        sample_key=jax.random.key(0),
        max_lag=9,
    )
    for lag in range(10):
        size = np.linalg.norm(np.linalg.matrix_power(U, lag) @ weights)
        np.testing.assert_allclose(actual.norms[lag], [size] * B, rtol=1e-12)
    np.testing.assert_array_equal(actual.counts, np.full((10, B), 16))


def test_a_profile_is_the_mean_over_the_steps_drawn():
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    key = jax.random.key(3)
    actual = lag_profile(squares, cell, params, xs, sample_key=key, samples=5, max_lag=4)
    every = gradient_map(squares, cell, params, xs)
    steps = jax.random.randint(key, (5, B), jnp.full((5, B), 4), jnp.full((5, B), T))
    for lag in range(5):
        for b in range(B):
            mean = np.mean([every[t, t - lag, b] for t in steps[:, b]])
            np.testing.assert_allclose(actual.norms[lag, b], mean, rtol=1e-12)


@pytest.mark.slow
def test_a_short_example_counts_the_lags_that_it_has():
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, 3))
    actual = lag_profile(
        squares,
        cell,
        params,
        xs,
        sample_key=jax.random.key(3),
        samples=5,
        max_lag=4,
        lengths=jnp.array([T, 2, 0]),
    )
    expected = [[5, 5, 0], [5, 5, 0], [5, 0, 0], [5, 0, 0], [5, 0, 0]]
    np.testing.assert_array_equal(actual.counts, expected)
    np.testing.assert_array_equal(actual.norms[2:, 1], np.zeros(3))
    alone = jaxrnn.gradient_norms(lambda ys: squares(ys)[1], cell, params, xs[:2, 1])
    np.testing.assert_allclose(actual.norms[:2, 1], alone[::-1], rtol=1e-12)


def test_a_small_kernel_makes_the_gradient_fall_as_pascanu_says():
    """sigma_max(U) < 1 and |tanh'| <= 1: ||dL/dh_(t-1)|| <= sigma_max ||dL/dh_t||."""
    cell = Elman(3, 20)
    params, xs = params_of(cell), inputs_of(cell, (30,))
    U = params["recurrent_kernel"]
    params |= {"recurrent_kernel": 0.9 * U / jnp.linalg.norm(U, 2)}
    norms = jaxrnn.gradient_norms(lambda ys: jnp.sum(ys[-1]), cell, params, xs)
    assert jnp.all(norms[:-1] <= 0.9 * norms[1:] * (1 + 1e-12))
    assert jnp.all(norms > 0)


def test_an_lstm_with_f_1_and_i_0_keeps_its_gradient_exactly():
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (50,))
    gates = jnp.repeat(jnp.array([-1e3, 1e3, 0, 0]), 4)  # i, f, g, o
    params |= {
        "bias": gates,
        "recurrent_kernel": params["recurrent_kernel"].at[:, :].set(0),
    }
    gradients = jaxrnn.carry_gradients(lambda ys: jnp.sum(ys[-1]), cell, params, xs)
    np.testing.assert_array_equal(gradients.c[:-2], gradients.c[1:-1])
    assert jnp.all(gradients.c[:-1] != 0)


@pytest.mark.slow
def test_chrono_initialisation_holds_the_gradient_over_its_t_max():
    horizons = {}
    for name, init in (("chrono", Chrono(200)), ("default", None)):
        options = {} if init is None else {"bias_init": init}
        cell = LSTM(2, 64, **options)
        params = cell.init(jax.random.key(0))
        xs = 0.1 * jax.random.normal(jax.random.key(1), (500, 2))
        profile = lag_profile(
            lambda ys: jnp.sum(ys, -1),
            cell,
            params,
            xs,
            sample_key=jax.random.key(2),
            max_lag=400,
        )
        horizons[name] = float(memory_horizon(profile.norms.c))
    assert 0.3 * 200 < horizons["chrono"]
    assert horizons["default"] < 20


@pytest.mark.slow
def test_a_horizon_is_interpolated_in_the_logarithm():
    norms = jnp.exp(-jnp.arange(60.0) / 7)
    np.testing.assert_allclose(memory_horizon(norms), 7, rtol=1e-12)
    np.testing.assert_allclose(memory_horizon(norms, 0.01), 7 * np.log(100), rtol=1e-12)
    both = jnp.stack([norms, jnp.ones(60)], axis=1)
    np.testing.assert_allclose(memory_horizon(both), [7, np.inf], rtol=1e-12)
    unread_at_first = jnp.concatenate([jnp.zeros(1), norms])  # as an LSTM's c
    np.testing.assert_allclose(memory_horizon(unread_at_first), 8, rtol=1e-12)
    first_rising = jnp.array([1.0, 3.0, 0.9, 0.1])
    assert 2 < memory_horizon(first_rising) < 3
    assert memory_horizon(jnp.zeros(4)) == 0
    assert memory_horizon(jnp.array([1.0, 0.0])) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"max_lag": T}, f"max_lag is {T}, expected 0 to {T - 1}"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    cell = GRU(3, 4)
    args = squares, cell, params_of(cell), inputs_of(cell, (T, B))
    with pytest.raises(ValueError, match=f"lag_profile: {message}"):
        lag_profile(*args, sample_key=jax.random.key(0), **options)


@pytest.mark.parametrize(
    ("step_loss", "steps", "error", "message"),
    [
        (jnp.sum, None, ValueError, r"step_loss gave the shape \(\), expected \(7, 2\)"),
        (GRU(3, 4), None, TypeError, "step_loss is of type GRU"),
        (lambda ys: jnp.argmax(ys, -1), None, TypeError, "step_loss gave the dtype int"),
        (squares, [7], ValueError, r"expected numbers in 0\.\.6"),
        (squares, [0.5], TypeError, "steps has dtype float"),
        (squares, [[1, 2, 3]], ValueError, r"expected \(count,\) or \('count', 2\)"),
    ],
)
def test_bad_losses_and_steps_are_refused(step_loss, steps, error, message):
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    with pytest.raises(error, match=f"gradient_map: .*{message}"):
        gradient_map(step_loss, cell, params, xs, steps=steps)


def test_a_horizon_of_what_is_not_finite_is_nan():
    norms = jnp.array([[1.0, jnp.inf, 1.0], [0.5, 1.0, jnp.nan], [0.1, 0.5, 0.1]])
    found = memory_horizon(norms)
    assert jnp.isfinite(found[0]) and jnp.isnan(found[1]) and jnp.isnan(found[2])


def test_a_cell_over_whole_sequences_has_no_profile():
    cell = jaxrnn.Bidirectional(GRU(3, 4), GRU(3, 4))
    with pytest.raises(TypeError, match=r"lag_profile: Bidirectional.* single step"):
        lag_profile(
            squares,
            cell,
            params_of(cell),
            inputs_of(cell, (T, B)),
            sample_key=jax.random.key(0),
        )


def test_a_level_outside_of_0_to_1_is_refused():
    with pytest.raises(ValueError, match="memory_horizon: level is 1"):
        memory_horizon(jnp.ones(3), 1)


@pytest.mark.slow
def test_a_horizon_leaves_out_the_lags_that_an_example_does_not_have():
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell) | {"recurrent_kernel": 0.8 * jnp.eye(4)}
    profile = lag_profile(
        squares,
        cell,
        params,
        inputs_of(cell, (40, 2)),
        sample_key=jax.random.key(0),
        lengths=jnp.array([40, 3]),
    )
    exact = -1 / np.log(0.8)
    np.testing.assert_allclose(memory_horizon(profile), [exact, np.inf], rtol=1e-10)
    both = memory_horizon({"a": profile.norms, "b": profile.norms[:, 0]})
    np.testing.assert_allclose(both["b"], exact, rtol=1e-10)
    with pytest.raises(ValueError, match="norms is a scalar"):
        memory_horizon(jnp.ones(()))
