"""Gradients through time against closed forms, hand-written recursions and products."""

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Elman,
    Embedding,
    Scan,
    Stack,
    carry_gradients,
    gradient_norms,
    input_gradients,
    trajectory,
    unroll,
)

T = 8


def last_output(ys):
    return jnp.sum(ys[-1] * jnp.arange(1.0, 1 + ys.shape[-1]))


def test_linear_elman_has_powers_of_its_kernel():
    """dL/dh_t = U^(T-t) dL/dh_T, in row vectors dL/dh_T (U^T)^(T-t)."""
    cell = Elman(3, 5, activation="identity")
    params, xs = params_of(cell), inputs_of(cell, (T,))
    gradients = carry_gradients(last_output, cell, params, xs)
    U, expected = np.asarray(params["recurrent_kernel"]), np.arange(1.0, 6)
    for t in reversed(range(T)):
        np.testing.assert_allclose(gradients[t], expected, rtol=1e-12)
        expected = U @ expected


def test_orthogonal_linear_elman_keeps_the_norm_for_a_thousand_steps(key):
    cell = Elman(3, 16, activation="identity")
    norms = gradient_norms(last_output, cell, cell.init(key), jnp.zeros((1000, 3)))
    np.testing.assert_allclose(norms, np.linalg.norm(np.arange(1.0, 17)), rtol=1e-11)


def test_tanh_elman_is_the_product_of_its_jacobians_in_backward_order():
    """dL/dh_(t-1) = U (1 - h_t^2) dL/dh_t, with Jacobians that do not commute."""
    cell = Elman(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (T,))
    hs, U = np.asarray(trajectory(cell, params, xs)), params["recurrent_kernel"]
    jacobians = [np.asarray(U) * (1 - h**2) for h in hs]
    commutator = jacobians[1] @ jacobians[2] - jacobians[2] @ jacobians[1]
    assert np.linalg.norm(commutator) > 0.1
    gradients = carry_gradients(last_output, cell, params, xs)
    expected = np.arange(1.0, 6)
    for t in reversed(range(T)):
        np.testing.assert_allclose(gradients[t], expected, rtol=1e-11)
        expected = jacobians[t] @ expected


