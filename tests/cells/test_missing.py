"""The GRU for missing values, and what it is told of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, sigmoid, sums, taps
from zoo import inputs_of, params_of, random_like

from jaxrnn import cells, unroll
from jaxrnn.cells import MissingInput, missing_input


def bias(params, name):
    return params.get(name, 0)


def decays(params, delay):
    of_x = params["input_decay"] * delay + bias(params, "input_decay_bias")
    of_h = delay @ params["hidden_decay"] + bias(params, "hidden_decay_bias")
    return np.exp(-relu(of_x)), np.exp(-relu(of_h))


def grud(cell, params, h, x):
    m = np.where(x.observed.real > 0, 1.0, 0.0)
    of_x, of_h = decays(params, x.delay)
    h, V = of_h * h, blocks(params, "mask_kernel", "rzn")
    filled = m * x.x + (1 - m) * of_x * x.last
    r, z = (sigmoid(sums(params, filled, h, "rzn")[g] + m @ V[g]) for g in "rz")
    n = np.tanh(sums(params, filled, r * h, "rzn")["n"] + m @ V["n"])
    h = n + z * (h - n)
    return h, h, {"r": r, "z": z, "n": n}


@every_bias
def test_a_run_is_the_papers(use_bias):
    cell = cells.GRUD(3, 5, use_bias=use_bias)
    observed = inputs_of(cell, (3,)).observed > 0
    assert observed.any() and not observed.all()
    equals_paper(cell, grud)


def test_its_products_by_h_are_found():
    assert taps(cells.GRUD(3, 5)) == 2


def series(*batch, seed=5):
    """Of 9 steps: one feature that begins late, and one of which nothing is there."""
    rng = np.random.default_rng(seed)
    xs, observed = rng.normal(size=(9, *batch, 4)), rng.random((9, *batch, 4)) < 0.5
    observed[:4, ..., 1], observed[..., 2] = False, False
    times = np.cumsum(rng.uniform(0.5, 2, (9, *batch)), axis=0)
    mean = rng.normal(size=4)
    return np.where(observed, xs, np.nan), observed, times, mean


def of_the_paper(xs, observed, times, mean):
    """The recursion of the paper for the delay, and the last value before each step."""
    delay, last = np.zeros_like(xs), np.zeros_like(xs)
    for t in range(1, len(xs)):
        since, there = times[t] - times[t - 1], observed[t - 1]
        delay[t] = since[..., None] + np.where(there, 0, delay[t - 1])
        last[t] = np.where(there, xs[t - 1] - mean, last[t - 1])
    return MissingInput(np.where(observed, xs - mean, 0), observed, delay, last)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_what_is_missing_is_found_as_by_a_loop(batch):
    xs, observed, times, mean = series(*batch)
    expected = of_the_paper(xs, observed, times, mean)
    made = jax.jit(missing_input)(xs, observed, times, mean)
    for ours, theirs in zip(made, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for ours, theirs in zip(missing_input(xs, None, times, mean), made, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps = np.broadcast_to(np.arange(9.0).reshape(9, *(1 for _ in batch)), (9, *batch))
    by_steps = missing_input(xs, 1.0 * observed)
    expected = of_the_paper(xs, observed, steps, 0)
    for ours, theirs in zip(by_steps, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("x64", [True, False])
def test_integers_are_no_less_than_floats(x64):
    with jax.enable_x64(x64):
        xs, times = np.array([[3], [4], [6]]), [0, 0.5, 1.25]
        made = missing_input(xs, np.array([[1], [0], [1]]), times, 2.5)
        assert made.x.dtype == made.delay.dtype == jnp.result_type(float)
        np.testing.assert_array_equal(made.x[:, 0], [0.5, 0, 3.5])
        np.testing.assert_array_equal(made.delay[:, 0], [0, 0.5, 1.25])
        np.testing.assert_array_equal(made.last[:, 0], [0, 0.5, 0.5])
        every = missing_input(xs)
        assert every.observed.all()
        np.testing.assert_array_equal(every.x, xs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float64", "int64", "list"])
def test_times_keep_their_differences_without_x64(kind):
    """Seconds since 1970, of which float32 knows every 128th; a year of minutes too."""
    seconds = 1_700_000_000 + np.array([0, 20, 60, 31_536_000, 31_536_007])
    with jax.enable_x64(False):
        times = list(map(float, seconds)) if kind == "list" else seconds.astype(kind)
        made = missing_input(np.ones((5, 2)), np.array(5 * [[1, 0]]), times)
        assert made.delay.dtype == np.float32
        np.testing.assert_array_equal(made.delay[:, 0], [0, 20, 40, 31_535_940, 7])
        expected = seconds - seconds[0]
        np.testing.assert_allclose(made.delay[:, 1], expected, rtol=1e-6)
        finer = 1_700_000_000 + np.array([0, 0.25, 0.375])
        made = missing_input(np.ones((3, 1), "float32"), None, finer)
        np.testing.assert_array_equal(made.delay[:, 0], [0, 0.25, 0.125])


@pytest.mark.slow
def test_half_a_float_counts_its_delays_in_a_whole_one():
    times, xs = jnp.arange(1000, dtype="int32"), jnp.ones((1000, 1), "bfloat16")
    made = missing_input(xs, jnp.zeros((1000, 1)), times)
    expected = np.arange(1000.0).astype(jnp.bfloat16)
    np.testing.assert_array_equal(made.delay[:, 0], expected)


@pytest.mark.slow
def test_what_is_compiled_knows_the_steps_too():
    xs = np.array([[1, np.nan], [np.nan, 2], [3, 4]])
    compiled = jax.jit(missing_input)(xs)
    jax.tree.map(np.testing.assert_array_equal, compiled, missing_input(xs))
    np.testing.assert_array_equal(compiled.delay, [[0, 0], [1, 1], [2, 1]])


def test_no_steps_at_all():
    made = missing_input(np.zeros((0, 2)))
    assert {leaf.shape for leaf in made} == {(0, 2)}


@pytest.mark.slow
def test_less_the_mean_it_is_the_papers_with_another_bias():
    """There what is missing goes to the mean, and z writes; x is as it was measured."""
    cell = cells.GRUD(4, 5)
    params, (xs, observed, times, mean) = params_of(cell), series()
    h, expected, last = np.zeros(5), [], mean
    delay = of_the_paper(xs, observed, times, mean).delay
    own = jax.tree.map(np.asarray, params)
    for t, m in enumerate(1.0 * observed):
        of_x, of_h = decays(own, delay[t])
        x = np.where(m > 0, xs[t], of_x * last + (1 - of_x) * mean)
        last = np.where(m > 0, xs[t], last)
        W, U, V, b = (
            blocks(own, name, "rzn")
            for name in ("kernel", "recurrent_kernel", "mask_kernel", "bias")
        )
        a = {g: (x - mean) @ W[g] + m @ V[g] + b[g] for g in "rzn"}
        h = of_h * h
        r, writes = sigmoid(a["r"] + h @ U["r"]), sigmoid(-a["z"] - h @ U["z"])
        h = (1 - writes) * h + writes * np.tanh(a["n"] + (r * h) @ U["n"])
        expected.append(h)
    ys = unroll(cell, params, missing_input(xs, observed, times, mean))[1]
    np.testing.assert_allclose(ys, expected, rtol=1e-12)


@pytest.mark.slow
def test_what_is_not_there_reaches_nothing():
    """In values and in gradients, neither by the cell nor by what prepares its inputs."""
    cell = cells.GRUD(4, 5)
    params, (xs, observed, times, mean) = params_of(cell), series(2)
    weights = random_like(jax.eval_shape(lambda: jnp.zeros((9, 2, 5))), seed=6)

    def loss(params, x, made):
        made = made if x is None else made._replace(x=x)
        return jnp.vdot(unroll(cell, params, made)[1], weights)

    def of_all(params, xs):
        return loss(params, None, missing_input(xs, observed, times, mean))

    def compare(function, poisoned, clean):
        bad = jax.jit(jax.value_and_grad(function, (0, 1)))(params, poisoned)
        good = jax.jit(jax.value_and_grad(function, (0, 1)))(params, clean)
        for ours, theirs in zip(jax.tree.leaves(bad), jax.tree.leaves(good), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert np.isfinite(ours).all() and np.any(ours)
        np.testing.assert_array_equal(bad[1][1] != 0, observed)

    made = missing_input(xs, observed, times, mean)
    compare(of_all, jnp.asarray(xs), jnp.where(observed, xs, 0))
    of_x = lambda params, x: loss(params, x, made)  # noqa: E731
    compare(of_x, jnp.where(observed, made.x, jnp.nan), made.x)


@pytest.mark.slow
def test_decays_of_zero_change_nothing_at_first_and_learn():
    """As the maximum's derivative at a tie is 1/2: that of a relu is 0 there."""
    cell = cells.GRUD(4, 5)
    params, (xs, observed, times, mean) = cell.init(jax.random.key(0)), series()
    made = missing_input(xs, observed, times, mean)
    made = made._replace(**{k: v.astype("float32") for k, v in made._asdict().items()})
    made = made._replace(observed=observed)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    without = made._replace(delay=jnp.zeros_like(made.delay))
    run = jax.jit(lambda params, made: unroll(cell, params, made)[1])
    np.testing.assert_array_equal(run(params, made), run(params, without))
    gradient = jax.grad(lambda params: jnp.sum(run(params, made)))(params)
    assert np.all(gradient["hidden_decay"] != 0)
    assert np.all(gradient["input_decay"][jnp.array([0, 1, 3])] != 0)


@pytest.mark.slow
def test_long_delays_stay_finite():
    cell = cells.GRUD(3, 4)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    xs = 1e4 * inputs_of(cell, (10_000,)).x.astype("float32")
    xs = jnp.where(jnp.arange(10_000)[:, None] % 1000 == 0, xs, jnp.nan)
    made = missing_input(xs, times=1e3 * jnp.arange(10_000, dtype="float32"))
    loss = jax.value_and_grad(lambda params: jnp.sum(unroll(cell, params, made)[1] ** 2))
    for leaf in jax.tree.leaves(jax.jit(loss)(params)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize(
    ("observed", "times"), [(np.ones((7, 2)), None), (None, np.ones((7, 2, 3)))]
)
def test_shapes_that_do_not_fit_are_refused(observed, times):
    with pytest.raises(ValueError, match=r"missing_input: xs has shape \(7, 2, 3\)"):
        missing_input(np.ones((7, 2, 3)), observed, times)
