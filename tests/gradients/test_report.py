"""What a report says, of networks whose gradients and gates are known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import LSTM, Bidirectional, ClipCarryGradient, Elman, Scan, Stack
from jaxrnn.gradients.report import Fading

T, B = 40, 2
KEY = jax.random.key(0)


def total(ys):
    return jnp.sum(ys, -1)


def report(cell, params, xs, **options):
    return jaxrnn.gradient_report(total, cell, params, xs, sample_key=KEY, **options)


@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.9, "vanishing"), (1.0, "stable"), (1.1, "exploding")]
)
def test_the_rate_of_a_linear_network_is_that_of_its_kernel(scale, verdict):
    """U = scale times an orthogonal kernel: every norm is scale^k times the first."""
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell)
    orthogonal = jnp.linalg.qr(params["recurrent_kernel"])[0]
    params |= {"recurrent_kernel": scale * orthogonal}
    found = report(cell, params, inputs_of(cell, (T, B)), max_lag=30)
    fading = found.fading["carry"]
    np.testing.assert_allclose(fading.norms, scale ** np.arange(31), rtol=1e-11)
    assert fading.rate == pytest.approx(math.log(scale), abs=1e-12)
    assert fading.first == pytest.approx(2) and fading.verdict == verdict
    reach = {0.9: "9.5", 1.0: "> 30", 1.1: "> 30"}[scale]  # -1 / ln 0.9
    line = f"carry {verdict} x {scale:.3f} {reach} > 30 2"
    assert str(found).splitlines()[-1].split() == line.split()


@pytest.mark.slow
def test_a_clipped_gradient_of_an_exploding_network_is_stable():
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell)
    params |= {"recurrent_kernel": 1.2 * jnp.linalg.qr(params["recurrent_kernel"])[0]}
    xs = inputs_of(cell, (T, B))
    assert report(cell, params, xs).fading["carry"].verdict == "exploding"
    clipped = ClipCarryGradient(cell, 2.0)
    assert report(clipped, params, xs).fading["carry"].verdict == "stable"


def test_a_truncated_gradient_vanishes_and_a_dead_one_is_zero():
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell)
    params |= {"recurrent_kernel": jnp.linalg.qr(params["recurrent_kernel"])[0]}
    xs = inputs_of(cell, (T, B))
    cut = report(cell, params, xs, method=Scan(truncate=2)).fading["carry"]
    assert cut.norms[-1] == 0 and cut.verdict == "vanishing"
    alone = report(cell, params, xs, method=Scan(truncate=1)).fading["carry"]
    assert alone.rate == -math.inf and alone.verdict == "vanishing"

    dead = Stack((Elman(3, 4), Elman(4, 4, activation="relu")))
    params = params_of(dead)
    params[1]["bias"] = jnp.full(4, -1e3)
    found = report(dead, params, xs)
    assert [leaf.verdict for leaf in found.fading.values()] == ["zero", "vanishing"]
    assert "x 0.000" in str(found)


@pytest.mark.slow
def test_too_few_lags_tell_no_rate():
    cell = LSTM(3, 4)
    params = params_of(cell)
    one = report(cell, params, inputs_of(cell, (1, B)))
    assert {leaf.verdict for leaf in one.fading.values()} == {"too few lags"}
    two = report(cell, params, inputs_of(cell, (2, B)))
    assert two.fading["c"].verdict == "too few lags"  # it is not read at lag 0
    assert str(two).splitlines()[-5 - 3].split()[4] == "-"


def test_what_is_not_finite_is_said():
    norms = np.array([1.0, np.inf, np.nan])
    assert Fading(norms, 1.0, 0.0, math.inf, math.inf).verdict == "not finite"
    cell = Elman(3, 4)
    xs = inputs_of(cell, (T, B)).at[3].set(jnp.nan)
    found = report(cell, params_of(cell), xs)
    assert str(found).splitlines()[-1].split()[:6] == "carry not finite - - -".split()


def test_examples_that_end_early_make_no_step_in_the_profile():
    """The gradient is constant, in the long example and in the short, louder one."""
    cell = Elman(3, 4, activation="identity")
    params = params_of(cell) | {"recurrent_kernel": jnp.eye(4)}
    xs = inputs_of(cell, (T, B))
    found = jaxrnn.gradient_report(
        lambda ys: jnp.sum(ys, -1) * jnp.array([[1.0, 1000.0]]),
        cell,
        params,
        xs,
        sample_key=KEY,
        lengths=jnp.array([T, 6]),
    ).fading["carry"]
    np.testing.assert_allclose(found.norms, np.ones(T // 2 + 1), rtol=1e-12)
    assert found.verdict == "stable"


def test_what_cannot_be_measured_is_refused_by_its_own_name():
    both = Bidirectional(Elman(3, 4), Elman(3, 4))
    xs = inputs_of(both, (T, B))
    with pytest.raises(TypeError, match=r"gradient_report: Bidirectional.* single step"):
        report(both, params_of(both), xs)
    cell = Elman(3, 4)
    with pytest.raises(ValueError, match="gradient_report: xs has no steps"):
        report(cell, params_of(cell), xs[:0])
    with pytest.raises(ValueError, match="gradient_report: samples is 0"):
        report(cell, params_of(cell), xs, samples=0)


@pytest.mark.slow
def test_gates_in_half_precision_are_counted_in_full():
    cell = LSTM(3, 8)
    params, xs = params_of(cell), inputs_of(cell, (300, 2))
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), (params, xs))
    exact = jax.tree.map(lambda leaf: leaf.astype("float64"), half)
    found, expected = report(cell, *half), report(cell, *exact)
    for name in "ifgo":
        assert found.gates[name].mean == pytest.approx(
            expected.gates[name].mean, abs=0.01
        )


@pytest.mark.slow
def test_examples_weigh_by_the_lags_that_they_have():
    """An example of two steps says nothing of longer lags."""
    cell = Elman(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    both = report(cell, params, xs, lengths=jnp.array([T, 2]), max_lag=9)
    first = report(cell, params, xs, lengths=jnp.array([T, 0]), max_lag=9)
    norms = both.fading["carry"].norms, first.fading["carry"].norms
    np.testing.assert_allclose(norms[0][2:], norms[1][2:], rtol=1e-12)
    assert norms[0][1] != pytest.approx(norms[1][1])
    with pytest.raises(ValueError, match="no example has a valid step"):
        report(cell, params, xs, lengths=jnp.array([0, 0]))


def test_the_use_of_gates_whose_activations_are_known():
    cell = Stack((Elman(3, 2), LSTM(2, 2)))
    params = params_of(cell)
    bias = np.array([-9.0, 9.0, 0.0, 0.0, 0.0, 0.0, 9.0, 9.0])  # i, f, g, o
    bias[2:4] = [0.0, math.log(0.9 / 0.1)]  # f = 0.5 and 0.9
    params[1]["bias"] = jnp.asarray(bias)
    for name in ("kernel", "recurrent_kernel"):
        params[1][name] = jnp.zeros_like(params[1][name])
    found = report(cell, params, inputs_of(cell, (T, B)), lengths=jnp.array([T, 5]))
    assert list(found.fading) == ["[0]", "[1].h", "[1].c"]
    assert list(found.gates) == ["[1].f", "[1].g", "[1].i", "[1].o"]
    forget, entry = found.gates["[1].f"], found.gates["[1].i"]
    assert forget.mean == pytest.approx(0.7)
    np.testing.assert_allclose(forget.time_constants, -1 / np.log([0.5, 0.9]))
    assert (entry.low, entry.high) == (0.5, 0.5) and entry.time_constants is None
    assert found.gates["[1].o"].high == 1 and found.gates["[1].g"].mean == 0
    lines = {line.split()[0]: line.split() for line in str(found).splitlines() if line}
    assert lines["[1].f"][1:] == ["0.70", "0%", "0%", "5.5", "9.5"]
    assert lines["[1].i"][1:] == ["0.50", "50%", "50%", "-", "-"]
