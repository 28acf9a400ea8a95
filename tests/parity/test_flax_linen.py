"""flax.linen: a module for each gate, named by side and gate; the carry is (c, h).

Kernels are columns as ours, (I, H) and (H, H) a gate. The LSTM's biases are on the
recurrent side, the simple cell's on the input side, and so are the GRU's, with one more
inside the reset, that of `hn`.
"""

import jax
import jax.numpy as jnp
import pytest
from compare import BATCH, STEPS, assert_parity, random_like
from peer import peer

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, LSTMCarry

nn = peer("flax.linen")


def blocks(gates, names, leaf):
    return jnp.concatenate([gates[name][leaf] for name in names], axis=-1)


def simple_params(gates):
    return {
        "kernel": gates["i"]["kernel"],
        "recurrent_kernel": gates["h"]["kernel"],
        "bias": gates["i"]["bias"],
    }


def lstm_params(gates):
    return {
        "kernel": blocks(gates, ("ii", "if", "ig", "io"), "kernel"),
        "recurrent_kernel": blocks(gates, ("hi", "hf", "hg", "ho"), "kernel"),
        "bias": blocks(gates, ("hi", "hf", "hg", "ho"), "bias"),
    }


def gru_params(gates):
    return {
        "kernel": blocks(gates, ("ir", "iz", "in"), "kernel"),
        "recurrent_kernel": blocks(gates, ("hr", "hz", "hn"), "kernel"),
        "bias": blocks(gates, ("ir", "iz", "in"), "bias"),
        "recurrent_bias": gates["hn"]["bias"],
    }


# The carry that `nn.RNN` starts from has the dtype of the parameters.
FLOAT64 = {"param_dtype": jnp.float64}
RECURRENT = {
    "simple_tanh": (nn.SimpleCell(5, **FLOAT64), Elman(3, 5), simple_params),
    "simple_relu": (
        nn.SimpleCell(5, **FLOAT64, activation_fn=nn.relu),
        Elman(3, 5, activation="relu"),
        simple_params,
    ),
    "lstm": (nn.LSTMCell(5, **FLOAT64), LSTM(3, 5), lstm_params),
    "optimized_lstm": (nn.OptimizedLSTMCell(5, **FLOAT64), LSTM(3, 5), lstm_params),
    "gru": (nn.GRUCell(5, **FLOAT64), GRU(3, 5), gru_params),
}


def random_weights(module, xs):
    return random_like(jax.eval_shape(module.init, jax.random.key(0), xs))


def same_params(weights):
    return weights["params"]


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name):
    peer_cell, cell, cell_params = RECURRENT[name]
    module = nn.RNN(peer_cell, time_major=True, return_carry=True)

    def run(weights, xs, carry):
        if not isinstance(carry, LSTMCarry):
            return module.apply(weights, xs, initial_carry=carry)
        start = (carry.c, carry.h)
        (c, h), ys = module.apply(weights, xs, initial_carry=start)
        return LSTMCarry(h=h, c=c), ys

    def to_params(weights):
        return cell_params(weights["params"]["cell"])

    weights = random_weights(module, jnp.zeros((STEPS, BATCH, 3)))
    assert_parity(cell, to_params, weights, run)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("promotion")
def test_dense(bias):
    """The same names and layout as ours."""
    module = nn.Dense(5, use_bias=bias)

    def run(weights, xs, carry):
        return carry, module.apply(weights, xs)

    weights = random_weights(module, jnp.zeros(3))
    assert_parity(Dense(3, 5, use_bias=bias), same_params, weights, run)


def test_embed():
    """The same name and layout as ours."""
    module = nn.Embed(7, 5)

    def run(weights, xs, carry):
        return carry, module.apply(weights, xs)

    weights = random_weights(module, jnp.zeros((), int))
    assert_parity(Embedding(7, 5), same_params, weights, run)
