"""The picture of a training: what is drawn is what was recorded."""

import matplotlib
import numpy as np
import pytest

import jaxrnn
from jaxrnn import plotting

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NORMS = np.array([[2.0, 1.0, 0.0], [1.0, 4.0, 0.4]])
LOG = jaxrnn.GradientLog(NORMS, np.array([1.5, np.inf]), np.zeros(2), {})


def test_a_column_is_a_record_and_the_line_its_horizon():
    _, given = plt.subplots()
    ax = plotting.training(LOG, given, steps=[100, 300])
    assert ax is given and ax.get_title() and ax.get_ylabel() == "lag k, steps"
    (mesh,) = ax.collections
    shown = mesh.get_array()
    np.testing.assert_allclose(shown.filled(0), [[1, 0.25], [0.5, 1], [0, 0.1]])
    np.testing.assert_array_equal(shown.mask, [[0, 0], [0, 0], [1, 0]])
    assert mesh.norm.vmin == pytest.approx(0.1) and mesh.norm.vmax == 1
    edges = mesh.get_coordinates()
    np.testing.assert_allclose(edges[0, :, 0], [0, 200, 400])
    np.testing.assert_allclose(edges[:, 0, 1], [-0.5, 0.5, 1.5, 2.5])
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[100, 1.5], [300, np.nan]])
    ax.figure.canvas.draw()


def test_of_several_leaves_one_is_chosen():
    both = jaxrnn.LSTMCarry
    log = LOG._replace(
        norms=both(NORMS, 9 * NORMS), horizon=both(LOG.horizon, 2 * NORMS[0, :2])
    )
    with pytest.raises(ValueError, match="leaf is None, expected one of h, c"):
        plotting.training(log)
    (line,) = plotting.training(log, leaf="c", title="mine").get_lines()
    np.testing.assert_allclose(line.get_ydata(), [4, 2])
    with pytest.raises(ValueError, match="leaf is 'x', expected one of carry"):
        plotting.training(LOG, leaf="x")


def test_odd_records_are_drawn_without_a_warning():
    one = jaxrnn.GradientLog(NORMS[:1], LOG.horizon[:1], np.zeros(1), {})
    zeros = one._replace(norms=np.zeros((1, 3)), horizon=np.zeros(1))
    odd = LOG._replace(norms=np.array([[1.0, np.nan], [np.inf, 0.0]]))
    for log in (one, zeros, odd):
        plotting.training(log).figure.canvas.draw()


def test_what_is_no_stack_of_records_is_refused():
    with pytest.raises(TypeError, match="got a ndarray, expected a GradientLog"):
        plotting.training(NORMS)
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(records, lags\)"):
        plotting.training(LOG._replace(norms=NORMS[0]))
    for steps in ([1], [2, 1]):
        with pytest.raises(ValueError, match="expected 2 ascending numbers"):
            plotting.training(LOG, steps=steps)
