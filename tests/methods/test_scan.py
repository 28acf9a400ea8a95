"""Every way in which `Scan` evaluates a cell, against plain autodiff through lax.scan."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Elman,
    LSTMCarry,
    Scan,
    Stack,
    Zoneout,
    carry_gradients,
    trajectory,
    unroll,
)
from jaxrnn.methods.segments import near, within
from jaxrnn.methods.store import store

T, B = 7, 2
PLAIN = Scan(autodiff=True)


class Written(Cell):
    """What a user writes: columns, slices, x W in the step, weights joined, peepholes."""

    input_size: int = 3
    hidden_size: int = 4

    def init(self, key):
        I, H = self.input_size, self.hidden_size
        shapes = {"W": (I, 2 * H), "U": (2 * H, H), "b": (2 * H,), "p": (H,), "V": (H, H)}
        return random_like({k: jnp.zeros(v) for k, v in shapes.items()}, seed=5)

    def initial_carry(self, params):
        H = self.hidden_size
        return {"h": jnp.zeros(H), "c": jnp.zeros(H), "steps": jnp.zeros((), int)}

    def step(self, params, carry, drive):
        H = self.hidden_size
        z = drive @ params["W"] + params["U"] @ carry["h"] + params["b"]
        keep = jax.nn.sigmoid(z[:H] + params["p"] * carry["c"])
        new = jax.nn.relu(z[H:]) @ params["V"]
        c = keep * carry["c"] + (1 - keep) * jnp.tanh(new)
        h = c / jnp.sqrt(1 + c @ c) * jnp.cos(carry["steps"].astype(c.dtype))
        return {"h": h, "c": c, "steps": carry["steps"] + 1}

    def output(self, params, carry, drive):
        return params["V"] @ carry["h"]


class Convolution(Cell):
    """No product that can be taken apart, and inputs of two axes."""

    input_shape: Any = (5, 2)

    def init(self, key):
        return random_like({"k": jnp.zeros((3, 2, 2)), "w": jnp.zeros((2, 2))}, seed=6)

    def initial_carry(self, params):
        return jnp.zeros((5, 2))

    def project(self, params, x, keys=None):
        return x @ params["w"]

    def step(self, params, carry, drive):
        dimensions = ("NWC", "WIO", "NWC")
        carry = jax.lax.conv_general_dilated(
            carry[None], params["k"], (1,), "SAME", dimension_numbers=dimensions
        )[0]
        return jnp.tanh(carry + drive)


@jax.custom_vjp
def _halved(x):
    return x


_halved.defvjp(lambda x: (x, None), lambda _, ct: (ct / 2,))


class HalfGradient(Elman):
    """A derivative that only reverse mode knows."""

    def step(self, params, carry, drive):
        return super().step(params, _halved(carry), drive)


class HalfInputGradient(Elman):
    """The same before the loop."""

    def project(self, params, x, keys=None):
        return super().project(params, _halved(x), keys)


class HalfOutputGradient(Elman):
    """The same after the loop."""

    def output(self, params, carry, drive):
        return _halved(carry) * 3


class Walk(Elman):
    """A key in the carry: of a walk that draws as it goes, and shows all of its carry."""

    def initial_carry(self, params):
        return super().initial_carry(params), jax.random.key(3)

    def step(self, params, carry, drive):
        h, key = carry
        key, own = jax.random.split(key)
        noise = 0.1 * jax.random.normal(own, h.shape, h.dtype)
        return super().step(params, h, drive) + noise, key

    def output(self, params, carry, drive):
        return carry[0] * 2


class Idle(Elman):
    """Products that nothing uses, or an integer alone, and one that is used twice."""

    def initial_carry(self, params):
        return super().initial_carry(params), jnp.zeros((), int)

    def step(self, params, carry, drive):
        (h, count), U = carry, params["recurrent_kernel"]
        (jnp.sin(h) @ U).sum()
        count = count + jnp.argmax(jnp.cos(h) @ U)
        z = h @ U
        return jnp.tanh(z + drive.x) * jnp.cos(z), count


class Delay(Elman):
    """A carry whose parts are the drive, another part, the product alone, and a sum."""

    def initial_carry(self, params):
        return 4 * (super().initial_carry(params),)

    def step(self, params, carry, drive):
        _, b, z, h = carry
        return drive.x, h, h @ params["recurrent_kernel"], jnp.sin(b) + z + drive.x

    def output(self, params, carry, drive):
        return carry[0] + carry[3] * params["bias"]


class Inner(Elman):
    """A loop in the step, linear in what is given to it."""

    def step(self, params, carry, drive):
        z = jnp.tanh(carry @ params["recurrent_kernel"]) + drive.x
        add = lambda s, u: 2 * (s / 2 + u,)  # noqa: E731
        return jax.lax.scan(add, jnp.zeros((), z.dtype), z)[1]


class Counting(Elman):
    """A product of integers, which what follows reads; a scalar from `prepare`."""

    def prepare(self, params, key=None):
        return {**params, "gain": 0.5}

    def initial_carry(self, params):
        return super().initial_carry(params), jnp.eye(3, dtype=int)[0]

    def step(self, params, carry, drive):
        h, state = carry
        gain = params["gain"] * (1 + state[0]).astype(h.dtype)
        h = super().step(params, h, drive) * gain
        return h, state @ jnp.eye(3, dtype=int)[jnp.array([1, 2, 0])]

    def output(self, params, carry, drive):
        return carry[0]


CELLS = {
    "elman": Elman(3, 4),
    "linear": Elman(3, 4, "identity"),
    "lstm": LSTM(3, 4),
    "gru": GRU(3, 4),
    "gru_reset_before": GRU(3, 4, reset_after=False),
    "zoneout": Zoneout(LSTM(3, 4), LSTMCarry(h=0.1, c=0.5)),
    "written": Written(),
    "convolution": Convolution(),
    "half_gradient": HalfGradient(3, 4),
    "half_input_gradient": HalfInputGradient(3, 4),
    "idle": Idle(3, 4),
    "delay": Delay(3, 4),
    "inner": Inner(3, 4),
    "counting": Counting(3, 4),
    "deep": Stack((GRU(3, 3), Bidirectional(LSTM(3, 2), Elman(3, 4)))),
}
METHODS = {
    "whole": Scan(),
    "segments": Scan(segment=3, unroll=2),
    "single_steps": Scan(segment=1),
    "remat": Scan(remat=True),
    "remat_of_autodiff": Scan(remat=True, autodiff=True, segment=4),
    "segments_of_autodiff": Scan(autodiff=True, segment=2),
}
CORE_CELLS = ["lstm", "gru_reset_before", "written", "convolution", "half_gradient"]
CORE_CELLS += ["idle", "delay", "inner", "counting"]
CORE_METHODS = ["whole", "segments", "remat"]
CORE_PAIRS = {(name, "segments") for name in CORE_CELLS}
CORE_PAIRS |= {("lstm", "whole"), ("written", "whole"), ("written", "remat")}


def over(table, core):
    slow = pytest.mark.slow
    return [
        pytest.param(value, id=name, marks=() if name in core else slow)
        for name, value in table.items()
    ]


every_method = pytest.mark.parametrize("method", over(METHODS, CORE_METHODS))
PAIRS = [
    pytest.param(
        CELLS[name],
        METHODS[kind],
        id=f"{name}-{kind}",
        marks=() if (name, kind) in CORE_PAIRS else pytest.mark.slow,
    )
    for name in CELLS
    for kind in METHODS
    if (name in CORE_CELLS and kind in CORE_METHODS)
    or name in ("lstm", "written")
    or kind == "segments"
]


def example(cell, dtype=None):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = jax.vmap(lambda _: cell.initial_carry(params))(jnp.arange(B))
    floats = random_like(carry, seed=3)
    carry = jax.tree.map(
        lambda a, b: b if jnp.issubdtype(a.dtype, jnp.floating) else a, carry, floats
    )
    if dtype is not None:
        cast = lambda leaf: leaf.astype(dtype) if leaf.dtype == float else leaf  # noqa: E731
        params, xs, carry = jax.tree.map(cast, (params, xs, carry))
    return params, xs, carry


def floating(tree):
    return [a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.inexact)]


def weighted(tree):
    leaves = floating(tree)
    weights = random_like(jax.tree.map(lambda a: jnp.zeros(a.shape), leaves), seed=9)
    return sum(
        jnp.vdot(w.astype(a.dtype), a) for w, a in zip(weights, leaves, strict=True)
    )


def loss(cell, method, **options):
    return lambda *args: weighted(unroll(cell, *args, method=method, **options))


def gradients(cell, method, args, **options):
    function = jax.value_and_grad(
        loss(cell, method, **options), (0, 1, 2), allow_int=True
    )
    value, found = jax.jit(function)(*args)
    return [value, *floating(found)]


def assert_close(actual, expected, tolerance=1e-12):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


STREAMS = {
    "plain": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": jnp.array([5, 0])},
    "resets": {"resets": jnp.zeros((T, B), bool).at[4, 1].set(True), "reverse": True},
}


@pytest.mark.parametrize(("cell", "method"), PAIRS)
def test_values_and_gradients_are_those_of_plain_autodiff(cell, method):
    args = example(cell)
    expected = gradients(cell, PLAIN, args)
    assert_close(gradients(cell, method, args), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru_reset_before", "written"])
@pytest.mark.parametrize(
    "method",
    [METHODS["segments"], pytest.param(METHODS["remat"], marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("options", list(STREAMS.values())[1:], ids=list(STREAMS)[1:])
def test_streams_and_directions_are_those_of_plain_autodiff(name, method, options):
    cell = CELLS[name]
    args = example(cell)
    expected = gradients(cell, PLAIN, args, **options)
    assert_close(gradients(cell, method, args, **options), expected)


@pytest.mark.parametrize("name", by_default(["elman", "lstm", "gru", "written"], "gru"))
def test_float32_is_that_of_plain_autodiff(name):
    cell = CELLS[name]
    expected = gradients(cell, PLAIN, example(cell, "float32"))
    actual = gradients(cell, Scan(segment=3), example(cell, "float32"))
    assert {leaf.dtype for leaf in actual} == {np.dtype("float32")}
    assert_close(actual, expected, 1e-6)


def jvp(function):
    return lambda *args: jax.jvp(function, args, random_like(args, seed=4))


TRANSFORMATIONS = {
    "jvp": jvp,
    "jacfwd": lambda f: jax.jacfwd(f, argnums=(0, 1)),
    "hessian": lambda f: jax.hessian(f, argnums=0),
    "reverse_over_reverse": lambda f: jax.jacrev(jax.grad(f, 0), 1),
    "reverse_over_forward": lambda f: jax.grad(lambda *a: jvp(f)(*a)[1], (0, 1)),
    "forward_over_reverse": lambda f: jvp(jax.grad(f, (0, 1, 2))),
    "linearize": lambda f: lambda *a: jax.linearize(f, *a)[1](*random_like(a, seed=4)),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f), (0, 1)),
    "vmap_params": lambda f: (
        lambda p, x, c: jax.vmap(f, (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "gradients_of_vmap_params": lambda f: (
        lambda p, x, c: jax.grad(lambda p: jax.vmap(f, (0, None, None))(p, x, c).sum())(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p)
        )
    ),
    "per_model_gradients": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f, (0, 1)), (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "gradients_of_nested_vmap": lambda f: (
        lambda p, x, c: jax.grad(
            lambda p, x: jax.vmap(
                lambda p: jax.vmap(f, (None, 0, None))(p, jnp.stack([x, 2 * x]), c)
            )(jax.tree.map(lambda leaf: jnp.stack([leaf, 3 * leaf]), p)).sum(),
            (0, 1),
        )(p, x)
    ),
    "gradients_of_vmap_data": lambda f: jax.grad(
        lambda p, x, c: jax.vmap(f, (None, 0, None))(p, jnp.stack([x, 2 * x]), c).sum()
    ),
    "per_example_gradients": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (None, 0, 0))(
            p, jnp.stack([x, 2 * x]), jax.tree.map(lambda a: jnp.stack([a, 2 * a]), c)
        )
    ),
    "inside_a_scan": lambda f: jax.grad(
        lambda p, x, c: jax.lax.scan(
            lambda s, k: (s + f(p, k * x, c), None), 0.0, jnp.arange(3.0)
        )[0]
    ),
}

QUICK = ("jvp", "hessian", "reverse_over_reverse", "forward_over_reverse", "checkpoint")
QUICK += ("gradients_of_vmap_params", "per_example_gradients", "inside_a_scan")


@pytest.mark.parametrize(
    ("cell", "method"),
    [
        pytest.param(LSTM(2, 2), Scan(segment=3), id="lstm"),
        pytest.param(
            GRU(2, 2, reset_after=False),
            Scan(remat=True),
            id="gru_reset_before",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.parametrize("name", by_default(TRANSFORMATIONS, *QUICK))
def test_transformations_are_those_of_plain_autodiff(cell, method, name):
    transformation = TRANSFORMATIONS[name]
    args = example(cell)
    expected = jax.jit(transformation(loss(cell, PLAIN)))(*args)
    assert_close(jax.jit(transformation(loss(cell, method)))(*args), expected, 1e-11)


@pytest.mark.parametrize(
    "cell", [HalfInputGradient(3, 4), HalfOutputGradient(3, 4)], ids=["input", "output"]
)
def test_a_custom_vjp_outside_of_the_step_may_be_batched(cell):
    params, xs, carry = example(cell)
    factor = {HalfInputGradient: 1 / 2, HalfOutputGradient: 3 / 2}[type(cell)]

    def found(cell, method):
        single = lambda xs: unroll(cell, params, xs, carry, method=method)[1]  # noqa: E731
        return jax.jit(
            jax.grad(lambda xs: weighted(jax.vmap(single)(jnp.stack([xs, 2 * xs]))))
        )(xs)

    expected = factor * found(Elman(3, 4), PLAIN)
    assert_close(found(cell, Scan()), expected)
    assert_close(found(cell, PLAIN), expected)


@pytest.mark.parametrize(
    "name", by_default(("inner", "delay", "written", "idle"), "inner", "written")
)
@pytest.mark.parametrize("transformation", ["jvp", "forward_over_reverse"])
def test_forward_mode_of_all_kinds_of_cells(name, transformation):
    cell = CELLS[name]
    params, xs, carry = example(cell)

    def transformed(method):
        function = lambda *args: loss(cell, method)(*args, carry)  # noqa: E731
        if transformation == "jvp":
            return jvp(function)
        return jvp(jax.grad(function, (0, 1)))

    expected = jax.jit(transformed(PLAIN))(params, xs)
    actual = jax.jit(transformed(Scan(segment=3)))(params, xs)
    assert_close(actual, expected, 1e-11)


@every_method
def test_carry_gradients_are_those_of_plain_autodiff(method):
    cell = Stack((LSTM(3, 4), GRU(4, 3)))
    params, xs, _ = example(cell)

    def found(method):
        return carry_gradients(weighted, cell, params, xs, method=method)

    assert_close(found(method), found(PLAIN))


# Truncation.


def in_pieces(cell, params, xs, carry, size, reverse):
    """A call for each piece, the carry cut between them."""
    starts = list(range(0, T, size))
    pieces = []
    for start in reversed(starts) if reverse else starts:
        carry, ys = unroll(
            cell, params, xs[start : start + size], carry, reverse=reverse, method=PLAIN
        )
        carry = jax.lax.stop_gradient(carry) if len(pieces) < len(starts) - 1 else carry
        pieces.append(ys)
    return carry, jnp.concatenate(pieces[::-1] if reverse else pieces)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("size", by_default([1, 3, 6, 9], 3))
@pytest.mark.parametrize("autodiff", over({"apart": False, "autodiff": True}, ["apart"]))
def test_truncation_is_separate_calls_with_the_carry_cut(size, reverse, autodiff):
    cell = LSTM(3, 4)
    args = example(cell)
    method = Scan(truncate=size, autodiff=autodiff)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, size, reverse))

    expected = jax.jit(jax.value_and_grad(pieces, (0, 1, 2)))(*args)
    actual = gradients(cell, method, args, reverse=reverse)
    assert_close(actual, [expected[0], *floating(expected[1])])
    if size == 3:
        truncated = loss(cell, method, reverse=reverse)
        assert_close(jvp(truncated)(*args)[1], jvp(pieces)(*args)[1])


@pytest.mark.parametrize(
    "reverse",
    [pytest.param(False, id="forwards", marks=pytest.mark.slow), True],
    ids=[None, "backwards"],
)
def test_truncation_cuts_second_derivatives_too(reverse):
    cell = Elman(3, 4)
    args = example(cell)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, 4, reverse))

    def squares(function):
        def total(*args):
            return sum(map(jnp.vdot, *[floating(jax.grad(function)(*args))] * 2))

        return total

    truncated = loss(cell, Scan(truncate=4, segment=2), reverse=reverse)
    for mode in (jax.grad, jvp):  # reverse and forward over reverse
        expected = jax.jit(mode(squares(pieces)))(*args)
        assert_close(jax.jit(mode(squares(truncated)))(*args), expected, 1e-11)


@pytest.mark.parametrize("method", [Scan(truncate=4, segment=2), Scan(truncate=4)])
def test_truncation_with_segments_within_and_with_remat(method):
    cell = GRU(3, 4)
    args = example(cell)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, 4, False))

    value, expected = jax.jit(jax.value_and_grad(pieces, (0, 1, 2)))(*args)
    assert_close(gradients(cell, method, args), [value, *floating(expected)])
    remat = Scan(truncate=4, remat=True)
    assert_close(gradients(cell, remat, args), [value, *floating(expected)])


def test_lengths_of_segments():
    """What the options promise of them, primes included."""
    assert near(1000, 130) == 125 and near(1009, 130) == 130 and near(5, 130) == 5
    assert within(100, 30) == 25 and within(101, 30) == 101 and within(7, 30) == 7
    assert within(6, 1) == 1


def test_no_gradient_crosses_a_multiple_of_truncate():
    cell = Elman(3, 4)
    params, xs, carry = example(cell)

    def last(xs):
        return unroll(cell, params, xs, carry, method=Scan(truncate=3))[1][5].sum()

    reached = jnp.abs(jax.grad(last)(xs)).sum((1, 2)) > 0
    np.testing.assert_array_equal(reached, [False, False, False, True, True, True, False])


# What it costs.


def temporaries(function, *args):
    analysis = jax.jit(function).lower(*args).compile().memory_analysis()
    return analysis.temp_size_in_bytes  # pyright: ignore


def gradient_temporaries(cell, method, steps, batch):
    params, xs = params_of(cell), jnp.ones((steps, batch, cell.input_size))

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs, method=method)[0].h)

    return temporaries(jax.grad(total), params, xs)


def test_remat_takes_memory_as_the_root_of_the_steps():
    cell = LSTM(8, 16)
    short, long = (
        gradient_temporaries(cell, Scan(remat=True), n, 4) for n in (100, 10000)
    )
    assert long < 12 * short
    assert 20 * long < gradient_temporaries(cell, PLAIN, 10000, 4)


def test_segments_take_less_memory_than_plain_autodiff():
    cell = LSTM(16, 16)
    segments = gradient_temporaries(cell, Scan(segment=20), 400, 8)
    assert 3 * segments < gradient_temporaries(cell, PLAIN, 400, 8)


def test_a_batch_by_vmap_has_no_weight_gradient_for_each_example():
    cell, examples = LSTM(32, 32), 64
    params, xs = params_of(cell), jnp.ones((20, examples, 32))

    def by_axes(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1])

    def by_vmap(params, xs):
        one = lambda xs: jnp.sum(unroll(cell, params, xs)[1])  # noqa: E731
        return jnp.sum(jax.vmap(one, 1)(xs))

    copies = examples * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    extra = temporaries(jax.grad(by_vmap), params, xs) - temporaries(
        jax.grad(by_axes), params, xs
    )
    assert extra < copies / 10


def products(cell):
    """Products in a gradient's program; those in its loops run many times."""
    params, xs, _ = example(cell)

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1])

    program = jax.jit(jax.grad(total, (0, 1))).lower(params, xs)
    return program.as_text().count("stablehlo.dot_general")


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        # x W, h U, both again; dz U^T; and the gradients of W, of U and of x
        (LSTM(3, 4), 8),
        # of tanh(z) = h the gradient 1 - h^2 needs h, which is kept: none again
        (Elman(3, 4), 6),
        (GRU(3, 4), 8),
        # h U_rz and (r h) U_n for h U: three more twice, and for their gradients
        (GRU(3, 4, reset_after=False), 12),
    ],
)
def test_the_gradient_makes_each_product_once_for_all_steps(cell, count):
    assert products(cell) == count


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_products_of_a_precision_are_made_once_too_and_keep_it(precision):
    cell = LSTM(3, 4)
    with jax.default_matmul_precision(precision):
        assert products(cell) == 8
        params, xs, _ = example(cell)
        total = lambda p, x: jnp.sum(unroll(cell, p, x)[1])  # noqa: E731
        program = jax.jit(jax.grad(total, (0, 1))).lower(params, xs).as_text()
    of_that = program.count(f"precision = [{precision.upper()}, {precision.upper()}]")
    assert of_that == 8


