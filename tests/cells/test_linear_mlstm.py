"""The mLSTM: its equations, its memory, and that it stays finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from papers import blocks, equals_paper, every_bias, sigmoid
from zoo import inputs_of, params_of, random_like

from jaxrnn import Zoneout, cells, trajectory, unroll
from jaxrnn.cells import MLSTMCarry

forms = pytest.mark.parametrize("forget", ["sigmoid", "exp"])


def larger(a, b):
    return np.where(a.real > b.real, a, b)


def size(a):
    return np.where(a.real > 0, a, -a)


def made(cell, params, x):
    """q, k, v by head, the numbers of i and f, and o."""
    W, b = blocks(params, "kernel", "qkvo"), blocks(params, "bias", "qkvo")
    gate_W, gate_b = (
        blocks(params, "gate_kernel", "if"),
        blocks(params, "gate_bias", "if"),
    )
    root = np.sqrt(cell.hidden_size / cell.heads)
    a = {gate: x @ W[gate] + b[gate] for gate in "qvo"}
    a["k"] = x @ W["k"] / root + b["k"]
    heads = {name: a[name].reshape(cell.heads, -1) for name in "qkv"}
    return (
        heads | {gate: x @ gate_W[gate] + gate_b[gate] for gate in "if"} | {"o": a["o"]}
    )


def mlstm(cell, params, carry, x):
    a = made(cell, params, x)
    kept = a["f"] if cell.forget == "exp" else -np.log1p(np.exp(-a["f"]))
    m = larger(kept + carry.m, a["i"])
    i, f, o = np.exp(a["i"] - m), np.exp(kept + carry.m - m), sigmoid(a["o"])
    C, n, h = [], [], []
    for head in range(cell.heads):
        q, k, v = (a[name][head] for name in "qkv")
        C.append(f[head] * carry.C[head] + i[head] * np.outer(v, k))
        n.append(f[head] * carry.n[head] + i[head] * k)
        below = larger(size(n[head] @ q), np.exp(-m[head]))
        h.append(C[head] @ q / below)
    y = o * np.concatenate(h)
    return MLSTMCarry(np.stack(C), np.stack(n), m), y, {"i": i, "f": f, "o": o}


@every_bias
@forms
def test_a_run_is_the_papers(forget, use_bias):
    equals_paper(cells.MLSTM(3, 4, heads=2, forget=forget, use_bias=use_bias), mlstm)


def attended(cell, params, xs):
    """All steps so far at once, without a stabiliser: sums over past keys and values."""
    every = [made(cell, params, x) for x in xs]
    for t, now in enumerate(every):
        h = []
        for head in range(cell.heads):
            q, above, below = now["q"][head], 0, 0
            for s in range(t + 1):
                f = [every[u]["f"][head] for u in range(s + 1, t + 1)]
                f = np.exp(f) if cell.forget == "exp" else sigmoid(np.array(f))
                weight = np.prod(f) * np.exp(every[s]["i"][head])
                score = weight * (every[s]["k"][head] @ q)
                above, below = above + score * every[s]["v"][head], below + score
            h.append(above / max(abs(below), 1))
        yield sigmoid(now["o"]) * np.concatenate(h)


@forms
def test_it_is_a_sum_over_past_keys_and_values(forget):
    cell = cells.MLSTM(3, 6, heads=2, forget=forget)
    params, xs = params_of(cell), inputs_of(cell, (9,))
    expected = np.stack(
        [*attended(cell, jax.tree.map(np.asarray, params), np.asarray(xs))]
    )
    np.testing.assert_allclose(unroll(cell, params, xs)[1], expected, rtol=1e-11)


@forms
def test_where_the_old_carry_is_scaled_matters_not(forget):
    """C and n are in units of exp(m)."""
    cell = cells.MLSTM(3, 4, heads=2, forget=forget)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    first = random_like(jax.eval_shape(cell.initial_carry, params))
    by = jnp.array([3.0, -2.0])
    scale = jnp.exp(-by)
    other = MLSTMCarry(
        first.C * scale[:, None, None], first.n * scale[:, None], first.m + by
    )
    ys = unroll(cell, params, xs, first)[1]
    np.testing.assert_allclose(unroll(cell, params, xs, other)[1], ys, rtol=1e-12)


def test_what_was_written_is_read_under_its_key():
    """Gates all but open, and keys that are orthogonal: y is o v of the same key."""
    cell = cells.MLSTM(6, 3, use_bias=True)
    zeros = jax.tree.map(jnp.zeros_like, params_of(cell))
    eye, O = np.eye(3), np.zeros((3, 3))
    # x is a key to write and a key to read; what is written is twice the key, turned.
    turn = 2 * np.roll(eye, 1, axis=1)
    kernel = np.block([[O, 3**0.5 * eye, turn, O], [eye, O, O, O]])
    params = zeros | {"kernel": jnp.asarray(kernel)}
    params["gate_bias"] = jnp.array([2.0, 50.0])
    write, read = np.vstack([eye, np.zeros((3, 3))]), np.vstack([np.zeros((3, 3)), eye])
    ys = unroll(cell, params, jnp.asarray(np.hstack([write, read])))[1]
    np.testing.assert_allclose(ys[3:], 0.5 * turn, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [60, 1e4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@forms
def test_ten_thousand_steps_of_large_inputs_stay_finite(forget, dtype, scale):
    """And what follows, of zeros without a bias, when q is 0; gradients too."""
    cell = cells.MLSTM(3, 4, heads=2, forget=forget, use_bias=False)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params_of(cell))
    xs = (scale * inputs_of(cell, (10_000,))).at[-100:].set(0).astype(dtype)

    def loss(params, xs):
        carry, ys = unroll(cell, params, xs)
        return jnp.mean(jnp.abs(ys.astype("float32"))), (carry, ys)

    graded = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, outcome), gradients = jax.jit(graded)(params, xs)
    for leaf in jax.tree.leaves((outcome, gradients)):
        assert np.isfinite(leaf.astype("float32")).all()
    np.testing.assert_array_equal(outcome[1][-100:].astype("float32"), 0)


@pytest.mark.parametrize(
    "dtype", by_default(["float16", "bfloat16", "float32", "float64"], "float32")
)
@pytest.mark.parametrize("gate", [(-1e4, -1e4), (1e4, 0.0), (-1e4, 6.0)])
def test_gates_far_from_zero_stay_finite(gate, dtype):
    cell = cells.MLSTM(2, 2)
    params = params_of(cell) | {"gate_bias": jnp.array(gate)}
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    def loss(params):
        final, ys = unroll(cell, params, jnp.ones((4, 2), dtype))
        return jnp.sum(ys), (final, ys)

    slope, outcome = jax.grad(loss, has_aux=True)(params)
    for leaf in jax.tree.leaves((slope, outcome)):
        assert np.isfinite(leaf.astype("float64")).all()


def test_initial_gates_are_those_of_the_authors():
    cell = cells.MLSTM(3, 400, heads=200)
    params = cell.init(jax.random.key(0))
    assert not np.any(params["gate_kernel"])
    i, f = np.split(params["gate_bias"], 2)
    assert np.std(i) == pytest.approx(0.1, rel=0.2)
    np.testing.assert_allclose(f, np.linspace(3, 6, 200), rtol=1e-6)
    assert params["kernel"].shape == (3, 1600) and not np.any(params["bias"])
    assert "gate_bias" not in cells.MLSTM(3, 4, use_bias=False).init(jax.random.key(0))


def test_zoneout_leaves_the_carry_alone():
    """C, n and m mean nothing one without the other."""
    cell = cells.MLSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    held = trajectory(Zoneout(cell, 0.5), params, xs, key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, held, trajectory(cell, params, xs))


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
        cells.MLSTM(3, 4, **options)
