"""The penalty on exponents: against closed forms, differences, and its purpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, Elman, Stack, lyapunov_penalty


def linear(diagonal):
    cell = Elman(1, len(diagonal), activation="identity")
    return cell, params_of(cell) | {"recurrent_kernel": jnp.diag(jnp.array(diagonal))}


@pytest.mark.parametrize("case", by_default([(1, 0.0), (2, 0.0), (3, -0.5)], (2, 0.0)))
def test_of_a_diagonal_network_it_is_the_mean_of_squared_logarithms(case):
    k, target = case
    a = np.array([0.9, 0.5, 0.2])
    cell, params = linear(a)
    xs = jnp.zeros((2000, 1))

    def penalty(params):
        return lyapunov_penalty(cell, params, xs, k=k, target=target, every=4)

    value, gradient = jax.value_and_grad(penalty)(params)
    off = np.log(a[:k]) - target
    np.testing.assert_allclose(value, np.mean(off**2), rtol=5e-3)
    expected = np.pad(2 * off / a[:k] / k, (0, 3 - k))
    slopes = jnp.diag(gradient["recurrent_kernel"])
    np.testing.assert_allclose(slopes, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    by_default(cells := [GRU(2, 5), LSTM(2, 3), Stack((Elman(2, 3),))], *cells[:1]),
)
@pytest.mark.parametrize("every", by_default([1, 4], 4))
def test_the_gradient_is_that_of_differences_and_the_value_the_spectrums(cell, every):
    params, xs = params_of(cell), inputs_of(cell, (30, 2))
    lengths, d = jnp.array([30, 17]), random_like(params_of(cell), 9)

    def penalty(params):
        options = {"every": every, "lengths": lengths, "target": -0.1}
        return lyapunov_penalty(cell, params, xs, k=3, **options)

    spectrum = jaxrnn.lyapunov_spectrum(
        cell, params, xs, k=3, lengths=lengths, warmup=0, every=every
    )
    expected = jnp.mean((spectrum.exponents + 0.1) ** 2)
    value, gradient = jax.jit(jax.value_and_grad(penalty))(params)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(d), strict=True)
    slope = sum(jnp.vdot(a, b) for a, b in pairs)
    h = 1e-5
    ahead, behind = (jax.tree.map(lambda a, b: a + s * b, params, d) for s in (h, -h))  # noqa: B023
    difference = (penalty(ahead) - penalty(behind)) / (2 * h)
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


@pytest.mark.slow
def test_descending_it_opens_as_many_ways_as_are_asked_for():
    cell = Elman(1, 10)
    params = params_of(cell)
    xs = inputs_of(cell, (60, 2))

    @jax.jit
    def advance(params, _):
        loss = lambda params: lyapunov_penalty(cell, params, xs, k=3)  # noqa: E731
        value, gradient = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

    params, values = jax.lax.scan(advance, params, length=80)
    assert values[0] > 5 * values[-1] and values[-1] < 0.01
    after = jaxrnn.lyapunov_spectrum(cell, params, xs, k=4, warmup=0).exponents.mean(0)
    assert jnp.all(jnp.abs(after[:3]) < 0.15)


def test_a_direction_that_is_lost_is_told_by_infinity():
    cell, params = linear([1.0, 0.5, 0.0])
    xs = jnp.zeros((40, 1))
    assert jnp.isinf(lyapunov_penalty(cell, params, xs, k=3))
    first = jax.grad(lambda params: lyapunov_penalty(cell, params, xs, k=2))(params)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(first))


@pytest.mark.parametrize("target", ["0", np.inf, None])
def test_a_target_that_is_no_number_is_refused(target):
    cell, params = linear([1.0])
    with pytest.raises(ValueError, match=r"lyapunov_penalty: target is .*finite number"):
        lyapunov_penalty(cell, params, jnp.zeros((4, 1)), target=target)
