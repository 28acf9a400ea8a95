"""Time spread over devices: the same numbers, and nothing sent that grows with time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from marks import by_default
from program import started
from zoo import inputs_of, params_of

from jaxrnn import Associative, Scan, cells, gradient_norms, trajectory, unroll

T, B = 12, 2
CELLS = {"min_gru": cells.MinGRU(3, 4), "mlstm": cells.MLSTM(3, 4, heads=2)}
METHOD = Associative(time_axis="time", block=2)
SENT = re.compile(r"= (\w+)\[([\d,]*)\]\S* (all-gather|all-to-all|collective-permute)\(")


def mesh(kind=AxisType.Auto):
    return jax.make_mesh((2,), ("time",), axis_types=(kind,))


def spread(tree, kind=AxisType.Auto):
    sharding = NamedSharding(mesh(kind), PartitionSpec("time"))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), tree)


def streams(name):
    lengths = jnp.array([T, 7])
    resets = jnp.zeros((T, B), bool).at[jnp.array([5, 6, 7]), jnp.array([0, 1, 0])]
    every = {
        "plain": {},
        "seams": {"resets": resets.set(True)},  # before, at and after the seam
        "lengths": {"lengths": lengths, "resets": resets.set(True)},
        "reverse": {"lengths": lengths, "resets": resets.set(True), "reverse": True},
    }
    return every[name]


def loss_of(cell, how, method):
    def loss(params, xs, resets):
        given = how if resets is None else how | {"resets": resets}
        carry, ys = unroll(cell, params, xs, **given, method=method)
        return jnp.sum(jnp.sin(ys)) + sum(
            jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(carry)
        )

    return jax.value_and_grad(loss, (0, 1))


@pytest.mark.parametrize("kind", by_default([AxisType.Auto, AxisType.Explicit], "none"))
@pytest.mark.parametrize("how", ["plain", "seams", "lengths", "reverse"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_one_device(name, how, kind):
    check(CELLS[name], streams(how), kind)


@pytest.mark.slow
def test_a_run_over_two_devices():
    check(CELLS["min_gru"], streams("seams"), AxisType.Auto)
    check(CELLS["mlstm"], streams("reverse"), AxisType.Explicit)


def check(cell, how, kind):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    resets = how.get("resets")
    expected = loss_of(cell, how, Scan())(params, xs, resets)
    with jax.set_mesh(mesh(kind)):
        xs, resets = spread((xs, resets), kind)
        found = jax.jit(loss_of(cell, how, METHOD))(params, xs, resets)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(jax.device_get(a), b, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_what_is_measured_of_a_run_is_the_same():
    cell = CELLS["min_gru"]
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    loss = lambda ys: jnp.sum(ys[-1] ** 2)  # noqa: E731
    measured = lambda method: jax.jit(  # noqa: E731
        lambda params, xs: (
            trajectory(cell, params, xs, method=method),
            gradient_norms(loss, cell, params, xs, method=method),
        )
    )
    expected = measured(Scan())(params, xs)
    with jax.set_mesh(mesh()):
        found = measured(METHOD)(params, spread(xs))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(jax.device_get(a), b, rtol=1e-11, atol=1e-13)


@pytest.mark.slow
def test_what_is_sent_does_not_grow_with_time():
    cell = CELLS["min_gru"]

    def sent(steps):
        params, xs = params_of(cell), spread(inputs_of(cell, (steps, B)))
        with jax.set_mesh(mesh()):
            program = jax.jit(loss_of(cell, {}, METHOD)).lower(params, xs, None)
            text = program.compile().as_text()
        found = SENT.findall(text)
        assert found
        return sorted((kind, shape) for _, shape, kind in found)

    assert sent(16) == sent(64)


@pytest.mark.slow
def test_four_devices():
    ended = started(
        "-c",
        "import jax\n"
        "jax.config.update('jax_num_cpu_devices', 4)\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "import jax.numpy as jnp, jaxrnn\n"
        "from jax.sharding import *\n"
        "mesh = jax.make_mesh((4,), ('time',), axis_types=(AxisType.Auto,))\n"
        "cell = jaxrnn.cells.LRU(3, 4)\n"
        "params = cell.init(jax.random.key(0))\n"
        "xs = jax.random.normal(jax.random.key(1), (24, 2, 3))\n"
        "resets = jnp.zeros((24, 2), bool).at[jnp.array([5, 6, 12]), 0].set(True)\n"
        "run = lambda m: jax.jit(lambda p, x, r: jaxrnn.unroll(\n"
        "    cell, p, x, resets=r, method=m)[1])\n"
        "expected = run(jaxrnn.Scan())(params, xs, resets)\n"
        "with jax.set_mesh(mesh):\n"
        "    given = jax.device_put((xs, resets), NamedSharding(\n"
        "        mesh, PartitionSpec('time')))\n"
        "    ys = run(jaxrnn.Associative(time_axis='time', block=2))(params, *given)\n"
        "print(len(ys.sharding.device_set), bool(jnp.allclose(\n"
        "    jax.device_get(ys), jax.device_get(expected), rtol=1e-11, atol=1e-12)))\n",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "4 True\n"


def test_refusals():
    cell = CELLS["min_gru"]
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    with pytest.raises(ValueError, match=r"time_axis is 'time', expected an axis of the"):
        unroll(cell, params, xs, method=METHOD)
    with pytest.raises(ValueError, match=r"time_axis is 3, expected the name of an axis"):
        Associative(time_axis=3)
    with (
        jax.set_mesh(mesh()),
        pytest.raises(ValueError, match=r"time has 11 steps, expected a multiple of the"),
    ):
        unroll(cell, params, xs[1:], method=METHOD)

    def inside(params, xs):
        return unroll(cell, params, xs, method=METHOD)[1]

    time = PartitionSpec("time")
    with (
        jax.set_mesh(mesh()),
        pytest.raises(ValueError, match=r"call unroll outside of jax\.shard_map"),
    ):
        jax.shard_map(inside, in_specs=(PartitionSpec(), time), out_specs=time)(
            params, xs
        )
