"""The smoother that is parallel in time, against dense least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default

from jaxrnn.methods.kalman import MATRICES, NUMBERS, smoothed


def least_squares(F, c, y, damping):
    """min over h of sum_t |h_t - F_t h_(t-1) - c_t|^2 + damping |h_t - y_t|^2."""
    T, n = c.shape
    motion = np.eye(T * n)
    for t in range(1, T):
        motion[t * n : (t + 1) * n, (t - 1) * n : t * n] = -F[t]
    root = np.sqrt(damping)
    rows = np.concatenate([motion, root * np.eye(T * n)])
    right = np.concatenate([c.ravel(), root * y.ravel()])
    return np.linalg.lstsq(rows, right)[0].reshape(T, n)


@pytest.mark.parametrize("damping", [0.3, pytest.param(50.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("T", by_default([1, 2, 7], 2, 7))
def test_of_matrices_and_of_numbers_it_is_the_least_squares_solution(T, damping):
    rng = np.random.default_rng(T)
    F, c, y = (rng.normal(size=(T, *shape)) for shape in ((3, 3), (3,), (3,)))
    found = smoothed(*map(jnp.asarray, (F, c, y)), damping, MATRICES)
    np.testing.assert_allclose(found, least_squares(F, c, y, damping), atol=1e-12)
    found = smoothed(*map(jnp.asarray, (F[:, 0], c, y)), damping, NUMBERS)
    diagonal = np.stack([np.diag(row) for row in F[:, 0]])
    np.testing.assert_allclose(found, least_squares(diagonal, c, y, damping), atol=1e-12)


def test_products_have_all_their_digits_on_accelerators():
    given = jnp.ones((3, 2, 2)), jnp.ones((3, 2)), jnp.ones((3, 2))
    jaxpr = jax.make_jaxpr(lambda *given: smoothed(*given, 0.5, MATRICES))(*given)
    products = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "dot_general"]
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert products and all(eqn.params["precision"] == highest for eqn in products)


def test_without_damping_it_is_the_recurrence():
    rng = np.random.default_rng(0)
    F, c, y = (rng.normal(size=(7, *shape)) for shape in ((3, 3), (3,), (3,)))
    h, expected = np.zeros(3), []
    for t in range(7):
        h = F[t] @ h + c[t]
        expected.append(h)
    found = smoothed(*map(jnp.asarray, (F, c, y)), 0.0, MATRICES)
    np.testing.assert_allclose(found, expected, atol=1e-12)
