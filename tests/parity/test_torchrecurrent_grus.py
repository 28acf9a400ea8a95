"""torchrecurrent's cells of one state: its weights in rows, a bias beside each product.

    kernel = weight_ih^T    recurrent_kernel = weight_hh^T    bias = bias_ih + bias_hh

Where it has a bias that the paper has not, that one is left out (`bias=False` or
`recurrent_bias=False`), and the rest agrees. That the bias is what differs is asserted,
cell by cell.
"""

from functools import partial
from typing import Any, NamedTuple

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

from compare_stepped import evaluate_run, weights_of  # noqa: E402 (of torch)

H = 5


def rows(weights, name, blocks):
    """The rows of a weight or of a bias by gate, in columns; none for one left out."""
    value = weights.get(name)
    if value is None:
        return dict.fromkeys(blocks, 0)
    blocks = blocks[-len(value) // H :]  # the content of a RAN, its first, has no bias
    return dict(zip(blocks, jnp.split(value.T, len(blocks), axis=-1), strict=True))


class Case(NamedTuple):
    """One cell of theirs, and which rows are which columns of ours."""

    cell: Any
    ih: str  # the order of its input blocks, in our letters
    hh: str
    options: dict = {}  # noqa: RUF012 (never written to)
    further: dict = {}  # noqa: RUF012 (ours by the name of theirs)
    projected: str = ""  # the block that is P

    @property
    def theirs(self):
        kind = getattr(torchrecurrent, f"{type(self.cell).__name__}Cell")
        return kind(3, H, **self.options).double()

    def params(self, weights):
        def joined(parts, blocks):
            return jnp.concatenate([parts[gate] for gate in blocks], axis=-1)

        W = rows(weights, "weight_ih", self.ih)
        params = {"kernel": joined(W, self.cell.blocks)}
        if self.projected:
            params["projection"] = W[self.projected]
        if isinstance(self.cell, cells.BR):
            params["recurrent_scale"] = weights["weight_hh"]
        else:
            U = rows(weights, "weight_hh", self.hh)
            params["recurrent_kernel"] = joined(U, self.cell.recurrent_blocks)
        params |= {name: weights[theirs].T for name, theirs in self.further.items()}
        if "gate_bias" in params:
            return params | {"bias": weights["bias_ih"]}
        b_ih = rows(weights, "bias_ih", self.ih)
        b_hh = rows(weights, "bias_hh", self.hh)
        both = {gate: b_ih.get(gate, 0) + b_hh.get(gate, 0) for gate in {*b_ih, *b_hh}}
        bias = [jnp.broadcast_to(both[gate], H) for gate in self.cell.bias_blocks]
        return params | {"bias": jnp.concatenate(bias)}


NO_INPUT_BIAS, NO_RECURRENT_BIAS = {"bias": False}, {"recurrent_bias": False}
PROJECTED = {"projection": True}
# Not with their hard sigmoid: torch's is differentiated with 1/6 in float32.
SOFT, SOFT_TOO = {"gate_activation": "sigmoid"}, {"gate_nonlinearity": "sigmoid"}
CASES = {
    "ugrnn": Case(cells.UGRNN(3, H), "nz", "nz"),
    "ligru": Case(cells.LiGRU(3, H), "zn", "zn"),
    "mgu": Case(cells.MGU(3, H), "in", "in"),
    "minimal": Case(
        cells.MinimalRNN(3, H),
        "n",
        "z",
        further={"latent_kernel": "weight_mm", "gate_bias": "bias_hh"},
    ),
    "lightru": Case(cells.LightRU(3, H), "ni", "i", NO_INPUT_BIAS),
    "star": Case(cells.STAR(3, H), "ni", "i"),
    "sgrn": Case(cells.SGRN(3, H), "f", "f", NO_INPUT_BIAS),
    "ran": Case(cells.RAN(3, H), "nif", "if"),
    "atr": Case(cells.ATR(3, H), "p", "q", NO_INPUT_BIAS),
    "mut1": Case(
        cells.MUT1(3, H, **PROJECTED), "irn", "rn", NO_INPUT_BIAS, projected="n"
    ),
    "mut2": Case(cells.MUT2(3, H, **PROJECTED), "irn", "irn", projected="r"),
    "mut3": Case(cells.MUT3(3, H), "irn", "irn"),
    "sgu": Case(cells.SGU(3, H, **SOFT), "mi", "mi", NO_RECURRENT_BIAS | SOFT_TOO),
    "dsgu": Case(
        cells.DSGU(3, H, **SOFT),
        "mi",
        "mi",
        NO_RECURRENT_BIAS | SOFT_TOO,
        {"output_kernel": "weight_ho"},
    ),
    "cfn": Case(cells.CFN(3, H), "fin", "fi", NO_INPUT_BIAS),
    "br": Case(cells.BR(3, H), "acn", "ac", NO_INPUT_BIAS),
    "nbr": Case(cells.NBR(3, H), "acn", "ac", NO_INPUT_BIAS),
    "miru1": Case(
        cells.MiRU1(3, H, update_coefficient=0.3),
        "rn",
        "rn",
        {"update_coefficient": 0.3},
    ),
    "miru2": Case(
        cells.MiRU2(3, H, update_coefficient=0.3, reset_coefficient=0.8),
        "n",
        "n",
        {"update_coefficient": 0.3, "reset_coefficient": 0.8},
    ),
}


def looped(module, weights, xs, carry):
    ys = []
    for x in xs:
        # Its RAN carries h beside c, of which it is the tanh.
        additive = isinstance(module, torchrecurrent.RANCell)
        state = (torch.tanh(carry), carry) if additive else carry
        new = torch.func.functional_call(module, weights, (x, state))
        y, carry = new if additive else (new, new)
        ys.append(y)
    return carry, torch.stack(ys)


@pytest.mark.parametrize("name", CASES)
def test_the_cell_is_theirs(name):
    case = CASES[name]
    module = case.theirs
    assert_parity(
        case.cell,
        case.params,
        random_like(weights_of(module)),
        partial(looped, module),
        evaluate_run,
    )


# By the name of the cell: the bias of theirs that the paper does not have, and its rows.
BEYOND = {
    "lightru": ("bias_ih", slice(0, H)),
    "sgrn": ("bias_ih", slice(None)),
    "atr": ("bias_ih", slice(None)),
    "mut1": ("bias_ih", slice(2 * H, None)),
    "sgu": ("bias_hh", slice(0, H)),
    "dsgu": ("bias_hh", slice(0, H)),
    "cfn": ("bias_ih", slice(2 * H, None)),
    "br": ("bias_ih", slice(2 * H, None)),
    "nbr": ("bias_ih", slice(2 * H, None)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_bias_of_theirs_is_not_the_papers(name):
    """With all of their biases the cell is ours if that one is zero, else it is not."""
    bias, beyond = BEYOND[name]
    options = {k: v for k, v in CASES[name].options.items() if "bias" not in k}
    case = CASES[name]._replace(options=options)
    weights = {k: np.array(v) for k, v in random_like(weights_of(case.theirs)).items()}
    xs = np.array(inputs_of(case.cell, (4,)))

    def differ():
        given = jax.tree.map(torch.tensor, (weights, xs, np.zeros(H)))
        theirs = looped(case.theirs, *given)[1].detach().numpy()
        return np.max(np.abs(theirs - unroll(case.cell, case.params(weights), xs)[1]))

    assert differ() > 1e-3
    weights[bias][beyond] = 0
    assert differ() < 1e-13


@pytest.mark.parametrize("kind", [cells.SGU, cells.DSGU])
def test_their_hard_sigmoid_is_not_that_of_the_authors(kind):
    """Theirs is that of `jax.nn`, ours by default that of Theano."""
    name = kind.__name__.lower()
    theirs, xs = CASES[name]._replace(options=NO_RECURRENT_BIAS), np.ones((4, 3))
    weights = random_like(weights_of(theirs.theirs))
    given = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), (weights, xs))
    ys = looped(theirs.theirs, *given, torch.zeros(H, dtype=torch.float64))[1].numpy()

    def differ(**options):
        cell = kind(3, H, **options)
        params = theirs._replace(cell=cell).params(weights)
        return np.max(np.abs(ys - unroll(cell, params, xs)[1]))

    assert differ(gate_activation="hard_sigmoid") < 1e-13
    assert differ() > 1e-3
