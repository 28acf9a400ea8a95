"""What other libraries get wrong, each once, against the obvious loop or by what is said.

The peers themselves are not asked: they may be mended.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, loop, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Elman,
    Stack,
    carry_gradients,
    resets_from_done,
    unroll,
)

T = 5


def example(cell, batch_shape):
    params = params_of(cell)
    xs, carry = inputs_of(cell, (T, *batch_shape)), carry_of(cell, params, batch_shape)
    return params, xs, carry


def at(tree, *index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def close(actual, expected):
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def weights_of(gradient):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)])


def test_length_zero_returns_the_carry_given_and_has_gradients():
    """flax and jax.experimental.rnn take the last step of all; torch refuses."""
    cell = Stack((LSTM(3, 4), GRU(4, 2)))
    params, xs, carry = example(cell, (2,))
    for reverse in (False, True):
        final, ys = unroll(
            cell, params, xs, carry, lengths=jnp.array([0, 3]), reverse=reverse
        )
        close(at(final, 0), at(carry, 0))
        assert not ys[:, 0].any()

    def loss(params, carry):
        final, ys = unroll(cell, params, xs, carry, lengths=jnp.array([0, 0]))
        return sum(map(jnp.sum, jax.tree.leaves((final, ys))))

    slopes, start = jax.grad(loss, (0, 1))(params, carry)
    assert not weights_of(slopes).any()
    assert (weights_of(start) == 1).all()


def test_lengths_of_two_batch_axes_select_each_examples_own_carry():
    """flax returns a carry of the wrong shape."""
    cell = GRU(3, 4)
    params, xs, carry = example(cell, (2, 2))
    lengths = np.array([[1, 5], [0, 3]])
    final, _ = unroll(cell, params, xs, carry, lengths=lengths)
    assert final.shape == (2, 2, 4)
    for i, j in np.ndindex(2, 2):
        n = lengths[i, j]
        expected = loop(cell, params, xs[:n, i, j], carry[i, j])[0] if n else carry[i, j]
        close(final[i, j], expected)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_stands_in_the_padding_reaches_no_gradient(poison):
    """flax and keras have gradients that are no numbers."""
    cell = Bidirectional(LSTM(3, 4), GRU(3, 4))
    params, xs, _ = example(cell, (2,))
    lengths = jnp.array([2, 5])

    def loss(params, xs):
        final, ys = unroll(cell, params, xs, lengths=lengths)
        return jnp.sum(ys**2) + sum(map(jnp.sum, jax.tree.leaves(final)))

    clean = jax.grad(loss, (0, 1))(params, xs)
    close(jax.grad(loss, (0, 1))(params, xs.at[2:, 0].set(poison)), clean)
    assert weights_of(clean[0]).all() and not clean[1][2:, 0].any()


def test_a_state_that_a_reset_drops_reaches_no_gradient():
    """haiku's gradients, and the values of others, are no numbers."""
    cell = LSTM(3, 4)
    params, xs, carry = example(cell, ())
    resets = jnp.array([True, False, False, False, False])

    def loss(params, xs, carry):
        return jnp.sum(unroll(cell, params, xs, carry, resets=resets)[1] ** 2)

    broken = at(jax.tree.map(lambda leaf: leaf * jnp.nan, carry), ...)
    gradients = jax.value_and_grad(loss, (0, 1, 2))(params, xs, broken)
    close(gradients, jax.value_and_grad(loss, (0, 1, 2))(params, xs, carry))
    assert not weights_of(gradients[1][2]).any()


def test_padded_outputs_are_zero_and_input_order_is_kept_backwards():
    """flax leaves them, keras repeats the one before and reverses the order."""
    cell = GRU(3, 4)
    params, xs, carry = example(cell, ())
    mask = np.array([True, False, True, True, False])
    for reverse in (False, True):
        ys = unroll(cell, params, xs, carry, mask=mask, reverse=reverse)[1]
        close(ys, loop(cell, params, xs, carry, reverse, valid=mask)[2])
        assert not ys[~mask].any() and ys[mask].all()


