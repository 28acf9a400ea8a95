"""LSTMs of their own kind against their papers, and what one of them conserves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, sigmoid, softmax, sums, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import LSTM, LSTMCarry, Zoneout, cells, initializers, trajectory, unroll


def plus(params, name, a):
    return a + params[name] if name in params else a


def lstm(z, c, inner=np.tanh, outer=np.tanh):
    """c', h' and the gates of an LSTM from the sums of its gates."""
    i, f, o, g = sigmoid(z["i"]), sigmoid(z["f"]), sigmoid(z["o"]), inner(z["g"])
    c = f * c + i * g
    h = o * outer(c)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": g, "o": o}


def normal(a, epsilon):
    return (a - a.mean()) / np.sqrt(np.mean(a**2) - np.mean(a) ** 2 + epsilon)


def layer_norm_lstm(cell, params, carry, x):
    of_x = normal(x @ params["kernel"], cell.epsilon) * params["gain"]
    of_h = normal(carry.h @ params["recurrent_kernel"], cell.epsilon)
    z = plus(params, "bias", of_x + of_h * params["recurrent_gain"])
    z = dict(zip("ifgo", np.split(z, 4), strict=True))

    def shown(c):
        c = normal(c, cell.epsilon) * params["memory_gain"]
        return np.tanh(plus(params, "memory_bias", c))

    return lstm(z, carry.c, outer=shown)


def layer_norm_gru(cell, params, h, x):
    W, U = blocks(params, "kernel", "rzn"), blocks(params, "recurrent_kernel", "rzn")
    s, u = blocks(params, "gain", "rzn"), blocks(params, "recurrent_gain", "rzn")
    b = blocks(params, "bias", "rzn")

    def both(a, W):
        return np.split(normal(np.concatenate([a @ W["r"], a @ W["z"]]), cell.epsilon), 2)

    (x_r, x_z), (h_r, h_z) = both(x, W), both(h, U)
    r = sigmoid(s["r"] * x_r + u["r"] * h_r + b["r"])
    z = sigmoid(s["z"] * x_z + u["z"] * h_z + b["z"])
    h_n = plus(params, "recurrent_bias", u["n"] * normal(h @ U["n"], cell.epsilon))
    n = np.tanh(s["n"] * normal(x @ W["n"], cell.epsilon) + b["n"] + r * h_n)
    h = n + z * (h - n)
    return h, h, {"r": r, "z": z, "n": n}


def intermediate(params, x, h, gates):
    """x W + m V + b of every gate, m = (x W_m) (h U_m)."""
    W = blocks(params, "kernel", "m" + gates)
    V = blocks(params, "intermediate_kernel", gates)
    b = blocks(params, "bias", gates)
    A = params["recurrent_kernel"] @ np.diag(x @ W["m"])
    return {gate: x @ W[gate] + h @ (A @ V[gate]) + b[gate] for gate in gates}


def multiplicative_rnn(cell, params, h, x):
    h = np.tanh(intermediate(params, x, h, "h")["h"])
    return h, h, {}


def multiplicative_lstm(cell, params, carry, x):
    return lstm(intermediate(params, x, carry.h, "ifgo"), carry.c)


def nas(cell, params, carry, x):
    z = sums(params, x, carry.h, "12345678")
    bias = blocks(params, "bias", "12345678")["4"]
    of_x = x @ blocks(params, "kernel", "12345678")["4"]
    of_h = carry.h @ blocks(params, "recurrent_kernel", "12345678")["4"] + bias
    a = {k: (np.tanh if k in "57" else sigmoid)(z[k]) for k in z}
    a |= {"2": relu(z["2"]), "4": relu(of_x * of_h)}
    c = np.tanh(carry.c + np.tanh(a["1"] * a["2"])) * np.tanh(a["3"] + a["4"])
    h = np.tanh(c * np.tanh(np.tanh(a["5"] * a["6"]) + sigmoid(a["7"] + a["8"])))
    return LSTMCarry(h, c), h, {f"a{k}": a[k] for k in a}


def original(cell, params, carry, x):
    z = sums(params, x, carry.h, "igo")
    i, o, g = sigmoid(z["i"]), sigmoid(z["o"]), 4 / (1 + np.exp(-z["g"])) - 2
    c = carry.c + i * g
    h = o * (2 / (1 + np.exp(-c)) - 1)
    return LSTMCarry(h, c), h, {"i": i, "g": g, "o": o}


def residual(cell, params, carry, x):
    z = sums(params, x, carry.h, "ifgo")
    p = blocks(params, "peephole", "ifo")
    i, f = sigmoid(z["i"] + p["i"] * carry.c), sigmoid(z["f"] + p["f"] * carry.c)
    c = f * carry.c + i * np.tanh(z["g"])
    o = sigmoid(z["o"] + p["o"] * c)
    around = x if cell.identity else x @ params["shortcut_kernel"]
    h = o * (np.tanh(c) @ params["projection"] + around)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": np.tanh(z["g"]), "o": o}


def working_memory(cell, params, carry, x):
    z = sums(params, x, carry.h, "ifgo")
    M = blocks(params, "memory_kernel", "ifo")
    i = sigmoid(z["i"] + np.tanh(carry.c @ M["i"]))
    f = sigmoid(z["f"] + np.tanh(carry.c @ M["f"]))
    c = f * carry.c + i * np.tanh(z["g"])
    o = sigmoid(z["o"] + np.tanh(c @ M["o"]))
    h = o * np.tanh(c)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": np.tanh(z["g"]), "o": o}


def mass_conserving(cell, params, carry, x):
    M, H = cell.mass_size, cell.hidden_size
    shares = carry.c / np.sum(np.where(carry.c.real < 0, -carry.c, carry.c))
    z = x.auxiliary @ params["kernel"] + shares @ params["recurrent_kernel"]
    z = plus(params, "bias", z)

    def spread(row):
        if cell.normalization == "sigmoid":
            return sigmoid(row) / sigmoid(row).sum()
        return softmax(row)

    rows = [spread(row) for row in z[: (M + H) * H].reshape(M + H, H)]
    i, r, o = np.stack(rows[:M]), np.stack(rows[M:]), sigmoid(z[(M + H) * H :])
    total = i.T @ x.mass + r.T @ carry.c
    h = o * total
    return LSTMCarry(h, total - h), h, {"i": i.ravel(), "r": r.ravel(), "o": o}


STEPS = {
    cells.LayerNormLSTM: layer_norm_lstm,
    cells.LayerNormGRU: layer_norm_gru,
    cells.MultiplicativeRNN: multiplicative_rnn,
    cells.MultiplicativeLSTM: multiplicative_lstm,
    cells.NAS: nas,
    cells.OriginalLSTM: original,
    cells.ResLSTM: residual,
    cells.WMCLSTM: working_memory,
    cells.MCLSTM: mass_conserving,
}
SIZES = {cells.MCLSTM: (2, 3, 5)}
OPTIONS = [
    (cells.ResLSTM, (5, 5), {"identity": True}),
    (cells.LayerNormLSTM, (3, 5), {"epsilon": 0.3}),
    (cells.LayerNormGRU, (3, 5), {"epsilon": 0.3}),
    (cells.MCLSTM, (2, 3, 5), {"normalization": "sigmoid"}),
]
# Products by parameters in a step, where there is not one.
TAPS = {
    cells.MultiplicativeRNN: 2,  # h U_m, m V
    cells.MultiplicativeLSTM: 2,
    cells.ResLSTM: 2,  # h U, tanh(c') P
    cells.WMCLSTM: 3,  # h U, c M_if, c' M_o
}


def made(kind, **options):
    return kind(*SIZES.get(kind, (3, 5)), **options)


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(made(kind, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "sizes", "options"), OPTIONS)
def test_a_run_with_options_is_the_papers(kind, sizes, options):
    equals_paper(kind(*sizes, **options), STEPS[kind])


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(made(kind)) == TAPS.get(kind, 1)


@pytest.mark.slow
def test_initial_values_are_the_papers():
    """But for the kernels: orthogonal matrices take long to compile."""
    key, zeros = jax.random.key(0), initializers.zeros
    params = made(cells.LayerNormLSTM, recurrent_init=zeros).init(key)
    for name in ("gain", "recurrent_gain", "memory_gain"):
        np.testing.assert_array_equal(params[name], 1)
    np.testing.assert_array_equal(params["bias"], np.repeat([0, 1, 0, 0], 5))
    assert not params["memory_bias"].any()
    params = made(cells.MCLSTM, kernel_init=zeros, recurrent_init=zeros).init(key)
    i, r, o = np.split(params["bias"], [2 * 5, (2 + 5) * 5])
    assert not i.any()
    np.testing.assert_array_equal(r.reshape(5, 5), np.eye(5))
    np.testing.assert_array_equal(o, -3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cells.LayerNormLSTM(3, 5, epsilon=0), "epsilon is 0"),
        (lambda: cells.ResLSTM(3, 5, identity=True), "input_size 3 and hidden_size 5"),
        (lambda: cells.PeepholeLSTM(3, 5, activation="no"), "PeepholeLSTM: activation"),
        (
            lambda: cells.CoupledLSTM(3, 5, gate_activation="no"),
            "gate_activation is 'no'",
        ),
        (lambda: cells.MCLSTM(1, 0, 5), "auxiliary_size is 0"),
        (lambda: cells.MCLSTM(1, 3, 5, epsilon=-1.0), "epsilon is -1.0"),
        (lambda: cells.MCLSTM(1, 3, 5, normalization="relu"), "normalization is 'relu'"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Equations as properties.


OTHERS = {"activation": "soft_sign", "gate_activation": "onnx_hard_sigmoid"}


def test_other_activations_are_those_of_the_lstm_without_peepholes():
    cell = cells.PeepholeLSTM(3, 5, **OTHERS)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    params["peephole"] = jnp.zeros(15)
    plain = {name: leaf for name, leaf in params.items() if name != "peephole"}
    runs = unroll(cell, params, xs), unroll(LSTM(3, 5, **OTHERS), plain, xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), *runs)


def test_other_activations_of_coupled_gates_are_those_of_an_lstm_with_one_negated():
    """For a gate that is odd around 1/2, 1 - f is the gate of the negated sum."""
    cell = cells.CoupledLSTM(3, 5, **OTHERS)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))

    def all_four(leaf):
        f, g, o = jnp.split(leaf, 3, -1)
        return jnp.concatenate([-f, f, g, o], -1)

    four = jax.tree.map(all_four, params)
    runs = unroll(cell, params, xs), unroll(LSTM(3, 5, **OTHERS), four, xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), *runs)


def test_other_activations_of_res_lstm_are_in_its_output_too():
    cell = cells.ResLSTM(5, 5, identity=True, **OTHERS)
    params, xs = params_of(cell), inputs_of(cell, (2,))
    carry, x = carry_of(cell, params), xs[0]
    prepared = cell.prepare(params)
    gate = cell.gates(prepared, carry, cell.project(prepared, x))
    (_, c), h = cell(params, carry, x)
    shown = c / (1 + np.abs(c)) @ params["projection"] + x
    np.testing.assert_allclose(h, gate["o"] * shown, rtol=1e-12)
    np.testing.assert_allclose(c, gate["f"] * carry.c + gate["i"] * gate["g"])


@pytest.mark.parametrize("kind", [cells.LayerNormLSTM, cells.LayerNormGRU])
def test_layer_norm_sees_neither_scale_nor_offset_of_its_sums(kind):
    """Of x W, and of h U: weights of another size make the same cell."""
    cell = made(kind, epsilon=1e-30)
    params, xs = params_of(cell), inputs_of(cell, (4,))
    carry = carry_of(cell, params)
    scaled = params | {"kernel": 7 * params["kernel"]}
    scaled["recurrent_kernel"] = 0.01 * params["recurrent_kernel"]
    runs = [unroll(cell, given, xs, carry) for given in (params, scaled)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), *runs)


def masses(cell, leading, largest=1.0):
    """Inputs none of whose masses are negative."""
    xs = inputs_of(cell, leading)
    return xs._replace(mass=largest * jnp.abs(xs.mass))


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["softmax", "sigmoid"])
def test_mass_is_conserved(normalization):
    """At every step; and no part of the store holds, or gives, less than nothing."""
    cell = made(cells.MCLSTM, normalization=normalization)
    params, xs = params_of(cell), masses(cell, (300, 2), largest=40.0)
    store, ys = trajectory(cell, params, xs).c, unroll(cell, params, xs)[1]
    put_in, out = jnp.cumsum(xs.mass.sum(-1), 0), jnp.cumsum(ys.sum(-1), 0)
    np.testing.assert_allclose(store.sum(-1) + out, put_in, rtol=1e-12)
    assert ys.min() >= 0 and store.min() >= 0
    assert out[-1].min() > 1  # some did go out


def test_the_outflow_is_no_state():
    """So Zoneout leaves it alone: of the first step, it is that of the cell."""
    cell = made(cells.MCLSTM)
    params, xs, key = params_of(cell), masses(cell, (5,)), jax.random.key(0)
    carry = carry_of(cell, params)
    (_, ours), (_, kept) = (
        unroll(one, params, xs, carry, key=key) for one in (cell, Zoneout(cell, 0.5))
    )
    np.testing.assert_allclose(kept[0], ours[0], rtol=1e-14)
    assert np.max(np.abs(kept[1] - ours[1])) > 1e-3


def test_an_empty_store_has_no_shares_and_finite_gradients():
    cell = made(cells.MCLSTM)
    params, xs = params_of(cell), masses(cell, (3,))
    nothing = xs._replace(mass=jnp.zeros_like(xs.mass))
    final, ys = unroll(cell, params, nothing)
    assert not final.c.any() and not ys.any()
    z = nothing.auxiliary[0] @ params["kernel"] + params["bias"]
    gates = cell.gates(
        params, final, cell.project(params, jax.tree.map(lambda x: x[0], xs))
    )
    np.testing.assert_allclose(gates["o"], sigmoid(np.asarray(z[-5:])), rtol=1e-14)

    def loss(params, xs, carry):
        return jnp.sum(unroll(cell, params, xs, carry)[1] ** 2)

    tiny = jax.tree.map(lambda leaf: leaf + 1e-25, final)
    for carry in (final, tiny):
        for leaf in jax.tree.leaves(jax.grad(loss, (0, 1, 2))(params, xs, carry)):
            assert np.isfinite(leaf).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [cells.LayerNormLSTM, cells.LayerNormGRU, cells.MCLSTM])
def test_large_inputs_and_long_runs_stay_finite(kind):
    """Values and gradients in float32, for inputs of 1e4 after some zeros."""
    cell = made(kind)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    xs = inputs_of(cell, (10_000,))
    signs = jax.tree.map(lambda x: (1e4 * jnp.sign(x)).at[:100].set(0), xs)
    if kind is cells.MCLSTM:
        signs = signs._replace(mass=jnp.abs(signs.mass).at[2000:9000].set(0))
    xs = jax.tree.map(lambda x: x.astype("float32"), signs)

    def loss(params, xs):
        final, ys = unroll(cell, params, xs)
        return jnp.mean(jnp.tanh(ys)) + sum(map(jnp.mean, jax.tree.leaves(final)))

    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, xs)
    assert np.isfinite(value)
    for leaf in jax.tree.leaves(gradients):
        assert np.isfinite(leaf).all()
