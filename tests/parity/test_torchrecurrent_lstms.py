"""torchrecurrent's LSTMs: weights in rows, blocks as ours, a bias beside each product.

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    bias = bias_ih + bias_hh

Where it does otherwise than the paper, it is compared with the cell that does so too.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import inputs_of, random_like

from jaxrnn import LSTMCarry, cells, unroll

torch = peer("torch")
torchrecurrent = peer("torchrecurrent")

from compare_stepped import evaluate_run  # noqa: E402 (of torch)


class SummedNAS(cells.NAS):
    """With x W_4 + h U_4 + b_4 where the authors' cell has (x W_4) (h U_4 + b_4)."""

    def gates(self, params, carry, drive):
        gates = super().gates(params, carry, drive)
        product = carry.h @ params["recurrent_kernel"]
        z = jnp.split(drive.x + product, 8)[3] + params["recurrent_bias"]
        return gates | {"a4": jax.nn.relu(z)}


# By the name of theirs: ours, their options, and our further parameters by theirs.
CASES = {
    "PeepholeLSTM": (cells.PeepholeLSTM(3, 5), {}, {"peephole": "weight_ph"}),
    "JANET": (cells.JANET(3, 5, beta=0.5), {"beta": 0.5}, {}),
    "MultiplicativeLSTM": (
        cells.MultiplicativeLSTM(3, 5),
        {"bias": False, "recurrent_bias": False},
        {"intermediate_kernel": "weight_mh"},
    ),
    "NAS": (SummedNAS(3, 5), {}, {}),
    "OriginalLSTM": (cells.OriginalLSTM(3, 5), {}, {}),
    "ResLSTM": (
        cells.ResLSTM(3, 5),
        {},
        {
            "peephole": "weight_ph",
            "projection": "weight_proj",
            "shortcut_kernel": "weight_res",
        },
    ),
    "WMCLSTM": (
        cells.WMCLSTM(3, 5),
        {"memory_bias": False},
        {"memory_kernel": "weight_mh"},
    ),
}


def module_of(name, **options):
    return getattr(torchrecurrent, f"{name}Cell")(3, 5, **options).double()


def random_weights(module):
    """But of JANET's beta, which it trains and the paper does not."""
    named = {name: leaf.detach().numpy() for name, leaf in module.named_parameters()}
    return random_like({name: leaf for name, leaf in named.items() if name != "beta"})


def to_params(name, weights):
    further = CASES[name][2]
    params = {"kernel": weights["weight_ih"].T, "bias": 0.0}
    params["recurrent_kernel"] = weights["weight_hh"].T
    params |= {ours: weights[theirs].T for ours, theirs in further.items()}
    for bias in {"bias_ih", "bias_hh", "bias_mh"} & weights.keys():
        params["bias"] += weights[bias]
    if name == "OriginalLSTM":  # 2 tanh(2 z / 2), for their tanh(z)
        twice = jnp.repeat(jnp.array([1.0, 2.0, 1.0]), 5)
        params = jax.tree.map(
            lambda leaf: jnp.einsum("...j,j->...j", leaf, twice), params
        )
    return params


def looped(name, module, weights, xs, carry):
    """Their cell in a loop, from our carry to our carry."""
    scale = 2 if name == "OriginalLSTM" else 1  # our c is twice theirs then
    one = name == "JANET"  # h and c are one
    h, c = (carry, carry) if one else (carry.h, carry.c / scale)
    ys = []
    for x in xs:
        h, c = torch.func.functional_call(module, weights, (x, (h, c)))
        ys.append(h)
    return h if one else LSTMCarry(h, c * scale), torch.stack(ys)


@pytest.mark.parametrize("name", CASES)
def test_the_cell_is_theirs(name):
    cell, options, _ = CASES[name]
    module = module_of(name, **options)
    weights = random_weights(module)
    convert = lambda weights: to_params(name, weights)  # noqa: E731
    assert_parity(cell, convert, weights, partial(looped, name, module), evaluate_run)


# By the name of the cell: the rows of a bias of theirs that the paper does not have.
BEYOND = {
    "MultiplicativeLSTM": {"bias_ih": slice(0, 5), "bias_hh": slice(None)},
    "WMCLSTM": {"bias_mh": slice(None)},
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_bias_of_theirs_is_not_the_papers(name):
    """With all their biases the cell is ours if those are zero, else it is not."""
    module = module_of(name)
    weights = {k: np.array(leaf) for k, leaf in random_weights(module).items()}
    params = to_params(name, {k: w for k, w in weights.items() if "bias" not in k})
    if name == "MultiplicativeLSTM":
        params["bias"] = weights["bias_ih"][5:] + weights["bias_mh"]
    else:
        params["bias"] = weights["bias_ih"] + weights["bias_hh"]
    xs = np.array(inputs_of(CASES[name][0], (4,)))

    def differ():
        carry = LSTMCarry(np.zeros(5), np.zeros(5))
        given = jax.tree.map(torch.tensor, (weights, xs, carry))
        theirs = looped(name, module, *given)[1].detach().numpy()
        return np.max(np.abs(theirs - unroll(CASES[name][0], params, xs)[1]))

    assert differ() > 1e-3
    for bias, rows in BEYOND[name].items():
        weights[bias][rows] = 0
    assert differ() < 1e-13


@pytest.mark.parametrize(
    ("name", "cell"),
    [("NAS", cells.NAS(3, 5)), ("OriginalLSTM", CASES["OriginalLSTM"][0])],
)
def test_as_it_stands_the_cell_is_not_the_papers(name, cell):
    """With the weights as they are, neither halved nor doubled, and the product."""
    module = module_of(name)
    weights = random_weights(module)
    params = {
        "kernel": weights["weight_ih"].T,
        "recurrent_kernel": weights["weight_hh"].T,
    }
    params["bias"] = weights["bias_ih"] + weights["bias_hh"]
    xs, carry = np.array(inputs_of(cell, (4,))), LSTMCarry(np.zeros(5), np.zeros(5))
    given = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), (weights, xs, carry))
    theirs = looped(name, module, *given)[1].detach().numpy()
    assert np.max(np.abs(theirs - unroll(cell, params, xs)[1])) > 1e-2
