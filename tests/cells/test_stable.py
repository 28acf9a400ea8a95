"""Cells from differential equations: their papers, and what keeps them stable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from papers import blocks, equals_paper, every_bias, relu, sigmoid, sums, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import cells, trajectory, unroll
from jaxrnn.cells.stable.orthogonal import exponential, henaff

YZ = cells.YZCarry


def bias(params, size=5):
    return params.get("bias", np.zeros(size))


def turned(x, U):
    """U^T x, by columns as papers have it."""
    return U.T @ x


def antisymmetric(cell, params, h, x):
    W = params["recurrent_kernel"].T
    A = W - W.T - cell.gamma * np.eye(5)
    a = A @ h + turned(x, params["kernel"]) + bias(params)
    h = h + cell.epsilon * np.tanh(a)
    return h, h, {}


def gated_antisymmetric(cell, params, h, x):
    W = params["recurrent_kernel"].T
    Ah = (W - W.T - cell.gamma * np.eye(5)) @ h
    V, b = blocks(params, "kernel", "zh"), blocks(params, "bias", "zh")
    z = sigmoid(Ah + turned(x, V["z"]) + b["z"])
    g = np.tanh(Ah + turned(x, V["h"]) + b["h"])
    h = h + cell.epsilon * z * g
    return h, h, {"i": z, "g": g}


def cornn(cell, params, carry, x):
    y, z = carry
    W, curly = np.split(params["recurrent_kernel"], 2)
    u = turned(y, W) + turned(z, curly) + turned(x, params["kernel"]) + bias(params)
    pull = cell.gamma * y
    if cell.implicit:  # z' = z + dt (tanh(u) - gamma y - epsilon z'), solved
        new = (z + cell.dt * np.tanh(u) - cell.dt * pull) / (1 + cell.dt * cell.epsilon)
    else:
        new = z + cell.dt * np.tanh(u) - cell.dt * pull - cell.dt * cell.epsilon * z
    return YZ(y + cell.dt * new, new), y + cell.dt * new, {}


def unicornn(cell, params, carry, x):
    y, z = carry
    step = cell.dt * (0.5 + 0.5 * np.tanh(params["control"] / 2))
    u = params["recurrent_scale"] * y + turned(x, params["kernel"]) + bias(params)
    z = z - step * (np.tanh(u) + cell.alpha * y)
    return YZ(y + step * z, z), y + step * z, {}


def lem(cell, params, carry, x):
    y, z = carry
    first = sums(params, x, y, "12zy")
    s, r = cell.dt * sigmoid(first["1"]), cell.dt * sigmoid(first["2"])
    g = np.tanh(first["z"])
    z = z + s * (g - z)
    n = np.tanh(sums(params, x, z, "12zy")["y"])
    y = y + r * (n - y)
    return YZ(y, z), y, {"s": s, "r": r, "g": g, "n": n}


def lipschitz(cell, params, h, x):
    def stable(M):
        symmetric, antisymmetric = M + M.T, M - M.T
        mixed = (1 - cell.beta) * symmetric + cell.beta * antisymmetric
        return mixed - cell.gamma * np.eye(5)

    A, W = map(stable, np.split(params["recurrent_kernel"], 2, axis=1))

    def f(h):
        return h @ A + np.tanh(h @ W + x @ params["kernel"] + bias(params))

    middle = h + cell.epsilon / 2 * f(h) if cell.solver == "midpoint" else h
    h = h + cell.epsilon * f(middle)
    return h, h, {}


def exprnn(cell, params, h, x):
    A = params["recurrent_kernel"]
    z = turned(x, params["kernel"]) + scipy.linalg.expm(A.T - A) @ h
    sign = np.where(z.real > 0, 1, -1)
    h = sign * relu(sign * z + bias(params))
    return h, h, {}


def ctrnn(cell, params, h, x):
    act = {"tanh": np.tanh, "sigmoid": sigmoid}[cell.activation]
    W, U = params["kernel"], params["recurrent_kernel"]
    if cell.state == "rate":
        slope = -h + act(x @ W + h @ U + bias(params))
    else:
        slope = -h + act(h) @ U + x @ W + bias(params)
    h = h + cell.dt * slope / cell.tau
    return h, (h if cell.state == "rate" else act(h)), {}


STEPS = {
    cells.AntisymmetricRNN: antisymmetric,
    cells.GatedAntisymmetricRNN: gated_antisymmetric,
    cells.CoRNN: cornn,
    cells.UnICORNN: unicornn,
    cells.LEM: lem,
    cells.LipschitzRNN: lipschitz,
    cells.ExpRNN: exprnn,
    cells.CTRNN: ctrnn,
}
# Products by parameters in a step, where there is not one.
TAPS = {cells.UnICORNN: 0, cells.LEM: 2}
OPTIONS = [
    cells.AntisymmetricRNN(3, 5, epsilon=0.7, gamma=0.3),
    cells.GatedAntisymmetricRNN(3, 5, epsilon=0.7, gamma=0.3),
    cells.CoRNN(3, 5, dt=0.3, gamma=2.7, epsilon=4.7),
    cells.CoRNN(3, 5, dt=0.3, gamma=2.7, epsilon=4.7, implicit=True),
    cells.UnICORNN(3, 5, dt=0.7, alpha=0.9),
    cells.LEM(3, 5, dt=0.6),
    cells.LipschitzRNN(3, 5, beta=0.6, gamma=0.2, epsilon=0.5),
    cells.LipschitzRNN(3, 5, beta=0.6, gamma=0.2, epsilon=0.5, solver="midpoint"),
    cells.CTRNN(3, 5, tau=3.0, dt=2.0, activation="sigmoid"),
    cells.CTRNN(3, 5, state="current"),
]


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 5, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("cell", OPTIONS, ids=repr)
def test_every_option_is_the_papers(cell):
    equals_paper(cell, STEPS[type(cell)])


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(kind(3, 5)) == TAPS.get(kind, 1)


def test_both_products_of_the_midpoint_are_found():
    assert taps(cells.LipschitzRNN(3, 5, solver="midpoint")) == 2


def jacobian(cell, params, carry, x):
    """Of the next carry in this one."""
    prepared = cell.prepare(params)
    drive = cell.project(prepared, x)
    return jax.jit(jax.jacobian(lambda c: cell.step(prepared, c, drive)))(carry)


def one(cell):
    params = params_of(cell)
    return params, carry_of(cell, params), inputs_of(cell, ())


def test_nothing_grows_or_decays_in_the_equation_of_the_antisymmetric_network():
    """Its Jacobian, (dh'/dh - I) / epsilon, has imaginary eigenvalues."""
    cell = cells.AntisymmetricRNN(3, 5, epsilon=0.5, gamma=0.0)
    J = (jacobian(cell, *one(cell)) - np.eye(5)) / cell.epsilon
    rates = np.linalg.eigvals(J)
    np.testing.assert_allclose(rates.real, 0, atol=1e-14)
    assert np.sum(np.abs(rates.imag) > 0.1) == 4


@pytest.mark.parametrize("kind", [cells.AntisymmetricRNN, cells.LipschitzRNN])
def test_gamma_is_the_rate_at_which_the_matrices_damp(kind):
    cell = kind(3, 5, gamma=0.3, **({"beta": 1.0} if kind is cells.LipschitzRNN else {}))
    matrices = cell.made(params_of(cell))
    for matrix in np.split(matrices, matrices.shape[1] // 5, axis=1):
        np.testing.assert_allclose(np.linalg.eigvals(matrix).real, -0.3, rtol=1e-13)


def test_beta_goes_from_the_antisymmetric_to_the_symmetric():
    M, N = np.split(params_of(cells.LipschitzRNN(3, 5))["recurrent_kernel"], 2, axis=1)
    for beta, of in (0.5, lambda M: M), (0.0, lambda M: M + M.T):
        cell = cells.LipschitzRNN(3, 5, beta=beta, gamma=0.0)
        made = cell.made({"recurrent_kernel": np.concatenate([M, N], axis=1)})
        expected = np.concatenate([of(M), of(N)], axis=1)
        np.testing.assert_allclose(made, expected, rtol=1e-14)


def test_the_energy_of_the_implicit_oscillators_is_bounded():
    """By what the drive, which is a tanh, can have put in; with any parameters."""
    cell = cells.CoRNN(3, 5, dt=0.5, gamma=0.8, epsilon=0.5, implicit=True)
    params = jax.tree.map(lambda leaf: 10 * leaf, params_of(cell))
    carries = trajectory(cell, params, 1e3 * inputs_of(cell, (1000,)))
    energy = cell.gamma * np.sum(carries.y**2, 1) + np.sum(carries.z**2, 1)
    bound = np.arange(1, 1001) * cell.dt * 5 / cell.epsilon
    assert np.all(energy <= bound) and energy[-1] > 1


def test_the_undamped_oscillators_are_symplectic():
    """The step of a unit keeps areas; no unit is in the step of another."""
    cell = cells.UnICORNN(3, 5, dt=0.9, alpha=2.0)
    J = jacobian(cell, *one(cell))
    full = np.block([[J.y.y, J.y.z], [J.z.y, J.z.z]])
    O, I = np.zeros((5, 5)), np.eye(5)
    form = np.block([[O, I], [-I, O]])
    np.testing.assert_allclose(full.T @ form @ full, form, atol=1e-14)
    for block in (*J.y, *J.z):
        assert np.all(np.asarray(block)[~np.eye(5, dtype=bool)] == 0)


def test_long_expressive_memory_stays_between_the_values_of_tanh():
    cell = cells.LEM(3, 5)
    params = jax.tree.map(lambda leaf: 10 * leaf, params_of(cell))
    carries = trajectory(cell, params, 1e4 * inputs_of(cell, (1000,)))
    assert np.all(np.abs(carries.y) <= 1) and np.all(np.abs(carries.z) <= 1)


def test_a_leaky_unit_decays_by_its_time_constant():
    cell = cells.CTRNN(3, 5, tau=10.0, dt=2.0)
    params = params_of(cell)
    params["recurrent_kernel"] = jnp.zeros((5, 5))
    first = np.asarray(carry_of(cell, params))
    ys = unroll(cell, params, jnp.zeros((7, 3)), first)[1]
    left = 0.8 ** np.arange(1, 8)[:, None]
    expected = left * first + (1 - left) * np.tanh(params["bias"])
    np.testing.assert_allclose(ys, expected, rtol=1e-13)


def test_a_shifted_state_turns_beers_equation_into_that_of_currents():
    """tau dv/dt = -v + sigmoid(v + b) U + x W, for h = v + b."""
    cell = cells.CTRNN(3, 5, tau=10.0, dt=2.0, state="current", activation="sigmoid")
    params, h, _ = one(cell)
    xs, b = inputs_of(cell, (7,)), params["bias"]
    ys, v = unroll(cell, params, xs, h)[1], h - b
    for x, y in zip(xs, ys, strict=True):
        synapses = sigmoid(v + b) @ params["recurrent_kernel"]
        v = v + 0.2 * (-v + synapses + x @ params["kernel"])
        np.testing.assert_allclose(y, sigmoid(v + b), rtol=1e-13)


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 30.0])
def test_the_exponential_is_orthogonal_and_scipys(size):
    A = size * np.random.default_rng(0).normal(size=(20, 20))
    Q = exponential(jnp.asarray(A - A.T))
    np.testing.assert_allclose(Q.T @ Q, np.eye(20), atol=1e-14)
    expected = scipy.linalg.expm(A - A.T)
    np.testing.assert_allclose(Q, expected, rtol=0, atol=1e-14 * max(1, 10 * size))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e8, 1e20, 1e37])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_exponential_of_any_finite_matrix_is_orthogonal(scale, dtype):
    A = scale * np.random.default_rng(3).normal(size=(3, 8, 8))
    A = jnp.asarray(A, dtype)

    def turn(A):
        return exponential(A - A.T)

    Q = np.asarray(jax.jit(jax.vmap(turn))(A))
    assert Q.dtype == dtype
    error = np.swapaxes(Q, 1, 2) @ Q - np.eye(8)
    assert np.abs(error).max() < 20 * np.finfo(dtype).eps
    slope = jax.jit(jax.grad(lambda A: jnp.sum(turn(A)[0])))(A[0])
    assert np.isfinite(slope).all() and np.any(slope)


