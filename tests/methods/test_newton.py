"""Newton's method on all of time against `Scan`, and when it is quick or fails."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import PLAIN, assert_close, gradients, jvp, loss
from jax.sharding import AxisType, PartitionSpec
from marks import by_default
from steps import Written
from zoo import ZOO, carry_of, inputs_of, noise_key, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    ClipCarryGradient,
    Elman,
    Newton,
    Scan,
    Stack,
    cells,
    gradient_norms,
    newton_report,
    trajectory,
    unroll,
)

T, B = 7, 3
FINE = Newton(block=2)
STREAMS: Any = {
    "forwards": {
        "lengths": jnp.array([7, 0, 5]),
        "resets": jnp.zeros((T, B), bool).at[3, 0].set(True),
    },
    "backwards": {
        "mask": jnp.arange(T * B).reshape(T, B) % 4 != 1,
        "resets": jnp.zeros((T, B), bool).at[jnp.array([4, 5]), 0].set(True),
        "reverse": True,
    },
}


def example(cell, batch=(B,), steps=T):
    params = params_of(cell)
    return params, inputs_of(cell, (steps, *batch)), carry_of(cell, params, batch)


NAMES = ["elman", "gru", "gru_reset_before", "lstm", "independent", "cornn", "unicornn"]
NAMES += ["zoneout", "residual", "bidirectional", "dropouts", "weight_drop", "conv_gru"]
NAMES += ["slstm", "phased", "learned_carry", "antisymmetric"]


@pytest.mark.parametrize("streams", by_default(STREAMS, "backwards"))
@pytest.mark.parametrize("name", by_default(NAMES, "gru"))
def test_values_and_gradients_are_those_of_scan(name, streams):
    cell, args = ZOO[name], example(ZOO[name])
    options = STREAMS[streams] | {"key": noise_key(cell)}
    expected = gradients(cell, PLAIN, args, **options)
    assert_close(gradients(cell, FINE, args, **options), expected, 1e-8)


WAYS = {
    "full": Newton(jacobian="full"),
    "diagonal": Newton(jacobian="diagonal"),
    "block": Newton(jacobian="block"),
    "damped_full": Newton(damping=0.01, max_iterations=300),
    "damped_diagonal": Newton(jacobian="diagonal", damping=0.01, max_iterations=300),
    "damped_block": Newton(jacobian="block", damping=0.01, max_iterations=300),
}


@pytest.mark.parametrize("way", by_default(WAYS, "block"))
@pytest.mark.parametrize("name", by_default(["lstm", "gru", "independent"], "lstm"))
def test_every_jacobian_leads_to_the_same(name, way):
    cell, args = ZOO[name], example(ZOO[name])
    expected = gradients(cell, PLAIN, args)
    assert_close(gradients(cell, WAYS[way], args), expected, 1e-8)


TRANSFORMATIONS = {
    "jvp": jvp,
    "hessian": jax.hessian,
    "reverse_over_reverse": lambda f: jax.jacrev(jax.grad(f, 0), 1),
    "forward_over_reverse": lambda f: jvp(jax.grad(f, (0, 1, 2))),
    "vmap_params": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "vmap_inputs": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (None, 0, None))(
            p, jnp.stack([x, 2 * x]), c
        )
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", by_default(TRANSFORMATIONS, "forward_over_reverse"))
def test_under_transformations(name):
    cell = Elman(2, 3)
    args, options = example(cell, (2,), 4), {"lengths": jnp.array([4, 2])}
    expected, found = (
        jax.jit(TRANSFORMATIONS[name](loss(cell, method, **options)))(*args)
        for method in (PLAIN, FINE)
    )
    assert_close(found, expected, 1e-8)


@pytest.mark.slow
def test_under_shard_map():
    cell, spread = GRU(3, 4), PartitionSpec(None, "data")
    mapped = jax.shard_map(
        jax.grad(lambda *args: jnp.sum(unroll(cell, *args, method=FINE)[1] ** 2), (0, 1)),
        mesh=jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(PartitionSpec(), spread),
        out_specs=(PartitionSpec(), spread),
    )
    args = params_of(cell), inputs_of(cell, (T, 4))
    total = lambda *args: jnp.sum(unroll(cell, *args, method=PLAIN)[1] ** 2)  # noqa: E731
    assert_close(jax.jit(mapped)(*args), jax.jit(jax.grad(total, (0, 1)))(*args), 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.06), ("float16", 0.01)])
def test_half_precision_is_not_taken_for_converged_at_once(name, dtype, tolerance):
    args = jax.tree.map(lambda leaf: leaf.astype(dtype), example(ZOO[name], (2,), 60)[:2])
    ys = unroll(ZOO[name], *args, method=Newton())[1]
    assert ys.dtype == jnp.dtype(dtype)
    expected = unroll(ZOO[name], *jax.tree.map(lambda leaf: leaf.astype(float), args))[1]
    np.testing.assert_allclose(ys.astype(float), expected, atol=tolerance)


@pytest.mark.slow
def test_carries_and_their_gradients_are_those_of_scan():
    cell = Stack((GRU(3, 4), LSTM(4, 3)))
    params, xs, carry = example(cell)
    for measured in (
        lambda m: trajectory(cell, params, xs, carry, method=m),
        lambda m: gradient_norms(
            lambda ys: jnp.sum(jnp.sin(ys)), cell, params, xs, carry, method=m
        ),
    ):
        assert_close(measured(FINE), measured(Scan()), 1e-8)


def test_one_that_has_not_converged_is_nan_and_no_other():
    """After two iterations two steps are right."""
    cell = Elman(3, 4)
    params, xs, carry = example(cell, (2,), 40)
    params = params | {"recurrent_kernel": 4 * params["recurrent_kernel"]}
    lengths, method = jnp.array([40, 2]), Newton(max_iterations=2)

    def run(params, method):
        return unroll(cell, params, xs, carry, lengths=lengths, method=method)

    final, ys = run(params, method)
    assert np.all(np.isnan(final[0])) and np.all(np.isnan(ys[:, 0]))
    expected = run(params, Scan())
    assert_close((final[1], ys[:, 1]), (expected[0][1], expected[1][:, 1]))
    bars = jax.grad(lambda p: jnp.sum(run(p, method)[1]))(params)
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(bars))
    with pytest.raises(Exception, match="not converged after 2 iterations"):
        jax.block_until_ready(run(params, Newton(max_iterations=2, throw=True)))
        jax.effects_barrier()


def test_what_has_converged_does_not_raise():
    cell = Elman(3, 4)
    args = example(cell)
    found = unroll(cell, *args, method=Newton(throw=True))
    jax.effects_barrier()
    assert_close(found, unroll(cell, *args), 1e-10)


@pytest.mark.slow
def test_a_start_near_the_solution_takes_fewer_iterations():
    cell = Elman(3, 4)
    params, xs, _ = example(cell, (B,), 20)
    options = {"lengths": jnp.array([20, 0, 9])}
    known = trajectory(cell, params, xs, **options)
    near = jax.tree.map(lambda leaf: leaf + 1e-6, known)

    def run(method):
        return newton_report(cell, params, xs, method=method, **options).iterations

    cold, warm, exact = map(
        run, (Newton(), Newton().started(near), Newton().started(known))
    )
    assert np.all(exact == 0) and np.all(warm <= 2) and warm[0] < cold[0]
    expected = unroll(cell, params, xs, **options)
    found = unroll(cell, params, xs, method=Newton().started(near), **options)
    assert_close(found, expected, 1e-8)


@pytest.mark.slow
def test_a_start_has_no_gradient_and_runs_backwards_too():
    cell = GRU(3, 4)
    params, xs, _ = example(cell)
    options = {"reverse": True, "mask": STREAMS["backwards"]["mask"]}
    known = trajectory(cell, params, xs, **options)

    def total(guess):
        method = Newton(tolerance=1e-6, max_iterations=1).started(guess)
        return jnp.sum(unroll(cell, params, xs, method=method, **options)[1])

    value, bar = jax.jit(jax.value_and_grad(total))(known)
    assert_close(value, jnp.sum(unroll(cell, params, xs, **options)[1]), 1e-8)
    assert not np.any(bar)


# When it is quick: published ground.


def network(gain, size, T):
    """h' = tanh(h U), U ~ N(0, gain^2 / size), from a random start."""
    cell = Elman(1, size)
    kernel = random_like(jnp.zeros((size, size))) * 2 * gain / np.sqrt(size)
    params = params_of(cell) | {"recurrent_kernel": kernel, "bias": jnp.zeros(size)}
    carry = 2 * random_like(jnp.zeros(size), seed=1)
    return cell, params, 0.1 * inputs_of(cell, (T,)), carry


