"""Cells with gates and one state: light, additive, mutated and bistable ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, sigmoid, softplus, sums, taps
from zoo import params_of

from jaxrnn import cells, initializers, unroll


def times(params, name, gates, value):
    """`value` times the columns of a parameter, by gate."""
    return {gate: value @ block for gate, block in blocks(params, name, gates).items()}


def light(params, h, x):
    """The gate that writes, and the candidate's sum without a bias."""
    w = times(params, "kernel", "in", x)
    b = blocks(params, "bias", "i")["i"] if len(params.get("bias", ())) == 5 else 0
    return sigmoid(w["i"] + h @ params["recurrent_kernel"] + b), w["n"]


def lightru(cell, params, h, x):
    i, n = light(params, h, x)
    h = h + i * (np.tanh(n) - h)
    return h, h, {"i": i, "n": np.tanh(n)}


def star(cell, params, h, x):
    b = blocks(params, "bias", "in")
    w = times(params, "kernel", "in", x)
    k, z = sigmoid(w["i"] + h @ params["recurrent_kernel"] + b["i"]), w["n"] + b["n"]
    h = np.tanh((1 - k) * h + k * np.tanh(z))
    return h, h, {"i": k, "n": np.tanh(z)}


def sgrn(cell, params, h, x):
    f = sigmoid(sums(params, x, h, "f")["f"])
    h = np.tanh((1 - f) * (x @ params["kernel"]) + f * h)
    return h, h, {"f": f, "i": 1 - f}


def ran(cell, params, c, x):
    show = np.tanh if cell.activation == "tanh" else lambda c: c
    w = times(params, "kernel", "ifn", x)
    u = times(params, "recurrent_kernel", "if", show(c))
    b = blocks(params, "bias", "if")
    i, f = (sigmoid(w[gate] + u[gate] + b[gate]) for gate in "if")
    c = i * w["n"] + f * c
    return c, show(c), {"i": i, "f": f}


def atr(cell, params, h, x):
    p, q = x @ params["kernel"], h @ params["recurrent_kernel"] + params.get("bias", 0)
    i, f = sigmoid(p + q), sigmoid(p - q)
    h = i * p + f * h
    return h, h, {"i": i, "f": f}


def mutated(h, i, r, n):
    h = i * n + (1 - i) * h
    return h, h, {"i": i, "r": r, "n": n}


def mut1(cell, params, h, x):
    w, u = times(params, "kernel", "ir", x), blocks(params, "recurrent_kernel", "rn")
    b = blocks(params, "bias", "irn")
    bare = x @ params["projection"] if "projection" in params else x
    z, r = sigmoid(w["i"] + b["i"]), sigmoid(w["r"] + h @ u["r"] + b["r"])
    return mutated(h, z, r, np.tanh((r * h) @ u["n"] + np.tanh(bare) + b["n"]))


def mut2(cell, params, h, x):
    w, u = times(params, "kernel", "in", x), blocks(params, "recurrent_kernel", "irn")
    b = blocks(params, "bias", "irn")
    bare = x @ params["projection"] if "projection" in params else x
    z, r = sigmoid(w["i"] + h @ u["i"] + b["i"]), sigmoid(bare + h @ u["r"] + b["r"])
    return mutated(h, z, r, np.tanh((r * h) @ u["n"] + w["n"] + b["n"]))


def mut3(cell, params, h, x):
    z = sigmoid(sums(params, x, np.tanh(h), "irn")["i"])
    r = sigmoid(sums(params, x, h, "irn")["r"])
    return mutated(h, z, r, np.tanh(sums(params, x, r * h, "irn")["n"]))


def hard_sigmoid(a, slope):
    return np.where(np.abs(a.real * slope) < 0.5, a * slope + 0.5, a.real > 0)


