"""ncps, which the authors of the liquid networks maintain: the cells of torch.

Their LTC is ours, a fully wired one without the maps of inputs and outputs. Their CfC has
one weight for x and h, [weight of x, weight of h], and a matrix for each head.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import assert_parity
from peer import peer
from zoo import inputs_of, random_like

from jaxrnn import Wrapper, cells, unroll

torch = peer("torch")
ncps = peer("ncps.torch")
wirings = peer("ncps.wirings")

from compare_stepped import evaluate, random_positive, weights_of  # noqa: E402 (of torch)


class Folded(Wrapper):
    """A timed cell whose inputs are x and the logarithm of the time, in one array."""

    input_shape = (4,)

    def project(self, params, x, keys=None):
        return self.cell.project(params, cells.Timed(x[:3], jnp.exp(x[3])), keys)

    def step(self, params, carry, drive):
        return self.cell.step(params, carry, drive)


def step(module, x, carry):
    """At the times of a `Folded`, else at a time of 0.3."""
    time = torch.exp(x[:, 3:]) if x.shape[1] == 4 else 0.3
    y, carry = module(x[:, :3], carry, time)
    return carry, y


def both(kind, timed, **options):
    return (
        Folded(kind(3, 5, timed=True, **options))
        if timed
        else kind(3, 5, elapsed=0.3, **options)
    )


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("timed", [False, True])
def test_liquid(timed, softplus):
    wiring = wirings.FullyConnected(5)
    module = ncps.LTCCell(
        wiring,
        3,
        input_mapping=None,
        output_mapping=None,
        ode_unfolds=3,
        implicit_param_constraints=softplus,
    ).double()
    draw = random_like if softplus else random_positive
    weights = jax.tree.map(jnp.asarray, draw(weights_of(module)))
    cell = both(cells.LTC, timed, ode_unfolds=3, softplus=softplus)
    assert set(weights) == set(cell.init(jax.random.key(0)))
    assert_parity(cell, lambda weights: weights, weights, (module, step), evaluate)


def test_their_map_of_inputs_is_another_mu_and_sigma():
    """sigma (a x + b - mu) = (sigma a) (x - (mu - b) / a), by each input."""
    wiring = wirings.FullyConnected(5)
    module = ncps.LTCCell(wiring, 3, output_mapping=None).double()
    weights = random_positive(weights_of(module))
    with torch.no_grad():
        for name, weight in weights.items():
            module.get_parameter(name).copy_(torch.tensor(weight))
    params = {name: jnp.asarray(leaf) for name, leaf in weights.items()}
    a, b = params.pop("input_w")[:, None], params.pop("input_b")[:, None]
    params["sensory_mu"] = (params["sensory_mu"] - b) / a
    params["sensory_sigma"] = params["sensory_sigma"] * a
    cell = cells.LTC(3, 5, softplus=False)
    x = inputs_of(cell, (1, 2))
    theirs, _ = module(torch.tensor(np.array(x[0])), torch.zeros(2, 5).double())
    ours = unroll(cell, params, x)[1][0]
    np.testing.assert_allclose(theirs.detach(), ours, rtol=1e-12)


def closed(cell, weights):
    """Our params by the weights of their cell."""

    def split(kernel):
        return dict(
            zip(("kernel", "recurrent_kernel"), jnp.split(kernel, [3]), strict=True)
        )

    names = {"g": "ff1", "n": "ff2", "a": "time_a", "c": "time_b"}
    heads = [names[head] for head in cell.heads]
    kernel = jnp.concatenate([weights[f"{name}.weight"].T for name in heads], axis=1)
    bias = jnp.concatenate([weights[f"{name}.bias"] for name in heads])
    params = {name: weights[name][0] for name in ("w_tau", "A") if name in weights}
    if not cell.backbone_layers:
        return params | split(kernel) | {"bias": bias}
    params |= {"head_kernel": kernel, "head_bias": bias}
    for i in range(cell.backbone_layers):  # every second one is an activation
        W, b = (weights[f"backbone.{2 * i}.{name}"].T for name in ("weight", "bias"))
        later = {f"kernel_{i + 1}": W, f"bias_{i + 1}": b}
        params |= later if i else {**split(W), "bias": b}
    return params


MODES, TIMED = ("default", "no_gate", "pure"), (False, True)


@pytest.mark.parametrize(
    ("mode", "layers", "timed"),
    [
        *itertools.product(MODES, (1,), TIMED),
        *itertools.product(("default",), (0, 2), (True,)),
    ],
)
def test_closed_form(mode, layers, timed):
    module = ncps.CfCCell(3, 5, mode=mode, backbone_units=4, backbone_layers=layers)
    module = module.double()
    cell = both(cells.CfC, timed, mode=mode, backbone_units=4, backbone_layers=layers)
    inner = cell.cell if timed else cell
    weights = random_like(weights_of(module))
    assert_parity(cell, lambda w: closed(inner, w), weights, (module, step), evaluate)
