"""The log of a training loop: its measurements one by one, and that it stacks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, LSTM, Dense, Elman, Stack, gradient_log

KEY = jax.random.key(3)
CASES = {
    "lstm": LSTM(2, 3),
    "gru": GRU(2, 3),
    "stack": Stack((GRU(2, 3), LSTM(3, 2), Dense(2, 2))),
    "elman": Elman(2, 3),
}


def step_loss(ys):
    return jnp.sum(ys**2, -1)


@pytest.mark.parametrize("name", by_default(CASES, "gru"))
@pytest.mark.parametrize("lengths", by_default([None, (20, 13)], (20, 13)))
def test_it_is_the_means_of_the_single_measurements(name, lengths):
    cell = CASES[name]
    params, xs = params_of(cell), inputs_of(cell, (20, 2))
    ends = np.array([20, 20] if lengths is None else lengths)
    lengths = None if lengths is None else jnp.array(lengths)
    given = cell, params, xs
    log = gradient_log(
        step_loss, *given, sample_key=KEY, samples=3, max_lag=6, lengths=lengths
    )
    profile = jaxrnn.lag_profile(
        step_loss, *given, sample_key=KEY, samples=3, max_lag=6, lengths=lengths
    )
    assert np.all(profile.counts > 0)  # so that all weigh the same
    rows = jax.tree.map(lambda leaf: leaf.mean(1), profile.norms)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12)  # noqa: E731
    jax.tree.map(same, log.norms, rows)
    jax.tree.map(same, log.horizon, jaxrnn.memory_horizon(rows))
    spectrum = jaxrnn.lyapunov_spectrum(*given, k=1, lengths=lengths)
    same(log.exponent, spectrum.exponents[:, 0].mean())
    gates = jaxrnn.gate_activations(*given, lengths=lengths)
    valid = np.arange(20)[:, None] < ends
    for path, gate in jax.tree_util.tree_leaves_with_path(gates):
        actual = log.saturation
        for part in path:
            actual = actual[part.key if hasattr(part, "key") else part.idx]
        counted = np.asarray(gate)[valid]
        low = -0.9 if path[-1].key in "gn" else 0.1
        same(actual.low, (counted < low).mean())
        same(actual.high, (counted > 0.9).mean())


@pytest.mark.slow
def test_an_example_without_a_step_says_nothing():
    cell = CASES["gru"]
    params, xs = params_of(cell), inputs_of(cell, (20, 3))
    how = dict(sample_key=KEY, samples=3, max_lag=6)
    some = gradient_log(
        step_loss, cell, params, xs, lengths=jnp.array([20, 0, 20]), **how
    )
    spectrum = jaxrnn.lyapunov_spectrum(cell, params, xs[:, ::2], k=1)
    np.testing.assert_allclose(some.exponent, spectrum.exponents[:, 0].mean(), rtol=1e-12)
    assert some.exponent != 0


@pytest.mark.slow
def test_records_stack_by_scan_and_by_hand():
    cell = GRU(2, 3)
    params, xs = params_of(cell), inputs_of(cell, (12, 2))
    scales = jnp.array([0.5, 1.0, 2.0])

    def record(scale):
        own = jax.tree.map(lambda leaf: scale * leaf, params)
        return gradient_log(step_loss, cell, own, xs, sample_key=KEY, max_lag=4)

    _, stacked = jax.lax.scan(lambda c, scale: (c, record(scale)), None, scales)
    assert stacked.norms.shape == (3, 5) and stacked.exponent.shape == (3,)
    records = [jax.jit(record)(scale) for scale in scales]
    by_hand = jax.tree.map(lambda *leaves: jnp.stack(leaves), *records)
    assert jax.tree.structure(by_hand) == jax.tree.structure(stacked)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), stacked, by_hand
    )


def test_what_is_no_loss_is_refused_by_its_name():
    cell = GRU(2, 3)
    params, xs = params_of(cell), inputs_of(cell, (12, 2))
    with pytest.raises(TypeError, match="gradient_log: step_loss is of type GRU"):
        gradient_log(cell, params, xs, None, sample_key=KEY)
    with pytest.raises(ValueError, match="gradient_log: max_lag is 12"):
        gradient_log(step_loss, cell, params, xs, sample_key=KEY, max_lag=12)
