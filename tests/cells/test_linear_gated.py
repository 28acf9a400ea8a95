"""Cells that are affine in a vector: minimal ones, SRU, QRNN, the linear network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, sigmoid, taps
from zoo import inputs_of, params_of

from jaxrnn import Zoneout, cells, initializers, unroll

QRNNCarry = cells.QRNNCarry
above_zero = cells.above_zero


def act(cell, a):
    """Of the candidate: g of the paper's appendix, or nothing."""
    if cell.activation is above_zero:
        return np.where(a.real >= 0, a + 0.5, sigmoid(a))
    return a


def of_x(params, x, gates):
    W, b = blocks(params, "kernel", gates), blocks(params, "bias", gates)
    return (x @ W[gate] + b[gate] for gate in gates)


def min_gru(cell, params, h, x):
    z, candidate = of_x(params, x, "zh")
    z = sigmoid(z)
    h = (1 - z) * h + z * act(cell, candidate)
    return h, h, {"i": z}


def min_lstm(cell, params, h, x):
    f, i, candidate = of_x(params, x, "fih")
    f, i = sigmoid(f), sigmoid(i)
    f, i = f / (f + i), i / (f + i)
    h = f * h + i * act(cell, candidate)
    return h, h, {"f": f, "i": i}


def sru(cell, params, c, x):
    W, b = blocks(params, "kernel", "frx"), blocks(params, "bias", "fr")
    f, r = (sigmoid(x @ W[gate] + b[gate]) for gate in "fr")
    c = f * c + (1 - f) * (x @ W["x"])
    g = np.tanh(c) if cell.activation == "tanh" else c
    x = x @ params["highway_kernel"] if "highway_kernel" in params else x
    return c, r * g + (1 - r) * x, {"f": f, "r": r}


def qrnn(cell, params, carry, x):
    names = {"f": "nf", "fo": "nfo", "ifo": "nifo"}[cell.pooling]
    first, *others = np.split(params["kernel"], cell.width)
    z = x @ first + params.get("bias", 0) + (carry.pending[0] if others else 0)
    a = dict(zip(names, np.split(z, len(names)), strict=True))
    gate = {g: np.tanh(a[g]) if g == "n" else sigmoid(a[g]) for g in names}
    i = gate.get("i", 1 - gate["f"])
    c = gate["f"] * carry.c + i * gate["n"]
    h = gate.get("o", 1) * c
    pending = [x @ W for W in others]
    for j in range(1, len(others)):
        pending[j - 1] = pending[j - 1] + carry.pending[j]
    return QRNNCarry(h, c, tuple(pending)), h, gate


def linear(cell, params, h, x):
    A = (
        np.diag(params["recurrent_scale"])
        if cell.diagonal
        else params["recurrent_kernel"]
    )
    h = A.T @ h + x @ params["kernel"] + params.get("bias", 0)
    return h, h, {}


def in_numpy(*trees):
    return jax.tree.map(np.asarray, trees)


