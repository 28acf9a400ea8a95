"""reservoirpy's Reservoir: its matrices are in rows, and W reads the state before.

kernel = Win^T    recurrent_kernel = W^T    bias = bias    leak = lr
"""

import jax
import numpy as np
import pytest
from peer import peer
from zoo import inputs_of, params_of

from jaxrnn import cells, unroll

nodes = peer("reservoirpy.nodes")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("leak", [1.0, 0.3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_states(activation, leak, use_bias):
    cell = cells.EchoState(3, 5, leak=leak, activation=activation, use_bias=use_bias)
    params = jax.tree.map(np.asarray, params_of(cell))
    reservoir = nodes.Reservoir(
        lr=leak,
        W=params["recurrent_kernel"].T,
        Win=params["kernel"].T,
        bias=params.get("bias", 0.0),
        activation=activation,
    )
    xs = np.asarray(inputs_of(cell, (50,)))
    np.testing.assert_allclose(unroll(cell, params, xs)[1], reservoir.run(xs), atol=1e-12)


def test_a_new_reservoir_is_theirs():
    """Of 200 units: as sparse, with the same spectral radius, and as strong an input."""
    sizes = dict(sr=0.8, rc_connectivity=0.2, input_connectivity=1.0)
    theirs = nodes.Reservoir(200, **sizes, seed=0)
    theirs.initialize(np.zeros((1, 3)))
    cell = cells.EchoState(3, 200, spectral_radius=0.8, connectivity=0.2)
    ours = jax.tree.map(np.asarray, cell.init(jax.random.key(0)))
    W = np.asarray(theirs.W.todense() if hasattr(theirs.W, "todense") else theirs.W)
    U = ours["recurrent_kernel"]
    radius, own = (np.abs(np.linalg.eigvals(kernel)).max() for kernel in (W, U))
    assert own == pytest.approx(0.8, abs=1e-6)
    assert radius == pytest.approx(0.8, rel=0.05)  # found by iterations from anywhere
    assert abs(np.mean(W != 0) - np.mean(U != 0)) < 0.02