def test_lstm_joint_state_and_the_textbook_delta_c():
    """Back-propagation by hand: dL/dc_t at fixed h_t, and delta c_t from the two."""
    cell = LSTM(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (T,))
    carries = trajectory(cell, params, xs)
    gradients = carry_gradients(last_output, cell, params, xs)
    U = [np.asarray(block) for block in jnp.split(params["recurrent_kernel"], 4, axis=1)]
    dh, dc = np.arange(1.0, 6), np.zeros(5)
    before = cell.initial_carry(params)
    previous = [before] + [jax.tree.map(lambda a: a[t], carries) for t in range(T - 1)]  # noqa: B023
    for t in reversed(range(T)):
        np.testing.assert_allclose(gradients.h[t], dh, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(gradients.c[t], dc, rtol=1e-10, atol=1e-14)
        drive = cell.project(params, xs[t])
        gate = jax.tree.map(np.asarray, cell.gates(params, previous[t], drive))
        i, f, g, o = (gate[name] for name in "ifgo")
        tanh_c = np.tanh(carries.c[t])
        delta_c = dc + dh * o * (1 - tanh_c**2)
        dz = (
            delta_c * g * i * (1 - i),
            delta_c * np.asarray(previous[t].c) * f * (1 - f),
            delta_c * i * (1 - g**2),
            dh * tanh_c * o * (1 - o),
        )
        dh = sum(block @ z for block, z in zip(U, dz, strict=True))
        dc = delta_c * f


@pytest.mark.parametrize("reverse", [False, True])
def test_input_gradients_are_products_of_jacobians_and_the_kernel(reverse):
    """dL/dx_t = W (1 - h_t^2) dL/dh_t, zero where nothing was read."""
    cell = Elman(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (T, 2))
    options = {"lengths": jnp.array([T, 5]), "reverse": reverse}

    def total(ys):
        return jnp.sum(ys**2 @ jnp.arange(1.0, 6))

    hs = np.asarray(trajectory(cell, params, xs, **options))
    dh = np.asarray(carry_gradients(total, cell, params, xs, **options))
    expected = ((1 - hs**2) * dh) @ np.asarray(params["kernel"]).T
    expected[5:, 1] = 0
    actual = input_gradients(total, cell, params, xs, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-11)
    assert np.abs(expected[:5]).min() > 0


def test_input_gradients_of_integers_are_refused():
    cell = Stack((Embedding(7, 3), Elman(3, 4)))
    with pytest.raises(TypeError, match="input_gradients: xs has the dtype int"):
        input_gradients(jnp.sum, cell, params_of(cell), jnp.zeros(5, int))


def test_a_loss_at_every_step_adds_up():
    cell = GRU(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (T, 2))
    weights = inputs_of(Dense(5, 1), (T, 2), seed=7)
    total = carry_gradients(lambda ys: jnp.sum(ys**2 * weights), cell, params, xs)
    parts = [
        carry_gradients(
            lambda ys, t=t: jnp.sum(ys[t] ** 2 * weights[t]), cell, params, xs
        )
        for t in range(T)
    ]
    np.testing.assert_allclose(total, sum(parts), rtol=1e-11, atol=1e-13)
    for t, part in enumerate(parts):
        np.testing.assert_array_equal(part[t + 1 :], 0)  # nothing flows into the future


@pytest.mark.slow
def test_examples_of_a_batch_do_not_mix():
    cell = Stack((GRU(3, 4), LSTM(4, 5), Dense(5, 2)))
    params, xs = params_of(cell), inputs_of(cell, (T, 3))
    batch = gradient_norms(lambda ys: jnp.sum(ys[-1] ** 2), cell, params, xs)
    for b in range(3):
        one = gradient_norms(lambda ys: jnp.sum(ys[-1] ** 2), cell, params, xs[:, b])
        for together, alone in zip(
            jax.tree.leaves(batch), jax.tree.leaves(one), strict=True
        ):
            np.testing.assert_allclose(together[:, b], alone, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("transform", ["jit", "vmap_params", "grad_of_norms"])
def test_carry_gradients_are_ordinary_functions(transform):
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (4, 2))

    def norms(params):
        return gradient_norms(last_output_of_all, cell, params, xs).h

    if transform == "jit":
        np.testing.assert_allclose(jax.jit(norms)(params), norms(params), rtol=1e-12)
    elif transform == "vmap_params":
        both = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
        twice = jax.tree.map(lambda a: 2 * a, params)
        expected = [norms(params), norms(twice)]
        np.testing.assert_allclose(jax.vmap(norms)(both), expected, rtol=1e-11)
    else:
        slope = jax.grad(lambda params: norms(params).sum())(params)
        step = 1e-6
        direction = params_of(cell, seed=5)

        def shifted(amount):
            return norms(
                jax.tree.map(lambda p, d: p + amount * d, params, direction)
            ).sum()

        ends = shifted(step), shifted(-step)
        expected = (ends[0] - ends[1]) / (2 * step)
        along = jax.tree.map(lambda s, d: jnp.sum(s * d), slope, direction)
        actual = sum(jax.tree.leaves(along))
        np.testing.assert_allclose(actual, expected, rtol=1e-7)


def last_output_of_all(ys):
    return jnp.sum(ys[-1] ** 2)


@pytest.mark.slow
def test_hessian_of_a_small_lstm_is_symmetric_and_equals_differences():
    cell = LSTM(2, 2)
    params, xs = params_of(cell), inputs_of(cell, (4,))
    flat, unflatten = jax.flatten_util.ravel_pytree(params)

    def loss(flat):
        return jnp.sum(unroll(cell, unflatten(flat), xs)[1] ** 2)

    hessian = np.asarray(jax.hessian(loss)(flat))
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-10, atol=1e-13)
    gradient, step = jax.jit(jax.grad(loss)), 1e-5
    for column, unit in enumerate(np.eye(len(flat))):
        up, down = gradient(flat + step * unit), gradient(flat - step * unit)
        expected = (up - down) / (2 * step)
        np.testing.assert_allclose(hessian[:, column], expected, rtol=1e-5, atol=1e-8)