def test_what_is_written_into_a_buffer_has_its_derivatives_both_ways():
    """And what it overwrites has none; under `vmap` over each as well."""
    rng = np.random.default_rng(0)
    buffer, rows = (jnp.asarray(rng.normal(size=(n, 2))) for n in (5, 2))
    write = lambda a, b: store(a, b, jnp.uint32(1))  # noqa: E731
    jacobians = jax.jit(jax.jacrev(write, (0, 1)))(buffer, rows)
    forward = jax.jacfwd(write, (0, 1))(buffer, rows)
    kept = np.array([1.0, 0, 0, 1, 1])
    of_buffer = np.einsum("tu,ij->tiuj", np.diag(kept), np.eye(2))
    of_rows = np.einsum("tu,ij->tiuj", np.eye(5)[:, 1:3], np.eye(2))
    for found in (jacobians, forward):
        assert_close(found, (of_buffer, of_rows))


LEAKS = """
import jax, jax.numpy as jnp
from jaxrnn import Elman, Scan, unroll

cell = Elman(3, 4, "softplus")
loss = lambda *args: unroll(cell, *args, method=Scan(segment=3))[1].sum()
with jax.checking_leaks():
    jax.jit(jax.grad(loss, (0, 1)))(cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
"""


@pytest.mark.slow
def test_a_plan_keeps_no_values_of_the_call_that_made_it():
    # In a process of its own, since the check goes through everything that lives.
    ended = subprocess.run([sys.executable, "-c", LEAKS], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_step_that_has_no_gradient_runs_forward():
    cell = Halving(3, 4)
    args = example(cell)
    expected = unroll(cell, *args, method=PLAIN)
    assert_close(unroll(cell, *args), expected)
    with pytest.raises(ValueError, match="Reverse-mode"):
        gradients(cell, Scan(), args)
    actual, expected = (
        jvp(lambda *a, method=method: unroll(cell, *a, method=method))(*args)
        for method in (Scan(), PLAIN)
    )
    assert_close(actual, expected)


class Halving(Elman):
    """Its number of iterations depends on what is computed."""

    def step(self, params, carry, drive):
        h = super().step(params, carry, drive)
        return jax.lax.while_loop(lambda h: h @ h > 0.5, lambda h: h / 2, h)


def test_a_gradient_is_linear_and_its_transpose_is_the_tangent():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)
    function = lambda xs: unroll(cell, params, xs, carry)[1]  # noqa: E731
    ys, back = jax.vjp(function, xs)
    v = random_like(xs, seed=4)
    (twice,) = jax.linear_transpose(lambda ct: back(ct)[0], ys)(v)
    assert_close(twice, jax.jvp(function, (xs,), (v,))[1])


