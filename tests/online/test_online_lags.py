"""What estimators know of a step long past, against products of whole Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, RTRL, UORO, Elman, OneStep, SnAp

T, B, AT = 7, 2, 2


def loss(y, target):
    return jnp.sum(jnp.sin(y + target))


def example(cell):
    targets = jnp.asarray(np.random.default_rng(9).normal(size=(T, B)))
    return params_of(cell), inputs_of(cell, (T, B)), targets


def gradients(cell, cut=lambda J: J):
    """Of every lag, through the params at step AT alone; `cut` changes J on its way."""
    params, xs, targets = example(cell)
    flat, back = ravel_pytree(params)
    new = lambda h, flat, x: cell(back(flat), h, x)[0]  # noqa: E731
    jacobians = jax.jit(jax.jacrev(new, (0, 1)))
    found = np.zeros((T - AT, flat.size))
    for b in range(B):
        h, M = jnp.zeros(cell.hidden_size), 0.0
        for t in range(T):
            J, D = jacobians(h, flat, xs[t, b])
            h = new(h, flat, xs[t, b])
            M = cut(np.asarray(J)) @ M if t > AT else np.asarray(D) if t == AT else M
            if t >= AT:
                found[t - AT] += np.asarray(jax.grad(loss)(h, targets[t, b])) @ M
    return found


def measured(cell, method, **options):
    return jaxrnn.online_lags(loss, cell, *example(cell), at=AT, method=method, **options)


def test_the_cosine_and_the_bias_are_those_of_explicit_gradients():
    cell = Elman(3, 4)
    exact, found = gradients(cell), gradients(cell, lambda J: np.diag(np.diag(J)))
    lags, size = measured(cell, SnAp(1)), np.linalg.norm(exact, axis=1)
    cosine = (exact * found).sum(1) / size / np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lags.exact, size, rtol=1e-10)
    np.testing.assert_allclose(lags.cosine, cosine, atol=1e-10)
    off = np.linalg.norm(found - exact, axis=1) / size
    np.testing.assert_allclose(lags.bias, off, atol=1e-10)
    np.testing.assert_allclose(lags.spread, 0, atol=1e-10)


@pytest.mark.slow
def test_the_ends_of_the_scale():
    exact, none = measured(GRU(3, 4), RTRL()), measured(GRU(3, 4), OneStep())
    np.testing.assert_allclose(exact.cosine, 1, rtol=1e-10)
    np.testing.assert_allclose(exact.bias, 0, atol=1e-10)
    np.testing.assert_allclose(none.cosine, [1, 0, 0, 0, 0], atol=1e-10)
    np.testing.assert_allclose(none.bias, [0, 1, 1, 1, 1], atol=1e-10)


@pytest.mark.slow
def test_uoro_has_no_bias_and_a_spread_that_grows():
    """The mean of n samples is off by about spread / sqrt(n)."""
    count = 4000
    lags = measured(Elman(3, 4), UORO(), method_key=jax.random.key(0), samples=count)
    expected = lags.spread / np.sqrt(count)
    assert np.all(lags.bias < 2 * expected) and np.all(lags.bias > 0.3 * expected)
    assert lags.spread[3] > 2 * lags.spread[0] > 0


@pytest.mark.parametrize("at", [-1, T, 1.0, True])
def test_steps_outside_are_refused(at):
    cell = Elman(3, 4)
    with pytest.raises(
        ValueError, match=r"online_lags: at is .* expected a step in 0\.\.6"
    ):
        jaxrnn.online_lags(loss, cell, *example(cell), at=at)
