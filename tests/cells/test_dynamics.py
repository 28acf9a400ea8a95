"""Networks of neuroscience and models of dynamics, against their papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, taps
from zoo import inputs_of, params_of

from jaxrnn import cells, unroll
from jaxrnn.arguments.keys import keys_in_time
from jaxrnn.cells.dynamics.spectrum import spectral_radius


def bias_of(params):
    return params.get("bias", 0.0)


def low_rank(cell, params, x, u):
    m, n = params["left_vectors"].T, params["right_vectors"]
    J = m @ n.T / cell.hidden_size
    if cell.g:
        J = J + cell.g * params["random_kernel"].real.T
    current = J @ np.tanh(x) + params["kernel"].T @ u + bias_of(params)
    x = x + cell.alpha * (current - x)
    return x, np.tanh(x), {}


def excitatory_inhibitory(cell, params, x, u):
    H = cell.hidden_size
    D = np.diag([1.0] * round(cell.excitatory * H) + [0.0] * H)[:H, :H]
    D = 2 * D - np.eye(H)
    W = relu(params["recurrent_kernel"].T @ D) @ D
    W = W - np.diag(np.diag(W))
    current = W @ relu(x) + relu(params["kernel"]).T @ u + bias_of(params)
    x = x + cell.alpha * (current - x)
    return x, relu(x), {}


def piecewise(cell, params, z, u):
    A, W = np.diag(params["decay"]), params["recurrent_kernel"].T
    W = W - np.diag(np.diag(W))
    z = A @ z + W @ relu(z) + params["kernel"].T @ u + bias_of(params)
    return z, z, {}


def shallow(cell, params, z, u):
    W1, W2 = params["outer_kernel"].T, params["inner_kernel"].T
    inner = relu(W2 @ z + blocks(params, "inner_bias", "h")["h"])
    inner = inner - relu(W2 @ z) if cell.clipped else inner
    current = W1 @ inner + params["kernel"].T @ u + bias_of(params)
    z = params["decay"] * z + current
    return z, z, {}


def echo(cell, params, h, u):
    """What is not trained is real here, with no imaginary part to be moved along."""
    W_in, W = params["kernel"].real.T, params["recurrent_kernel"].real.T
    new = np.tanh(W_in @ u + W @ h + np.real(bias_of(params)))
    h = h - cell.leak * (h - new)
    return h, h, {}


STEPS = {
    cells.LowRankRNN: low_rank,
    cells.EIRNN: excitatory_inhibitory,
    cells.PLRNN: piecewise,
    cells.ShallowPLRNN: shallow,
    cells.EchoState: echo,
}
# Products by parameters in a step, trained or not, where there is not one.
TAPS = {cells.LowRankRNN: 2, cells.ShallowPLRNN: 2}
OPTIONS = [
    (cells.LowRankRNN, {"rank": 3, "alpha": 1.0}, 2),
    (cells.LowRankRNN, {"rank": 2, "g": 0.8}, 3),
    (cells.EIRNN, {"excitatory": 0.5, "alpha": 0.5}, 1),
    (cells.ShallowPLRNN, {"layer_size": 4, "clipped": True}, 2),
    (cells.EchoState, {"leak": 0.3}, 1),
]


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 5, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options", "products"), OPTIONS)
def test_options_are_the_papers(kind, options, products):
    cell = kind(3, 5, **options)
    equals_paper(cell, STEPS[kind])
    assert taps(cell) == products


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(kind(3, 5)) == TAPS.get(kind, 1)


@pytest.mark.parametrize("kind", STEPS)
def test_what_is_prepared_twice_is_prepared_once(kind):
    cell = kind(3, 5)
    once = cell.prepare(params_of(cell))
    jax.tree.map(np.testing.assert_array_equal, cell.prepare(once), once)


# Spectral radii.


def matrices():
    rng = np.random.default_rng(5)
    sparse = rng.normal(size=(60, 60)) * (rng.random((60, 60)) < 0.1)
    turn = np.array([[0.0, -1.5], [1.5, 0.0]])
    shear = np.array([[1.0, 1000.0], [0.0, 1.0]])  # one eigenvector, norm 1000
    below = np.diag([1e-12, 3e-12])
    return [rng.normal(size=(40, 40)), sparse, turn, shear, below, 1e12 * turn]


@pytest.mark.parametrize("index", range(6))
def test_the_spectral_radius_is_that_of_the_eigenvalues(index):
    matrix = matrices()[index]
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert spectral_radius(jnp.asarray(matrix)) == pytest.approx(expected, rel=2e-6)
    single = jax.jit(spectral_radius)(matrix.astype(np.float32))
    assert single.dtype == np.float32
    assert single == pytest.approx(expected, rel=1e-5)


def test_the_spectral_radius_of_what_dies_out_is_zero():
    assert spectral_radius(jnp.eye(4, k=1)) == 0 == spectral_radius(jnp.zeros((3, 3)))


def radius_of(cell, params):
    effective = cell.prepare(params)["recurrent_kernel"]
    return np.abs(np.linalg.eigvals(effective)).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        cells.EchoState(3, 50, spectral_radius=0.7, connectivity=0.2),
        cells.EIRNN(3, 50, spectral_radius=1.3),
    ],
)
def test_a_new_network_has_the_spectral_radius_asked_for(cell):
    """Alone, compiled, and as one of several that are drawn at once."""
    keys = jax.random.split(jax.random.key(0), 3)
    many = jax.jit(jax.vmap(cell.init))(keys)
    for index, key in enumerate(keys):
        params = cell.init(key)
        assert radius_of(cell, params) == pytest.approx(cell.spectral_radius, rel=1e-6)
        one = jax.tree.map(lambda leaf: leaf[index], many)  # noqa: B023
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-9), one, params)


def test_a_reservoir_is_as_sparse_and_as_strong_as_asked_for():
    cell = cells.EchoState(3, 100, connectivity=0.2, input_scaling=0.5)
    params = cell.init(jax.random.key(0))
    assert abs((params["recurrent_kernel"] != 0).mean() - 0.2) < 0.02
    assert 0.48 < jnp.abs(params["kernel"]).max() <= 0.5


def test_a_reservoir_whose_units_never_meet_again_stays_finite():
    params = cells.EchoState(3, 2, connectivity=1e-9).init(jax.random.key(0))
    assert (params["recurrent_kernel"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "untrained"),
    [
        (cells.EchoState(3, 5), {"kernel", "recurrent_kernel", "bias"}),
        (cells.LowRankRNN(3, 5, g=0.5), {"random_kernel"}),
        (cells.LowRankRNN(3, 5), set()),
    ],
)
def test_what_is_never_trained_has_no_gradient(cell, untrained):
    params, xs = params_of(cell), inputs_of(cell, (4,))

    def loss(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1] ** 2)

    gradient, along = jax.grad(loss, (0, 1))(params, xs)
    assert {name for name, leaf in gradient.items() if not leaf.any()} == untrained
    assert along.all()


# Excitation and inhibition.


@pytest.mark.slow
@pytest.mark.parametrize(("size", "first"), [(5, 4), (4, 3), (50, 40)])
def test_a_new_network_obeys_the_law(size, first):
    cell = cells.EIRNN(3, size)
    params = cell.init(jax.random.key(0))
    U = np.asarray(params["recurrent_kernel"])
    others = ~np.eye(size, dtype=bool)
    assert (U[:first][others[:first]] > 0).all() and (U[first:][others[first:]] < 0).all()
    assert (np.diag(U) == 0).all() and (params["kernel"] > 0).all()
    prepared = cell.prepare(params)
    jax.tree.map(np.testing.assert_array_equal, prepared, params)


def test_excitation_and_inhibition_are_balanced_at_first():
    """Sums over what reaches a unit are zero on average, and so within their error."""
    U = np.asarray(cells.EIRNN(3, 200).init(jax.random.key(0))["recurrent_kernel"])
    excited, inhibited = U[:160].sum(0), -U[160:].sum(0)
    assert abs(excited.mean() / inhibited.mean() - 1) < 0.03


def test_updates_cannot_break_the_law():
    cell = cells.EIRNN(3, 5)
    U = np.asarray(cell.prepare(params_of(cell))["recurrent_kernel"])
    assert (U[:4] >= 0).all() and (U[4] <= 0).all() and (np.diag(U) == 0).all()
    assert (U[:4] > 0).any() and (U[4] < 0).any()


@pytest.mark.slow
def test_noise_is_that_of_an_euler_step():
    """Of a network with no weights, whose x is the noise itself and then its decay."""
    cell = cells.EIRNN(3, 1000, alpha=0.3, sigma=0.2)
    params = jax.tree.map(jnp.zeros_like, jax.eval_shape(cell.init, jax.random.key(0)))
    xs, key = jnp.ones((2, 3)), jax.random.key(5)
    first = np.asarray(unroll(cell, params, xs[:1], key=key)[0])
    second = np.asarray(unroll(cell, params, xs, key=key)[0]) - 0.7 * first
    expected = np.sqrt(2 * 0.3) * 0.2
    for noise in (first, second):
        assert abs(noise.std() / expected - 1) < 0.08 and abs(noise.mean()) < 0.02
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert not unroll(cell, params, xs)[1].any()


def test_noise_is_drawn_for_each_step_from_its_key():
    cell = cells.EIRNN(3, 5, sigma=0.4, recurrent_dropout=0.5)
    params, xs, key = params_of(cell), inputs_of(cell, (4,)), jax.random.key(2)
    carry, prepared = cell.initial_carry(params), cell.prepare(params)
    for t, x in enumerate(xs):
        keys = keys_in_time(key, jnp.asarray(t), ())
        carry = cell.step(prepared, carry, cell.project(prepared, x, keys))
    np.testing.assert_allclose(unroll(cell, params, xs, key=key)[0], carry, rtol=1e-12)
    assert not np.allclose(unroll(cell, params, xs)[0], carry)


# Dynamics.


def test_a_low_rank_network_moves_in_the_plane_of_its_vectors():
    """x stays in the span of m, once the input is gone and the past forgotten."""
    cell = cells.LowRankRNN(3, 20, rank=2, alpha=0.5, use_bias=False)
    params = params_of(cell)
    params["left_vectors"] *= 4
    params["right_vectors"] += params["left_vectors"].T
    xs = jnp.concatenate([inputs_of(cell, (5,)), jnp.zeros((60, 3))])
    x, _ = unroll(cell, params, xs)
    inside = np.linalg.lstsq(params["left_vectors"].T, x, rcond=None)[0]
    assert np.linalg.norm(x) > 0.1
    np.testing.assert_allclose(params["left_vectors"].T @ inside, x, atol=1e-12)


def test_a_clipped_network_is_bounded_where_the_other_is_not():
    plain, clipped = (
        cells.ShallowPLRNN(3, 5, layer_size=4, clipped=c) for c in (False, True)
    )
    params = params_of(plain) | {"decay": jnp.full(5, 0.9)}
    params |= {"outer_kernel": 3 * jnp.abs(params["outer_kernel"])}
    params |= {"inner_kernel": jnp.abs(params["inner_kernel"])}
    xs = jnp.ones((2000, 3))
    assert jnp.abs(unroll(clipped, params, xs)[0]).max() < 1e3
    assert not jnp.isfinite(unroll(plain, params, xs)[0]).all()


def test_a_new_plrnn_decays():
    for seed in range(3):
        params = cells.PLRNN(3, 20).init(jax.random.key(seed))
        assert 0 < params["decay"].min() and params["decay"].max() < 1
        assert 0 < jnp.abs(params["recurrent_kernel"]).max() < 0.1


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (cells.LowRankRNN, {"rank": 0}, "LowRankRNN: rank is 0"),
        (cells.LowRankRNN, {"alpha": 0}, "LowRankRNN: alpha is 0"),
        (cells.LowRankRNN, {"g": -1}, "LowRankRNN: g is -1"),
        (cells.EIRNN, {"alpha": 1.5}, "EIRNN: alpha is 1.5"),
        (cells.EIRNN, {"excitatory": 1.2}, "EIRNN: excitatory is 1.2"),
        (cells.EIRNN, {"sigma": -0.1}, "EIRNN: sigma is -0.1"),
        (cells.EIRNN, {"spectral_radius": 0}, "EIRNN: spectral_radius is 0"),
        (cells.ShallowPLRNN, {"layer_size": 0}, "ShallowPLRNN: layer_size is 0"),
        (cells.ShallowPLRNN, {"clipped": True, "use_bias": False}, "without h2"),
        (cells.EchoState, {"connectivity": 0}, "EchoState: connectivity is 0"),
        (cells.EchoState, {"leak": "a"}, "EchoState: leak is 'a'"),
        (cells.EchoState, {"input_scaling": 0}, "EchoState: input_scaling is 0"),
    ],
)
def test_errors_name_the_field(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(3, 5, **options)
