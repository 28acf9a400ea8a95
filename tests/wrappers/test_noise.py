"""Noise: which mask is drawn where, what it scales, and that it belongs to the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import BASIC, carry_of, inputs_of, noise_key, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Dropout,
    Elman,
    Keys,
    LSTMCarry,
    Scan,
    Stack,
    VariationalDropout,
    WeightDrop,
    Zoneout,
    trajectory,
    unroll,
)
from jaxrnn.arguments.keys import keys_in_time, prepare_key

NOISY = {name: cell for name, cell in BASIC.items() if noise_key(cell) is not None}
every_noisy_cell = pytest.mark.parametrize("cell", NOISY.values(), ids=NOISY.keys())
every_dropout = pytest.mark.parametrize("kind", [Dropout, VariationalDropout])


def dropped(cell, xs, key):
    """What a dropout makes of xs. It takes any shape; a cell that has one follows."""
    size = xs.shape[-1]
    copy = Elman(size, size, activation="identity", use_bias=False)
    params = {"kernel": jnp.eye(size), "recurrent_kernel": jnp.zeros((size, size))}
    return np.asarray(
        unroll(Stack((cell, copy)), (cell.init(key), params), xs, key=key)[1]
    )


@every_dropout
def test_dropout_hides_a_share_and_keeps_the_mean(kind, key):
    ys = dropped(kind(0.25), jnp.full((50, 40, 5), 3.0), key)
    hidden = ys == 0
    np.testing.assert_allclose(ys[~hidden], 4.0, rtol=1e-15)
    draws = hidden.size if kind is Dropout else hidden[0].size
    error = 5 * np.sqrt(0.25 * 0.75 / draws)  # five standard errors
    assert abs(hidden.mean() - 0.25) < error


def test_dropout_is_new_at_every_step_and_example_and_variational_at_every_example(key):
    xs = jnp.ones((6, 4, 30))
    each, kept = (dropped(cell(0.5), xs, key) for cell in (Dropout, VariationalDropout))
    rows = each.reshape(-1, 30)
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[:1], kept.shape))
    assert len(np.unique(kept[0], axis=0)) == 4


@every_dropout
def test_without_a_key_or_a_rate_dropout_is_nothing(kind, key):
    xs = inputs_of(Elman(5, 1), (4, 2))
    np.testing.assert_array_equal(dropped(kind(0.5), xs, None), xs)
    np.testing.assert_array_equal(dropped(kind(0), xs, key), xs)


def test_layers_draw_masks_of_their_own(key):
    xs = jnp.ones((5, 3, 40))
    twice = dropped(Stack((Dropout(0.5), Dropout(0.5))), xs, key)
    assert abs((twice > 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / xs.size)
    assert set(np.unique(twice)) == {0.0, 4.0}


def test_dropout_takes_an_x_of_any_shape_and_of_several_leaves(key):
    cell = Dropout(0.5)
    x = {"a": jnp.ones((20, 30)), "b": jnp.ones(600)}
    carry, y = cell((), (), x, key)
    assert carry == () and y["a"].shape == (20, 30) and y["b"].shape == (600,)
    hidden = [y["a"].ravel() == 0, y["b"] == 0]
    assert all(0.4 < mask.mean() < 0.6 for mask in hidden)
    assert (hidden[0] != hidden[1]).any()


# Recurrent dropout.

RECURRENT = [
    Elman(3, 8, recurrent_dropout=0.5),
    LSTM(3, 8, recurrent_dropout=0.5),
    GRU(3, 8, recurrent_dropout=0.5),
    GRU(3, 8, reset_after=False, recurrent_dropout=0.5),
]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def numpy_step(cell, params, carry, x, keep):
    """One step of the equations, U seeing h where keep, over 1 - rate, and zero else."""
    p = jax.tree.map(np.asarray, params)
    h = np.asarray(carry.h if isinstance(cell, LSTM) else carry)
    visible = np.where(keep, h / 0.5, 0)
    W, U, drive = p["kernel"], p["recurrent_kernel"], x @ p["kernel"] + p["bias"]
    assert W.shape[1] == U.shape[1]
    if isinstance(cell, Elman):
        return np.tanh(drive + visible @ U)
    if isinstance(cell, LSTM):
        i, f, g, o = np.split(drive + visible @ U, 4)
        c = sigmoid(f) * np.asarray(carry.c) + sigmoid(i) * np.tanh(g)
        return LSTMCarry(sigmoid(o) * np.tanh(c), c)
    (u_r, u_z, u_n), (x_r, x_z, x_n) = np.split(U, 3, axis=1), np.split(drive, 3)
    r, z = sigmoid(x_r + visible @ u_r), sigmoid(x_z + visible @ u_z)
    if cell.reset_after:
        n = np.tanh(x_n + r * (visible @ u_n + p["recurrent_bias"]))
    else:
        n = np.tanh(x_n + (r * visible) @ u_n)
    return (1 - z) * n + z * h


@pytest.mark.parametrize("cell", RECURRENT, ids=repr)
def test_recurrent_dropout_hides_h_from_the_recurrent_kernel_alone(cell, key):
    params, xs = params_of(cell), inputs_of(cell, (5,))
    carry = carry_of(cell, params)
    keep = cell.project(params, xs[0], Keys(key, key)).keep
    assert 0 < keep.sum() < 8
    for x in np.asarray(xs):
        drive = cell.project(params, x, Keys(key, jax.random.key(1)))
        np.testing.assert_array_equal(drive.keep, keep)  # of the sequence, not the step
        expected = numpy_step(cell, params, carry, x, np.asarray(keep))
        carry = cell.step(params, carry, drive)
        for actual, want in zip(
            jax.tree.leaves(carry), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(actual, want, rtol=1e-12, atol=1e-14)


def test_recurrent_dropout_differs_between_examples_and_layers(key):
    # h U with U the identity shows the mask: from h = 1 and x = 0, h' = 2 where kept.
    cell = Elman(1, 40, activation="identity", use_bias=False, recurrent_dropout=0.5)
    params = {"kernel": jnp.zeros((1, 40)), "recurrent_kernel": jnp.eye(40)}
    masks = unroll(cell, params, jnp.zeros((1, 6, 1)), jnp.ones((6, 40)), key=key)[0]
    assert set(np.unique(masks)) == {0.0, 2.0}
    assert len(np.unique(masks, axis=0)) == 6
    again = unroll(cell, params, jnp.zeros((1, 6, 1)), jnp.ones((6, 40)), key=key)[0]
    np.testing.assert_array_equal(masks, again)


# Weights.


def test_weight_drop_hides_weights_of_the_recurrent_kernel_alone(key):
    cell = WeightDrop(Stack((LSTM(3, 8), GRU(8, 8))), 0.25)
    params = params_of(cell)
    noisy = cell.prepare(params, prepare_key(key))
    shares = []
    for before, after in zip(params, noisy, strict=True):
        hidden = np.asarray(after["recurrent_kernel"] == 0)
        shares.append(hidden.mean())
        expected = np.where(hidden, 0, before["recurrent_kernel"] / 0.75)
        np.testing.assert_allclose(after["recurrent_kernel"], expected, rtol=1e-14)
        for name in before.keys() - {"recurrent_kernel"}:
            np.testing.assert_array_equal(after[name], before[name])
    assert all(0.15 < share < 0.35 for share in shares) and shares[0] != shares[1]
    xs = inputs_of(cell, (4, 2))
    ys = unroll(cell, params, xs, key=key)[1]
    np.testing.assert_allclose(ys, unroll(cell.cell, noisy, xs)[1], rtol=1e-12)
    plain = unroll(cell.cell, params, xs)[1]
    np.testing.assert_array_equal(unroll(cell, params, xs)[1], plain)


def test_weights_that_are_dropped_get_no_gradient(key):
    cell = WeightDrop(LSTM(3, 6), 0.5)
    params, xs = params_of(cell), inputs_of(cell, (4, 2))
    gradient = jax.grad(lambda p: jnp.sum(unroll(cell, p, xs, key=key)[1] ** 2))(params)
    hidden = cell.prepare(params, prepare_key(key))["recurrent_kernel"] == 0
    np.testing.assert_array_equal(gradient["recurrent_kernel"] == 0, hidden)
    assert 0.3 < hidden.mean() < 0.7
    assert np.all(gradient["kernel"] != 0)


def hidden_share(*masks):
    """How many weights all of the masks hide."""
    return np.mean(np.logical_and.reduce([np.asarray(mask == 0) for mask in masks]))


def test_every_kernel_and_every_weight_drop_has_a_mask_of_its_own(key):
    lstm = LSTM(20, 20)
    layers = [
        WeightDrop(Stack((lstm, lstm)), 0.5),
        Stack((WeightDrop(lstm, 0.5), WeightDrop(lstm, 0.5))),
    ]
    error = 5 * np.sqrt(0.25 * 0.75 / 1600)
    for cell in layers:
        first, second = cell.prepare(params_of(cell), prepare_key(key))
        both = hidden_share(first["recurrent_kernel"], second["recurrent_kernel"])
        assert abs(both - 0.25) < error
    twice = WeightDrop(WeightDrop(lstm, 0.5), 0.5)
    kernel = twice.prepare(params_of(lstm), prepare_key(key))["recurrent_kernel"]
    assert abs(hidden_share(kernel) - 0.75) < error


def test_no_key_is_given_twice(key):
    """Of `prepare`, of sequences and of steps, their children, and what they split."""
    every = keys_in_time(key, jnp.arange(4), (3,))
    roots = [prepare_key(key), *every.sequence, *every.step.ravel()]
    children = [jax.random.fold_in(root, i) for root in roots for i in range(3)]
    grandchildren = [half for child in children for half in jax.random.split(child)]
    data = np.array([jax.random.key_data(k) for k in roots + children + grandchildren])
    assert len(np.unique(data, axis=0)) == len(data) == 16 * (1 + 3 + 6)


# Zoneout.


@pytest.mark.slow
def test_zoneout_keeps_units_at_the_rate_of_their_leaf(key):
    rates = LSTMCarry(h=0.1, c=0.6)
    cell = Zoneout(LSTM(3, 50), rates)
    params, xs = params_of(cell), inputs_of(cell, (30, 10))
    carry = carry_of(cell, params, (10,))
    carries = trajectory(cell, params, xs, carry, key=key)
    for name in ("h", "c"):
        values = np.concatenate([getattr(carry, name)[None], getattr(carries, name)])
        kept = values[1:] == values[:-1]
        rate = getattr(rates, name)
        assert abs(kept.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / kept.size)
    # Those not kept are what the cell itself makes of the carry before.
    step = jax.vmap(jax.vmap(lambda carry, x: cell.cell(params, carry, x)[0]))
    earlier = jax.tree.map(lambda leaf: leaf[:-1], carries)
    new = step(earlier, xs[1:])
    for after, before, made in zip(carries, earlier, new, strict=True):
        changed = np.asarray(after[1:] != before)
        np.testing.assert_allclose(after[1:][changed], made[changed], rtol=1e-12)


def test_zoneout_is_the_mean_in_evaluation():
    cell = Zoneout(LSTM(3, 5), LSTMCarry(h=0.1, c=0.6))
    params, xs = params_of(cell), inputs_of(cell, (6,))
    carry = carry_of(cell, params)
    carries, ys = trajectory(cell, params, xs, carry), unroll(cell, params, xs, carry)[1]
    for t, x in enumerate(xs):
        new, _ = cell.cell(params, carry, x)
        h = 0.1 * carry.h + 0.9 * new.h
        carry = LSTMCarry(h=h, c=0.6 * carry.c + 0.4 * new.c)
        np.testing.assert_allclose(carries.h[t], carry.h, rtol=1e-13)
        np.testing.assert_allclose(carries.c[t], carry.c, rtol=1e-13)
        np.testing.assert_allclose(ys[t], carry.h, rtol=1e-13)


def test_zoneout_of_rate_zero_is_the_cell(key):
    cell = GRU(3, 5, reset_after=False)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    expected = unroll(cell, params, xs)[1]
    for given in (None, key):
        actual = unroll(Zoneout(cell, 0), params, xs, key=given)[1]
        np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_zoneout_tosses_a_coin_of_its_own_for_every_leaf_and_not_that_of_its_cell(key):
    cell = Zoneout(LSTM(3, 400), 0.5)
    params, xs = params_of(cell), inputs_of(cell, (20,))
    carries = trajectory(cell, params, xs, key=key)
    h, c = (np.asarray(leaf[1:] == leaf[:-1]).ravel() for leaf in carries)
    assert abs(np.corrcoef(h, c)[0, 1]) < 5 / np.sqrt(h.size)
    cell = Zoneout(_Coins(), 0.5)
    xs = jnp.zeros((20, 1))
    values = trajectory(cell, (), xs, key=key)
    kept = np.asarray(values[1:] == values[:-1]).ravel()
    coins = np.asarray(unroll(cell, (), xs, key=key)[1])[1:].ravel()
    assert abs(np.corrcoef(kept, coins)[0, 1]) < 5 / np.sqrt(coins.size)


class _Coins(Cell):
    """Tosses coins as a zoneout does, and counts its steps."""

    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(400)

    def project(self, params, x, keys=None):
        if keys is None:
            return jnp.zeros(400)
        return jax.random.bernoulli(keys.step, 0.5, (400,)).astype(float)

    def step(self, params, carry, drive):
        return carry + 1

    def output(self, params, carry, drive):
        return drive


# All of it.


@pytest.mark.parametrize("name", by_default(NOISY, *list(NOISY)[-2:]))
def test_noise_is_of_the_key_alone_whatever_the_method(name, key):
    cell = NOISY[name]
    params, xs = params_of(cell), inputs_of(cell, (5, 2))
    ys = np.asarray(unroll(cell, params, xs, key=key)[1])
    for options in ({}, {"method": Scan(unroll=3)}):
        again = unroll(cell, params, xs, key=key, **options)[1]
        np.testing.assert_allclose(again, ys, rtol=1e-13)
    assert (ys != unroll(cell, params, xs, key=jax.random.key(1))[1]).any()
    assert (ys != unroll(cell, params, xs)[1]).any()
    evaluated = unroll(cell, params, xs)[1]
    np.testing.assert_array_equal(unroll(cell, params, xs)[1], evaluated)


@pytest.mark.parametrize("name", sorted(NOISY.keys() - {"weight_drop"}))
def test_equal_examples_have_noise_of_their_own(name, key):
    cell = NOISY[name]
    params = params_of(cell)
    xs = jnp.repeat(inputs_of(cell, (5, 1)), 6, axis=1)
    ys = np.asarray(unroll(cell, params, xs, key=key)[1])
    # A mask of five units may come twice among six.
    assert len(np.unique(ys.swapaxes(0, 1).reshape(6, -1), axis=0)) > 3


@every_noisy_cell
def test_nothing_is_drawn_in_the_loop(cell, key):
    params, xs = params_of(cell), inputs_of(cell, (5, 2))
    options = {"key": key, "method": Scan(autodiff=True)}  # whose program can be read
    program = jax.make_jaxpr(lambda p, xs: unroll(cell, p, xs, **options)[1])(params, xs)

    def names(jaxpr, inside=False):
        for equation in jaxpr.eqns:
            loop = inside or equation.primitive.name == "scan"
            if inside:
                yield equation.primitive.name
            for body in jax.tree.leaves(
                equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")
            ):
                body = getattr(body, "jaxpr", body)
                if hasattr(body, "eqns"):
                    yield from names(body, loop)

    inner = set(names(program.jaxpr))
    assert "dot_general" in inner
    assert not any("random" in name or "threefry" in name for name in inner)
