"""xlstm's mLSTM in plain torch, a step at a time and all steps at once.

It is given q, k and v, and what its linear layers make of them for the gates, here of x;
it divides the whole of k, b_k too, by sqrt(D), and adds 1e-6 where ours does not: it is
called without. The output gate is not in it.

    C[head] = c_state[head]^T       n = n_state       m = m_state
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import inputs_of, random_like

from jaxrnn import cells, unroll
from jaxrnn.cells import MLSTMCarry

torch = peer("torch")
peer("xlstm")
backends = peer("xlstm.blocks.mlstm.backends")

from compare_stepped import evaluate_run  # noqa: E402 (of torch)


def weights_of(heads):
    gates = {"W_if": (3, 2 * heads), "b_if": (2 * heads,)}
    shapes = {"W": (3, 24), "b": (24,)} | gates
    return random_like({n: jax.ShapeDtypeStruct(s, float) for n, s in shapes.items()})


def to_params(heads):
    D = 6 // heads

    def params(weights):
        q, k, v, o = jnp.split(weights["b"], 4)
        return {
            "kernel": weights["W"],
            "bias": jnp.concatenate([q, k * D**-0.5, v, o]),
            "gate_kernel": weights["W_if"],
            "gate_bias": weights["b_if"],
        }

    return params


def inputs(weights, x, heads):
    """Of any leading axes: q, k, v (..., heads, D), i and f (..., heads), o (..., H)."""
    q, k, v, o = torch.split(x @ weights["W"] + weights["b"], 6, dim=-1)
    i, f = torch.split(x @ weights["W_if"] + weights["b_if"], heads, dim=-1)
    q, k, v = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
    return q, k, v, i, f, torch.sigmoid(o)


@pytest.mark.parametrize("heads", [1, 2])
def test_a_step_at_a_time(heads):
    def run(weights, xs, carry):
        C, n, m = carry
        state = C.transpose(-1, -2), n[..., None], m[..., None, None]
        ys = []
        for x in xs:
            q, k, v, i, f, o = inputs(weights, x, heads)
            q, k, v = (part[:, :, None].clone() for part in (q, k, v))
            gates = {
                "igate_preact": i[..., None, None],
                "fgate_preact": f[..., None, None],
            }
            h, state = backends.recurrent_step_stabilized_simple(
                *state, q, k, v, **gates, eps=0.0
            )
            ys.append(o * h.flatten(1))
        C, n, m = state
        final = MLSTMCarry(C.transpose(-1, -2), n[..., 0], m[..., 0, 0])
        return final, torch.stack(ys)

    cell = cells.MLSTM(3, 6, heads=heads)
    assert_parity(cell, to_params(heads), weights_of(heads), run, evaluate_run)


@pytest.mark.parametrize("heads", [1, 2])
def test_all_steps_at_once(heads):
    cell, weights = cells.MLSTM(3, 6, heads=heads), weights_of(heads)
    xs = inputs_of(cell, (11, 2))
    ys = unroll(cell, to_params(heads)(weights), xs)[1]
    given = {name: torch.tensor(np.asarray(leaf)) for name, leaf in weights.items()}
    q, k, v, i, f, o = inputs(given, torch.tensor(np.asarray(xs)), heads)
    q, k, v = (part.permute(1, 2, 0, 3) for part in (q, k, v))
    i, f = (gate.permute(1, 2, 0)[..., None] for gate in (i, f))
    h = backends.parallel_stabilized_simple(q, k, v, i, f, eps=0.0)
    expected = o * h.permute(2, 0, 1, 3).flatten(2)
    np.testing.assert_allclose(ys, expected.numpy(), rtol=1e-11, atol=1e-13)
