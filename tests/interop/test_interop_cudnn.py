"""The flat vector of `jax.experimental.rnn`, against its own reference in JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from marks import by_default
from parity.compare import assert_same, evaluate
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dropout,
    Stack,
    TwoBiases,
    batched_carry,
    unroll,
)
from jaxrnn.interop.cudnn import dump, load
from jaxrnn.interop.torch import dump_carry, load_carry

STEPS, BATCH, I, H = 6, 3, 3, 5


def both(cell):
    return Bidirectional(cell, cell)


CASES = {  # the number of layers, both directions
    "one": (LSTM(I, H), 1, False),
    "both": (both(LSTM(I, H)), 1, True),
    "two": (Stack((LSTM(I, H), Dropout(0.2), LSTM(H, H))), 2, False),
    "two_both": (Stack((both(LSTM(I, H)), both(LSTM(2 * H, H)))), 2, True),
}
LENGTHS = {"full": (6, 6, 6), "ragged": (4, 6, 1)}


def reference(sizes, lengths, cell, vector, xs, carry):
    """`lstm_ref`, in our arrays: time first, and the carry of the cell."""
    weights = rnn.unpack_lstm_weights(vector, *sizes)
    h, c = state_of(carry)
    lengths = jnp.array(lengths, jnp.int32)
    xs = jnp.swapaxes(xs, 0, 1)
    with jax.numpy_dtype_promotion("standard"):
        ys, h, c = rnn.lstm_ref(xs, h, c, *weights, lengths, *sizes[:3], 0.0, sizes[3])
    return load_carry((h, c), cell), jnp.swapaxes(ys, 0, 1)


def state_of(carry):
    leaves = [jnp.stack(part) for part in zip(*of_directions(carry), strict=True)]
    return tuple(leaves)


def of_directions(carry):
    if hasattr(carry, "h"):
        return [carry]
    return [one for part in carry for one in of_directions(part)]


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", by_default(CASES, "one", "two_both"))
def test_values_final_carries_and_gradients(name, lengths):
    """The gradients are those in the vector itself: ours go back through `load`."""
    cell, layers, directions = CASES[name]
    sizes = I, H, layers, directions
    vector = random_like(rnn.init_lstm_weight(jax.random.key(0), *sizes))
    xs = inputs_of(cell, (STEPS, BATCH))
    carry = batched_carry(cell, load(vector, cell)[1], (BATCH,))
    carry = random_like(carry, seed=1)

    def run(vector, xs, carry):
        params = load(vector, cell)[1]
        return unroll(cell, params, xs, carry, lengths=jnp.array(lengths))

    loss_weights = random_like(jax.eval_shape(run, vector, xs, carry), seed=2)
    arguments = vector, xs, carry, loss_weights
    theirs = functools.partial(reference, sizes, lengths, cell)
    assert_same(evaluate(run, *arguments), evaluate(theirs, *arguments))


def test_rows_of_the_state_are_those_of_torch():
    cell = CASES["two_both"][0]
    carry = random_like(batched_carry(cell, params_of(cell), (BATCH,)))
    assert_same(dump_carry(cell, carry), jax.tree.map(np.asarray, state_of(carry)))


@pytest.mark.parametrize("name", CASES)
def test_round_trips(name):
    cell, layers, directions = CASES[name]
    count = rnn.get_num_params_in_lstm(I, H, layers, directions)
    vector = random_like(jax.ShapeDtypeStruct((count,), float))
    twice, params = load(vector, cell, split=True)
    np.testing.assert_array_equal(dump(twice, params), vector)
    assert load(vector, twice)[0] == twice

    params = params_of(cell)
    jax.tree.map(np.testing.assert_array_equal, load(dump(cell, params), cell)[1], params)


def test_the_vector_stays_in_single_precision():
    vector = rnn.init_lstm_weight(jax.random.key(0), I, H, 1, False)
    cell, params = load(vector, LSTM(I, H))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    assert dump(cell, params).dtype == np.float32
    cell, params = load(np.asarray(vector), cell, split=True)
    assert isinstance(cell, TwoBiases)
    np.testing.assert_array_equal(dump(cell, params), vector)


def test_a_gradient_meets_both_biases():
    """A step on the vector moves the sum of biases by twice what a step on ours does."""
    cell, xs = LSTM(I, H), inputs_of(LSTM(I, H), (STEPS, BATCH))
    vector = random_like(rnn.init_lstm_weight(jax.random.key(0), I, H, 1, False))
    loss = lambda cell, params: jnp.sum(unroll(cell, params, xs)[1] ** 2)  # noqa: E731
    grad = jax.grad(lambda vector: loss(*load(vector, cell)))(vector)
    moved = load(vector + grad, cell)[1]["bias"] - load(vector, cell)[1]["bias"]
    ours = jax.grad(loss, 1)(*load(vector, cell))["bias"]
    np.testing.assert_allclose(moved, 2 * ours, rtol=1e-10)

    twice, params = load(vector, cell, split=True)
    moved = jax.tree.map(jnp.add, params, jax.grad(loss, 1)(twice, params))
    np.testing.assert_allclose(dump(twice, moved), vector + grad, rtol=1e-12)


REFUSED = {
    "unbiased": (LSTM(I, H, use_bias=False), "expected an LSTM with a bias"),
    "projection": (LSTM(I, H, projection_size=2), "without a projection"),
    "gru": (both(GRU(I, H)), "GRU.* is not in cuDNN's vector"),
    "clip": (LSTM(I, H, clip=1.0), "clip of"),
    "sizes": (Stack((LSTM(I, H), LSTM(H, 4))), "are alike"),
}


@pytest.mark.parametrize("cell, message", REFUSED.values(), ids=REFUSED)
def test_cells_that_cudnn_lacks_are_refused(cell, message):
    with pytest.raises(ValueError, match=f"^interop.cudnn.load: .*{message}"):
        load(np.ones(180), cell)
    with pytest.raises(ValueError, match=f"^interop.cudnn.dump: .*{message}"):
        dump(cell, params_of(cell))


@pytest.mark.parametrize(
    "vector, error, message",
    [
        (np.ones(181), ValueError, r"shape \(181,\), expected \(200,\)"),
        (np.ones((200, 1)), ValueError, r"shape \(200, 1\)"),
        (np.ones(200, int), TypeError, "dtype int64, expected floats"),
    ],
)
def test_other_vectors_are_refused(vector, error, message):
    with pytest.raises(error, match=f"^interop.cudnn.load: vector has {message}"):
        load(vector, LSTM(I, H))