@pytest.mark.parametrize(
    ("size", "T"), [(32, 120), pytest.param(64, 512, marks=pytest.mark.slow)]
)
def test_iterations_follow_the_largest_exponent(size, T):
    """Few below zero, and about as many as steps above (Gonzalez et al., 2025)."""
    reports = [
        newton_report(*network(gain, size, T), method=Newton(max_iterations=T))
        for gain in (0.5, 2.5)
    ]
    stable, chaotic = reports
    assert stable.exponent < -0.1 and chaotic.exponent > 0
    assert stable.converged and int(stable.iterations) < 12
    assert int(chaotic.iterations) > T / 4


@pytest.mark.slow
def test_of_a_gru_a_few_iterations_make_ten_thousand_steps():
    cell = GRU(3, 8)
    params = jax.tree.map(lambda x: x.astype("float32"), cell.init(jax.random.key(0)))
    xs = inputs_of(cell, (10_000,)).astype("float32")
    report = newton_report(cell, params, xs)
    assert report.converged and report.iterations <= 10 and report.exponent < 0
    found = unroll(cell, params, xs, method=Newton())
    assert_close(found, unroll(cell, params, xs), 1e-4)


@pytest.mark.slow
def test_of_an_lstm_less_of_the_jacobian_takes_more_iterations():
    cell = LSTM(3, 8)
    params, xs = cell.init(jax.random.key(0)), inputs_of(cell, (300,))
    full, block, diagonal = (
        newton_report(cell, params, xs, method=Newton(jacobian=jacobian))
        for jacobian in ("full", "block", "diagonal")
    )
    assert full.converged and block.converged and diagonal.converged
    assert full.iterations < block.iterations <= diagonal.iterations < 100


