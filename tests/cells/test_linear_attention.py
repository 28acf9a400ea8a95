"""Cells whose memories are matrices: gated linear attention, and the delta rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, sigmoid, softplus, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import cells, trajectory, unroll
from jaxrnn.cells.linear.delta import unit


def swish(a):
    return a * sigmoid(a)


def by_head(cell, flat):
    return np.split(flat, cell.heads)


def keys(cell, params, x):
    W = blocks(params, "key_kernel", "qk")
    return (by_head(cell, x @ W[name]) for name in "qk")


def gla(cell, params, carry, x):
    W = blocks(params, "kernel", "vr")
    a = x @ params["decay_down"] @ params["decay_up"] + params.get("decay_bias", 0)
    a = by_head(cell, sigmoid(a) ** (1 / cell.temperature))
    q, k = keys(cell, params, x)
    v = by_head(cell, x @ W["v"])
    S, o = [], []
    for head in range(cell.heads):
        new = np.diag(a[head]) @ carry[head] + np.outer(k[head], v[head])
        read = q[head] @ new
        centred = read - read.mean()
        S.append(new)
        o.append(centred / np.sqrt(np.mean(centred * centred) + cell.epsilon))
    o = params["gain"] * np.concatenate(o) + params.get("offset", 0)
    r = swish(x @ W["r"] + params.get("bias", 0))
    return np.stack(S), (r * o) @ params["output_kernel"], {"f": np.stack(a)}


def of_length_one(z):
    return z / np.sqrt(np.sum(z * z))


def delta(cell, params, carry, x):
    act = {"silu": swish, "identity": lambda a: a}[cell.activation]
    gated = isinstance(cell, cells.GatedDeltaNet)
    W = blocks(params, "kernel", "vr" if gated else "v")
    q, k = ([of_length_one(act(z)) for z in zs] for zs in keys(cell, params, x))
    v = by_head(cell, act(x @ W["v"]))
    beta = sigmoid(x @ params["beta_kernel"] + params.get("bias", 0))
    gates, alpha = {"i": beta}, np.ones(cell.heads)
    if gated:
        time = softplus(x @ params["decay_kernel"] + params["decay_bias"])
        alpha = np.exp(-np.exp(params["decay_rate"]) * time)
        gates["f"] = alpha
    S, o = [], []
    for h in range(cell.heads):
        erased = np.eye(len(k[h])) - beta[h] * np.outer(k[h], k[h])
        S.append(alpha[h] * carry[h] @ erased + beta[h] * np.outer(v[h], k[h]))
        read = S[h] @ q[h]
        o.append(read / np.sqrt(np.mean(read * read) + cell.epsilon))
    o = params["gain"] * np.concatenate(o)
    o = swish(x @ W["r"]) * o if gated else o
    return np.stack(S), o @ params["output_kernel"], gates


STEPS = {
    cells.GatedLinearAttention: gla,
    cells.DeltaNet: delta,
    cells.GatedDeltaNet: delta,
}
OPTIONS = [
    cells.GatedLinearAttention(
        3, 4, heads=1, key_size=3, rank=2, temperature=2.0, epsilon=0.1
    ),
    cells.DeltaNet(3, 4, key_size=3, activation="identity", epsilon=0.1),
    cells.GatedDeltaNet(3, 4, heads=4, key_size=3),
]


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 4, heads=2, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("cell", OPTIONS, ids=repr)
def test_every_option_is_the_papers(cell):
    equals_paper(cell, STEPS[type(cell)])


@pytest.mark.parametrize("kind", STEPS)
def test_no_product_by_parameters_is_in_the_loop(kind):
    assert taps(kind(3, 4, heads=2)) == 0


@pytest.mark.parametrize("kind", STEPS)
def test_the_step_is_affine(kind):
    cell = kind(3, 4, heads=2)
    params, x = params_of(cell), inputs_of(cell, ())
    drive = cell.project(params, x)
    a, b = (carry_of(cell, params, seed=seed) for seed in (3, 4))
    step = lambda carry: cell.step(params, carry, drive)  # noqa: E731
    mean = 0.3 * step(a) + 0.7 * step(b)
    np.testing.assert_allclose(step(0.3 * a + 0.7 * b), mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", STEPS)
def test_heads_do_not_see_each_other(kind):
    cell = kind(3, 4, heads=2)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    S, _ = unroll(cell, params, xs)
    own = params["key_kernel"].at[:, -1].add(1.0)  # a key's, of the last head
    other, _ = unroll(cell, params | {"key_kernel": own}, xs)
    np.testing.assert_array_equal(other[0], S[0])
    assert np.abs(other[1] - S[1]).max() > 0.01


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.slow
def test_long_runs_of_large_inputs_stay_finite(kind):
    """And zeros, whose direction is none."""
    cell = kind(3, 4, heads=2)
    params = cell.init(jax.random.key(0))
    xs = 1e4 * jax.random.normal(jax.random.key(1), (10_000, 3)).at[5000:].set(0)

    def loss(params, xs):
        return jnp.mean(unroll(cell, params, xs)[1])

    for inputs in xs, jnp.zeros((3, 3)):
        value, slopes = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, inputs)
        assert np.isfinite(value)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_norms_of_little_have_a_gradient_in_float16(kind):
    cell = kind(3, 4, heads=2)
    as_half = lambda tree: jax.tree.map(lambda a: a.astype("float16"), tree)  # noqa: E731
    params, xs = as_half((cell.init(jax.random.key(0)), inputs_of(cell, (50,))))
    xs = xs.at[:20].multiply(1e-2)
    slopes = jax.grad(lambda p: jnp.mean(unroll(cell, p, xs)[1] ** 2))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


# Gated linear attention.


def test_the_memory_is_a_sum_over_the_past():
    """In the paper's parallel form: every key faded by the gates that came after it."""
    cell = cells.GatedLinearAttention(3, 4, heads=1, key_size=3)
    params, xs = params_of(cell), inputs_of(cell, (7,))
    S, _ = unroll(cell, params, xs)
    a, k, v, *_ = jax.vmap(lambda x: cell.project(params, x))(xs)
    faded = [np.prod(a[t + 1 :, 0], axis=0) * k[t, 0] for t in range(7)]
    expected = sum(np.outer(faded[t], v[t, 0]) for t in range(7))
    np.testing.assert_allclose(S[0], expected, rtol=1e-12)


