"""torch.nn on packed sequences: examples of different lengths, in any order.

`pack_padded_sequence` takes the valid steps of a padded batch and nothing else, a layer
runs over those (each direction from the end of its own), and `pad_packed_sequence` puts
zeros after them: our `lengths`. The states h_n have a row for each layer and direction,
forward first, as the leaves of ours. Compared are outputs, the final carry, and the
gradients in every weight, in the inputs and in the carry that is given. torch refuses a
length of 0.
"""

import functools
import itertools

import jax
import numpy as np
import pytest
from compare_streams import LENGTHS, STEPS, Comparison, is_lstm_state
from marks import by_default
from test_torch import RECURRENT, layer_params, random_weights, torch

from jaxrnn import Bidirectional, LSTMCarry, Stack

ONE_WAY, BOTH_WAYS = ("",), ("", "_reverse")


def forward(module, xs, carry, lengths):
    """`module` on our carry, whose states are the rows of torch's, in its order."""
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
    states, structure = jax.tree.flatten(carry, is_leaf=is_lstm_state)
    ys, last = module(packed, jax.tree.map(lambda *rows: torch.stack(rows), *states))
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=STEPS)
    if isinstance(last, tuple):
        states = [LSTMCarry(h, c) for h, c in zip(*last, strict=True)]
    else:
        states = list(last)
    return jax.tree.unflatten(structure, states), ys


def evaluate(module, weights, xs, carry, loss_weights, streams):
    """`compare_streams.evaluate` for a module of torch, by `backward`."""

    def tensor(leaf):
        return torch.tensor(np.asarray(leaf), requires_grad=True)

    xs, carry, loss_weights = jax.tree.map(tensor, (xs, carry, loss_weights))
    module.double().load_state_dict(jax.tree.map(tensor, weights))
    module.zero_grad()
    outcome = forward(module, xs, carry, **streams)
    products = jax.tree.map(lambda a, b: torch.sum(a * b), loss_weights, outcome)
    sum(jax.tree.leaves(products)).backward()
    leaves = dict(module.named_parameters()), xs, carry
    gradients = jax.tree.map(lambda leaf: leaf.grad, leaves)
    return jax.tree.map(lambda leaf: leaf.detach().numpy(), (outcome, gradients))


@functools.cache
def comparison(name, layers, directions):
    peer_type, peer_options, cell_type, options = RECURRENT[name]
    module = peer_type(
        3,
        5,
        num_layers=layers,
        bidirectional=directions == BOTH_WAYS,
        **peer_options,
    )

    def layer(size):
        cells = [cell_type(size, 5, **options) for _ in directions]
        return Bidirectional(*cells) if directions == BOTH_WAYS else cells[0]

    def to_params(weights):
        params = [
            tuple(layer_params(module, weights, f"{k}{suffix}") for suffix in directions)
            for k in range(layers)
        ]
        params = params if directions == BOTH_WAYS else [one for (one,) in params]
        return tuple(params) if layers > 1 else params[0]

    sizes = (3, 5 * len(directions))[:layers]
    cells = tuple(layer(size) for size in sizes)
    cell = Stack(cells) if layers > 1 else cells[0]
    return Comparison(cell, to_params, random_weights(module), module, evaluate)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("directions", [ONE_WAY, BOTH_WAYS], ids=["one", "both"])
@pytest.mark.parametrize("layers", by_default([1, 2], 2))
@pytest.mark.parametrize("name", ["rnn_tanh", "lstm", "gru"])
def test_packed_sequences(name, layers, directions, lengths):
    comparison(name, layers, directions).assert_parity(lengths=np.array(lengths))


@pytest.mark.slow
def test_every_order_of_lengths_with_and_without_ties():
    """Shorter, longer or as long: the 75 ways in which four lengths can be ordered."""
    ranks = itertools.product(range(4), repeat=4)
    orders = [order for order in ranks if set(order) == set(range(max(order) + 1))]
    assert len(orders) == 75
    for order in orders:
        lengths = np.array([1, 3, 6, 7])[list(order)]
        comparison("lstm", 2, BOTH_WAYS).assert_parity(lengths=lengths)


@pytest.mark.parametrize("directions", [ONE_WAY, BOTH_WAYS], ids=["one", "both"])
@pytest.mark.parametrize("layers", by_default([1, 2], 2))
@pytest.mark.parametrize("name", ["rnn_tanh", "lstm", "gru"])
def test_padding_reaches_nothing(name, layers, directions):
    """With NaN for padding: torch never reads it, and no gradient of ours knows it."""
    compared = comparison(name, layers, directions)
    lengths = np.array(LENGTHS["unsorted"])
    padding = np.arange(STEPS)[:, None] >= lengths
    xs = np.where(padding[..., None], np.nan, compared.xs)
    (_, ys), (_, gradient, _) = compared.assert_parity(xs, lengths=lengths)
    np.testing.assert_array_equal(gradient[padding], 0.0)
    np.testing.assert_array_equal(ys[padding], 0.0)
