"""torchrecurrent's cells from differential equations: weights in rows, h for our y.

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    bias = bias_ih + bias_hh

but for the LEM, whose h reads the old c where the paper reads the new one, they are ours.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import carry_of, inputs_of, random_like

from jaxrnn import cells

torch = peer("torch")
torchrecurrent = peer("torchrecurrent")

from compare_stepped import evaluate, weights_of  # noqa: E402 (of torch)

H = 5
CELL_BIASES = "bias_ih", "bias_hh", "bias_ch"


class ReadsOld(cells.LEM):
    """The memory as torchrecurrent has it: y' of the old z."""

    def gates(self, params, carry, drive):
        of_z = self.prepare(params)["recurrent_kernel"][1]
        n = jnp.tanh(drive.x[-H:] + carry.z @ of_z)
        return super().gates(params, carry, drive) | {"n": n}


def plain(weights, *biases):
    return {
        "kernel": weights["weight_ih"].T,
        "recurrent_kernel": weights["weight_hh"].T,
        "bias": sum(weights[name] for name in biases),
    }


def antisymmetric(weights):
    return plain(weights, "bias_ih", "bias_hh")


def gated(weights):
    """Their recurrent bias is of the candidate alone."""
    of_both = jnp.concatenate([jnp.zeros(H), weights["bias_hh"]])
    return plain(weights, "bias_ih") | {"bias": weights["bias_ih"] + of_both}


def cornn(weights):
    both = jnp.concatenate([weights["weight_hh"].T, weights["weight_ch"].T])
    return plain(weights, *CELL_BIASES) | {"recurrent_kernel": both}


def unicornn(weights):
    params = plain(weights, "bias_ih", "bias_hh")
    params["recurrent_scale"] = params.pop("recurrent_kernel")
    return params | {"control": weights["weight_ch"]}


def lem(weights):
    """Their blocks are r, s, g, n, the last of them for h in `weight_ch`."""

    def joined(*parts):
        r, s, *rest = jnp.split(jnp.concatenate(parts), 4)
        return jnp.concatenate([s, r, *rest])

    of_h = joined(weights["bias_hh"], weights["bias_ch"])
    return {
        "kernel": joined(weights["weight_ih"]).T,
        "recurrent_kernel": joined(weights["weight_hh"], weights["weight_ch"]).T,
        "bias": joined(weights["bias_ih"]) + of_h,
    }


class Case(NamedTuple):
    cell: Any
    name: str
    params: Any
    options: dict = {}  # noqa: RUF012 (never written to)


DAMPED = {"epsilon": 0.3, "gamma": 0.2}
OSCILLATING = {"dt": 0.3, "gamma": 2.7, "epsilon": 4.7}
CASES = [
    Case(
        cells.AntisymmetricRNN(3, H, **DAMPED), "AntisymmetricRNN", antisymmetric, DAMPED
    ),
    Case(
        cells.GatedAntisymmetricRNN(3, H, **DAMPED),
        "GatedAntisymmetricRNN",
        gated,
        DAMPED,
    ),
    Case(cells.CoRNN(3, H, **OSCILLATING), "coRNN", cornn, OSCILLATING),
    Case(
        cells.UnICORNN(3, H, dt=0.4, alpha=0.9),
        "UnICORNN",
        unicornn,
        {"dt": 0.4, "alpha": 0.9, "recurrent_bias": True},
    ),
    Case(ReadsOld(3, H, dt=0.7), "LEM", lem, {"dt": 0.7}),
]


def theirs_of(case):
    kind = getattr(torchrecurrent, f"{case.name}Cell")
    return kind(3, H, **case.options).double()


def step(module, x, carry):
    new = module(x, tuple(carry) if isinstance(carry, tuple) else carry)
    return (cells.YZCarry(*new), new[0]) if isinstance(new, tuple) else (new, new)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cell_is_theirs(case):
    module = theirs_of(case)
    weights = random_like(weights_of(module))
    assert_parity(case.cell, case.params, weights, (module, step), evaluate)


def test_the_memory_of_the_paper_reads_the_new_state():
    """Theirs is ours in z, and in y only where z has no weights."""
    module, cell = theirs_of(CASES[-1]), cells.LEM(3, H, dt=0.7)
    weights = random_like(weights_of(module))
    for kept in 1.0, 0.0:
        weights["weight_ch"] = kept * weights["weight_ch"]
        params = lem(weights)
        x, carry = inputs_of(cell, ()), carry_of(cell, params)
        found, _ = cell(params, carry, x)
        state = {name: torch.tensor(np.array(leaf)) for name, leaf in weights.items()}
        given = [torch.tensor(np.array(leaf)) for leaf in (x, *carry)]
        h, c = torch.func.functional_call(module, state, (given[0], tuple(given[1:])))
        np.testing.assert_allclose(c.detach(), found.z, rtol=1e-13)
        assert (np.max(np.abs(h.detach().numpy() - found.y)) < 1e-13) == (kept == 0)
