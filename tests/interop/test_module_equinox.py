"""A cell as a module of equinox: the pure form, bit for bit, in a pytree of equinox."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from peer import peer

import jaxrnn
from jaxrnn import GRU, LSTM, Bidirectional, Dense, Dropout, LearnedCarry, Stack

eqx = peer("equinox")
optax = peer("optax")
RNN = peer("jaxrnn.interop.equinox").RNN

B, T = 4, 6
CELL = LSTM(3, 5)
LENGTHS = jnp.array([6, 2, 0, 4])
DEEP = Stack((Bidirectional(GRU(3, 4), GRU(3, 4)), LearnedCarry(GRU(8, 5)), Dense(5, 2)))


def inputs(*batch, seed=1):
    return jax.random.normal(jax.random.key(seed), (T, *batch, 3))


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


@pytest.mark.parametrize("batch", by_default([(), (2, 2)], (2, 2)))
def test_values_and_gradients_are_those_of_unroll(batch, key):
    rnn, xs = RNN(CELL, key=key, return_carry=True), inputs(*batch)
    assert equal(rnn.params, CELL.init(key))
    assert equal(rnn(xs), jaxrnn.unroll(CELL, rnn.params, xs))
    gradient = eqx.filter_grad(lambda rnn: jnp.sum(rnn(xs)[1] ** 2))(rnn)
    pure = lambda params: jnp.sum(jaxrnn.unroll(CELL, params, xs)[1] ** 2)  # noqa: E731
    assert equal(gradient.params, jax.grad(pure)(rnn.params))


def test_every_argument_is_that_of_unroll(key):
    rnn, xs = RNN(CELL, key=key, return_carry=True), inputs(B)
    carry = jaxrnn.LSTMCarry(*jax.random.normal(key, (2, B, 5)))
    mask, resets = jax.random.bernoulli(key, 0.5, (2, T, B))
    pure = lambda **options: jaxrnn.unroll(CELL, rnn.params, xs, carry, **options)  # noqa: E731
    got = rnn(xs, initial_carry=carry, seq_lengths=LENGTHS, resets=resets, reverse=True)
    assert equal(got, pure(lengths=LENGTHS, resets=resets, reverse=True))
    assert equal(rnn(xs, initial_carry=carry, mask=mask), pure(mask=mask))
    first = jnp.moveaxis(xs, 0, 1)
    got, ys = rnn(first, initial_carry=carry, mask=mask.T, time_major=False)
    assert equal((got, jnp.moveaxis(ys, 1, 0)), pure(mask=mask))
    got, ys = rnn(xs, seq_lengths=LENGTHS, reverse=True, keep_order=False)
    _, kept = rnn(xs, seq_lengths=LENGTHS, reverse=True)
    for b, length in enumerate(LENGTHS):
        assert equal(ys[:length, b], kept[:length, b][::-1])
    assert not ys[2:, 1].any()


@pytest.mark.slow
def test_one_example_and_vmap(key):
    rnn, xs = RNN(DEEP, key=key), inputs(B)
    batched = rnn(xs, seq_lengths=LENGTHS)
    one = lambda xs, length: rnn(xs, seq_lengths=length)  # noqa: E731
    got = jax.vmap(one, in_axes=(1, 0), out_axes=1)(xs, LENGTHS)
    np.testing.assert_allclose(got, batched, rtol=0, atol=1e-12)
    got = eqx.filter_vmap(eqx.filter_jit(rnn), in_axes=1, out_axes=1)(xs)
    np.testing.assert_allclose(got, rnn(xs), rtol=0, atol=1e-12)


def test_leaves_are_the_params_alone(key):
    rnn = RNN(DEEP, key=key)
    assert equal(eqx.filter(rnn, eqx.is_array).params, DEEP.init(key))
    assert jax.tree.leaves(eqx.filter(rnn, eqx.is_array, inverse=True)) == [False]
    assert "kernel" in repr(rnn) and rnn.cell is DEEP
    longer = eqx.tree_at(lambda rnn: rnn.params[2]["bias"], rnn, jnp.ones(2))
    assert equal(longer(inputs()), rnn(inputs()) + 1.0)


@pytest.mark.slow
def test_models_by_filter_vmap_and_layers_by_scan(key):
    keys, xs = jax.random.split(key, 3), jax.random.normal(key, (T, 5))
    cell = GRU(5, 5)
    layers = eqx.filter_vmap(lambda key: RNN(cell, key=key))(keys)
    assert layers.params["kernel"].shape == (3, 5, 15)
    every = eqx.filter_vmap(lambda rnn: rnn(xs))(layers)
    singles = [RNN(cell, key=one) for one in keys]
    for got, one in zip(every, singles, strict=True):
        np.testing.assert_allclose(got, one(xs), rtol=0, atol=1e-12)
    dynamic, static = eqx.partition(layers, eqx.is_array)
    deep, _ = jax.lax.scan(
        lambda hs, one: (eqx.combine(one, static)(hs), None), xs, dynamic
    )
    params = tuple(one.params for one in singles)
    _, expected = jaxrnn.unroll(Stack((cell,) * 3), params, xs)
    np.testing.assert_allclose(deep, expected, rtol=0, atol=1e-12)


def test_the_carry_goes_on_when_it_is_passed(key):
    rnn, xs = RNN(CELL, key=key, return_carry=True), inputs(B)
    resets = jax.random.bernoulli(key, 0.3, (T, B))
    carry, pieces = None, []
    for piece in slice(0, 2), slice(2, 4), slice(4, 6):
        carry, ys = rnn(xs[piece], initial_carry=carry, resets=resets[piece])
        pieces.append(ys)
    whole = rnn(xs, resets=resets)
    got = carry, jnp.concatenate(pieces)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), got, whole)


NOISY = Stack((Dropout(0.5), GRU(3, 4)))


def test_noise_comes_from_the_key_and_the_switch(key):
    xs = inputs(B)
    rnn = RNN(NOISY, key=key)
    pure = lambda key: jaxrnn.unroll(NOISY, rnn.params, xs, key=key)[1]  # noqa: E731
    assert equal(rnn(xs, key=key), pure(key))
    assert bool(jnp.any(rnn(xs, key=key) != pure(None)))
    assert equal(rnn(xs, inference=True), pure(None))
    still = eqx.nn.inference_mode(rnn)
    assert equal(still(xs, key=key), pure(None)) and equal(still(xs), pure(None))
    assert equal(eqx.nn.inference_mode(still, False)(xs, key=key), pure(key))
    with pytest.raises(ValueError, match=r"equinox.RNN: Stack.*draws noise.*inference"):
        rnn(xs)
    model = eqx.nn.Sequential([rnn, RNN(CELL := GRU(4, 2), key=key)])
    inner = jax.random.split(key, 2)  # as Sequential has it
    _, ys = jaxrnn.unroll(CELL, model[1].params, pure(inner[0]))
    assert equal(model(xs, key=key), ys)


def test_errors_name_the_module_what_came_and_what_was_expected(key):
    rnn, xs = RNN(CELL, key=key), inputs(B)
    with pytest.raises(
        ValueError, match=r"inputs has shape .*expected \(T, \*batch, 3\)"
    ):
        rnn(xs[..., :2])
    with pytest.raises(ValueError, match=r"equinox.RNN: carry has the structure.*LSTMC"):
        rnn(xs, initial_carry=(xs[0], xs[0]))
    with pytest.raises(ValueError, match=r"equinox.RNN: seq_lengths has shape \(6,\)"):
        rnn(xs, seq_lengths=jnp.ones(T, int))
    with pytest.raises(TypeError, match=r"equinox.RNN: cell is of type GRUCell"):
        RNN(eqx.nn.GRUCell(3, 4, key=key), key=key)


# Which way a spiral turns, seen point by point.


class Model(eqx.Module):
    rnn: RNN
    readout: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.rnn = RNN(GRU(2, 12), key=first, return_carry=True)
        self.readout = eqx.nn.Linear(12, 1, key=second, dtype=float)

    def __call__(self, points):
        carry, _ = self.rnn(points)
        return self.readout(carry)[0]


def spirals(seed, count):
    rng = np.random.default_rng(seed)
    t, begin = np.linspace(0, 1, 16), rng.uniform(0, 2 * np.pi, (count, 1))
    turns = rng.integers(0, 2, count)
    angle = begin + 2 * np.pi * t * np.where(turns, 1, -1)[:, None]
    points = np.stack([np.cos(angle), np.sin(angle)], -1) / (1 + t)[:, None]
    return jnp.array(points), jnp.array(turns, float)


def test_a_classifier_learns_and_comes_back_from_a_file(key, tmp_path, promotion):
    points, turns = spirals(0, 128)
    model, optimizer = Model(key), optax.adam(0.02)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def train(model, state):
        def loss(model):
            each = optax.sigmoid_binary_cross_entropy(jax.vmap(model)(points), turns)
            return jnp.mean(each)

        value, gradient = eqx.filter_value_and_grad(loss)(model)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(model, updates), state, value

    losses = []
    for _ in range(60):
        model, state, value = train(model, state)
        losses.append(float(value))
    assert losses[0] > 0.6 and losses[-1] < 0.05, losses[::6]
    points, turns = spirals(1, 100)
    logits = jax.vmap(model)(points)
    assert float(jnp.mean((logits > 0) == turns)) > 0.97

    eqx.tree_serialise_leaves(tmp_path / "model.eqx", model)
    like = eqx.filter_eval_shape(Model, key)
    again = eqx.tree_deserialise_leaves(tmp_path / "model.eqx", like)
    assert equal(jax.vmap(again)(points), logits)
