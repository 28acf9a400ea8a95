"""Strongly typed cells, whose products are of inputs alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, sigmoid, taps
from zoo import inputs_of, params_of

from jaxrnn import Zoneout, cells, unroll


def trnn(cell, params, h, x):
    W = blocks(params, "kernel", "fn")
    f = sigmoid(x @ W["f"] + params.get("bias", 0))
    h = h * f + x @ W["n"] * (1 - f)
    return h, h, {"f": f}


def sums(params, previous, x):
    W, V = blocks(params, "kernel", "fno"), params["previous_kernel"]
    b, previous = blocks(params, "bias", "fno"), np.split(previous, 3)
    a = {g: x @ W[g] + p + b[g] for g, p in zip("fno", previous, strict=True)}
    return a, x @ V


def tgru(cell, params, carry, x):
    a, later = sums(params, carry.previous, x)
    f, o = sigmoid(a["f"]), np.tanh(a["o"])
    h = carry.h * f + o * a["n"]
    return cells.TypedCarry(h, later), h, {"f": f, "o": o}


def tlstm(cell, params, carry, x):
    a, later = sums(params, carry.previous, x)
    act = sigmoid if cell.activation == "sigmoid" else np.tanh
    f, o = sigmoid(a["f"]), act(a["o"])
    c = a["n"] + f * (carry.c - a["n"])
    h = o * c
    return cells.TypedLSTMCarry(h, c, later), h, {"f": f, "o": o}


STEPS = {cells.TRNN: trnn, cells.TGRU: tgru, cells.TLSTM: tlstm}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 5, use_bias=use_bias), STEPS[kind])


def test_the_nonlinearity_of_o_is_free():
    equals_paper(cells.TLSTM(3, 5, activation="sigmoid"), tlstm)


@pytest.mark.parametrize("kind", STEPS)
def test_no_product_is_in_the_loop(kind):
    assert taps(kind(3, 5)) == 0


@pytest.mark.parametrize("kind", [cells.TGRU, cells.TLSTM])
def test_the_first_step_has_an_x_of_zeros_before_it(kind):
    """And every other the x before: so a leading step of zeros changes no later sum."""
    cell = kind(3, 5, use_bias=False)
    params, xs = params_of(cell), inputs_of(cell, (4,))
    longer = jnp.concatenate([jnp.zeros((1, 3)), xs])
    ys, after = unroll(cell, params, xs)[1], unroll(cell, params, longer)[1]
    np.testing.assert_array_equal(after[0], 0)
    np.testing.assert_allclose(after[1:], ys, rtol=1e-14)


@pytest.mark.parametrize("kind", [cells.TGRU, cells.TLSTM])
def test_zoneout_holds_states_alone(kind):
    """A unit that is held still sees the x before: what is kept of it is no state."""
    cell, key = kind(3, 5), jax.random.key(1)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    plain, _ = unroll(cell, params, xs)
    held, _ = unroll(Zoneout(cell, 0.9), params, xs, key=key)
    np.testing.assert_allclose(held.previous, plain.previous, rtol=1e-14)
    state = held.h if kind is cells.TGRU else held.c
    assert np.abs(state - (plain.h if kind is cells.TGRU else plain.c)).max() > 0.1
