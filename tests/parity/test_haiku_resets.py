"""dm-haiku: `ResetCore` and `deep_rnn_with_skip_connections`.

A `ResetCore` takes pairs (x, should_reset). Where the flag is set it replaces the state
by `core.initial_state` and only then reads x: our `resets`, running forwards. Backwards
haiku still resets before it reads, which there is between x_t and x_(t+1); a reset of
ours lies between x_(t-1) and x_t in both directions, so that haiku's flags are ours, one
step earlier. A deep core with skip connections gives every layer above the first the
input beside the outputs of the layer below and shows all outputs: our `DenseSkip`.
Compared are outputs, final states, and gradients in the weights, in the inputs and in
the state that is given.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare_streams import BATCH, STEPS, Comparison, map_lstm_states
from test_haiku import gru_params, hk, lstm_params, random_weights, vanilla_params

from jaxrnn import GRU, LSTM, DenseSkip, Elman, LSTMCarry

# The steps at which each example begins anew.
RESETS = {
    "none": ((), (), (), ()),
    "one": ((3,), (2,), (6,), (1,)),
    "first": ((0,), (), (0, 4), ()),
    "many": ((1, 2, 3), (2, 4, 6), (0, 1), (5, 6)),
    "every_step_of_one": ((), tuple(range(STEPS)), (1,), (6,)),
}


def deep_core():
    cores = hk.LSTM(5), hk.GRU(4), hk.VanillaRNN(6)
    return hk.deep_rnn_with_skip_connections(cores)


def deep_params(weights):
    return lstm_params(weights), gru_params(weights), vanilla_params(weights)


DEEP = DenseSkip(
    (LSTM(3, 5), GRU(3 + 5, 4, reset_after=False), Elman(3 + 4, 6, activation="relu"))
)
CORES = {
    "lstm": (lambda: hk.LSTM(5), LSTM(3, 5), lstm_params),
    "gru": (lambda: hk.GRU(5), GRU(3, 5, reset_after=False), gru_params),
}


def run_and_weights(new_core, xs, reverse=False):
    """`run(weights, inputs, carry)` for a core of haiku, and random weights of it."""

    @hk.transform
    def unrolled(inputs, state=None):
        core = new_core()
        state = core.initial_state(BATCH) if state is None else state
        return hk.dynamic_unroll(core, inputs, state, reverse=reverse)

    def run(weights, inputs, carry):
        state = map_lstm_states(lambda lstm: hk.LSTMState(*lstm), carry)
        ys, state = unrolled.apply(weights, None, inputs, state)
        return map_lstm_states(lambda _, lstm: LSTMCarry(*lstm), carry, state), ys

    return run, random_weights(unrolled, xs)


@functools.cache
def comparison(name, reverse):
    new_core, cell, to_params = CORES[name]
    inputs = jnp.zeros((STEPS, BATCH, 3)), jnp.zeros((STEPS, BATCH), bool)
    unrolled, weights = run_and_weights(lambda: hk.ResetCore(new_core()), inputs, reverse)

    def run(weights, xs, carry, resets):
        return unrolled(weights, (xs, resets), carry)

    return Comparison(cell, to_params, weights, run, reverse=reverse)


def flags(steps):
    resets = np.zeros((STEPS, BATCH), bool)
    for example, times in enumerate(steps):
        resets[list(times), example] = True
    return resets


@pytest.mark.parametrize("steps", RESETS.values(), ids=RESETS)
@pytest.mark.parametrize("name", CORES)
def test_reset_core(name, steps):
    """A carry given is nothing to an example that is reset at step 0."""
    resets = flags(steps)
    _, (_, _, gradient) = comparison(name, False).assert_parity(resets=resets)
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(np.any(leaf, axis=1), ~resets[0])


@pytest.mark.parametrize("steps", RESETS.values(), ids=RESETS)
@pytest.mark.parametrize("name", CORES)
def test_reset_core_backwards(name, steps):
    """A reset at step 0 is nothing here; the last step always reads the carry given."""
    resets = flags(steps)
    earlier = np.concatenate([resets[1:], np.zeros((1, BATCH), bool)])
    _, (_, _, gradient) = comparison(name, True).assert_parity(
        resets=resets, peer_streams={"resets": earlier}
    )
    for leaf in jax.tree.leaves(gradient):
        assert np.all(np.any(leaf, axis=1))


def test_skip_connections():
    run, weights = run_and_weights(deep_core, jnp.zeros((STEPS, BATCH, 3)))
    Comparison(DEEP, deep_params, weights, run).assert_parity()