# Norms.


class _Scaled(Cell):
    """h' = s h + x: the gradient shrinks by s at every step, in a (2, 3) carry."""

    scale: float
    input_size: int = 3

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return {"h": jnp.zeros((2, 3)), "t": jnp.zeros((), int)}

    def step(self, params, carry, drive):
        return {"h": self.scale * carry["h"] + drive[None], "t": carry["t"] + 1}

    def output(self, params, carry, drive):
        return carry["h"]


def test_norms_run_over_all_feature_axes_and_integers_have_none():
    cell = _Scaled(0.5)
    xs = jnp.ones((4, 2, 3))
    norms = gradient_norms(lambda ys: jnp.sum(ys[-1]), cell, (), xs)
    expected = np.sqrt(6) * 0.5 ** np.arange(4)[::-1]
    np.testing.assert_allclose(norms["h"], np.stack([expected] * 2, 1), rtol=1e-13)
    np.testing.assert_array_equal(norms["t"], np.zeros((4, 2)))
    gradients = carry_gradients(lambda ys: jnp.sum(ys[-1]), cell, (), xs)
    assert gradients["t"].dtype == jax.dtypes.float0
    assert gradients["t"].shape == (4, 2)


@pytest.mark.usefixtures("promotion")
def test_norms_do_not_underflow_or_overflow_before_the_gradient_does():
    for scale in (1e-9, 1e9):
        xs = jnp.ones((5, 3), "float32")
        cell = _Scaled(scale)
        norms = gradient_norms(lambda ys: jnp.sum(ys[-1]), cell, (), xs)["h"]
        expected = np.sqrt(6) * np.float64(scale) ** np.arange(5)[::-1]
        np.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_the_norm_of_zero_is_zero_and_of_nan_is_nan():
    cell = Elman(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (4,))
    norms = gradient_norms(lambda ys: jnp.sum(ys[1]), cell, params, xs)
    np.testing.assert_array_equal(norms[2:], 0)
    assert (norms[:2] > 0).all()
    broken = gradient_norms(
        lambda ys: jnp.sum(ys[-1]), cell, params, xs.at[2].set(jnp.nan)
    )
    assert np.isnan(broken).tolist() == [True, True, True, False]


@pytest.mark.usefixtures("promotion")
def test_complex_carries_have_real_norms():
    cell = _Rotation(3)
    norms = gradient_norms(lambda ys: jnp.sum(ys.real[-1]), cell, (), jnp.ones((6, 3)))
    np.testing.assert_allclose(norms, np.full(6, np.sqrt(3)), rtol=1e-13)


class _Rotation(Cell):
    input_size: int

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(self.input_size, complex)

    def step(self, params, carry, drive):
        return jnp.exp(0.3j) * carry + drive


# The program.


# Forward, in the backward pass again, and dz U^T; x W and h U may be one product forward.
@pytest.mark.parametrize(
    ("cell", "count"), [(Elman(3, 5), 4), (LSTM(3, 5), 4), (GRU(3, 5), 5)]
)
def test_no_gradient_with_respect_to_parameters_is_computed(cell, count):
    """One product of the recurrence's transpose a step, and none for the weights."""
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, 2, 3))

    def products(method):
        gradients = functools.partial(carry_gradients, method=method)
        program = jax.jit(lambda p, xs: gradients(last_output_of_all, cell, p, xs))
        return program.lower(params, xs).as_text().count("stablehlo.dot_general")

    assert products(Scan(autodiff=True)) == 3  # x W, h U and its transpose
    assert products(Scan()) == count


def test_memory_is_that_of_the_carries():
    """Temporaries: not even those of the gradient with respect to parameters."""
    cell, T, B = LSTM(32, 64), 100, 8
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, B, 32))

    def temporaries(function):
        compiled = jax.jit(function).lower(params, xs).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    def loss(params, xs):
        return last_output_of_all(unroll(cell, params, xs)[1])

    ordinary = temporaries(jax.grad(loss, argnums=(0, 1)))
    ours = temporaries(lambda p, xs: gradient_norms(last_output_of_all, cell, p, xs))
    assert ours <= ordinary
