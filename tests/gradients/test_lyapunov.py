"""Lyapunov exponents against theory: closed forms, random matrices, mean-field theory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import digamma
from marks import by_default
from zoo import Turning, inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, LSTM, Cell, Elman, Stack, lyapunov_spectrum


def linear(kernel):
    """h_t = h_(t-1) U, its params and a start."""
    cell = Elman(1, len(kernel), activation="identity")
    return cell, params_of(cell) | {"recurrent_kernel": jnp.asarray(kernel)}


def random_kernel(size, gain, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, size)) * gain / np.sqrt(size)


class Products(Cell):
    """h_t = x_t h_(t-1): every step brings a matrix of its own."""

    size: int

    @property
    def input_shape(self) -> Any:
        return (self.size, self.size)

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(self.size)

    def step(self, params, carry, drive):
        return drive @ carry


def test_of_a_linear_network_they_are_the_eigenvalues_of_the_kernel():
    kernel = random_kernel(6, 1.0)
    cell, params = linear(kernel)
    actual = lyapunov_spectrum(cell, params, jnp.zeros((4000, 1)))
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(kernel))))[::-1]
    # A pair of complex eigenvalues turns the directions: what is left of it falls as 1/T.
    np.testing.assert_allclose(actual.exponents, expected, atol=2e-3)


def test_of_an_orthogonal_kernel_all_are_zero():
    kernel = np.linalg.qr(random_kernel(8, 1.0))[0]
    cell, params = linear(kernel)
    actual = lyapunov_spectrum(cell, params, jnp.zeros((200, 3, 1)), every=7)
    np.testing.assert_allclose(actual.exponents, np.zeros((3, 8)), atol=1e-12)
    np.testing.assert_allclose(actual.trace, np.zeros((29, 3, 8)), atol=1e-12)
    assert float(jnp.max(actual.standard_error)) < 1e-12


@pytest.mark.slow
def test_of_random_matrices_they_are_newmans():
    n, T = 12, 6000
    xs = jax.random.normal(jax.random.key(0), (T, n, n)) / np.sqrt(n)
    actual = lyapunov_spectrum(Products(n), (), xs)
    place = jnp.arange(1, n + 1)
    expected = 0.5 * (jnp.log(2 / n) + digamma((n - place + 1) / 2))
    error = np.abs(actual.exponents - expected) / actual.standard_error
    assert np.all(error < 8)  # Student's t with 9 degrees of freedom: 2 in 10^5
    assert np.all(actual.standard_error < 0.05)
    np.testing.assert_allclose(actual.trace[-1], actual.exponents, rtol=1e-10)


@pytest.mark.parametrize("every", by_default([2, 5], 2))
def test_the_interval_between_decompositions_changes_nothing(every):
    xs = jax.random.normal(jax.random.key(0), (300, 5, 5))
    once = lyapunov_spectrum(Products(5), (), xs, warmup=0)
    seldom = lyapunov_spectrum(Products(5), (), xs, warmup=0, every=every)
    np.testing.assert_allclose(seldom.exponents, once.exponents, rtol=1e-9)


def mean_field(gain):
    """The largest exponent of h' = J tanh(h), J_ij ~ N(0, gain^2 / N), as N grows.

    q = gain^2 E tanh(sqrt(q) z)^2      lambda = ln(gain^2 E sech(sqrt(q) z)^4) / 2
    """
    z = np.linspace(-12, 12, 2001)
    weights = np.exp(-(z**2) / 2)
    weights /= weights.sum()
    q = gain**2
    for _ in range(2000):
        q = gain**2 * weights @ np.tanh(np.sqrt(q) * z) ** 2
    return 0.5 * np.log(gain**2 * weights @ np.cosh(np.sqrt(q) * z) ** -4.0)


@pytest.mark.slow
@pytest.mark.parametrize("gain", by_default([0.9, 1.5, 2.0, 3.0], 0.9))
def test_of_random_networks_the_largest_is_that_of_mean_field_theory(gain):
    N = 500
    cell = Elman(1, N)
    kernel = jnp.asarray(random_kernel(N, gain))
    params = params_of(cell) | {"recurrent_kernel": kernel, "bias": jnp.zeros(N)}
    carry = jax.random.normal(jax.random.key(1), (N,))
    actual = lyapunov_spectrum(cell, params, jnp.zeros((1500, 1)), carry, k=1)
    # One network of N units is off by about 1 / sqrt(N), its run by the standard error.
    tolerance = 0.5 / np.sqrt(N) + 3 * float(actual.standard_error[0])
    expected = mean_field(gain)
    if gain < 1:  # all dies out: what is left is the kernel's own radius, above gain
        expected = np.log(jaxrnn.spectral_radius(kernel))
        assert mean_field(gain) < expected < mean_field(gain) + 0.1
    assert tolerance < 0.05
    assert abs(float(actual.exponents[0]) - expected) < tolerance


@pytest.mark.slow
def test_the_gradient_grows_at_the_rate_of_the_largest():
    N, T = 100, 1200
    cell = Elman(1, N)
    kernel = jnp.asarray(random_kernel(N, 2.0))
    params = params_of(cell) | {"recurrent_kernel": kernel, "bias": jnp.zeros(N)}
    carry = jax.random.normal(jax.random.key(1), (N,))
    xs = jnp.zeros((T, 1))
    largest = lyapunov_spectrum(cell, params, xs, carry, k=1)
    norms = jaxrnn.gradient_norms(lambda ys: ys[-1, 0], cell, params, xs, carry)
    slope = (jnp.log(norms[100]) - jnp.log(norms[-100])) / (T - 200)
    assert abs(slope - largest.exponents[0]) < 3 * largest.standard_error[0] + 2e-3


def test_a_direction_that_is_lost_has_minus_infinity_and_nothing_is_nan():
    cell, params = linear(np.diag([0.5, 0.0, 2.0]))
    actual = lyapunov_spectrum(cell, params, jnp.zeros((100, 1)))
    np.testing.assert_allclose(
        actual.exponents, [np.log(2), np.log(0.5), -np.inf], atol=1e-2
    )
    for leaf in (*actual, actual.dimension, actual.entropy_rate):
        assert not jnp.any(jnp.isnan(leaf))


@pytest.mark.parametrize("dtype", by_default(["float32", "float64"], "float32"))
def test_directions_lost_along_no_axis_have_minus_infinity(dtype):
    """A dense kernel of rank 2: QR leaves rounding where there is nothing."""
    cell = Elman(3, 6, activation="identity")
    rng = np.random.default_rng(0)
    U = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 6))
    params = params_of(cell) | {"recurrent_kernel": jnp.asarray(U)}
    params, xs = jax.tree.map(
        lambda leaf: leaf.astype(dtype), (params, inputs_of(cell, (60,)))
    )
    spectrum = lyapunov_spectrum(cell, params, xs)
    size = np.sort(np.log(np.abs(np.linalg.eigvals(U))))[::-1]
    np.testing.assert_allclose(spectrum.exponents[:2].sum(), size[:2].sum(), rtol=1e-2)
    np.testing.assert_array_equal(spectrum.exponents[2:], [-np.inf] * 4)
    np.testing.assert_array_equal(spectrum.standard_error[2:], np.zeros(4))
    every = lyapunov_spectrum(cell, params, xs, every=2)
    np.testing.assert_array_equal(every.exponents[2:], [-np.inf] * 4)


@pytest.mark.slow
def test_half_precision_is_measured_in_single():
    cell = Elman(3, 4)
    half = jax.tree.map(
        lambda leaf: leaf.astype("bfloat16"), (params_of(cell), inputs_of(cell, (200,)))
    )
    exact = jax.tree.map(lambda leaf: leaf.astype("float64"), half)
    found, expected = lyapunov_spectrum(cell, *half), lyapunov_spectrum(cell, *exact)
    np.testing.assert_allclose(found.exponents, expected.exponents, atol=0.05)
    jacobians = jaxrnn.step_jacobians(cell, *half)
    radius = jaxrnn.spectral_radius(jacobians)
    assert radius.dtype == "bfloat16"
    close = {"rtol": 0.05, "atol": 0.05}
    exact = jaxrnn.step_jacobians(cell, *exact)
    np.testing.assert_allclose(radius, jaxrnn.spectral_radius(exact), **close)
    logs = jaxrnn.product_singular_values(jacobians, 2)[0]
    expected = jaxrnn.product_singular_values(exact, 2)[0]
    np.testing.assert_allclose(logs, expected, **close)


def test_a_dead_cell_has_minus_infinity_throughout():
    cell, params = linear(np.zeros((3, 3)))
    actual = lyapunov_spectrum(cell, params, jnp.zeros((50, 1)))
    np.testing.assert_array_equal(actual.exponents, [-np.inf] * 3)
    assert float(actual.dimension) == 0
    assert float(actual.entropy_rate) == 0


@pytest.mark.slow
def test_a_batch_is_its_examples_and_lengths_end_them():
    cell = Stack((GRU(3, 3), Elman(3, 2)))
    params, xs = params_of(cell), inputs_of(cell, (40, 2))
    lengths = jnp.array([40, 17])
    together = lyapunov_spectrum(cell, params, xs, lengths=lengths)
    for b, length in enumerate(lengths):
        alone = lyapunov_spectrum(cell, params, xs[:length, b])
        np.testing.assert_allclose(together.exponents[b], alone.exponents, atol=1e-10)
        np.testing.assert_allclose(
            together.standard_error[b], alone.standard_error, atol=1e-10
        )


@pytest.mark.slow
def test_the_first_exponents_do_not_depend_on_how_many_there_are():
    """At T = 100 they are far from settled: whatever they are, they are the same."""
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (100, 2))
    lengths = jnp.array([100, 60])
    two, eight = (
        lyapunov_spectrum(cell, params, xs, k=k, lengths=lengths) for k in (2, 8)
    )
    np.testing.assert_allclose(two.exponents, eight.exponents[:, :2], rtol=1e-9)
    np.testing.assert_allclose(two.trace, eight.trace[..., :2], rtol=1e-9)


def test_of_a_complex_decay_each_counts_twice():
    """h' = a h: ln |a| for the real part, and for the imaginary one."""
    cell = Turning()
    params = cell.init(None)
    spectrum = lyapunov_spectrum(cell, params, jnp.zeros((400, 2)), k=np.int64(5))
    # The real state beside it rests at 0, and keeps what it is given.
    expected = np.log([1, 0.9, 0.9, 0.5, 0.5])
    np.testing.assert_allclose(spectrum.exponents, expected, atol=0.01)
    np.testing.assert_allclose(spectrum.exponents.sum(), expected.sum(), rtol=1e-9)


