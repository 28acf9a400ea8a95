"""flax.nnx: fused blocks in our orders; the carry is (c, h).

`dense_i` and `dense_h` hold our `kernel` and `recurrent_kernel`; the plain LSTM cell
has a module for each gate instead. Biases are on the recurrent side in the LSTMs, on
the input side in the GRU and the simple cell. The GRU has none inside the reset.
"""

import jax
import jax.numpy as jnp
import pytest
from compare import assert_parity
from peer import peer
from zoo import random_like

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, LSTMCarry

nnx = peer("flax.nnx")


def fused_params(bias_side):
    def to_params(weights):
        return {
            "kernel": weights["dense_i"]["kernel"],
            "recurrent_kernel": weights["dense_h"]["kernel"],
            "bias": weights[bias_side]["bias"],
        }

    return to_params


def lstm_params(weights):
    def blocks(names, leaf):
        return jnp.concatenate([weights[name][leaf] for name in names], axis=-1)

    return {
        "kernel": blocks(("ii", "if_", "ig", "io"), "kernel"),
        "recurrent_kernel": blocks(("hi", "hf", "hg", "ho"), "kernel"),
        "bias": blocks(("hi", "hf", "hg", "ho"), "bias"),
    }


def gru_params(weights):
    # A release that has the bias inside the reset calls it so.
    bias = weights.get("hn_bias", jnp.zeros(5))
    return {**fused_params("dense_i")(weights), "recurrent_bias": bias}


# The simple cell and the embedding compute in float32 unless told otherwise.
FLOAT64 = {"dtype": jnp.float64, "param_dtype": jnp.float64}
RECURRENT = {
    "simple_tanh": (nnx.SimpleCell, {}, Elman(3, 5), fused_params("dense_i")),
    "simple_relu": (
        nnx.SimpleCell,
        {"activation_fn": nnx.relu},
        Elman(3, 5, activation="relu"),
        fused_params("dense_i"),
    ),
    "lstm": (nnx.LSTMCell, {}, LSTM(3, 5), lstm_params),
    "optimized_lstm": (
        nnx.OptimizedLSTMCell,
        {},
        LSTM(3, 5),
        fused_params("dense_h"),
    ),
    "gru": (nnx.GRUCell, {}, GRU(3, 5), gru_params),
}


def split(module):
    """Random weights for `module`, as nested dicts, and the module made of weights."""
    graph, state, rest = nnx.split(module, nnx.Param, ...)

    def merge(weights):
        new = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(new, weights)
        return nnx.merge(graph, new, rest)

    return random_like(nnx.to_pure_dict(state)), merge


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name):
    peer_type, options, cell, to_params = RECURRENT[name]
    weights, merge = split(peer_type(3, 5, rngs=nnx.Rngs(0), **FLOAT64, **options))

    def run(weights, xs, carry):
        rnn = nnx.RNN(merge(weights), time_major=True, return_carry=True)
        if not isinstance(carry, LSTMCarry):
            return rnn(xs, initial_carry=carry)
        (c, h), ys = rnn(xs, initial_carry=(carry.c, carry.h))
        return LSTMCarry(h=h, c=c), ys

    assert_parity(cell, to_params, weights, run)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    """The same names and layout as ours."""
    weights, merge = split(nnx.Linear(3, 5, use_bias=bias, rngs=nnx.Rngs(0)))

    def run(weights, xs, carry):
        return carry, merge(weights)(xs)

    assert_parity(Dense(3, 5, use_bias=bias), lambda weights: weights, weights, run)


def test_embed():
    """The same name and layout as ours."""
    weights, merge = split(nnx.Embed(7, 5, rngs=nnx.Rngs(0), **FLOAT64))

    def run(weights, xs, carry):
        return carry, merge(weights)(xs)

    assert_parity(Embedding(7, 5), lambda weights: weights, weights, run)
