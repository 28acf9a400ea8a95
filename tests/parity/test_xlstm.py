"""xlstm's sLSTM in plain torch, which is given x W: blocks i, f, z, o as ours.

    bias = b        recurrent_kernel[head] = R[head]^T

The states are the rows h, c, n, m of one array.
"""

import jax
import jax.numpy as jnp
import pytest
from compare import assert_parity
from peer import peer
from zoo import random_like

from jaxrnn import cells
from jaxrnn.cells import SLSTMCarry

torch = peer("torch")
xlstm = peer("xlstm.blocks.slstm.src.vanilla")

from compare_stepped import evaluate_run  # noqa: E402 (of torch)


def run(weights, xs, carry):
    pointwise = xlstm.slstm_pointwise_function_registry["slstm"]
    states = torch.stack([*carry])
    Wx = xs @ weights["W"]
    every, last, _ = xlstm.slstm_forward(
        Wx, states, weights["R"], weights["b"], pointwise
    )
    return SLSTMCarry(*last), every[0, 1:]


@pytest.mark.parametrize("heads", [1, 2])
def test_slstm(heads):
    D = 6 // heads
    shapes = {"W": (3, 24), "R": (heads, 4 * D, D), "b": (24,)}
    shapes = {name: jax.ShapeDtypeStruct(s, float) for name, s in shapes.items()}

    def to_params(weights):
        kernel = jnp.swapaxes(weights["R"], 1, 2)
        return {
            "kernel": weights["W"],
            "recurrent_kernel": kernel,
            "bias": weights["b"],
        }

    cell = cells.SLSTM(3, 6, heads=heads)
    assert_parity(cell, to_params, random_like(shapes), run, evaluate_run)
