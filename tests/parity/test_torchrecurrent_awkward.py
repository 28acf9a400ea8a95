"""torchrecurrent's cells whose carry is not ours: x and not its product, states aside.

    kernel = weight_ih^T    recurrent_kernel or previous_kernel = weight_hh^T
    bias = bias_ih + bias_hh

So runs from zeros are compared: outputs, and gradients in weights and inputs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import BATCH, STEPS, assert_same
from peer import peer
from zoo import random_like

from jaxrnn import cells, unroll

torch = peer("torch")
torchrecurrent = peer("torchrecurrent")


def plain(weights, second="recurrent_kernel"):
    return {
        "kernel": weights["weight_ih"].T,
        second: weights["weight_hh"].T,
        "bias": weights["bias_ih"] + weights["bias_hh"],
    }


def of_previous(weights):
    """Their blocks are n, f, o."""

    def in_our_order(leaf):
        n, f, o = jnp.split(leaf, 3, axis=-1)
        return jnp.concatenate([f, n, o], axis=-1)

    return jax.tree.map(in_our_order, plain(weights, "previous_kernel"))


def with_bias_of_n(weights):
    """As the weights of an input that is 1: the paper has no such bias."""
    (W_n, W_f), (b_n, b_f) = (
        jnp.split(weights[name].T, 2, axis=-1) for name in ("weight_ih", "bias_ih")
    )
    row = jnp.concatenate([jnp.zeros_like(b_f), b_n])
    kernel = jnp.concatenate([W_f, W_n], axis=-1)
    return {"kernel": jnp.vstack([kernel, row]), "bias": b_f}


class Case(NamedTuple):
    cell: Any
    theirs: Any
    to_params: Any = plain
    ones: int = 0  # inputs of ours that are 1


CASES = {
    "trnn": Case(cells.TRNN(4, 5), torchrecurrent.TRNN(3, 5), with_bias_of_n, ones=1),
    "tgru": Case(cells.TGRU(3, 5), torchrecurrent.TGRU(3, 5), of_previous),
    "tlstm": Case(cells.TLSTM(3, 5), torchrecurrent.TLSTM(3, 5), of_previous),
    "intersection": Case(
        cells.IntersectionRNN(5, 5), torchrecurrent.IntersectionRNN(5, 5)
    ),
    "tau_gru": Case(cells.TauGRU(3, 5), torchrecurrent.tauGRU(3, 5)),
    "tau_gru_of_three": Case(
        cells.TauGRU(3, 5, delay=3), torchrecurrent.tauGRU(3, 5, delay=3)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_from_zeros_is_theirs(name):
    cell, module, to_params, ones = CASES[name]
    (theirs,) = module.double().cells
    named = dict(theirs.named_parameters())
    weights = random_like(jax.tree.map(lambda leaf: leaf.detach().numpy(), named))
    I = cell.input_size - ones
    xs = random_like(jax.ShapeDtypeStruct((STEPS, BATCH, I), float), seed=1)
    of_loss = random_like(jax.ShapeDtypeStruct((STEPS, BATCH, 5), float), seed=2)

    def ours(weights, xs):
        xs = jnp.concatenate([xs, jnp.ones((STEPS, BATCH, ones))], axis=-1)
        ys = unroll(cell, to_params(weights), xs)[1]
        return jnp.vdot(ys, of_loss), ys

    graded = jax.jit(jax.value_and_grad(ours, (0, 1), has_aux=True))
    (_, ys), gradients = graded(weights, xs)

    with torch.no_grad():
        for key, leaf in named.items():
            leaf.copy_(torch.tensor(np.asarray(weights[key])))
    module.zero_grad()
    inputs = torch.tensor(np.asarray(xs), requires_grad=True)
    outputs = module(inputs)[0]
    torch.sum(outputs * torch.tensor(np.asarray(of_loss))).backward()
    found = {key: leaf.grad.numpy() for key, leaf in named.items()}
    expected = outputs.detach().numpy(), (found, inputs.grad.numpy())
    assert_same((ys, gradients), expected)
