"""The sLSTM: its equations, and that it stays finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, sigmoid, taps
from zoo import inputs_of, params_of, random_like

from jaxrnn import Zoneout, cells, trajectory, unroll
from jaxrnn.cells import SLSTMCarry


def larger(a, b):
    return np.where(a.real > b.real, a, b)


def sums(cell, params, x, h):
    """By gate: x W + b, and the recurrent product of each head alone."""
    W, b = blocks(params, "kernel", "ifgo"), blocks(params, "bias", "ifgo")
    U, h = params["recurrent_kernel"], np.split(h, cell.heads)
    products = [np.split(own @ kernel, 4) for own, kernel in zip(h, U, strict=True)]
    return {
        gate: x @ W[gate] + b[gate] + np.concatenate([p[k] for p in products])
        for k, gate in enumerate("ifgo")
    }


def slstm(cell, params, carry, x):
    a = sums(cell, params, x, carry.h)
    kept = a["f"] if cell.forget == "exp" else -np.log1p(np.exp(-a["f"]))
    kept = kept + carry.m
    m = np.where(carry.n.real == 0, a["i"], larger(kept, a["i"]))
    i, f = np.exp(a["i"] - m), np.exp(kept - m)
    g, o = np.tanh(a["g"]), sigmoid(a["o"])
    c, n = f * carry.c + i * g, f * carry.n + i
    h = o * (c / n)
    return SLSTMCarry(h, c, n, m), h, {"i": i, "f": f, "g": g, "o": o}


def plain(cell, params, xs):
    """Without a stabiliser, from the beginning."""
    h = c = n = np.zeros(cell.hidden_size, complex)
    for x in xs:
        a = sums(cell, params, x, h)
        i = np.exp(a["i"])
        f = np.exp(a["f"]) if cell.forget == "exp" else sigmoid(a["f"])
        c, n = f * c + i * np.tanh(a["g"]), f * n + i
        h = sigmoid(a["o"]) * c / n
        yield h


forms = pytest.mark.parametrize("forget", ["sigmoid", "exp"])


@every_bias
@forms
def test_a_run_is_the_papers(forget, use_bias):
    equals_paper(cells.SLSTM(3, 4, heads=2, forget=forget, use_bias=use_bias), slstm)


@pytest.mark.slow
@forms
def test_the_stabiliser_changes_nothing(forget):
    cell = cells.SLSTM(3, 6, heads=3, forget=forget)
    params, xs = params_of(cell), inputs_of(cell, (9,))
    own, direction = (jax.tree.map(np.asarray, p) for p in (params, params_of(cell, 7)))
    moved = jax.tree.map(lambda a, v: a + 1e-30j * v, own, direction)
    expected = np.stack([*plain(cell, moved, np.asarray(xs))])
    run = lambda params: unroll(cell, params, xs)[1]  # noqa: E731
    ys, dys = jax.jit(lambda *given: jax.jvp(run, *given))((params,), (direction,))
    np.testing.assert_allclose(ys, expected.real, rtol=1e-12)
    np.testing.assert_allclose(dys, expected.imag / 1e-30, rtol=1e-10)
    weights = random_like(ys, seed=8)
    gradient = jax.jit(jax.grad(lambda params: jnp.vdot(run(params), weights)))(params)
    slopes = jax.tree.map(jnp.vdot, gradient, direction)
    expected = np.vdot(expected.imag / 1e-30, weights)
    np.testing.assert_allclose(sum(jax.tree.leaves(slopes)), expected, rtol=1e-10)


def test_the_products_of_all_heads_are_one():
    assert taps(cells.SLSTM(3, 4, heads=2)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("scale", [60, 120, 1e4])
@forms
def test_ten_thousand_steps_of_large_inputs_stay_finite(forget, scale):
    """In float32, gradients too, where a gate's exponential is infinite in the others."""
    cell = cells.SLSTM(3, 4, heads=2, forget=forget)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    xs = scale * inputs_of(cell, (10_000,)).astype("float32")

    def loss(params, xs):
        carry, ys = unroll(cell, params, xs)
        return jnp.mean(ys**2), (carry, ys)

    graded = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, (carry, ys)), gradients = jax.jit(graded)(params, xs)
    for leaf in jax.tree.leaves((carry, ys, gradients)):
        assert np.isfinite(leaf).all()
    assert np.abs(ys).max() <= 1 and carry.n.min() >= 1  # c is within n
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_an_input_gate_that_is_all_but_shut_at_first_is_open_nonetheless():
    """What came is the mean of what the gates let in, however little that was."""
    cell = cells.SLSTM(1, 2, use_bias=True)
    params = jax.tree.map(jnp.zeros_like, params_of(cell))
    params["bias"] = jnp.asarray([-1e4, -1e4, 0, 0, 0.5, -0.5, 3, 3], "float64")
    ys = unroll(cell, params, jnp.ones((4, 1)))[1]
    expected = sigmoid(3.0) * np.tanh([0.5, -0.5])
    np.testing.assert_allclose(ys, np.tile(expected, (4, 1)), rtol=1e-12)


def test_every_head_is_orthogonal_at_first():
    kernel = cells.SLSTM(3, 6, heads=2).init(jax.random.key(0))["recurrent_kernel"]
    assert kernel.shape == (2, 3, 12)
    for head in kernel:
        for gate in np.split(head, 4, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(3), atol=1e-6)
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_zoneout_holds_h_alone():
    """c, n and m mean nothing one without the other."""
    cell = cells.SLSTM(3, 4)
    params = params_of(cell) | {"recurrent_kernel": jnp.zeros((1, 4, 16))}
    xs, key = inputs_of(cell, (5,)), jax.random.key(0)
    free = trajectory(cell, params, xs)
    held = trajectory(Zoneout(cell, 0.5), params, xs, key=key)
    for name in "cnm":
        np.testing.assert_allclose(getattr(held, name), getattr(free, name), rtol=1e-14)
    assert np.mean(held.h == free.h) < 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads is 3, expected a divisor of hidden_size, 4"),
        ({"heads": 0}, "heads is 0, expected a positive int"),
        ({"forget": "tanh"}, 'forget is \'tanh\', expected "sigmoid" or "exp"'),
    ],
)
def test_what_it_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        cells.SLSTM(3, 4, **options)
