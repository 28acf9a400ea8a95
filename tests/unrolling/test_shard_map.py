"""Every call inside of `jax.shard_map`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from zoo import Noisy, carry_of, inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Dense,
    LSTMCarry,
    Stack,
    carry_gradients,
    unroll,
)


def mapped(function, **options):
    """`function(params, xs, carry)` under shard_map, the batch over two devices."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec
    specs = (P(), P(None, "data"), P("data"))
    return jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=P(None, "data"), **options
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "with_carry",
    [
        pytest.param(False, id="no_carry", marks=pytest.mark.slow),
        pytest.param(True, id="carry"),
    ],
)
def test_under_shard_map_every_call_is_what_it_is_without(with_carry):
    cell = Stack((LSTM(3, 5), Dense(5, 2)))
    params, xs = params_of(cell), inputs_of(cell, (6, 4))
    carry = carry_of(cell, params, (4,))

    def outputs(params, xs, carry):
        return unroll(cell, params, xs, carry if with_carry else None)[1]

    def gradients(params, xs, carry):
        return carry_gradients(
            lambda ys: jnp.sum(ys[-1] ** 2),
            cell,
            params,
            xs,
            carry if with_carry else None,
        )[0]

    for function in (outputs, gradients):
        for actual, expected in zip(
            jax.tree.leaves(mapped(function)(params, xs, carry)),
            jax.tree.leaves(function(params, xs, carry)),
            strict=True,
        ):
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("varying", [False, True], ids=["replicated", "varying"])
def test_under_shard_map_gradients_of_parameters_are_those_without(varying):
    cell = GRU(3, 5)  # has a bias inside of the step
    params, xs = params_of(cell), inputs_of(cell, (6, 4))

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1] ** 2)

    def local(params, xs):
        if not varying:  # JAX sums the gradients up
            return jax.grad(total)(params, xs)
        params = jax.tree.map(
            lambda leaf: jax.lax.pcast(leaf, "data", to="varying"), params
        )
        return jax.lax.psum(jax.grad(total)(params, xs), "data")

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec
    both = jax.shard_map(local, mesh=mesh, in_specs=(P(), P(None, "data")), out_specs=P())
    for actual, expected in zip(
        jax.tree.leaves(both(params, xs)),
        jax.tree.leaves(jax.grad(total)(params, xs)),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_under_shard_map_half_a_carry_and_a_key_may_vary(key):
    cell = Stack((Noisy(3), LSTM(3, 5)))
    params, xs, carry = cell.init(key), jnp.ones((6, 2, 3)), jnp.ones((4, 5))

    def run(params, xs, varying):
        h, c = varying, jnp.zeros_like(varying)
        own = jax.random.fold_in(key, jax.lax.axis_index("data"))
        start = (jnp.zeros(2), LSTMCarry(h, c))
        return unroll(cell, params, jnp.ones((6, 2, 3)), start, key=own)[1]

    ys = mapped(run)(params, jnp.concatenate([xs, xs], 1), carry)
    for device in range(2):
        own = jax.random.fold_in(key, device)
        start = (jnp.zeros(2), LSTMCarry(carry[:2], jnp.zeros((2, 5))))
        expected = unroll(cell, params, xs, start, key=own)[1]
        actual = ys[:, 2 * device : 2 * device + 2]
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("check_vma", [True, False])
def test_one_axis_of_a_mesh_may_be_manual_and_another_the_compilers(check_vma):
    kinds = (AxisType.Auto, AxisType.Auto)
    mesh = jax.make_mesh((2, 1), ("data", "units"), axis_types=kinds)
    cell, P = Stack((LSTM(3, 4), GRU(4, 5))), PartitionSpec
    params, xs = params_of(cell), inputs_of(cell, (5, 4))

    def total(params, xs):
        return jnp.sum(jnp.sin(unroll(cell, params, xs)[1]))

    over_data = jax.shard_map(
        lambda params, xs: jax.lax.psum(total(params, xs), "data"),
        mesh=mesh,
        in_specs=(P(), P(None, "data")),
        out_specs=P(),
        axis_names={"data"},
        check_vma=check_vma,
    )
    found = jax.jit(jax.value_and_grad(over_data, (0, 1)))(params, xs)
    expected = jax.value_and_grad(total, (0, 1))(params, xs)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
