"""Wrappers: Residual, LearnedCarry, and a user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    DenseSkip,
    Dropout,
    Elman,
    LearnedCarry,
    LSTMCarry,
    Residual,
    Stack,
    VariationalDropout,
    WeightDrop,
    Wrapper,
    Zoneout,
    gradient_norms,
    unroll,
)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def test_residual_and_dense_skip_add_and_join():
    gru = GRU(4, 4)
    params, xs = params_of(gru), inputs_of(gru, (5, 2))
    close(unroll(Residual(gru), params, xs)[1], xs + unroll(gru, params, xs)[1])
    cells = GRU(4, 3), LSTM(7, 2), Dense(6, 1)
    skip = DenseSkip(cells)
    params = params_of(skip)
    one = unroll(cells[0], params[0], xs)[1]
    two = unroll(cells[1], params[1], jnp.concatenate([xs, one], -1))[1]
    three = unroll(cells[2], params[2], jnp.concatenate([xs, two], -1))[1]
    close(unroll(skip, params, xs)[1], jnp.concatenate([one, two, three], -1))


@pytest.mark.slow
def test_residual_keeps_the_gradient_where_the_cell_loses_it():
    """y = x + h: through 12 layers of small weights, dL/dx stays near one."""
    layers = [GRU(4, 4)] * 12
    xs = inputs_of(GRU(4, 4), (3,))

    def slope(cell):
        params = jax.tree.map(lambda leaf: 0.05 * leaf, params_of(cell))
        loss = jax.grad(lambda xs: jnp.sum(unroll(cell, params, xs)[1][-1]))
        return float(jnp.abs(loss(xs)[-1]).mean())

    assert slope(Stack(layers)) < 1e-12
    assert 0.5 < slope(Stack([Residual(cell) for cell in layers])) < 2


# The learned carry.


def test_a_learned_carry_has_the_gradient_of_the_start_and_of_every_reset():
    cell = Elman(3, 4)
    learned = LearnedCarry(cell)
    params, xs = params_of(learned), inputs_of(cell, (6,))
    resets = np.array([False, False, True, False, True, False])

    def ours(params, carry=None, resets=resets):
        final, ys = unroll(learned, params, xs, carry, resets=resets)
        return jnp.sum(ys**2) + jnp.sum(final)

    def by_hand(params):
        total = 0
        for piece in (slice(0, 2), slice(2, 4), slice(4, 6)):
            final, ys = unroll(cell, params["cell"], xs[piece], params["carry"])
            total = total + jnp.sum(ys**2)
        return total + jnp.sum(final)

    for actual, expected in zip(
        jax.tree.leaves(jax.grad(ours)(params)),
        jax.tree.leaves(jax.grad(by_hand)(params)),
        strict=True,
    ):
        close(actual, expected)
    given = carry_of(cell, params["cell"])
    none = np.zeros(6, bool)
    assert not jax.grad(ours)(params, given, none)["carry"].any()
    assert jax.grad(ours)(params, given)["carry"].any()


@pytest.mark.slow
def test_a_learned_carry_starts_as_the_cells_own_and_composes():
    cell = Stack(
        (LearnedCarry(LSTM(3, 4)), Bidirectional(GRU(4, 2), LearnedCarry(GRU(4, 2))))
    )
    params = cell.init(jax.random.key(0))
    first, (_, backward) = cell.initial_carry(params)
    assert isinstance(first, LSTMCarry) and not first.h.any() and not backward.any()
    moved = jax.tree.map(lambda leaf: leaf + 1, params)
    first, (forward, backward) = cell.initial_carry(moved)
    assert (first.c == 1).all() and (backward == 1).all() and not forward.any()
    norms = gradient_norms(lambda ys: jnp.sum(ys[-1]), cell, moved, jnp.ones((5, 3)))
    assert norms[0].c.shape == norms[1][1].shape == (5,)


class _Backwards(Wrapper):
    def sequence(self, params, carry, xs, run):
        return self.cell.sequence(params, carry, xs, run.backwards())


class _Doubled(Wrapper):
    def output(self, params, carry, drive):
        return 2 * self.cell.output(params, carry, drive)


def test_a_wrapper_of_sequences_is_never_stepped_in_silence():
    gru = GRU(3, 4)
    cell, params, xs = _Backwards(gru), params_of(gru), inputs_of(gru, (5,))
    close(unroll(cell, params, xs)[1], unroll(gru, params, xs, reverse=True)[1])
    for around in (_Doubled, lambda inner: Zoneout(inner, 0.0)):
        with pytest.raises(TypeError, match=r"_Backwards\(.*cannot take a single step"):
            unroll(around(cell), params, xs)
    with pytest.raises(TypeError, match=r"_Backwards\(.*cannot take a single step"):
        cell(params, cell.initial_carry(params), xs[0])


@pytest.mark.slow
def test_wrappers_and_noise_nest_in_any_order(key):
    inner = LearnedCarry(WeightDrop(Zoneout(Residual(LSTM(3, 3)), 0.2), 0.1))
    outer = WeightDrop(Residual(Zoneout(LearnedCarry(LSTM(3, 3)), 0.2)), 0.1)
    for cell in (inner, outer):
        params, xs = params_of(cell), inputs_of(cell, (5, 2))
        carry, ys = unroll(cell, params, xs, key=key, lengths=jnp.array([5, 2]))
        assert isinstance(carry, LSTMCarry) and not ys[2:, 1].any() and ys[:2].all()
    stack = Stack((VariationalDropout(0.1), Dropout(0.2), Bidirectional(inner, outer)))
    assert stack.input_shape == (3,)
    params = params_of(stack)
    assert unroll(stack, params, inputs_of(inner, (5, 2)), key=key)[1].shape == (5, 2, 6)