STEPS = {
    cells.MinGRU: min_gru,
    cells.MinLSTM: min_lstm,
    cells.SRU: sru,
    cells.QRNN: qrnn,
    cells.LinearRNN: linear,
}
OPTIONS = [
    cells.MinGRU(3, 5, activation=above_zero),
    cells.MinLSTM(3, 5, activation=above_zero),
    cells.SRU(4, 4, activation="identity"),
    cells.QRNN(3, 5, width=1, pooling="f"),
    cells.QRNN(3, 5, width=4, pooling="ifo"),
    cells.LinearRNN(3, 5, diagonal=True),
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
def test_no_product_is_in_the_loop_but_by_a_dense_a(kind):
    assert taps(kind(3, 5)) == (kind is cells.LinearRNN)
    if kind is cells.LinearRNN:
        assert taps(kind(3, 5, diagonal=True)) == 0


# The minimal cells.


def test_the_log_space_form_is_the_same():
    """That of the paper's appendix: a sum of exponentials over time, h being above 0."""
    cell = cells.MinGRU(3, 5, activation=above_zero)
    params, xs = in_numpy(params_of(cell), inputs_of(cell, (9,)))
    first = np.full(5, 0.7)
    _, ys = unroll(cell, params, xs, jnp.asarray(first))
    k, v = np.split(xs @ params["kernel"] + params["bias"], 2, axis=1)
    softplus = lambda a: np.logaddexp(0, a)  # noqa: E731
    kept = np.cumsum(np.concatenate([np.zeros((1, 5)), -softplus(k)]), axis=0)
    with np.errstate(invalid="ignore"):  # of v below 0, where the other is taken
        g = np.where(v >= 0, np.log(v + 0.5), -softplus(-v))
    values = np.concatenate([np.log(first)[None], g - softplus(-k)])
    logs = kept + np.logaddexp.accumulate(values - kept, axis=0)
    np.testing.assert_allclose(ys, np.exp(logs)[1:], rtol=1e-12)


def test_the_candidate_of_the_log_space_form_is_above_zero_and_smooth():
    ends = above_zero(jnp.array([-30.0, -1e-9, 0.0, 1e-9, 3.0]))
    np.testing.assert_allclose(ends, [0, 0.5, 0.5, 0.5, 3.5], atol=1e-8)
    assert np.all(ends > 0)
    slopes = jax.vmap(jax.grad(above_zero))(jnp.array([-1e4, -1.0, 0.0, 1e4]))
    np.testing.assert_allclose(slopes, [0, 0.196612, 1, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("f", "i", "share"),
    [(-1e4, -1e4, 0.5), (-1e4, 0.0, 0.0), (1e4, 1e4, 0.5), (1e4, -1e4, 1.0)],
)
def test_shares_of_shut_gates_are_exact(f, i, share):
    cell = cells.MinLSTM(1, 1)
    bias = jnp.array([f, i, 3.0], "float32")
    params = {"kernel": jnp.zeros((1, 3), "float32"), "bias": bias}

    def stepped(params):
        return cell(params, jnp.ones(1, "float32"), jnp.ones(1, "float32"))[1][0]

    value, slopes = jax.value_and_grad(stepped)(params)
    np.testing.assert_allclose(value, share + 3 * (1 - share), rtol=1e-6)
    assert np.all(np.isfinite(slopes["bias"]))


@pytest.mark.parametrize("kind", [cells.MinGRU, cells.MinLSTM])
def test_the_minimal_cells_average(kind):
    """Kept and written are shares of one: h stays within what was ever a candidate."""
    cell = kind(3, 5)
    params, xs = in_numpy(params_of(cell), inputs_of(cell, (50,)))
    n = np.split(xs @ params["kernel"] + params["bias"], len(cell.blocks), axis=1)[-1]
    ys = np.asarray(unroll(cell, params, xs, jnp.asarray(n[0]))[1])
    assert np.all(ys <= n.max(0)) and np.all(ys >= n.min(0))


# SRU.


def test_the_highway_has_a_kernel_only_between_different_sizes():
    square, other = (cells.SRU(size, 4).init(jax.random.key(0)) for size in (4, 3))
    assert "highway_kernel" not in square
    assert other["highway_kernel"].shape == (3, 4)
    for kernel in other["kernel"], other["highway_kernel"]:
        assert 0.5 < np.abs(kernel).max() <= 1  # sqrt(3 / I)


def test_a_shut_highway_gate_shows_x():
    cell = cells.SRU(4, 4)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    params |= {"bias": params["bias"].at[4:].set(-1e4)}
    np.testing.assert_allclose(unroll(cell, params, xs)[1], xs, rtol=1e-12)


# QRNN.


@pytest.mark.parametrize(("pooling", "width"), [("f", 1), ("fo", 2), ("ifo", 4)])
def test_the_sums_are_a_convolution_over_time(pooling, width):
    """Of inputs with zeros before them, as the paper pads."""
    cell = cells.QRNN(3, 5, width=width, pooling=pooling)
    params, xs = in_numpy(params_of(cell), inputs_of(cell, (3,)))
    ahead = np.concatenate([np.zeros((width - 1, 3)), xs])
    last = [ahead[width - 1 - j : len(ahead) - j] for j in range(width)]
    z = np.concatenate(last, axis=1) @ params["kernel"] + params["bias"]
    a = dict(zip(cell.blocks, np.split(z, len(cell.blocks), axis=1), strict=True))
    c, expected = np.zeros(5), []
    for t in range(3):
        n, f = np.tanh(a["n"][t]), sigmoid(a["f"][t])
        c = f * c + (sigmoid(a["i"][t]) if "i" in a else 1 - f) * n
        expected.append(sigmoid(a["o"][t]) * c if "o" in a else c)
    np.testing.assert_allclose(unroll(cell, params, xs)[1], expected, rtol=1e-12)


def test_zoneout_holds_the_memory_alone():
    cell, key = cells.QRNN(3, 5, width=3), jax.random.key(1)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    plain, _ = unroll(cell, params, xs)
    held, _ = unroll(Zoneout(cell, 0.9), params, xs, key=key)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14),
        held.pending,
        plain.pending,
    )
    assert np.abs(held.c - plain.c).max() > 0.1


