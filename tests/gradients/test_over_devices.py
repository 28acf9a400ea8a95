"""What is measured, and learned online, of a batch that is spread over two devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from zoo import inputs_of, params_of

import jaxrnn

T, B = 5, 2
CELL = jaxrnn.Elman(3, 4)
SPREAD = PartitionSpec(None, "batch")


def loss(y, target):
    return jnp.sum((y - target) ** 2)


def streamed(params, xs, targets):
    state = jaxrnn.online_init(CELL, params, xs[0])
    for t in range(2):
        state, found = jaxrnn.online_step(loss, params, state, xs[t], targets[t])
    return found.gradients, found.loss


def logged(params, xs, _):
    by_step, key = lambda ys: jnp.sum(ys**2, -1), jax.random.key(0)
    return jaxrnn.gradient_log(by_step, CELL, params, xs, sample_key=key)


ONLINE: Any = {
    "online_gradients": lambda *args: jaxrnn.online_gradients(loss, CELL, *args),
    "online_lags": lambda *args: jaxrnn.online_lags(loss, CELL, *args),
    "online_step": streamed,
}
MEASURED: Any = {
    "newton_report": lambda p, xs, _: jaxrnn.newton_report(CELL, p, xs),
    "step_jacobians": lambda p, xs, _: jaxrnn.step_jacobians(CELL, p, xs),
    "gradient_log": logged,
}


def example():
    targets = jnp.asarray(np.random.default_rng(0).normal(size=(T, B, 4)))
    return params_of(CELL), inputs_of(CELL, (T, B)), targets


def assert_same(found, expected):
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ONLINE, *MEASURED])
def test_explicit_axes_change_nothing(name):
    function = (ONLINE | MEASURED)[name]
    params, xs, targets = example()
    expected = function(params, xs, targets)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
        spread = jax.device_put((xs, targets), NamedSharding(mesh, SPREAD))
        assert_same(function(params, *spread), expected)


@pytest.mark.slow
def test_inside_of_shard_map():
    """Gradients are those of each device's examples, exponents of each example."""
    params, xs, targets = example()

    def of_a_device(params, xs, targets):
        found = jaxrnn.online_gradients(loss, CELL, params, xs, targets)
        exponents = jaxrnn.lyapunov_spectrum(CELL, params, xs, k=2).exponents
        return jax.lax.psum(found.gradients, "batch"), exponents

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
    found = jax.shard_map(
        of_a_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), SPREAD, SPREAD),
        out_specs=(PartitionSpec(), PartitionSpec("batch")),
    )(params, xs, targets)
    gradients = ONLINE["online_gradients"](params, xs, targets).gradients
    exponents = jaxrnn.lyapunov_spectrum(CELL, params, xs, k=2).exponents
    assert_same(found, (gradients, exponents))