def sgu(cell, params, h, x):
    w, u = times(params, "kernel", "mi", x), blocks(params, "recurrent_kernel", "mi")
    b = blocks(params, "bias", "mi")
    z_g = np.tanh(((w["m"] + b["m"]) * h) @ u["m"])
    if "output_kernel" in params:
        z_out = sigmoid((z_g * h) @ params["output_kernel"])
    else:
        z_out = (relu if cell.activation == "relu" else softplus)(z_g * h)
    slope = 1 / 6 if cell.gate_activation == "hard_sigmoid" else 1 / 5
    z = hard_sigmoid(w["i"] + h @ u["i"] + b["i"], slope)
    h = (1 - z) * h + z * z_out
    return h, h, {"m": z_g, "n": z_out, "i": z}


def cfn(cell, params, h, x):
    w = times(params, "kernel", "fin", x)
    u, b = times(params, "recurrent_kernel", "fi", h), blocks(params, "bias", "fi")
    theta, eta = (sigmoid(w[gate] + u[gate] + b[gate]) for gate in "fi")
    h = theta * np.tanh(h) + eta * np.tanh(w["n"])
    return h, h, {"f": theta, "i": eta, "n": np.tanh(w["n"])}


def bistable(cell, params, h, x):
    w, b = times(params, "kernel", "acn", x), blocks(params, "bias", "ac")
    if "recurrent_scale" in params:
        scale = blocks(params, "recurrent_scale", "ac")
        u = {gate: scale[gate] * h for gate in "ac"}
    else:
        u = times(params, "recurrent_kernel", "ac", h)
    a = 1 + np.tanh(w["a"] + u["a"] + b["a"])
    c = sigmoid(w["c"] + u["c"] + b["c"])
    n = np.tanh(w["n"] + a * h)
    h = c * h + (1 - c) * n
    return h, h, {"a": a, "c": c, "n": n}


def miru1(cell, params, h, x):
    r = sigmoid(sums(params, x, h, "rn")["r"])
    n = np.tanh(sums(params, x, r * h, "rn")["n"])
    h = n + cell.update_coefficient * (h - n)
    return h, h, {"r": r, "n": n}


def miru2(cell, params, h, x):
    n = np.tanh(sums(params, x, cell.reset_coefficient * h, "n")["n"])
    h = n + cell.update_coefficient * (h - n)
    return h, h, {}


STEPS = {
    cells.LightRU: lightru,
    cells.STAR: star,
    cells.SGRN: sgrn,
    cells.RAN: ran,
    cells.ATR: atr,
    cells.MUT1: mut1,
    cells.MUT2: mut2,
    cells.MUT3: mut3,
    cells.SGU: sgu,
    cells.DSGU: sgu,
    cells.CFN: cfn,
    cells.BR: bistable,
    cells.NBR: bistable,
    cells.MiRU1: miru1,
    cells.MiRU2: miru2,
}
# Products by parameters in a step, where there is not one.
TAPS = {
    cells.MUT1: 2,
    cells.MUT2: 2,
    cells.MUT3: 3,
    cells.SGU: 2,
    cells.DSGU: 3,
    cells.BR: 0,
    cells.MiRU1: 2,
}
OTHERS = [
    cells.RAN(3, 5, activation="identity"),
    cells.MUT1(5, 5),
    cells.MUT2(5, 5, use_bias=False),
    cells.SGU(3, 5, activation="relu", gate_activation="hard_sigmoid"),
    cells.MiRU1(3, 5, update_coefficient=0.3),
    cells.MiRU2(3, 5, update_coefficient=0.3, reset_coefficient=1.2),
]


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 5, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("cell", OTHERS, ids=str)
def test_a_run_with_an_option_is_the_papers(cell):
    equals_paper(cell, STEPS[type(cell)])


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(kind(3, 5)) == TAPS.get(kind, 1)