@pytest.mark.parametrize("cell", [Elman(3, 4), LSTM(3, 4), GRU(3, 4)], ids=repr)
@pytest.mark.usefixtures("promotion")
def test_bfloat16_stays_bfloat16(cell):
    """flax raises for its simple cell, and the others return float32."""
    params, xs, _ = example(cell, (2,))
    narrow = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), params)
    lengths = jnp.array([5, 2])
    for weights in (narrow, jax.tree.map(lambda leaf: leaf.astype("float32"), params)):
        _, ys = unroll(cell, weights, xs.astype("bfloat16"), lengths=lengths)
        assert ys.dtype == "bfloat16"
        wide = jax.tree.map(lambda leaf: leaf.astype("float64"), weights)
        exact = unroll(
            cell, wide, xs.astype("bfloat16").astype("float64"), lengths=lengths
        )[1]
        np.testing.assert_allclose(ys.astype("float64"), exact, rtol=0.05, atol=0.02)


def test_without_a_carry_nothing_is_drawn_and_jit_has_nothing_to_complain_of():
    """flax uses a key of its own; nnx fails under jax.jit."""
    cell = GRU(3, 4)
    params, xs, _ = example(cell, (2,))
    plain, zeros = unroll(cell, params, xs), jnp.zeros((2, 4))
    close(jax.jit(unroll)(cell, params, xs), plain)
    close(unroll(cell, params, xs, zeros), plain)


def test_the_gru_has_the_recurrent_bias_of_its_candidate():
    """nnx has none, so that weights of torch or linen cannot be its own."""
    cell = GRU(3, 4)
    params, xs, carry = example(cell, ())
    (gradient,) = jax.grad(
        lambda p: jnp.sum(unroll(cell, p, xs, carry)[1]), allow_int=True
    )(params)["recurrent_bias"][None]
    assert gradient.shape == (4,) and gradient.all()


def test_resets_are_neither_early_nor_late():
    """Libraries of reinforcement learning were one step off, in both ways."""
    cell = LSTM(3, 4)
    params, xs, carry = example(cell, ())
    done = np.array([False, True, False, False, True])  # steps 1 and 4 end an episode
    ys = unroll(cell, params, xs, carry, resets=resets_from_done(done))[1]
    start = cell.initial_carry(params)
    close(ys[:2], loop(cell, params, xs[:2], carry)[2])
    close(ys[2:], loop(cell, params, xs[2:], start)[2])


def test_jacobians_are_multiplied_in_backward_order():
    """One library trained for months on products in forward order."""
    cell = Elman(3, 4)
    params, xs, carry = example(cell, ())
    gradients = carry_gradients(lambda ys: jnp.sum(ys[-1]), cell, params, xs, carry)
    hs = loop(cell, params, xs, carry)[1]
    jacobians = [
        np.asarray(params["recurrent_kernel"]) * (1 - h**2) for h in np.asarray(hs)
    ]
    backward, forward = np.ones(4), np.ones(4)
    for t in (4, 3, 2, 1):
        backward = jacobians[t] @ backward
    for t in (1, 2, 3, 4):
        forward = jacobians[t] @ forward
    close(gradients[0], backward)
    assert np.abs(gradients[0] - forward).max() > 0.01


@pytest.mark.slow
def test_examples_may_be_mapped_and_differentiated_twice():
    """torch does neither where cuDNN computes."""
    cell = GRU(3, 4)
    params, xs, _ = example(cell, (2,))
    lengths = jnp.array([5, 3])

    def loss(h, xs, n):
        return jnp.sum(unroll(cell, params, xs, h, lengths=n)[1] ** 2)

    h = jnp.full(4, 0.1)
    twice = jax.vmap(jax.hessian(loss), in_axes=(None, 1, 0))(h, xs, lengths)
    for b, n in enumerate((5, 3)):

        def looped(h, b=b, n=n):
            return jnp.sum(loop(cell, params, xs[:n, b], h)[2] ** 2)

        step, columns = 1e-5, []
        for unit in np.eye(4):
            ends = (jax.grad(looped)(h + step * s * unit) for s in (1, -1))
            columns.append(np.subtract(*ends) / (2 * step))
        np.testing.assert_allclose(twice[b], np.stack(columns), rtol=1e-5, atol=1e-7)
