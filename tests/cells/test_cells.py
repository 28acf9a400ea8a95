"""Each cell against a NumPy step written from its equations, and its parameters."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, params_of

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Dense,
    Elman,
    Embedding,
    LSTMCarry,
    Stack,
    initializers,
    unroll,
)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "identity": lambda a: a,
    "sigmoid": sigmoid,
    "softplus": lambda a: np.log1p(np.exp(a)),
}


def blocks(params, name, gates):
    """Gate name -> its columns of a parameter, zeros where there is no such parameter."""
    if name not in params:
        return dict.fromkeys(gates, 0.0)
    parts = np.split(np.asarray(params[name]), len(gates), axis=-1)
    return dict(zip(gates, parts, strict=True))


def numpy_elman(params, h, x, act):
    W, U = np.asarray(params["kernel"]), np.asarray(params["recurrent_kernel"])
    return act(x @ W + h @ U + np.asarray(params.get("bias", 0.0)))


def numpy_lstm(params, h, c, x):
    W = blocks(params, "kernel", "ifgo")
    U = blocks(params, "recurrent_kernel", "ifgo")
    b = blocks(params, "bias", "ifgo")
    z = {gate: x @ W[gate] + h @ U[gate] + b[gate] for gate in "ifgo"}
    gates = {gate: (np.tanh if gate == "g" else sigmoid)(z[gate]) for gate in "ifgo"}
    c = gates["f"] * c + gates["i"] * gates["g"]
    return gates["o"] * np.tanh(c), c, gates


def numpy_gru(params, h, x, reset_after):
    W = blocks(params, "kernel", "rzn")
    U = blocks(params, "recurrent_kernel", "rzn")
    b = blocks(params, "bias", "rzn")
    r = sigmoid(x @ W["r"] + h @ U["r"] + b["r"])
    z = sigmoid(x @ W["z"] + h @ U["z"] + b["z"])
    if reset_after:
        inner = r * (h @ U["n"] + np.asarray(params.get("recurrent_bias", 0.0)))
    else:
        inner = (r * h) @ U["n"]
    n = np.tanh(x @ W["n"] + b["n"] + inner)
    return (1 - z) * n + z * h, {"r": r, "z": z, "n": n}


def case(cell):
    params = params_of(cell)
    x, carry = np.asarray(inputs_of(cell, ())), carry_of(cell, params)
    return params, carry, x


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_elman_step(activation, use_bias):
    cell = Elman(3, 5, activation, use_bias=use_bias)
    params, h, x = case(cell)
    carry, y = cell(params, h, x)
    expected = numpy_elman(params, np.asarray(h), x, ACTIVATIONS[activation])
    np.testing.assert_allclose(carry, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(y, carry)
    assert ("bias" in params) == use_bias


@pytest.mark.parametrize("use_bias", [True, False])
def test_lstm_step_and_gates(use_bias):
    cell = LSTM(3, 5, use_bias=use_bias)
    params, (h, c), x = case(cell)
    carry, y = cell(params, LSTMCarry(h, c), x)
    *expected, gates = numpy_lstm(params, np.asarray(h), np.asarray(c), x)
    np.testing.assert_allclose(carry, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(y, carry.h)
    named = cell.gates(params, LSTMCarry(h, c), cell.project(params, x))
    assert list(named) == list("ifgo")
    for gate, value in gates.items():
        np.testing.assert_allclose(named[gate], value, rtol=1e-13, atol=1e-13)
    assert ("bias" in params) == use_bias


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_step_and_gates(reset_after, use_bias):
    cell = GRU(3, 5, reset_after=reset_after, use_bias=use_bias)
    params, h, x = case(cell)
    carry, y = cell(params, h, x)
    expected, gates = numpy_gru(params, np.asarray(h), x, reset_after)
    np.testing.assert_allclose(carry, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(y, carry)
    named = cell.gates(params, h, cell.project(params, x))
    assert list(named) == list("rzn")
    for gate, value in gates.items():
        np.testing.assert_allclose(named[gate], value, rtol=1e-13, atol=1e-13)
    assert ("bias" in params) == use_bias
    assert ("recurrent_bias" in params) == (use_bias and reset_after)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_of_the_other_convention_by_negating_z(reset_after):
    """h' = (1 - z) h + z n, the textbooks' form, with the z columns negated."""
    cell = GRU(3, 5, reset_after=reset_after)
    params, h, x = case(cell)
    negated = dict(params)
    for name in ("kernel", "recurrent_kernel", "bias"):
        r, z, n = np.split(np.asarray(params[name]), 3, axis=-1)
        negated[name] = np.concatenate([r, -z, n], axis=-1)
    _, gates = numpy_gru(negated, np.asarray(h), x, reset_after)
    expected = (1 - gates["z"]) * np.asarray(h) + gates["z"] * gates["n"]
    carry, _ = cell(params, h, x)
    np.testing.assert_allclose(carry, expected, rtol=1e-13, atol=1e-13)


def hard(a):
    return np.clip(0.2 * a + 0.5, 0, 1)


def test_lstm_of_other_activations_clipped_and_projected():
    """ONNX's HardSigmoid; a clip that cuts off; h' = (o act(c')) V."""
    options = dict(activation=jnp.sin, gate_activation="onnx_hard_sigmoid")
    cell = LSTM(3, 5, projection_size=2, clip=0.4, **options)
    params, x = params_of(cell), inputs_of(cell, ())
    assert params["recurrent_kernel"].shape == (2, 20)
    assert params["projection"].shape == (5, 2)
    carry = carry_of(cell, params)
    W, U, b = (
        blocks(params, name, "ifgo") for name in ("kernel", "recurrent_kernel", "bias")
    )
    z = {gate: x @ W[gate] + carry.h @ U[gate] + b[gate] for gate in "ifgo"}
    free = hard(z["f"]) * carry.c + hard(z["i"]) * np.sin(z["g"])
    c = np.clip(free, -0.4, 0.4)
    assert np.any(c != free) and np.any(c == free)
    h = (hard(z["o"]) * np.sin(c)) @ np.asarray(params["projection"])
    new, y = cell(params, carry, x)
    np.testing.assert_allclose(new.h, h, rtol=1e-12)
    np.testing.assert_allclose(new.c, c, rtol=1e-12)
    np.testing.assert_allclose(y, h, rtol=1e-12)


def test_gru_of_other_activations():
    cell = GRU(3, 5, activation="soft_sign", gate_activation="onnx_hard_sigmoid")
    params, x = params_of(cell), inputs_of(cell, ())
    h = carry_of(cell, params)
    W, U, b = (
        blocks(params, name, "rzn") for name in ("kernel", "recurrent_kernel", "bias")
    )
    r, z = (hard(x @ W[gate] + h @ U[gate] + b[gate]) for gate in "rz")
    n = x @ W["n"] + b["n"] + r * (h @ U["n"] + np.asarray(params["recurrent_bias"]))
    expected = (1 - z) * n / (1 + np.abs(n)) + z * h
    np.testing.assert_allclose(cell(params, h, x)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_step(use_bias):
    cell = Dense(3, 4, use_bias)
    params, _, x = case(cell)
    carry, y = cell(params, (), x)
    expected = x @ np.asarray(params["kernel"]) + np.asarray(params.get("bias", 0.0))
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
    assert carry == () and ("bias" in params) == use_bias


def test_embedding_picks_rows_and_shows_a_symbol_it_does_not_have():
    cell = Embedding(vocabulary=4, features=3)
    params = params_of(cell)
    _, ys = unroll(cell, params, jnp.array([[0, 3], [2, 2]], jnp.int32))
    table = np.asarray(params["embedding"])
    np.testing.assert_array_equal(ys, table[np.array([[0, 3], [2, 2]])])
    _, ys = unroll(cell, params, jnp.array([4, -1, 1]))
    assert np.isnan(ys[:2]).all()
    np.testing.assert_array_equal(ys[2], table[1])


def test_a_stack_is_its_layers_one_after_the_other():
    cells = [LSTM(3, 5), GRU(5, 4), Dense(4, 2)]
    stack = Stack(cells)
    assert stack == Stack(tuple(cells)) and hash(stack) == hash(Stack(tuple(cells)))
    params = params_of(stack)
    ys = xs = inputs_of(stack, (6, 2))
    for cell, p in zip(cells, params, strict=True):
        _, ys = unroll(cell, p, ys)
    np.testing.assert_allclose(unroll(stack, params, xs)[1], ys, rtol=1e-13)


def test_the_drive_of_a_step_may_be_made_outside():
    """prepare, project, step and output by hand are the call."""
    cell = Stack((LSTM(3, 4), Elman(4, 5), Dense(5, 2)))
    params = params_of(cell)
    carry, x = carry_of(cell, params), inputs_of(cell, ())
    prepared = cell.prepare(params)
    drive = cell.project(prepared, x)
    new = cell.step(prepared, carry, drive)
    expected = new, cell.output(prepared, new, drive)
    for actual, want in zip(
        jax.tree.leaves(cell(params, carry, x)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_array_equal(actual, want)


def test_a_cell_prints_as_the_expression_that_makes_it():
    assert repr(LSTM(3, 5)) == "LSTM(input_size=3, hidden_size=5)"
    assert repr(GRU(3, 5, reset_after=False)) == (
        "GRU(input_size=3, hidden_size=5, reset_after=False)"
    )
    cell = Elman(3, 5, "relu", recurrent_init=initializers.identity)
    assert repr(Stack([cell])) == (
        "Stack(cells=(Elman(input_size=3, hidden_size=5, "
        "recurrent_init=initializers.identity, activation='relu'),))"
    )
    other = jaxrnn.cells.MGU(3, 5, use_bias=False)
    assert repr(other) == "cells.MGU(input_size=3, hidden_size=5, use_bias=False)"
    assert eval(repr(other), {**vars(jaxrnn)}) == other
    he = LSTM(3, 5, kernel_init=initializers.PerGate(jax.nn.initializers.he_normal))
    assert eval(repr(he), {**vars(jaxrnn), "jax": jax}) == he
    assert pickle.loads(pickle.dumps(he)) == he
    chrono = LSTM(3, 5, bias_init=initializers.Chrono(9))
    assert repr(chrono).endswith("bias_init=initializers.Chrono(t_max=9))")


def test_sizes_may_be_numpys():
    cell = LSTM(np.int64(3), np.int32(5))
    assert cell == LSTM(3, 5) and repr(cell) == repr(LSTM(3, 5))
