"""torch.nn: blocks i, f, g, o and r, z, n as ours, in rows, with two biases a layer.

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    bias = bias_ih + bias_hh

except for the GRU's candidate, whose recurrent bias stands inside the reset:

    bias_n = bias_ih_n      recurrent_bias = bias_hh_n

The states h and (h, c) have one row for each layer.
"""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import random_like

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, LSTMCarry, Stack

torch = peer("torch")

RECURRENT = {
    "rnn_tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}, Elman, {}),
    "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}, Elman, {"activation": "relu"}),
    "lstm": (torch.nn.LSTM, {}, LSTM, {}),
    "projected": (torch.nn.LSTM, {"proj_size": 4}, LSTM, {"projection_size": 4}),
    "gru": (torch.nn.GRU, {}, GRU, {}),
}


def random_weights(module):
    return random_like(dict(module.state_dict()))


def evaluate(module, weights, xs, carry, loss_weights):
    """`compare.evaluate` for a module of torch: `module(xs, carry)` and `backward`."""

    def tensor(leaf):
        value = torch.tensor(np.asarray(leaf))
        return value.requires_grad_(value.is_floating_point())

    xs, carry, loss_weights = jax.tree.map(tensor, (xs, carry, loss_weights))
    module.double().load_state_dict(jax.tree.map(tensor, weights))
    outcome = forward(module, xs, carry)
    products = jax.tree.map(lambda a, b: torch.sum(a * b), loss_weights, outcome)
    sum(jax.tree.leaves(products)).backward()
    inputs = (xs, carry) if xs.is_floating_point() else (carry,)
    leaves = (dict(module.named_parameters()), *inputs)
    gradients = jax.tree.map(lambda leaf: leaf.grad, leaves)
    return jax.tree.map(lambda leaf: leaf.detach().numpy(), (outcome, gradients))


def forward(module, xs, carry):
    """`module` on our carry: one state for each layer of a `Stack`, or the only one."""
    if not isinstance(module, torch.nn.RNNBase):
        return carry, module(xs)
    states = carry if module.num_layers > 1 else (carry,)
    ys, last = module(xs, jax.tree.map(lambda *rows: torch.stack(rows), *states))
    last = LSTMCarry(*last) if isinstance(last, tuple) else last
    states = tuple(
        jax.tree.map(operator.itemgetter(layer), last)
        for layer in range(module.num_layers)
    )
    return (states if module.num_layers > 1 else states[0]), ys


def layer_params(module, weights, layer):
    params = {
        "kernel": weights[f"weight_ih_l{layer}"].T,
        "recurrent_kernel": weights[f"weight_hh_l{layer}"].T,
    }
    if module.proj_size:
        params["projection"] = weights[f"weight_hr_l{layer}"].T
    if module.bias:
        bias_ih = weights[f"bias_ih_l{layer}"]
        bias_hh = weights[f"bias_hh_l{layer}"]
        params["bias"] = bias_ih + bias_hh
        if isinstance(module, torch.nn.GRU):
            gates, params["recurrent_bias"] = jnp.split(bias_hh, [10])
            params["bias"] = bias_ih.at[:10].add(gates)
    return params


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name, bias, layers):
    peer_type, peer_options, cell_type, options = RECURRENT[name]
    module = peer_type(3, 5, num_layers=layers, bias=bias, **peer_options)

    def to_params(weights):
        params = tuple(layer_params(module, weights, k) for k in range(layers))
        return params if layers > 1 else params[0]

    cells = tuple(
        cell_type(size, 5, use_bias=bias, **options)
        for size in (3, options.get("projection_size", 5))[:layers]
    )
    cell = Stack(cells) if layers > 1 else cells[0]
    assert_parity(cell, to_params, random_weights(module), module, evaluate)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    """The kernel is weight^T."""

    def to_params(weights):
        params = {"kernel": weights["weight"].T}
        return {**params, "bias": weights["bias"]} if bias else params

    module = torch.nn.Linear(3, 5, bias=bias)
    weights = random_weights(module)
    assert_parity(Dense(3, 5, use_bias=bias), to_params, weights, module, evaluate)


def test_embedding():
    """The rows are the symbols, as in ours."""

    def to_params(weights):
        return {"embedding": weights["weight"]}

    module = torch.nn.Embedding(7, 5)
    weights = random_weights(module)
    assert_parity(Embedding(7, 5), to_params, weights, module, evaluate)