def test_a_name_that_a_cell_gives_is_in_the_program():
    class Named(Elman):
        def step(self, params, carry, drive):
            with jax.named_scope("mine"):
                return super().step(params, carry, drive)

    cell = Named(3, 4)
    program = jax.jit(lambda *a: unroll(cell, *a)).lower(*example(cell))
    assert "mine)/tanh" in program.as_text(debug_info=True)


@pytest.mark.parametrize(
    "method", by_default([Scan(), Scan(segment=3), Scan(remat=True)], Scan(segment=3))
)
def test_a_key_in_the_carry_is_carried(method):
    cell = Walk(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (T, B))

    def found(method):
        def total(params, xs):
            return jnp.sum(unroll(cell, params, xs, method=method)[1] ** 2)

        return jax.jit(jax.value_and_grad(total, (0, 1)))(params, xs)

    assert_close(found(method), found(PLAIN))


def test_a_forward_pass_keeps_no_carries_that_nobody_sees():
    """Outputs of a masked run are computed from the carries, a segment at a time."""
    cell = LSTM(8, 16)

    def bytes_of(T):
        xs, lengths = jnp.ones((T, 4, 8)), jnp.full(4, T)
        return temporaries(
            lambda params, xs: unroll(
                cell, params, xs, lengths=lengths, method=Scan(segment=10)
            )[1],
            params_of(cell),
            xs,
        )

    carries = 2 * 4 * 16 * 8  # bytes of one step's h and c
    inputs = 4 * (8 + 16) * 8  # xs and ys, which the compiler may copy
    assert bytes_of(2000) - bytes_of(1000) < 1000 * (carries / 4 + inputs)


