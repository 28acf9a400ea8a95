"""equinox: blocks i, f, g, o and r, z, n as ours, in rows; one bias, (h, c).

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    recurrent_bias = bias_n

Its cells take one example at a time and come without a loop.
"""

import jax
import pytest
from compare import assert_parity
from peer import peer
from zoo import random_like

from jaxrnn import GRU, LSTM, Dense, Embedding, LSTMCarry

eqx = peer("equinox")


def random_weights(peer_type, *sizes, **options):
    """A module of `peer_type`: in equinox a module is the pytree of its weights."""
    key = jax.random.key(0)
    return random_like(eqx.filter_eval_shape(peer_type, *sizes, key=key, **options))


def cell_params(weights):
    params = {
        "kernel": weights.weight_ih.T,
        "recurrent_kernel": weights.weight_hh.T,
        "bias": weights.bias,
        "recurrent_bias": getattr(weights, "bias_n", None),
    }
    return {name: leaf for name, leaf in params.items() if leaf is not None}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_recurrent(name, bias):
    peer_type, cell_type = {
        "LSTM": (eqx.nn.LSTMCell, LSTM),
        "GRU": (eqx.nn.GRUCell, GRU),
    }[name]

    def run(weights, xs, carry):
        def step(state, x):
            new = jax.vmap(weights)(x, state)
            return new, new[0] if name == "LSTM" else new

        state, ys = jax.lax.scan(step, tuple(carry) if name == "LSTM" else carry, xs)
        return LSTMCarry(*state) if name == "LSTM" else state, ys

    weights = random_weights(peer_type, 3, 5, use_bias=bias)
    assert_parity(cell_type(3, 5, use_bias=bias), cell_params, weights, run)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    """The kernel is weight^T."""

    def run(weights, xs, carry):
        return carry, jax.vmap(jax.vmap(weights))(xs)

    def to_params(weights):
        params = {"kernel": weights.weight.T}
        return {**params, "bias": weights.bias} if bias else params

    weights = random_weights(eqx.nn.Linear, 3, 5, use_bias=bias)
    assert_parity(Dense(3, 5, use_bias=bias), to_params, weights, run)


def test_embedding():
    """The rows are the symbols, as in ours."""

    def run(weights, xs, carry):
        return carry, jax.vmap(jax.vmap(weights))(xs)

    def to_params(weights):
        return {"embedding": weights.weight}

    weights = random_weights(eqx.nn.Embedding, 7, 5)
    assert_parity(Embedding(7, 5), to_params, weights, run)
