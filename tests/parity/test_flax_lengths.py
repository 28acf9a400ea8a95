"""flax.linen and flax.nnx with `seq_lengths`: padding at the end of every example.

Their `RNN` runs over the padding too. It picks each final carry from the trajectory, at
the last valid step, and flips each example within its own length to run backwards
(`reverse=True, keep_order=True` has outputs in input order). What it leaves in the
padded outputs is the cell's answer to padding; here that is set to zero, as ours is.
Compared are outputs, final carries, and gradients in the weights, in the inputs and in
the carry that is given. Padding is finite, and no length is 0: flax answers that with
the carry after the last step of the padding.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from compare_streams import BATCH, LENGTHS, STEPS, Comparison, map_lstm_states
from marks import by_default
from test_flax_linen import gru_params, lstm_params, nn, random_weights
from test_flax_nnx import fused_params, nnx, split
from test_flax_nnx import gru_params as nnx_gru_params

from jaxrnn import GRU, LSTM, Bidirectional, LSTMCarry

FLOAT64 = {"dtype": jnp.float64, "param_dtype": jnp.float64}
LINEN = {
    "lstm": (nn.OptimizedLSTMCell, LSTM(3, 5), lstm_params),
    "gru": (nn.GRUCell, GRU(3, 5), gru_params),
}
NNX = {
    "lstm": (nnx.OptimizedLSTMCell, LSTM(3, 5), fused_params("dense_h")),
    "gru": (nnx.GRUCell, GRU(3, 5), nnx_gru_params),
}
EVERY_LENGTHS = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
EVERY_CELL = pytest.mark.parametrize("name", by_default(["lstm", "gru"], "lstm"))
EVERY_DIRECTION = pytest.mark.parametrize("reverse", [False, True], ids=["forth", "back"])


def padded(apply):
    """The peer with our carry and with zeros for the outputs of the padding.

    Args:
        apply: `(weights, xs, **kwargs)` to `(carry, ys)`, with the peer's carry.
    """

    def run(weights, xs, carry, lengths):
        start = map_lstm_states(lambda state: (state.c, state.h), carry)
        last, ys = apply(weights, xs, initial_carry=start, seq_lengths=lengths)
        last = map_lstm_states(lambda _, ch: LSTMCarry(h=ch[1], c=ch[0]), carry, last)
        valid = jnp.arange(STEPS)[:, None] < lengths[None]
        return last, jnp.where(valid[..., None], ys, 0.0)

    return run


def new_linen_rnn(name):
    return nn.RNN(LINEN[name][0](5, **FLOAT64), time_major=True, return_carry=True)


@functools.cache
def linen(name, reverse):
    _, cell, cell_params = LINEN[name]
    module = new_linen_rnn(name)
    weights = random_weights(module, jnp.zeros((STEPS, BATCH, 3)))
    apply = functools.partial(module.apply, reverse=reverse, keep_order=True)

    def to_params(weights):
        return cell_params(weights["params"]["cell"])

    return Comparison(cell, to_params, weights, padded(apply), reverse=reverse)


@EVERY_LENGTHS
@EVERY_DIRECTION
@EVERY_CELL
def test_linen(name, reverse, lengths):
    linen(name, reverse).assert_parity(lengths=np.array(lengths))


@functools.cache
def linen_bidirectional(name):
    _, cell, cell_params = LINEN[name]
    module = nn.Bidirectional(
        new_linen_rnn(name), new_linen_rnn(name), time_major=True, return_carry=True
    )
    weights = random_weights(module, jnp.zeros((STEPS, BATCH, 3)))

    def to_params(weights):
        rnns = weights["params"]["forward_rnn"], weights["params"]["backward_rnn"]
        return tuple(cell_params(rnn["cell"]) for rnn in rnns)

    both = Bidirectional(cell, cell)
    return Comparison(both, to_params, weights, padded(module.apply))


@EVERY_LENGTHS
@EVERY_CELL
def test_linen_bidirectional(name, lengths):
    linen_bidirectional(name).assert_parity(lengths=np.array(lengths))


@functools.cache
def nnx_rnn(name, reverse):
    peer_type, cell, to_params = NNX[name]
    weights, merge = split(peer_type(3, 5, rngs=nnx.Rngs(0), **FLOAT64))

    def apply(weights, xs, **kwargs):
        rnn = nnx.RNN(merge(weights), time_major=True, return_carry=True)
        return rnn(xs, reverse=reverse, keep_order=True, **kwargs)

    return Comparison(cell, to_params, weights, padded(apply), reverse=reverse)


@pytest.mark.slow
@EVERY_LENGTHS
@EVERY_DIRECTION
@EVERY_CELL
def test_nnx(name, reverse, lengths):
    nnx_rnn(name, reverse).assert_parity(lengths=np.array(lengths))