def test_a_cell_with_effects_is_left_to_autodiff(capfd):
    cell = Talking(3, 4)
    args = example(cell)
    found = gradients(cell, Scan(), args)
    jax.effects_barrier()
    assert capfd.readouterr().out.count("step") >= T
    assert_close(found, gradients(Elman(3, 4), PLAIN, args))


class Talking(Elman):
    def step(self, params, carry, drive):
        jax.debug.print("step {}", carry[0])
        return super().step(params, carry, drive)


def test_trajectory_and_inputs_of_no_steps():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)
    for method in METHODS.values():
        assert_close(
            trajectory(cell, params, xs, carry, method=method),
            trajectory(cell, params, xs, carry, method=PLAIN),
        )
        final, ys = unroll(cell, params, xs[:0], carry, method=method)
        assert_close(final, carry)
        assert ys.shape == (0, B, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unroll": 0}, "Scan: unroll is 0, expected a positive int"),
        ({"segment": 2.0}, "Scan: segment is 2.0, expected a positive int"),
        ({"truncate": True}, "Scan: truncate is True, expected a positive int"),
        ({"remat": 1}, "Scan: remat is 1, expected True or False"),
        ({"segment": 4, "truncate": 6}, "Scan: segment is 4, expected a divisor of"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Scan(**options)
