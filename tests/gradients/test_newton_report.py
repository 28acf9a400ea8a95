"""How Newton's method fares, against what is known of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    Dense,
    Elman,
    Newton,
    Scan,
    Stack,
    lyapunov_spectrum,
    newton_report,
    trajectory,
)


@pytest.mark.slow
def test_residuals_are_those_of_the_iterates():
    """The first is of the carry held still; of a linear step one iteration is exact."""
    cell = Elman(3, 4, activation="identity")
    params, xs = params_of(cell), inputs_of(cell, (9, 2))
    carry = jnp.ones((2, 4))
    report = newton_report(cell, params, xs, carry, method=Newton(max_iterations=5))
    held = jnp.broadcast_to(carry, (9, 2, 4))
    step = jax.vmap(jax.vmap(lambda h, x: cell(params, h, x)[0]))
    far = jnp.abs(step(held, xs) - held) / (1 + jnp.abs(held))
    assert report.residuals.shape == (2, 6)
    np.testing.assert_allclose(report.residuals[:, 0], jnp.max(far, (0, 2)), rtol=1e-6)
    assert np.all(np.isnan(report.residuals[:, 2:]))
    assert (
        report.iterations.tolist() == [1, 1] and report.converged.tolist() == [True] * 2
    )
    expected = lyapunov_spectrum(cell, params, xs, carry, k=1).exponents[:, 0]
    np.testing.assert_allclose(report.exponent, expected)


def test_one_that_fails_has_all_its_residuals():
    cell = Elman(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (30, 2))
    lengths, method = jnp.array([30, 1]), Newton(max_iterations=2)
    report = newton_report(cell, params, xs, lengths=lengths, method=method)
    assert report.converged.tolist() == [False, True]
    assert report.iterations.tolist() == [2, 1]
    assert not np.any(np.isnan(report.residuals[0]))
    assert report.residuals[0, -1] > 1e-12 > report.residuals[1, 1]


@pytest.mark.slow
def test_cells_of_a_stack_are_told_apart():
    cell = Stack((GRU(3, 4), Dense(4, 3), Elman(3, 2)))
    params, xs = params_of(cell), inputs_of(cell, (9,))
    report = newton_report(cell, params, xs)
    first, nothing, last = report.iterations
    assert first > 0 and last > 0 and nothing is None
    known = trajectory(cell, params, xs)
    report = newton_report(cell, params, xs, method=Newton().started(known))
    assert report.iterations[0] == report.iterations[2] == 0


def test_it_is_solved_once():
    cell = Elman(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    report = lambda xs: newton_report(cell, params, xs)  # noqa: E731
    assert str(jax.make_jaxpr(report)(xs)).count("while[") == 1


def test_of_no_steps_nothing_is_to_be_solved():
    cell = Elman(3, 4)
    report = newton_report(cell, params_of(cell), inputs_of(cell, (0, 2)))
    assert (
        report.iterations.tolist() == [0, 0] and report.converged.tolist() == [True] * 2
    )
    assert report.residuals.shape == (2, 101) and np.all(np.isnan(report.residuals))


def test_another_method_is_refused():
    cell = GRU(3, 4)
    with pytest.raises(
        TypeError, match=r"newton_report: method is Scan\(\), expected New"
    ):
        newton_report(cell, params_of(cell), inputs_of(cell, (5,)), method=Scan())
