"""Jacobians of steps: against derivatives of the step, and of each other's products."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from zoo import Turning, inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, Bidirectional, Elman, Stack, Zoneout

T, B = 6, 2
CELLS = {
    "elman": Elman(3, 4),
    "lstm": LSTM(3, 4),
    "gru": GRU(3, 4),
    "stack": Stack((LSTM(3, 4), GRU(4, 2))),
    "zoneout": Zoneout(LSTM(3, 4), 0.25),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


def example(cell):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = random_like(jaxrnn.batched_carry(cell, params, (B,)), seed=3)
    return params, xs, carry


def vector(carry):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(carry)])


@cells
def test_they_are_the_derivatives_of_the_step_by_central_differences(cell):
    params, xs, carry = example(cell)
    actual = jaxrnn.step_jacobians(cell, params, xs, carry)
    for b in range(B):
        now = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        for t in range(T):
            flat, back = jax.flatten_util.ravel_pytree(now)
            for j in range(flat.size):
                e = 1e-6 * np.eye(flat.size)[j]
                above, _ = cell(params, back(flat + e), xs[t, b])
                below, _ = cell(params, back(flat - e), xs[t, b])
                column = (vector(above) - vector(below)) / 2e-6
                np.testing.assert_allclose(actual[t, b, :, j], column, atol=1e-8)
            now, _ = cell(params, now, xs[t, b])


@cells
def test_their_product_is_the_derivative_of_the_run(cell):
    params, xs, carry = example(cell)
    jacobians = jaxrnn.step_jacobians(cell, params, xs, carry)
    tangent = random_like(carry, seed=5)
    expected = jaxrnn.carry_tangents(tangent, cell, params, xs, carry)
    for b in range(B):
        moved = vector(jax.tree.map(lambda leaf, b=b: leaf[b], tangent))
        for t in range(T):
            moved = jacobians[t, b] @ moved
            now = vector(jax.tree.map(lambda leaf, t=t, b=b: leaf[t, b], expected))
            np.testing.assert_allclose(moved, now, atol=1e-12)


def test_the_product_backwards_is_the_carry_gradient():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)
    weights = jnp.arange(1.0, 5)
    gradients = jaxrnn.carry_gradients(
        lambda ys: jnp.sum(ys[-1] @ weights), cell, params, xs, carry
    )
    jacobians = jaxrnn.step_jacobians(cell, params, xs, carry)
    now = np.concatenate([weights, np.zeros(4)])
    for t in reversed(range(T)):
        one = np.concatenate([gradients.h[t, 0], gradients.c[t, 0]])
        np.testing.assert_allclose(one, now, atol=1e-12)
        now = now @ jacobians[t, 0]


def test_masked_steps_have_the_identity_and_resets_zeros():
    cell = Elman(3, 4)
    params, xs, carry = example(cell)
    mask = jnp.array([1, 0, 1, 1, 1, 0], bool)[:, None] & jnp.ones((1, B), bool)
    resets = jnp.array([0, 0, 0, 1, 0, 0], bool)[:, None] & jnp.ones((1, B), bool)
    holes = jnp.where(mask[..., None], xs, jnp.nan)
    actual = jaxrnn.step_jacobians(cell, params, holes, carry, mask=mask, resets=resets)
    np.testing.assert_array_equal(actual[1, 0], np.eye(4))
    np.testing.assert_array_equal(actual[3, 0], np.zeros((4, 4)))
    h = carry[0]
    for t in (0, 2):
        h, _ = cell(params, h, xs[t, 0])
        expected = (1 - h**2)[:, None] * params["recurrent_kernel"].T
        np.testing.assert_allclose(actual[t, 0], expected, atol=1e-12)
    h = jnp.zeros(4)
    for t in (3, 4):
        h, _ = cell(params, h, xs[t, 0])
    expected = (1 - h**2)[:, None] * params["recurrent_kernel"].T
    np.testing.assert_allclose(actual[4, 0], expected, atol=1e-12)


def test_noise_is_that_of_the_run():
    cell = Zoneout(Elman(3, 4), 0.5)
    params, xs, carry = example(cell)
    key = jax.random.key(7)
    jacobians = jaxrnn.step_jacobians(cell, params, xs, carry, key=key)
    tangent = jnp.ones((B, 4))
    expected = jaxrnn.carry_tangents(tangent, cell, params, xs, carry, key=key)
    moved = jnp.einsum("bij,bj->bi", jacobians[0], tangent)
    np.testing.assert_allclose(moved, expected[0], atol=1e-12)
    assert np.any(
        np.all(np.asarray(jacobians) == np.eye(4), -1)
    )  # units that kept their value


def test_they_can_be_differentiated():
    cell = Elman(3, 4)
    params, xs, carry = example(cell)

    def size(params):
        return jnp.sum(jaxrnn.step_jacobians(cell, params, xs, carry) ** 2)

    check_grads(size, (params,), 1, modes=["rev"])


@pytest.mark.parametrize("measure", [jaxrnn.step_jacobians, jaxrnn.lyapunov_spectrum])
def test_a_cell_of_whole_sequences_is_refused(measure):
    cell = Bidirectional(Elman(3, 4), Elman(3, 4))
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    with pytest.raises(TypeError, match=f"{measure.__name__}.*cannot take a single step"):
        measure(cell, params, xs)


def test_a_tangent_of_another_shape_is_refused():
    cell = LSTM(3, 4)
    params, xs, _ = example(cell)
    with pytest.raises(ValueError, match="carry_tangents: tangent has the shapes"):
        jaxrnn.carry_tangents(jnp.ones(4), cell, params, xs)


def test_spectral_radius():
    matrices = np.random.default_rng(0).normal(size=(3, 2, 5, 5))
    expected = np.abs(np.linalg.eigvals(matrices)).max(-1)
    actual = jaxrnn.spectral_radius(jnp.asarray(matrices))
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_singular_values_of_products_are_those_of_the_products():
    matrices = np.random.default_rng(0).normal(size=(7, 2, 3, 3))
    actual = jaxrnn.product_singular_values(jnp.asarray(matrices), 4)
    for lag in range(1, 5):
        logs = []
        for t in range(lag - 1, 7):
            product = np.stack([np.eye(3)] * 2)
            for s in range(t - lag + 1, t + 1):
                product = matrices[s] @ product
            logs.append(np.log(np.linalg.svd(product, compute_uv=False)))
        np.testing.assert_allclose(actual[lag - 1], np.mean(logs, 0), rtol=1e-9)


@pytest.mark.parametrize("size", [1e-40, 1e40])
def test_long_products_neither_under_nor_overflow(size):
    matrices = jnp.tile(size * jnp.eye(2), (30, 1, 1))
    actual = jaxrnn.product_singular_values(matrices, 20)
    expected = np.log(size) * np.arange(1, 21)
    np.testing.assert_allclose(actual[:, 0], expected, rtol=1e-10)


def test_a_product_that_is_zero_has_minus_infinity_and_no_nan():
    matrices = jnp.stack([jnp.eye(2), jnp.zeros((2, 2)), jnp.eye(2)])
    actual = jaxrnn.product_singular_values(matrices, 3)
    assert not jnp.any(jnp.isnan(actual))
    np.testing.assert_array_equal(actual[-1], [-np.inf, -np.inf])


def test_some_lags_and_some_starts_are_those_of_explicit_products():
    jacobians = np.random.default_rng(3).normal(size=(9, 2, 3, 3))
    lags, stride = (4, 1, 7), 2
    actual = jaxrnn.product_singular_values(jnp.asarray(jacobians), lags, stride=stride)
    for row, lag in zip(actual, lags, strict=True):
        logs = []
        for start in range(0, 9 - lag + 1, stride):
            product = np.eye(3)
            for t in range(start, start + lag):
                product = jacobians[t] @ product
            logs.append(np.log(np.linalg.svd(product, compute_uv=False)))
        np.testing.assert_allclose(row, np.mean(logs, 0), rtol=1e-10, atol=1e-12)
    every = jaxrnn.product_singular_values(jnp.asarray(jacobians), np.int64(7))
    some = jaxrnn.product_singular_values(jnp.asarray(jacobians), [7, 4])
    np.testing.assert_allclose(some, every[np.array([6, 3])], rtol=1e-12)


@pytest.mark.slow
def test_a_complex_carry_has_real_coordinates():
    """Real parts, then imaginary ones: by central differences, and in a product."""
    cell = Turning()
    params, xs = cell.init(None), inputs_of(cell, (T,))
    carry = {"h": jnp.array([0.3 - 0.2j, 0.1 + 0.4j]), "s": jnp.array([0.2])}
    actual = jax.jit(lambda: jaxrnn.step_jacobians(cell, params, xs, carry))()

    def parts(carry):
        return np.concatenate([carry["h"].real, carry["h"].imag, carry["s"]])

    def put(vector):
        return {
            "h": jnp.asarray(vector[:2] + 1j * vector[2:4]),
            "s": jnp.asarray(vector[4:]),
        }

    step = jax.jit(cell)
    now = carry
    for t in range(T):
        for j in range(5):
            e = 1e-6 * np.eye(5)[j]
            above, below = (
                parts(step(params, put(parts(now) + d), xs[t])[0]) for d in (e, -e)
            )
            np.testing.assert_allclose(actual[t, :, j], (above - below) / 2e-6, atol=1e-8)
        now, _ = step(params, now, xs[t])
    start = {"h": jnp.array([1j, 0]), "s": jnp.zeros(1)}
    tangents = jaxrnn.carry_tangents(start, cell, params, xs, carry)
    last = jax.tree.map(lambda leaf: leaf[-1], tangents)
    product = np.linalg.multi_dot([np.asarray(J) for J in actual[::-1]])
    np.testing.assert_allclose(parts(last), product[:, 2], rtol=1e-10)


def test_complex_matrices_have_real_singular_values():
    matrices = jnp.asarray(
        np.random.default_rng(4).normal(size=(2, 3, 3, 2)) @ [1.0, 1.0j]
    )
    logs = jaxrnn.product_singular_values(matrices, 2)
    product = np.asarray(matrices[1] @ matrices[0])
    np.testing.assert_allclose(
        logs[1], np.log(np.linalg.svd(product, compute_uv=False)), rtol=1e-10
    )


@pytest.mark.parametrize("lags", [0, 8, True, 2.0, (), (1, 8), "12"])
def test_lags_out_of_range_are_refused(lags):
    with pytest.raises(ValueError, match="product_singular_values: lags is"):
        jaxrnn.product_singular_values(jnp.ones((7, 3, 3)), lags)
