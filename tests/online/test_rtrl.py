"""RTRL is the gradient of the sum of losses through `unroll`, for any cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import (
    BASIC,
    ZOO,
    Turning,
    carry_of,
    inputs_of,
    noise_key,
    params_of,
    random_like,
    steps,
)

import jaxrnn
from jaxrnn import GRU, LSTM, ClipCarryGradient, Dense, Elman, LearnedCarry, Stack, cells

T, B = 6, 2
LINEAR = "lru", "mlstm", "delta_net", "qrnn"
STEPPING = [n for n in (*BASIC, "min_gru", *LINEAR) if n in ZOO and steps(ZOO[n])]


def loss(y, target):
    """Of any output: every leaf counts, and the target too."""
    return sum(jnp.sum(jnp.sin(leaf.real + target)) for leaf in jax.tree.leaves(y))


def targets_of(*leading):
    return jnp.asarray(np.random.default_rng(9).normal(size=leading))


def exact(cell, params, xs, targets, carry=None, weights=None, **options):
    """The gradient backwards."""

    def total(params):
        ys = jaxrnn.unroll(cell, params, xs, carry, **options)[1]
        losses = loss
        for _ in targets.shape:
            losses = jax.vmap(losses)
        found = losses(ys, targets)
        return jnp.sum(found if weights is None else jnp.where(weights, found, 0))

    return jax.grad(total, allow_int=True)(params)


def assert_same(found, expected, rtol=1e-10):
    """To 1e-10 of the largest entry of all."""
    pairs = [
        (a, b)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True)
        if b.dtype != jax.dtypes.float0
    ]
    size = max((float(jnp.max(jnp.abs(b), initial=0)) for _, b in pairs), default=0.0)
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(size, 1.0))


DEFAULT = "lstm", "min_gru"


@pytest.mark.parametrize("name", by_default(STEPPING, *DEFAULT))
def test_it_is_backpropagation(name):
    cell = ZOO[name]
    params, xs, key = params_of(cell), inputs_of(cell, (T, B)), noise_key(cell)
    targets = targets_of(T, B)
    found = jaxrnn.online_gradients(loss, cell, params, xs, targets, key=key)
    carry, ys = jaxrnn.unroll(cell, params, xs, key=key)
    assert_same(found.gradients, exact(cell, params, xs, targets, key=key))
    assert_same(found.losses, jax.vmap(jax.vmap(loss))(ys, targets))
    assert_same(found.ys, ys)
    assert_same(found.carry, carry)


def test_lengths_resets_and_a_learned_start():
    """Masked steps hold NaN in inputs and targets; a reset returns to what is learned."""
    cell = LearnedCarry(Stack((Elman(3, 4), Dense(4, 2))))
    params, xs, targets = params_of(cell), inputs_of(cell, (T, B)), targets_of(T, B)
    lengths = jnp.array([6, 4])
    valid = jnp.arange(T)[:, None] < lengths[None]
    resets = jnp.zeros((T, B), bool).at[3, 0].set(True).at[1, 1].set(True)
    options = dict(lengths=lengths, resets=resets)
    expected = exact(cell, params, xs, targets, weights=valid, **options)
    holes = jnp.where(valid[..., None], xs, jnp.nan)
    found = jaxrnn.online_gradients(
        loss, cell, params, holes, jnp.where(valid, targets, jnp.nan), **options
    )
    assert_same(found.gradients, expected)
    assert float(jnp.abs(expected["carry"][0]).max()) > 0.1
    np.testing.assert_array_equal(found.losses[4:, 1], [0, 0])


@pytest.mark.slow
def test_a_reset_at_a_masked_step_acts_at_the_next_valid_one():
    cell, leading = GRU(3, 4), (T,)
    params, xs, targets = params_of(cell), inputs_of(cell, leading), targets_of(T)
    mask = jnp.array([1, 1, 0, 0, 1, 1], bool)
    resets = jnp.array([0, 0, 1, 0, 0, 0], bool)
    options = dict(mask=mask, resets=resets)
    found = jaxrnn.online_gradients(loss, cell, params, xs, targets, **options)
    expected = exact(cell, params, xs, targets, weights=mask, **options)
    assert_same(found.gradients, expected)


@pytest.mark.slow
def test_a_carry_that_is_given_does_not_depend_on_params():
    cell = LearnedCarry(LSTM(3, 4))
    params, xs, targets = params_of(cell), inputs_of(cell, (T, B)), targets_of(T, B)
    carry = carry_of(cell, params, (B,))
    found = jaxrnn.online_gradients(loss, cell, params, xs, targets, carry)
    assert_same(found.gradients, exact(cell, params, xs, targets, carry))
    assert all(not jnp.any(leaf) for leaf in jax.tree.leaves(found.gradients["carry"]))


@pytest.mark.slow
def test_a_complex_state():
    cell = Turning()
    params, xs, targets = cell.init(None), inputs_of(cell, (T, B)), targets_of(T, B)
    found = jaxrnn.online_gradients(loss, cell, params, xs, targets)
    assert_same(found.gradients, exact(cell, params, xs, targets))


@pytest.mark.slow
def test_a_clip_of_gradients_on_their_way_back_is_not_seen():
    params, xs = params_of(Elman(3, 4)), inputs_of(Elman(3, 4), (T,))
    targets = targets_of(T)
    clipped = ClipCarryGradient(Elman(3, 4), 1e-3)
    found = jaxrnn.online_gradients(loss, clipped, params, xs, targets)
    assert_same(found.gradients, exact(Elman(3, 4), params, xs, targets))


@pytest.mark.slow
def test_jit_and_vmap():
    cell = GRU(3, 4)
    params, xs, targets = params_of(cell), inputs_of(cell, (T, B)), targets_of(T, B)
    run = lambda params, xs, targets: jaxrnn.online_gradients(  # noqa: E731
        loss, cell, params, xs, targets
    )
    whole = run(params, xs, targets)
    assert_same(jax.jit(run)(params, xs, targets).gradients, whole.gradients)
    each = jax.vmap(run, (None, 1, 1))(params, xs, targets)
    summed = jax.tree.map(lambda leaf: leaf.sum(0), each.gradients)
    assert_same(summed, whole.gradients)
    models = random_like(params, 5, (3,))
    every = jax.vmap(run, (0, None, None))(models, xs, targets)
    last = run(jax.tree.map(lambda leaf: leaf[2], models), xs, targets)
    assert_same(jax.tree.map(lambda leaf: leaf[2], every.gradients), last.gradients)


@pytest.mark.slow
def test_dtypes_of_the_params_are_those_of_the_gradients(promotion):
    cell = GRU(3, 4)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params_of(cell))
    xs = inputs_of(cell, (T,)).astype("bfloat16")
    found = jaxrnn.online_gradients(loss, cell, params, xs, jnp.zeros(T, "bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(found.gradients)} == {
        jnp.dtype("float32")
    }
    assert found.ys.dtype == jnp.bfloat16 and found.carry.dtype == jnp.float32


def test_half_precision_does_not_come_to_a_halt(promotion):
    """A sum of 1000 like terms, of which bfloat16 has 256."""
    cell = cells.IndRNN(2, 3, activation="identity")
    params = params_of(cell) | {"recurrent_scale": jnp.full(3, 0.5)}
    xs = jnp.ones((1000, 2))
    total = lambda y, _: jnp.sum(y)  # noqa: E731
    expected = jax.grad(lambda params: jnp.sum(jaxrnn.unroll(cell, params, xs)[1]))
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), (params, xs))
    found = jaxrnn.online_gradients(total, cell, *half, None).gradients
    true = expected(jax.tree.map(lambda leaf: leaf.astype(float), half[0]))
    for a, b in zip(*map(jax.tree.leaves, (found, true)), strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(float), b, rtol=0.1)


def test_no_steps_are_no_gradient():
    cell = GRU(3, 4)
    params = params_of(cell)
    found = jaxrnn.online_gradients(
        loss, cell, params, jnp.zeros((0, B, 3)), jnp.zeros((0, B))
    )
    assert all(not jnp.any(leaf) for leaf in jax.tree.leaves(found.gradients))
    assert found.losses.shape == (0, B)
