"""`carry_gradients` against what a hand-written torch loop retains.

The loop retains the gradient of h_t, which the output and the next step read, and of the
c that it hands on, a copy that h_t is not computed from: the LSTM's c_t at fixed h_t.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer import peer
from zoo import inputs_of, params_of

from jaxrnn import GRU, LSTM, Dense, Elman, LSTMCarry, Stack, carry_gradients

torch = peer("torch")

T, B = 6, 3


def tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def torch_cell(cell, params):
    """The torch cell with the parameters of ours."""
    kind = {Elman: torch.nn.RNNCell, GRU: torch.nn.GRUCell, LSTM: torch.nn.LSTMCell}
    peer_cell = kind[type(cell)](cell.input_size, cell.hidden_size).double()
    recurrent_bias = np.zeros(len(params["bias"]))
    if "recurrent_bias" in params:
        recurrent_bias[2 * cell.hidden_size :] = params["recurrent_bias"]
    with torch.no_grad():
        peer_cell.weight_ih.copy_(tensor(params["kernel"].T))
        peer_cell.weight_hh.copy_(tensor(params["recurrent_kernel"].T))
        peer_cell.bias_ih.copy_(tensor(params["bias"]))
        peer_cell.bias_hh.copy_(tensor(recurrent_bias))
    return peer_cell


def torch_layer(cell, params, xs, reverse):
    """Outputs of one layer, and its retained carries in input order."""
    step, H = torch_cell(cell, params), cell.hidden_size
    h, c = torch.zeros(B, H).double(), torch.zeros(B, H).double()
    hs, cs = [None] * T, [None] * T
    for t in reversed(range(T)) if reverse else range(T):
        if isinstance(cell, LSTM):
            h, new = step(xs[t], (h, c))
            c = new.clone()
            c.retain_grad()
            cs[t] = c
        else:
            h = step(xs[t], h)
        h.retain_grad()
        hs[t] = h
    return torch.stack(hs), (hs, cs)


def gradients(tensors):
    zeros = torch.zeros_like(tensors[0])
    return np.stack([zeros if a.grad is None else a.grad for a in tensors])


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize(
    "layers",
    [
        (Elman(3, 5),),
        (GRU(3, 5),),
        (LSTM(3, 5),),
        (LSTM(3, 5), LSTM(5, 4)),
        (GRU(3, 5), Elman(5, 4)),
    ],
    ids=["elman", "gru", "lstm", "lstm_lstm", "gru_elman"],
)
def test_carry_gradients_are_what_torch_retains(layers, reverse):
    cell = Stack((*layers, Dense(layers[-1].hidden_size, 2)))
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    weights = np.asarray(jax.random.normal(jax.random.key(5), (T, B, 2)))
    actual = carry_gradients(
        lambda ys: jnp.sum(ys**2 * weights), cell, params, xs, reverse=reverse
    )

    ys, retained = tensor(xs), []
    for layer, p in zip(layers, params[:-1], strict=True):
        ys, carries = torch_layer(layer, p, ys, reverse)
        retained.append(carries)
    ys = ys @ tensor(params[-1]["kernel"]) + tensor(params[-1]["bias"])
    (ys**2 * tensor(weights)).sum().backward()

    assert actual[-1] == ()
    for layer, ours, (hs, cs) in zip(layers, actual[:-1], retained, strict=True):
        expected = gradients(hs)
        assert np.abs(expected).min(axis=(1, 2)).max() > 0
        if isinstance(layer, LSTM):
            assert isinstance(ours, LSTMCarry)
            np.testing.assert_allclose(ours.c, gradients(cs), rtol=1e-11, atol=1e-13)
            ours = ours.h
        np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)