def test_gates_start_near_one():
    """At 2^(-1/16), for an x of zeros, so that half is left after 16 steps."""
    cell = cells.GatedLinearAttention(3, 8)
    params = cell.init(jax.random.key(0))
    drive = cell.project(params, jnp.zeros(3))
    np.testing.assert_allclose(drive.a**16, 0.5, rtol=1e-5)
    assert drive.a.shape == (4, 1)
    assert params["decay_down"].shape == (3, 16)
    assert params["decay_up"].shape == (16, 4)


# The delta rule.


def writing(kind, **options):
    """A cell of one head, whose x is [key, value] and is written at once, and params."""
    cell = kind(
        7, 4, key_size=3, heads=1, activation="identity", use_bias=True, **options
    )
    params = jax.tree.map(jnp.zeros_like, params_of(cell))
    key, value = jnp.eye(7)[:, :3], jnp.eye(7)[:, 3:]
    kernel = jnp.zeros_like(params["kernel"]).at[:, :4].set(value)
    return cell, params | {
        "key_kernel": jnp.concatenate([key, key], axis=1),
        "kernel": kernel,
        "bias": jnp.full(1, 50.0),  # beta = 1
        "gain": jnp.ones(4),
        "output_kernel": jnp.eye(4),
    }


def test_what_is_written_is_retrieved():
    """Under orthonormal keys all of it; a new value takes the place of the old one."""
    cell, params = writing(cells.DeltaNet, epsilon=1e-300)
    rng = np.random.default_rng(0)
    K, V = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=(4, 4))
    K = np.concatenate([5 * K, K[:1]])  # the first key again; their length is nothing
    S = trajectory(cell, params, jnp.asarray(np.concatenate([K, V], axis=1)))[:, 0]
    np.testing.assert_allclose(S[2] @ K[:3].T / 5, V[:3].T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(S[3] @ K[0] / 5, V[3], rtol=1e-12)
    np.testing.assert_allclose(S[3] @ K[1] / 5, V[1], rtol=1e-12)


def test_what_is_shown_is_what_is_read():
    cell, params = writing(cells.DeltaNet, epsilon=1e-300)
    x = jnp.array([0.0, 2.0, 0.0, 1.0, -2.0, 3.0, 4.0])
    _, ys = unroll(cell, params, x[None])
    np.testing.assert_allclose(ys[0], x[3:] / np.sqrt(7.5), rtol=1e-12)


def test_a_step_of_the_delta_rule_only_shrinks():
    """Its Jacobian is I - beta k k^T: eigenvalues 1, and 1 - beta."""
    cell = cells.DeltaNet(3, 4, key_size=3)
    params, x = params_of(cell), inputs_of(cell, ())
    drive = cell.project(params, x)
    J = jax.jacobian(lambda S: cell.step(params, S, drive))(cell.initial_carry(params))
    own = np.sort(np.linalg.eigvalsh(J[0, 1, :, 0, 1]))  # of one row
    np.testing.assert_allclose(own, [1 - drive.beta[0], 1, 1], rtol=1e-12)


@pytest.mark.parametrize(("rate", "kept"), [(-1e4, 1), (50.0, 0)])
def test_the_gate_keeps_all_or_nothing(rate, kept):
    """Of what is orthogonal to the key."""
    cell, params = writing(cells.GatedDeltaNet)
    params |= {"decay_rate": jnp.full(1, rate)}
    x = jnp.array([0.0, 1.0, 0.0, 1.0, -2.0, 3.0, 4.0])
    before = carry_of(cell, params)
    after, _ = cell(params, before, x)
    expected = kept * before.at[:, :, 1].set(0)
    expected = expected.at[0, :, 1].set(x[3:])
    np.testing.assert_allclose(after, expected, rtol=1e-12, atol=1e-14)


def test_rates_and_times_start_as_in_mamba():
    params = cells.GatedDeltaNet(3, 512, heads=512, key_size=1).init(jax.random.key(0))
    rate, time = np.exp(params["decay_rate"]), softplus(params["decay_bias"])
    assert 0 < rate.min() < 0.5 and 15.5 < rate.max() <= 16
    assert 0.000999 < time.min() < 0.0011 and 0.09 < time.max() < 0.1001
    assert 0.008 < np.exp(np.mean(np.log(time))) < 0.0125


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_a_direction_has_length_one_at_any_size(size):
    x = jnp.array([3.0, -4.0], "float32") * jnp.float32(size)
    np.testing.assert_allclose(unit(x), [0.6, -0.8], rtol=1e-6)
    slope = jax.jacobian(unit)(x) * size
    np.testing.assert_allclose(slope, [[0.128, 0.096], [0.096, 0.072]], rtol=1e-5)


def test_zeros_have_no_direction():
    zeros = jnp.zeros(3, "bfloat16")
    np.testing.assert_array_equal(unit(zeros), 0)
    assert np.all(np.isfinite(jax.jacobian(unit)(zeros)))


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads is 3, expected a divisor of hidden_size, 4"),
        ({"heads": 0}, "heads is 0"),
        ({"key_size": 0.5}, "key_size is 0.5"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
    ],
)
def test_what_cannot_be_is_refused(kind, options, message):
    with pytest.raises(ValueError, match=f"{kind.__name__}: {message}"):
        kind(3, 4, **options)


def test_other_options_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="rank is 0"):
        cells.GatedLinearAttention(3, 4, rank=0)
    with pytest.raises(ValueError, match="temperature is -1"):
        cells.GatedLinearAttention(3, 4, temperature=-1.0)
    with pytest.raises(ValueError, match="activation is 'steep'"):
        cells.DeltaNet(3, 4, activation="steep")
