"""Every way in which `Scan` evaluates a cell, against plain autodiff through lax.scan."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import (
    PLAIN,
    B,
    T,
    assert_close,
    example,
    gradients,
    jvp,
    over,
    weighted,
)
from marks import by_default
from steps import CELLS, Halving, Talking, Walk
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Elman,
    Scan,
    Stack,
    carry_gradients,
    trajectory,
    unroll,
)

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


@every_method
def test_carry_gradients_are_those_of_plain_autodiff(method):
    cell = Stack((LSTM(3, 4), GRU(4, 3)))
    params, xs, _ = example(cell)

    def found(method):
        return carry_gradients(weighted, cell, params, xs, method=method)

    assert_close(found(method), found(PLAIN))


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


def test_a_cell_with_effects_is_left_to_autodiff(capfd):
    cell = Talking(3, 4)
    args = example(cell)
    found = gradients(cell, Scan(), args)
    jax.effects_barrier()
    assert capfd.readouterr().out.count("step") >= T
    assert_close(found, gradients(Elman(3, 4), PLAIN, args))


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