def test_without_steps_there_is_no_estimate():
    cell, params = linear(np.eye(2))
    actual = lyapunov_spectrum(
        cell, params, jnp.zeros((5, 2, 1)), lengths=jnp.array([0, 5])
    )
    np.testing.assert_array_equal(actual.exponents[0], [0, 0])
    np.testing.assert_array_equal(actual.standard_error[0], [np.inf, np.inf])


def test_dimension_and_entropy_rate():
    exponents = jnp.array([[0.5, 0.2, -1.0, -3.0], [-0.1, -0.2, -0.3, -4], [1, 1, 1, 1]])
    spectrum = jaxrnn.LyapunovSpectrum(exponents, exponents, exponents[None])
    np.testing.assert_allclose(spectrum.dimension, [2 + 0.7 / 1.0, 0, 4])
    np.testing.assert_allclose(spectrum.entropy_rate, [0.7, 0, 4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0, expected 1 to 2"),
        ({"k": 3}, "k is 3, expected 1 to 2"),
        ({"every": 0}, "every is 0"),
        ({"warmup": 1.0}, "warmup is 1.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    cell, params = linear(np.eye(2))
    with pytest.raises(ValueError, match=f"lyapunov_spectrum: {message}"):
        lyapunov_spectrum(cell, params, jnp.zeros((5, 1)), **options)
