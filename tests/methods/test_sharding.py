"""A batch spread over devices: no collective inside of a loop, and the same numbers."""

import contextlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from marks import by_default
from zoo import BASIC, ZOO, carry_of, inputs_of, noise_key, params_of

from jaxrnn import GRU, LSTM, Elman, Scan, Stack, carry_gradients, trajectory, unroll

T, B = 8, 4
HIDDEN = {
    "elman": Elman(6, 8),
    "lstm": LSTM(6, 8),
    "gru": GRU(6, 8),
    "stack": Stack((LSTM(6, 8), GRU(8, 8))),
}
COLLECTIVE = re.compile(
    r"= .*?\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)"
    r"(?:-start)?\("
)
NAME = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
CALLED = re.compile(
    r"(?:body|condition|to_apply|calls|called_computations=\{|branch_computations=\{)"
    r"=?%?([\w.\-]+)"
)


def computations(hlo):
    """By name: the text of each, and the names of those that it calls."""
    lines = {}
    for line in hlo.split("\n"):
        name = NAME.match(line)
        if name:
            current = lines.setdefault(name[1], [])
        if lines:
            current.append(line)
    text = {name: "\n".join(some) for name, some in lines.items()}
    calls = {name: set(CALLED.findall(one)) & set(text) for name, one in text.items()}
    return text, calls


def reached(names, calls):
    """These computations, and all that they call."""
    found, new = set(), set(names)
    while new:
        found |= new
        new = {called for name in new for called in calls[name]} - found
    return found


def collectives(hlo):
    """Those inside of loops, and those outside."""
    text, calls = computations(hlo)
    inside = reached(set(re.findall(r"body=%?([\w.\-]+)", hlo)), calls)
    found = {name: COLLECTIVE.findall(one) for name, one in text.items()}
    return (
        [kind for name in inside for kind in found[name]],
        [kind for name in set(text) - inside for kind in found[name]],
    )


def collectives_of_steps(hlo):
    """Those of each loop that has no loop inside."""
    text, calls = computations(hlo)
    bodies = {
        name: reached({name}, calls) for name in re.findall(r"body=%?([\w.\-]+)", hlo)
    }
    return [
        [kind for name in inside for kind in COLLECTIVE.findall(text[name])]
        for inside in bodies.values()
        if not any("body=" in text[name] for name in inside)
    ]


def mesh():
    return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))


def setting(cell):
    """A gradient in params and xs, and its arguments, sharded and not."""
    key = noise_key(cell)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    lengths = jnp.array([8, 5, 0, 7])
    resets = jnp.zeros((T, B), bool).at[3, 1].set(True)
    floating = jnp.issubdtype(xs.dtype, jnp.floating)

    def loss(params, xs, lengths, resets):
        streams = dict(lengths=lengths, resets=resets, key=key)
        method = Scan(segment=2)
        return jnp.sum(jnp.sin(unroll(cell, params, xs, method=method, **streams)[1]))

    gradient = jax.grad(loss, (0, 1) if floating else 0)
    args = params, xs, lengths, resets
    specs = (), (None, "data"), ("data",), (None, "data")
    shardings = [NamedSharding(mesh(), PartitionSpec(*spec)) for spec in specs]
    return gradient, args, [*map(jax.device_put, args, shardings)]


@pytest.mark.parametrize(
    "name", by_default([n for n in BASIC if n != "conv_lstm"], "gru", "dropouts")
)
def test_under_jit_gradients_are_summed_once_after_the_loops(name):
    cell = ZOO[name]
    gradient, args, spread = setting(cell)
    compiled = jax.jit(gradient).lower(*spread).compile()
    inside, outside = collectives(compiled.as_text())
    assert inside == []
    assert set(outside) <= {"all-reduce"}
    assert len(outside) <= len(jax.tree.leaves(args[0]))
    expected = jax.jit(gradient)(*args)
    close(compiled(*spread), expected)


@pytest.mark.slow
def test_convolutions_stay_where_their_examples_are():
    """Forwards all of them do; back, no loop over steps has a collective."""
    cell = ZOO["conv_lstm"]
    _, (params, xs, *_), (spread_params, spread_xs, *_) = setting(cell)
    run = lambda params, xs: jnp.sin(unroll(cell, params, xs)[1])  # noqa: E731
    compiled = jax.jit(run).lower(spread_params, spread_xs).compile()
    assert collectives(compiled.as_text()) == ([], [])
    gradient = jax.jit(jax.grad(lambda *args: jnp.sum(run(*args)), (0, 1)))
    compiled = gradient.lower(spread_params, spread_xs).compile()
    assert collectives(compiled.as_text())[0] == []
    close(compiled(spread_params, spread_xs), gradient(params, xs))


# With noise each device would draw its own from the one key.
QUIET = [name for name, cell in BASIC.items() if noise_key(cell) is None]


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("name", by_default(QUIET, "gru"))
def test_under_shard_map_gradients_are_summed_once_after_the_loops(name, checked):
    cell = ZOO[name]
    gradient, args, spread = setting(cell)
    P = PartitionSpec

    of_inputs = jnp.issubdtype(args[1].dtype, jnp.floating)

    def summed(*args):
        found = gradient(*args)
        if checked:
            return found  # summed where parameters meet what differs
        sums = lambda tree: jax.tree.map(lambda x: jax.lax.psum(x, "data"), tree)  # noqa: E731
        return (sums(found[0]), found[1]) if of_inputs else sums(found)

    mapped = jax.shard_map(
        summed,
        mesh=mesh(),
        in_specs=(P(), P(None, "data"), P("data"), P(None, "data")),
        out_specs=(P(), P(None, "data")) if of_inputs else P(),
        check_vma=checked,
    )
    compiled = jax.jit(mapped).lower(*spread).compile()
    inside, _ = collectives(compiled.as_text())
    assert inside == []
    expected = jax.jit(gradient)(*args)
    close(compiled(*spread), expected)


