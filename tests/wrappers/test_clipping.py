"""Clipping inside of the recursion, against a loop that clips as it goes back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, ClipCarryGradient, Elman, Scan, Stack
from jaxrnn.wrappers.clipping import _clipped

T, B = 7, 2
CELLS = {"elman": Elman(3, 4), "lstm": LSTM(3, 4), "gru": GRU(3, 4)}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
METHODS = [Scan(), Scan(segment=3), Scan(remat=True), Scan(autodiff=True)]


def example(cell):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = random_like(jaxrnn.batched_carry(cell, params, (B,)), seed=3)
    return params, xs, carry


@cells
def test_the_forward_pass_is_as_it_is(cell):
    args = example(cell)
    expected = jaxrnn.unroll(cell, *args)
    actual = jaxrnn.unroll(ClipCarryGradient(cell, 1e-3), *args)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@cells
@pytest.mark.parametrize("method", by_default(METHODS, METHODS[1]), ids=repr)
def test_the_gradient_is_that_of_a_loop_that_clips(cell, method):
    max_norm = 0.7
    params, xs, carry = example(cell)
    weights = random_like(jnp.zeros((T, B, 4)), seed=9)

    def loss(params, xs, carry):
        clipped = ClipCarryGradient(cell, max_norm)
        ys = jaxrnn.unroll(clipped, params, xs, carry, method=method)[1]
        return jnp.sum(weights * ys)

    actual = jax.grad(loss, (0, 1, 2))(params, xs, carry)

    def step(params, carry, x):
        carry, y = cell(params, carry, x)
        return carry, y

    sums = jax.tree.map(jnp.zeros_like, params)
    dxs, dcarries, clips = np.zeros(xs.shape), [], 0
    for b in range(B):
        now, backs = jax.tree.map(lambda leaf, b=b: leaf[b], carry), []
        for t in range(T):
            (now, _), back = jax.vjp(step, params, now, xs[t, b])
            backs.append(back)
        dnow = jax.tree.map(jnp.zeros_like, now)
        for t in reversed(range(T)):
            # y_t is the carry's h: its gradient belongs to that of the carry.
            leaves, tree = jax.tree.flatten(dnow)
            dnow = jax.tree.unflatten(tree, [leaves[0] + weights[t, b], *leaves[1:]])
            size = np.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(dnow)))
            clips += size > max_norm
            scale = min(1, max_norm / size)
            dnow = jax.tree.map(lambda leaf, s=scale: leaf * s, dnow)
            dparams, dnow, dx = backs[t]((dnow, jnp.zeros(4)))
            sums = jax.tree.map(jnp.add, sums, dparams)
            dxs[t, b] = dx
        dcarries.append(dnow)
    assert clips >= T  # or nothing was tested
    expected = sums, dxs, jax.tree.map(lambda *rows: jnp.stack(rows), *dcarries)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), actual, expected
    )


def test_a_large_bound_changes_nothing_and_a_zero_gradient_stays_zero():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)

    def gradient(cell, scale):
        loss = lambda p: scale * jnp.sum(jaxrnn.unroll(cell, p, xs, carry)[1] ** 2)  # noqa: E731
        return jax.grad(loss)(params)

    wide = ClipCarryGradient(cell, 1e6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13),
        gradient(wide, 1.0),
        gradient(cell, 1.0),
    )
    for leaf in jax.tree.leaves(gradient(ClipCarryGradient(cell, 1.0), 0.0)):
        np.testing.assert_array_equal(leaf, np.zeros(leaf.shape))


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan"), True, "1"])
def test_a_bound_that_is_not_positive_is_refused(max_norm):
    with pytest.raises(ValueError, match="ClipCarryGradient: max_norm is"):
        ClipCarryGradient(Elman(3, 4), max_norm)


def test_a_combinator_inside_is_refused():
    with pytest.raises(TypeError, match="put ClipCarryGradient around each"):
        ClipCarryGradient(Stack((Elman(3, 4),)))


def test_forward_mode_and_jacobians_are_those_of_the_cell():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)
    clipped = ClipCarryGradient(cell, 1e-3)
    tangent = random_like(carry, seed=5)
    for measure in (
        lambda cell: jaxrnn.carry_tangents(tangent, cell, params, xs, carry),
        lambda cell: jaxrnn.step_jacobians(cell, params, xs, carry),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13),
            measure(clipped),
            measure(cell),
        )


SIZES = [("float16", 512, 2950.0), ("float16", 4, 60_000.0), ("bfloat16", 512, 1e38)]
SIZES += [("float32", 512, 1.6e37), ("float32", 512, 1e38), ("float32", 4, 1e38)]
SIZES += [("float32", 4, 1e-38), ("float64", 512, 1e307), ("float64", 4, 1e-305)]


@pytest.mark.parametrize(("dtype", "size", "entry"), SIZES)
def test_norms_that_leave_the_dtype_are_clipped_all_the_same(dtype, size, entry):
    """What a step does to the gradient of its carry, against the longest floats."""
    signs = np.where(np.arange(size) % 3, 1, -2)
    given = np.asarray(signs * entry / 2, "longdouble").astype(dtype)
    _, back = jax.vjp(lambda carry: _clipped(0.5, carry), jnp.zeros(size, dtype))
    (actual,) = back(jnp.asarray(given))
    exact = given.astype("longdouble")
    norm = np.sqrt((exact**2).sum())
    expected = exact * np.minimum(1, 0.5 / norm)
    assert actual.dtype == dtype
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(actual).astype("longdouble"), expected, rtol=tolerance
    )


def test_what_is_not_finite_is_not_hidden():
    clip = lambda leaf: jax.vjp(lambda x: _clipped(0.5, x), leaf)[1](leaf)[0]  # noqa: E731
    assert jnp.isnan(clip(jnp.array([1.0, jnp.nan]))).any()
    assert not jnp.isfinite(clip(jnp.array([1.0, jnp.inf]))).all()
    np.testing.assert_allclose(clip(jnp.array([3.0 + 4.0j])), [0.3 + 0.4j])