def test_the_exponential_is_exact_up_to_the_norm_it_says():
    """Of a turn by a known angle, which float64 tells from others to 2^24 eps."""
    J = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    for angle in (1e4, 1e6, 2.0**24 - 0.5):
        c, s = np.cos(angle), np.sin(angle)
        np.testing.assert_allclose(exponential(angle * J), [[c, s], [-s, c]], atol=1e-7)


def test_the_exponential_has_derivatives_of_every_order():
    """exp(a J) is the turn by a, whose derivatives are known; at 0 too."""
    J = jnp.array([[0.0, 1.0], [-1.0, 0.0]])

    def sine(a):
        return exponential(a * J)[0, 1]

    first = jax.grad(sine)
    every = jax.jit(lambda a: jnp.stack([sine(a), first(a), jax.grad(first)(a)]))
    for a in (0.0, 0.7, 40.0):
        expected = [np.sin(a), np.cos(a), -np.sin(a)]
        np.testing.assert_allclose(every(a), expected, atol=1e-13)


def test_a_batch_of_exponentials_needs_squarings_of_its_own():
    many = np.random.default_rng(1).normal(size=(4, 3, 3)) * [
        [[0.1]],
        [[1]],
        [[9]],
        [[0]],
    ]
    many = jnp.asarray(many - np.swapaxes(many, 1, 2))
    expected = [scipy.linalg.expm(X) for X in many]
    np.testing.assert_allclose(jax.vmap(exponential)(many), expected, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent_init", [None, henaff])
def test_training_keeps_the_recurrent_matrix_orthogonal(recurrent_init):
    options = {"recurrent_init": recurrent_init} if recurrent_init else {}
    cell = cells.ExpRNN(3, 5, **options)
    params = jax.tree.map(lambda a: a.astype(float), cell.init(jax.random.key(0)))
    xs, first = inputs_of(cell, (9,)), cell.made(params)
    slope = jax.jit(jax.grad(lambda p: jnp.sum((unroll(cell, p, xs)[1] - 1) ** 2)))
    for _ in range(20):
        params = jax.tree.map(lambda a, g: a - 0.03 * g, params, slope(params))
    Q = cell.made(params)
    np.testing.assert_allclose(Q.T @ Q, np.eye(5), atol=1e-12)
    assert np.max(np.abs(Q - first)) > 0.05


def test_without_a_bias_the_orthogonal_network_keeps_the_norm():
    cell = cells.ExpRNN(3, 5, use_bias=False)
    params = params_of(cell)
    first = carry_of(cell, params)
    h, _ = unroll(cell, params, jnp.zeros((1000, 3)), first)
    np.testing.assert_allclose(jnp.linalg.norm(h), jnp.linalg.norm(first), rtol=1e-12)


def test_initial_turns_are_those_of_the_papers():
    """Of every second unit and the next; of an odd number of units the last stays."""
    for initializer, most in (cells.ExpRNN(3, 5).recurrent_init, 1), (henaff, np.pi):
        A = initializer(jax.random.key(1), (41, 41), ("h",))
        turns = np.diagonal(A, 1)[::2]
        assert np.count_nonzero(A) == np.count_nonzero(turns) == 20
        assert np.all(np.abs(turns) <= most) and np.max(np.abs(turns)) > 0.8 * most


def test_initial_values_are_those_of_the_papers():
    """By their deviation, of 64 rows; that of U(-a, a) is a / sqrt(3)."""
    uniform = 3**-0.5
    expected = [
        (cells.AntisymmetricRNN(3, 5).recurrent_init, 1 / 8),
        (cells.LipschitzRNN(3, 5).recurrent_init, 1 / 8),
        (cells.CoRNN(3, 5).kernel_init, uniform / 8),
        (cells.CoRNN(3, 5).recurrent_init, uniform / 8),
        (cells.UnICORNN(3, 5).kernel_init, (2 / 65) ** 0.5 / 8),
        (cells.UnICORNN(3, 5).recurrent_init, uniform / 2),
        (cells.UnICORNN(3, 5).control_init, uniform / 10),
        (cells.LEM(3, 5).recurrent_init, uniform / 10),
        (cells.ExpRNN(3, 5).bias_init, uniform / 100),
    ]
    for initializer, deviation in expected:
        drawn = np.std(initializer(jax.random.key(0), (64, 100), ("h",)))
        assert drawn == pytest.approx(deviation, rel=0.05), initializer


WRONG = {
    "epsilon is 0": lambda: cells.AntisymmetricRNN(3, 5, epsilon=0),
    "gamma is -1": lambda: cells.GatedAntisymmetricRNN(3, 5, gamma=-1),
    "dt is -0.1": lambda: cells.CoRNN(3, 5, dt=-0.1),
    "epsilon is True": lambda: cells.CoRNN(3, 5, epsilon=True),
    "alpha is 'x'": lambda: cells.UnICORNN(3, 5, alpha="x"),
    "dt is 0": lambda: cells.LEM(3, 5, dt=0),
    "beta is 1.1": lambda: cells.LipschitzRNN(3, 5, beta=1.1),
    "solver is 'rk4'": lambda: cells.LipschitzRNN(3, 5, solver="rk4"),
    "dt is 3 and tau is 2": lambda: cells.CTRNN(3, 5, dt=3, tau=2),
    "state is 'h'": lambda: cells.CTRNN(3, 5, state="h"),
    "activation is 'tan'": lambda: cells.CTRNN(3, 5, activation="tan"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_field_is_named(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