@pytest.mark.parametrize("spec", [(None, "units"), ("units", None)])
@pytest.mark.parametrize(
    "with_carry", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", by_default(HIDDEN, "lstm"))
def test_units_that_are_spread_take_one_collective_a_step(name, kind, with_carry, spec):
    """Kernels by columns or by rows; forwards, and forwards and backwards."""
    cell = HIDDEN[name]
    mesh = jax.make_mesh((2,), ("units",), axis_types=(kind,))
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = carry_of(cell, params, (B,)) if with_carry else None

    def forward(params, xs, carry):
        return jnp.sum(jnp.sin(unroll(cell, params, xs, carry)[1]))

    def spread(leaf, spec):
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*spec)))

    def of_params(leaf):
        return spread(leaf, spec if leaf.ndim == 2 else [name for name in spec if name])

    here = (
        jax.tree.map(of_params, params),
        spread(xs, ()),
        jax.tree.map(lambda leaf: spread(leaf, (None, "units")), carry),
    )
    calls = [
        lambda *args: trajectory(cell, *args),
        lambda *args: jax.jvp(forward, args, args)[1],
    ]
    for call in calls:
        close(jax.jit(call)(*here), call(params, xs, carry))
    products = sum(leaf.ndim == 2 for leaf in jax.tree.leaves(params)) // 2
    for function, loops in ((forward, 1), (jax.grad(forward, (0, 1)), 2)):
        compiled = jax.jit(function).lower(*here).compile()
        steps = collectives_of_steps(compiled.as_text())
        assert [len(kinds) for kinds in steps] == [1] * (loops * products)
        close(compiled(*here), function(params, xs, carry))


@pytest.mark.slow
@pytest.mark.parametrize("known", [pytest.param(False, marks=pytest.mark.slow), True])
def test_axes_that_are_explicit_stay_spread(known):
    """As those of a mesh are unless it says otherwise, be it the current one or not."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    P = PartitionSpec
    cell = Stack((GRU(3, 5), LSTM(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry, lengths = carry_of(cell, params, (B,)), jnp.array([8, 5, 0, 7])

    def gradients(params, xs, carry, lengths):
        def loss(*args):
            return jnp.sum(unroll(cell, *args, lengths=lengths)[1] ** 2)

        return jax.grad(loss, (0, 1, 2))(params, xs, carry)

    calls = [
        lambda *args: unroll(cell, *args[:3], lengths=args[3]),
        lambda *args: unroll(cell, *args[:2], key=jax.random.key(0)),
        lambda *args: trajectory(cell, *args[:2], lengths=args[3]),
        lambda *args: carry_gradients(lambda ys: jnp.sum(ys**2), cell, *args[:2]),
        gradients,
    ]
    args, specs = (params, xs, carry, lengths), (P(), P(None, "data"), P("data"))
    expected = [call(*args) for call in calls]
    with jax.set_mesh(mesh) if known else contextlib.nullcontext():
        spread = [
            jax.device_put(arg, NamedSharding(mesh, spec))
            for arg, spec in zip(args, (*specs, P("data")), strict=True)
        ]
        for call, wanted in zip(calls, expected, strict=True):
            close(jax.jit(call)(*spread), wanted)
        close(calls[0](*spread), expected[0])
        for call in calls[:2]:
            (h, _), ys = jax.jit(call)(*spread)
            assert jax.typeof(h).sharding.spec[0] == "data"
            assert jax.typeof(ys).sharding.spec[1] == "data"
        with pytest.raises(
            ValueError, match=r"^unroll: the axis of time of xs is spread"
        ):
            unroll(cell, params, jax.device_put(xs, NamedSharding(mesh, P("data"))))


def close(actual, expected):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_biases_by_vmap_over_devices():
    """An axis of parameters that is one of the batch, and cannot be parted with it."""
    cell = ZOO["gru"]
    _, (params, xs, _, _), (_, spread, _, _) = setting(cell)
    biases = jnp.stack([params["bias"], 2 * params["bias"]] * 4)

    @jax.grad
    def gradient(xs):
        of = lambda b: unroll(cell, {**params, "bias": b}, xs)[1]  # noqa: E731
        return jnp.sum(jnp.sin(jax.vmap(of)(biases)))

    close(jax.jit(gradient)(spread), jax.jit(gradient)(xs))


def test_what_is_looked_for_would_be_found():
    """The plain derivative of the loop sums a bias at every step."""
    cell = ZOO["gru"]
    _, _, spread = setting(cell)

    def loss(params, xs):
        return jnp.sum(unroll(cell, params, xs, method=Scan(autodiff=True))[1])

    compiled = jax.jit(jax.grad(loss)).lower(*spread[:2]).compile()
    inside, _ = collectives(compiled.as_text())
    assert "all-reduce" in inside