@pytest.mark.slow
def test_of_a_step_that_acts_entry_by_entry_the_diagonal_is_exact():
    cell = cells.IndRNN(3, 4)
    params, xs, _ = example(cell, (), 30)
    full, diagonal = (
        newton_report(cell, params, xs, method=Newton(jacobian=jacobian))
        for jacobian in ("full", "diagonal")
    )
    assert full.iterations == diagonal.iterations < 20
    np.testing.assert_allclose(full.residuals, diagonal.residuals, rtol=1e-3, atol=1e-12)


# What is refused.


def test_carries_without_a_derivative_are_refused():
    cell = Written()
    message = r"Newton: the carry has a leaf of int64, expected floating ones: .*Scan\(\)"
    with pytest.raises(ValueError, match=message):
        unroll(cell, *example(cell)[:2], method=Newton())


def test_a_gradient_that_is_clipped_on_its_way_back_is_refused():
    """Solved for all steps at once it would be half of what `Scan` has."""
    cell = ClipCarryGradient(Elman(3, 4), 0.1)
    message = r"Newton: the step clips its gradient on the way back, .*take Scan\(\)"
    with pytest.raises(ValueError, match=message):
        unroll(cell, *example(cell)[:2], method=Newton())


def test_a_block_of_leaves_of_other_shapes_is_refused():
    cell = cells.SCRN(3, 5, context_size=2, output_size=4)
    message = r"block.*the leaves of the carry have the shapes .*diagonal"
    with pytest.raises(ValueError, match=message):
        unroll(cell, *example(cell)[:2], method=Newton(jacobian="block"))


def test_a_guess_of_other_shapes_is_refused():
    cell = GRU(3, 4)
    params, xs, _ = example(cell)
    message = r"unroll: the guess of method has the shapes \(3, 4\), expected \(7, 3, 4\)"
    with pytest.raises(ValueError, match=message):
        unroll(cell, params, xs, method=Newton().started(jnp.zeros((3, 4))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jacobian": "dense"}, "jacobian is 'dense', expected one of"),
        ({"damping": -1.0}, "damping is -1.0, expected 0 or more"),
        ({"damping": float("nan")}, "damping is nan, expected 0 or more"),
        ({"tolerance": 0}, "tolerance is 0, expected None or more than 0"),
        ({"tolerance": "1"}, "tolerance is '1', expected None or more than 0"),
        ({"max_iterations": 0}, "max_iterations is 0, expected a positive int"),
        ({"block": 2.0}, "block is 2.0, expected a positive int"),
        ({"throw": 1}, "throw is 1, expected True or False"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=f"Newton: {message}"):
        Newton(**options)
