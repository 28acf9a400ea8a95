"""Figures of fixed points and of many Jacobians: what is drawn is what was given."""

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import jaxrnn
from jaxrnn import plotting

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Three on a line through the origin, in the plane of the first two of three units.
UNIT = np.array([3.0, 4.0, 0.0]) / 5
POINTS = np.stack([-UNIT, UNIT, 0 * UNIT])
ACROSS = np.array([-4.0, 3.0, 0.0]) / 5


def jacobian(along, across):
    return along * np.outer(UNIT, UNIT) + across * np.outer(ACROSS, ACROSS)


JACOBIANS = np.stack([jacobian(0.2, 0.5), jacobian(0.2, 0.5), jacobian(1.5, 0.5)])
ENDS = jaxrnn.dynamics.Ends(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))
FOUND = jaxrnn.FixedPoints(
    points=POINTS,
    speeds=np.zeros(3),
    jacobians=JACOBIANS,
    eigenvalues=np.array([[0.5, 0.2, 0], [0.5, 0.2, 0], [1.5, 0.5, 0]], complex),
    unstable=np.array([0, 0, 1]),
    counts=np.array([3, 2, 1]),
    inputs=np.zeros(3, int),
    outliers=ENDS,
    unconverged=ENDS,
)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def scattered(ax):
    return {one.get_label(): one for one in ax.collections}


def lines(ax, color):
    return [line.get_xydata() for line in ax.get_lines() if line.get_color() == color]


def test_points_lie_where_they_are_and_look_as_they_move():
    _, given = plt.subplots()
    ax = plotting.fixed_points(FOUND, given)
    assert ax is given and ax.get_title() == "Fixed points, and where they lead"
    assert ax.get_xlabel() == "principal component 1 (100%)"
    drawn = scattered(ax)
    assert set(drawn) == {"stable", "1 direction grows"}
    np.testing.assert_allclose(
        drawn["stable"].get_offsets(), [[-1, 0], [1, 0]], atol=1e-12
    )
    np.testing.assert_allclose(
        drawn["1 direction grows"].get_offsets(), [[0, 0]], atol=1e-12
    )
    filled, empty = (one.get_facecolors()[0][:3] for one in drawn.values())
    assert not filled.any() and empty.all()  # black, white
    assert labels(ax) == ["fades most slowly", "grows", "stable", "1 direction grows"]
    ax.figure.canvas.draw()


def test_directions_run_along_eigenvectors_as_long_as_seen():
    ax = plotting.fixed_points(FOUND)
    (grows,) = lines(ax, "C3")  # along the line
    length = plotting.points.LENGTH * 2  # of the extent
    np.testing.assert_allclose(
        grows[np.argsort(grows[:, 0])], [[-length, 0], [length, 0]], atol=1e-12
    )
    slow = lines(ax, "0.6")
    assert len(slow) == 2  # of the stable ones, across
    for line, x in zip(slow, (-1, 1), strict=True):
        np.testing.assert_allclose(line[:, 0], x, atol=1e-12)
    turned = FOUND._replace(jacobians=JACOBIANS + 2 * np.diag([0, 0, 1.0]))
    hidden = plotting.fixed_points(turned._replace(unstable=np.array([1, 1, 1])))
    for line in lines(hidden, "C3"):  # the third unit is not seen
        np.testing.assert_allclose(line[0], line[1], atol=1e-12)


def test_a_pair_that_turns_is_drawn_as_a_plane_once():
    turn = np.array([[1.2, -0.5, 0], [0.5, 1.2, 0], [0, 0, 0.1]])
    found = FOUND._replace(jacobians=np.stack([turn] * 3), unstable=np.array([2, 2, 2]))
    assert len(lines(plotting.fixed_points(found), "C3")) == 6


def test_trajectories_set_the_plane_and_are_drawn_each():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(7, 4, 1, 3)) * np.array([0.1, 1.0, 5.0])
    ax = plotting.fixed_points(FOUND, trajectories=states)
    drawn = lines(ax, "C0")
    assert len(drawn) == 4 and labels(ax).count("trajectories") == 1
    seen = states.reshape(-1, 3)
    values, vectors = np.linalg.eigh(np.cov(seen.T))
    first = (states[:, 2, 0] - seen.mean(0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(drawn[2]), np.abs(first), rtol=1e-6)
    parts = values[::-1] / values.sum()
    assert ax.get_ylabel() == f"principal component 2 ({parts[1]:.0%})"


def test_three_dimensions_and_joint_states():
    """Of an LSTM h and c are one vector, h first, as its Jacobians have it."""
    carry = jaxrnn.LSTMCarry(h=POINTS[:, :1], c=POINTS[:, 1:])
    found = FOUND._replace(points=carry)
    shape = lambda leaf: np.broadcast_to(leaf[None], (5, *leaf.shape))  # noqa: E731
    states = jax.tree.map(shape, carry)
    ax = plotting.fixed_points(found, dimensions=3, trajectories=states)
    assert ax.name == "3d" and "principal component 3" in ax.get_zlabel()
    ax.figure.canvas.draw()
    _, given = plt.subplots(subplot_kw={"projection": "3d"})
    assert plotting.fixed_points(found, given) is given
    with pytest.raises(ValueError, match=r"trajectories has the shapes \(5, 3\)"):
        plotting.fixed_points(found, trajectories=np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"trajectories has the shapes \(5, 2\)"):
        plotting.fixed_points(FOUND, trajectories=np.zeros((5, 2)))


def test_one_unit_and_one_point_are_drawn_too():
    one = jax.tree.map(lambda leaf: leaf[:1], FOUND)
    small = one._replace(points=np.ones((1, 1)), jacobians=np.full((1, 1, 1), 0.5))
    ax = plotting.fixed_points(small)
    np.testing.assert_allclose(scattered(ax)["stable"].get_offsets(), [[0, 0]])
    ax.figure.canvas.draw()
    with pytest.raises(ValueError, match="nothing to draw"):
        plotting.fixed_points(FOUND.where(FOUND.unstable > 5))
    nothing = FOUND.where(FOUND.unstable > 5)
    ax = plotting.fixed_points(nothing, trajectories=POINTS)
    assert labels(ax) == ["trajectories"]
    with pytest.raises(TypeError, match="got a ndarray, expected what"):
        plotting.fixed_points(POINTS)
    with pytest.raises(ValueError, match="dimensions is 4, expected 2 or 3"):
        plotting.fixed_points(FOUND, dimensions=4)


def test_eigenvalues_of_many_jacobians_are_all_drawn():
    many = np.stack([np.diag([0.5, 0.25]), np.diag([2.0, -1.0]), np.full((2, 2), np.nan)])
    for given, label in ((many, "eigenvalues"), ({"run": jnp.asarray(many)}, "run")):
        ax = plotting.eigenvalues(given)
        (points,) = ax.collections
        assert points.get_label() == label
        there = {tuple(point) for point in points.get_offsets().round(9)}
        assert there == {(0.5, 0), (0.25, 0), (2, 0), (-1, 0)}
        assert ax.get_title() == "Eigenvalues of Jacobians"
    ax = plotting.eigenvalues(FOUND)
    assert labels(ax) == ["unit circle", "stable", "1 grow"]
    grow = scattered(ax)["1 grow"].get_offsets()
    np.testing.assert_allclose(np.sort(grow[:, 0]), [0, 0.5, 1.5], atol=1e-12)
    with pytest.raises(ValueError, match=r"'a' has shape \(2, 3\), expected \(n, n\)"):
        plotting.eigenvalues({"a": np.ones((2, 3))})