# The linear network.


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_state_is_a_sum_over_the_past(diagonal):
    cell = cells.LinearRNN(3, 5, diagonal=diagonal, use_bias=False)
    params, xs = params_of(cell), inputs_of(cell, (7,))
    h, _ = unroll(cell, params, xs)
    A = np.diag(params["recurrent_scale"]) if diagonal else params["recurrent_kernel"]
    powers = [np.linalg.matrix_power(A, 6 - t) for t in range(7)]
    expected = sum(xs[t] @ params["kernel"] @ powers[t] for t in range(7))
    np.testing.assert_allclose(h, expected, rtol=1e-12)


@pytest.mark.parametrize("radius", [0.5, 1.0])
def test_a_starts_with_the_spectral_radius(radius):
    for diagonal in (False, True):
        cell = cells.LinearRNN(3, 20, diagonal=diagonal, spectral_radius=radius)
        params = cell.init(jax.random.key(0))
        if diagonal:
            largest = np.abs(params["recurrent_scale"]).max()
        else:
            largest = np.abs(np.linalg.eigvals(params["recurrent_kernel"])).max()
        np.testing.assert_allclose(largest, radius, rtol=1e-5)
    zeros = cells.LinearRNN(3, 4, diagonal=True, recurrent_init=initializers.zeros)
    assert not np.any(zeros.init(jax.random.key(0))["recurrent_scale"])


# All of them.

EVERY = [*(kind(3, 5) for kind in STEPS), *OPTIONS]


@pytest.mark.parametrize("cell", EVERY, ids=repr)
def test_the_step_is_affine(cell):
    """In c, given what inputs have left in the carry for later steps."""
    params, x = params_of(cell), inputs_of(cell, ())
    drive = cell.project(params, x)
    carry = cell.initial_carry(params)

    def stepped(state):
        new = carry._replace(c=state) if isinstance(carry, QRNNCarry) else state
        return cell.step(params, new, drive)

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, cell.hidden_size))
    mean = jax.tree.map(lambda p, q: 0.3 * p + 0.7 * q, stepped(a), stepped(b))
    jax.tree.map(
        lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-14),
        stepped(0.3 * a + 0.7 * b),
        mean,
    )


@pytest.mark.parametrize("kind", STEPS)
def test_long_runs_of_large_inputs_stay_finite(kind):
    cell = kind(3, 5)
    params = cell.init(jax.random.key(0))
    xs = 1e4 * jax.random.normal(jax.random.key(1), (10_000, 3)).at[5000:].set(0)

    def loss(params, xs):
        return jnp.mean(unroll(cell, params, xs)[1])

    value, slopes = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, xs)
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cells.MinGRU(3, 0), "hidden_size"),
        (lambda: cells.MinGRU(3, 5, activation="steep"), "activation is 'steep'"),
        (lambda: cells.MinLSTM(3, 5, activation=3), "activation is 3"),
        (lambda: cells.SRU(3, 5, activation="softmax_of"), "activation"),
        (lambda: cells.QRNN(3, 5, pooling="of"), 'expected "f", "fo" or "ifo"'),
        (lambda: cells.QRNN(3, 5, width=0), "width is 0, expected a positive int"),
        (lambda: cells.LinearRNN(3, 5, diagonal=1), "diagonal is 1"),
        (lambda: cells.LinearRNN(3, 5, spectral_radius=0.0), "spectral_radius is 0.0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", STEPS)
def test_an_x_of_another_shape_is_refused(kind):
    cell = kind(3, 5)
    with pytest.raises(
        ValueError, match=rf"{kind.__name__}\.project: x has shape \(4,\)"
    ):
        cell.project(params_of(cell), jnp.ones(4))