@pytest.mark.parametrize("kind", [cells.MUT1, cells.MUT2])
def test_x_is_projected_where_its_size_is_not_that_of_h(kind):
    def has_projection(*sizes, **options):
        params = jax.eval_shape(kind(*sizes, **options).init, jax.random.key(0))
        return "projection" in params

    assert has_projection(3, 5) and has_projection(3, 5, projection=True)
    assert has_projection(5, 5, projection=True)
    assert not has_projection(5, 5) and not has_projection(5, 5, projection=False)
    with pytest.raises(ValueError, match=r"\(3, 5\), expected the same"):
        kind(3, 5, projection=False)
    with pytest.raises(ValueError, match="expected None, True or False"):
        kind(5, 5, projection="yes")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (cells.MiRU1, {"update_coefficient": 1.0}, "MiRU1: update_coefficient is 1.0"),
        (cells.MiRU2, {"reset_coefficient": 0}, "MiRU2: reset_coefficient is 0"),
        (cells.RAN, {"activation": "squash"}, "RAN: activation is 'squash'"),
        (cells.SGU, {"gate_activation": "gate"}, "SGU: gate_activation is 'gate'"),
    ],
)
def test_an_option_that_cannot_be(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(3, 5, **options)


def test_where_the_papers_parameters_start():
    key = jax.random.key(0)
    cfn, br, star = (kind(3, 2).init(key) for kind in (cells.CFN, cells.BR, cells.STAR))
    np.testing.assert_array_equal(cfn["bias"], [1, 1, -1, -1])
    np.testing.assert_array_equal(br["recurrent_scale"], [1, 1, 1, 1])
    W = star["kernel"][:, :2]
    np.testing.assert_allclose(W.T @ W, np.eye(2), atol=1e-6)


def test_a_mutation_of_projected_inputs_is_a_gru():
    """MUT2 with projection=True, as torchrecurrent has it: z = 1 - i."""
    mutation, gru = cells.MUT2(3, 5, projection=True), cells.GRU(3, 5, reset_after=False)
    params = params_of(mutation)

    def columns(i, r, n):
        return jnp.concatenate([r, -i, n], axis=-1)

    (W_i, W_n), W_r = jnp.split(params["kernel"], 2, axis=1), params["projection"]
    given = {
        "kernel": columns(W_i, W_r, W_n),
        "recurrent_kernel": columns(*jnp.split(params["recurrent_kernel"], 3, axis=1)),
        "bias": columns(*jnp.split(params["bias"], 3)),
    }
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
    np.testing.assert_allclose(
        unroll(mutation, params, xs)[1], unroll(gru, given, xs)[1], rtol=1e-12
    )


def test_a_bistable_unit_keeps_what_it_was_given_for_ever():
    """Its input gone, a unit stays at the value of its sign, which a = 2 makes 0.9575."""
    cell = cells.BR(1, 1, bias_init=initializers.zeros)
    params = {
        "kernel": jnp.array([[0.0, 0.0, 1.0]]),
        "recurrent_scale": jnp.zeros(2),
        "bias": jnp.array([20.0, 0.0]),  # a = 2, c = 1/2
    }
    pulse = jnp.zeros((2000, 2, 1)).at[0, :, 0].set(jnp.array([0.5, -0.5]))
    h = unroll(cell, params, pulse)[0]
    np.testing.assert_allclose(h[:, 0], [0.957504, -0.957504], atol=1e-6)


def test_a_chaos_free_network_falls_to_zero():
    """Each unit by itself, whatever the weights: |h'| < |h| without inputs."""
    cell = cells.CFN(3, 5)
    params = jax.tree.map(lambda leaf: 4 * leaf, params_of(cell))
    h = jnp.array([-3.0, -1.0, 0.5, 1.0, 3.0])
    for _ in range(20):
        new, _ = cell(params, h, jnp.zeros(3))
        assert np.all(np.abs(new) < np.abs(h))
        h = new


@pytest.mark.slow
@pytest.mark.parametrize("kind", [cells.SGU, cells.DSGU, cells.ATR, cells.RAN])
def test_long_runs_of_large_inputs_stay_finite(kind):
    cell = kind(2, 3)
    params = cell.init(jax.random.key(0))
    xs = 1e4 * jax.random.normal(jax.random.key(1), (10_000, 2))
    params, xs = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, xs))

    @jax.jit
    @jax.value_and_grad
    def graded(params):
        return jnp.mean(unroll(cell, params, xs)[1])

    for leaf in jax.tree.leaves(graded(params)):
        assert leaf.dtype == jnp.float32 and np.all(np.isfinite(leaf))
