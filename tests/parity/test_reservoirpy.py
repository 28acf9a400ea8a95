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


def theirs(seed):
    """Their recurrent matrix of 200 units."""
    sizes = dict(sr=0.8, rc_connectivity=0.2, input_connectivity=1.0)
    reservoir = nodes.Reservoir(200, **sizes, seed=seed)
    reservoir.initialize(np.zeros((1, 3)))
    W = reservoir.W
    return np.asarray(W.todense() if hasattr(W, "todense") else W)


def radius(kernel):
    return np.abs(np.linalg.eigvals(kernel)).max()


def test_a_new_reservoir_is_theirs():
    """Of 200 units: as sparse, and with the same spectral radius.

    They find it by iterations, which once in a while miss: hence the median.
    """
    cell = cells.EchoState(3, 200, spectral_radius=0.8, connectivity=0.2)
    U = np.asarray(cell.init(jax.random.key(0))["recurrent_kernel"])
    every = [theirs(seed) for seed in range(5)]
    assert np.median([radius(W) for W in every]) == pytest.approx(0.8, abs=1e-6)
    assert radius(U) == pytest.approx(0.8, abs=1e-6)
    assert abs(np.mean(every[0] != 0) - np.mean(U != 0)) < 0.02
