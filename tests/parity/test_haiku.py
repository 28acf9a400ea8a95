"""dm-haiku: a relu, an LSTM over [x; h] with a forget gate plus one, z that writes.

A VanillaRNN has two biases; ours is their sum. The LSTM has blocks i, g, f, o and adds
one to f at every step, so that bias_f = b_f + 1. The GRU has blocks z, r, a, resets
before the product and moves to h' = (1 - z) h + z a: its z block is negated in ours.
"""

import jax
import jax.numpy as jnp
import pytest
from compare import BATCH, STEPS, assert_parity, random_like
from peer import peer

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, LSTMCarry

hk = peer("haiku")


def vanilla_params(weights):
    side_x, side_h = weights["vanilla_rnn/linear"], weights["vanilla_rnn/linear_1"]
    return {
        "kernel": side_x["w"],
        "recurrent_kernel": side_h["w"],
        "bias": side_x["b"] + side_h.get("b", 0),
    }


def lstm_params(weights):
    def reordered(blocks):
        i, g, f, o = jnp.split(blocks, 4, axis=-1)
        return i, f, g, o

    linear = weights["lstm/linear"]
    i, f, g, o = reordered(linear["b"])
    kernels = jnp.concatenate(reordered(linear["w"]), axis=-1)
    kernel, recurrent_kernel = jnp.split(kernels, [3])
    bias = jnp.concatenate([i, f + 1, g, o])
    return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}


def gru_params(weights):
    def reordered(blocks):
        z, r, a = jnp.split(blocks, 3, axis=-1)
        return jnp.concatenate([r, -z, a], axis=-1)

    gru = weights["gru"]
    return {
        "kernel": reordered(gru["w_i"]),
        "recurrent_kernel": reordered(gru["w_h"]),
        "bias": reordered(gru["b"]),
    }


RECURRENT = {
    "vanilla": (
        lambda: hk.VanillaRNN(5),
        Elman(3, 5, activation="relu"),
        vanilla_params,
    ),
    "vanilla_single_bias": (
        lambda: hk.VanillaRNN(5, double_bias=False),
        Elman(3, 5, activation="relu"),
        vanilla_params,
    ),
    "lstm": (lambda: hk.LSTM(5), LSTM(3, 5), lstm_params),
    "gru": (lambda: hk.GRU(5), GRU(3, 5, reset_after=False), gru_params),
}


def random_weights(transformed, xs):
    return random_like(jax.eval_shape(transformed.init, jax.random.key(0), xs))


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name):
    new_core, cell, to_params = RECURRENT[name]

    @hk.transform
    def unrolled(xs, state=None):
        core = new_core()
        state = core.initial_state(BATCH) if state is None else state
        return hk.dynamic_unroll(core, xs, state)

    def run(weights, xs, carry):
        if not isinstance(carry, LSTMCarry):
            ys, state = unrolled.apply(weights, None, xs, carry)
            return state, ys
        start = hk.LSTMState(hidden=carry.h, cell=carry.c)
        ys, state = unrolled.apply(weights, None, xs, start)
        return LSTMCarry(h=state.hidden, c=state.cell), ys

    weights = random_weights(unrolled, jnp.zeros((STEPS, BATCH, 3)))
    assert_parity(cell, to_params, weights, run)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    """The layout of ours."""
    linear = hk.transform(lambda xs: hk.Linear(5, with_bias=bias)(xs))

    def run(weights, xs, carry):
        return carry, linear.apply(weights, None, xs)

    def to_params(weights):
        params = {"kernel": weights["linear"]["w"]}
        return {**params, "bias": weights["linear"]["b"]} if bias else params

    weights = random_weights(linear, jnp.zeros((1, 3)))
    assert_parity(Dense(3, 5, use_bias=bias), to_params, weights, run)


def test_embed():
    """The rows are the symbols, as in ours."""
    embed = hk.transform(lambda xs: hk.Embed(7, 5)(xs))

    def run(weights, xs, carry):
        return carry, embed.apply(weights, None, xs)

    def to_params(weights):
        return {"embedding": weights["embed"]["embeddings"]}

    weights = random_weights(embed, jnp.zeros(1, int))
    assert_parity(Embedding(7, 5), to_params, weights, run)
