"""torchrecurrent's cells without gates, or nearly so: weights in rows, two biases.

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    bias = bias_ih + bias_hh

Its RHN stands in its source, but cannot be imported.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import inputs_of, random_like

from jaxrnn import cells, unroll

torch = peer("torch")
torchrecurrent = peer("torchrecurrent")

from compare_stepped import evaluate_run  # noqa: E402 (of torch)

H = 5


class FedBackSCRN(cells.SCRN):
    """With y in the place of h, which the paper feeds back."""

    def step(self, params, carry, drive):
        new = super().step(params, carry, drive)
        return new._replace(h=super().output(params, new, drive))

    def output(self, params, carry, drive):
        return carry.h


class TanhFastGRNN(cells.FastGRNN):
    """With tanh(a) for the gate, in the place of sigmoid(a)."""

    def gates(self, params, carry, drive):
        gates = super().gates(params, carry, drive)
        return gates | {"z": jnp.tanh(jax.scipy.special.logit(gates["z"]))}


def independent(weights):
    return {
        "kernel": weights["weight_ih"].T,
        "recurrent_scale": weights["vector_u"],
        "bias": weights["bias_ih"] + weights["bias_hh"],
    }


def fast(weights):
    scalars = {"alpha", "beta", "zeta", "nu"} & weights.keys()
    return {
        "kernel": weights["weight_ih"].T,
        "recurrent_kernel": weights["weight_hh"].T,
        "bias": weights["bias_ih"] + weights["bias_hh"],
        **{name: weights[name][0] for name in scalars},
    }


def scrn(weights):
    B, A = jnp.split(weights["weight_ih"].T, 2, axis=1)
    R, U = jnp.split(weights["weight_hh"].T, 2, axis=1)
    P, V = jnp.split(weights["weight_ch"].T, 2, axis=1)
    bias, output_bias = jnp.split(weights["bias_hh"] + weights["bias_ch"], 2)
    return {
        "kernel": A,
        "recurrent_kernel": R,
        "bias": bias,
        "context_embedding": B,
        "context_kernel": P,
        "output_kernel": jnp.concatenate([U, V]),
        "output_bias": output_bias,
    }


SIGMOID, HALF = {"nonlinearity": "sigmoid"}, {"alpha": 0.5, "bias": False}
# Theirs, ours, their options, and our params from their weights.
CASES = {
    "relu": ("IndRNN", cells.IndRNN(3, H), {"nonlinearity": "relu"}, independent),
    "tanh": ("IndRNN", cells.IndRNN(3, H, activation="tanh"), {}, independent),
    "fast": ("FastRNN", cells.FastRNN(3, H), {}, fast),
    "gated": ("FastGRNN", cells.FastGRNN(3, H), SIGMOID, fast),
    "gate_of_tanh": ("FastGRNN", TanhFastGRNN(3, H), {}, fast),
    "fed_back": ("SCRN", FedBackSCRN(3, H, alpha=0.5, activation="tanh"), HALF, scrn),
}


def made(name, **options):
    return getattr(torchrecurrent, f"{name}Cell")(3, H, **options).double()


def random_weights(module):
    """But of an SCRN's alpha, which it trains and the paper does not."""
    named = {name: leaf.detach().numpy() for name, leaf in module.named_parameters()}
    fixed = {"alpha"} if isinstance(module, torchrecurrent.SCRNCell) else set()
    return random_like({name: named[name] for name in named.keys() - fixed})


def looped(module, weights, xs, carry):
    ys = []
    for x in xs:
        new = torch.func.functional_call(module, weights, (x, carry))
        ys.append(new[0] if isinstance(new, tuple) else new)
        carry = cells.SCRNCarry(*new) if isinstance(new, tuple) else new
    return carry, torch.stack(ys)


@pytest.mark.parametrize("case", CASES)
def test_the_cell_is_theirs(case):
    name, cell, options, to_params = CASES[case]
    module = made(name, **options)
    assert_parity(
        cell, to_params, random_weights(module), partial(looped, module), evaluate_run
    )


@pytest.mark.parametrize(
    ("case", "papers"),
    [
        ("tanh", cells.IndRNN(3, H)),
        ("gate_of_tanh", cells.FastGRNN(3, H)),
        ("fed_back", cells.SCRN(3, H, alpha=0.5, activation="tanh")),
    ],
)
def test_what_they_do_otherwise_is_not_the_papers(case, papers):
    """With their defaults: of an SCRN the first step is that of the paper still."""
    name, cell, options, to_params = CASES[case]
    module = made(name, **options)
    weights = random_weights(module)
    params, xs = to_params(weights), inputs_of(cell, (4,))
    theirs, ours = (unroll(one, params, xs)[1] for one in (cell, papers))
    apart = np.max(np.abs(theirs - ours), axis=-1)
    assert apart[-1] > 1e-3 and (apart[0] < 1e-12) == (name == "SCRN")


def test_their_fast_rnn_starts_the_other_way_round():
    theirs, ours = made("FastRNN"), cells.FastRNN(3, H).init(jax.random.key(0))
    assert theirs.alpha.item() == 3 == ours["beta"]
    assert theirs.beta.item() == -3 == ours["alpha"]
