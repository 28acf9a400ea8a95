"""Cells with gates against NumPy steps written from their papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, params_of

from jaxrnn import LSTMCarry, cells, unroll


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def sums(params, x, h, gates):
    """x W + h U + b of every gate by its name, and these three apart."""
    width = len(gates)
    W, U = (
        np.split(np.asarray(params[name]), width, axis=1)
        for name in ("kernel", "recurrent_kernel")
    )
    b = np.split(np.asarray(params.get("bias", np.zeros(W[0].shape[1] * width))), width)
    parts = dict(zip(gates, zip(W, U, b, strict=True), strict=True))
    return {gate: x @ w + h @ u + c for gate, (w, u, c) in parts.items()}, parts


def peephole(params, carry, x):
    z, _ = sums(params, x, carry.h, "ifgo")
    p_i, p_f, p_o = np.split(np.asarray(params["peephole"]), 3)
    i, f = sigmoid(z["i"] + p_i * carry.c), sigmoid(z["f"] + p_f * carry.c)
    c = f * carry.c + i * np.tanh(z["g"])
    o = sigmoid(z["o"] + p_o * c)
    return LSTMCarry(o * np.tanh(c), c), {"i": i, "f": f, "g": np.tanh(z["g"]), "o": o}


def coupled(params, carry, x):
    z, _ = sums(params, x, carry.h, "fgo")
    f, g, o = sigmoid(z["f"]), np.tanh(z["g"]), sigmoid(z["o"])
    c = f * carry.c + (1 - f) * g
    return LSTMCarry(o * np.tanh(c), c), {"i": 1 - f, "f": f, "g": g, "o": o}


def janet(params, h, x):
    z, _ = sums(params, x, h, "fg")
    f, i, g = sigmoid(z["f"]), 1 - sigmoid(z["f"] - 1), np.tanh(z["g"])
    return f * h + i * g, {"f": f, "i": i, "g": g}


def ugrnn(params, h, x):
    z, _ = sums(params, x, h, "gn")
    g, n = sigmoid(z["g"]), np.tanh(z["n"])
    return g * h + (1 - g) * n, {"g": g, "n": n}


def ligru(params, h, x):
    z, _ = sums(params, x, h, "zn")
    keep, n = sigmoid(z["z"]), np.maximum(z["n"], 0)
    return keep * h + (1 - keep) * n, {"z": keep, "n": n}


def mgu(params, h, x):
    z, parts = sums(params, x, h, "fn")
    f, (W, U, b) = sigmoid(z["f"]), parts["n"]
    n = np.tanh(x @ W + (f * h) @ U + b)
    return (1 - f) * h + f * n, {"f": f, "n": n}


def minimal(params, h, x):
    W, U, V = (
        np.asarray(params[name])
        for name in ("kernel", "recurrent_kernel", "latent_kernel")
    )
    z = np.tanh(x @ W + np.asarray(params.get("bias", 0)))
    u = sigmoid(h @ U + z @ V + np.asarray(params.get("gate_bias", 0)))
    return u * h + (1 - u) * z, {"u": u, "z": z}


STEPS = {
    cells.PeepholeLSTM: peephole,
    cells.CoupledLSTM: coupled,
    cells.JANET: janet,
    cells.UGRNN: ugrnn,
    cells.LiGRU: ligru,
    cells.MGU: mgu,
    cells.MinimalRNN: minimal,
}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", STEPS)
def test_a_step_is_the_papers(kind, use_bias):
    cell = kind(3, 5, use_bias=use_bias)
    params, x = params_of(cell), np.asarray(inputs_of(cell, ()))
    assert ("bias" in params) == use_bias
    carry = carry_of(cell, params)
    expected, gates = STEPS[kind](params, jax.tree.map(np.asarray, carry), x)
    new, y = cell(params, carry, x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14),
        new,
        expected,
    )
    np.testing.assert_array_equal(y, jax.tree.leaves(new)[0])
    found = cell.gates(params, carry, cell.project(params, x))
    assert list(found) == list(gates)
    for gate, value in gates.items():
        np.testing.assert_allclose(found[gate], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    """The plans of a gradient have them all as taps, whose weights leave the loop."""
    cell = kind(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (8, 16))

    def loss(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1])

    closed = jax.make_jaxpr(jax.grad(loss))(params, xs)
    wholes = []

    def visit(jaxpr):
        for eqn in jaxpr.eqns:
            if "whole" in eqn.params:
                wholes.append(eqn.params["whole"])
            for inner in jax.tree.leaves([*eqn.params.values()]):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    visit(inner)

    visit(closed.jaxpr)
    assert wholes
    taps = {len(whole.program.plan.taps) for whole in wholes}
    assert taps == {2 if kind is cells.MGU else 1}
