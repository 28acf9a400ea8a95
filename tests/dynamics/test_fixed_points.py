"""Fixed points of networks whose own are known: by algebra, by bisection, by a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import Turning, inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, Cell, Dense, Elman, Stack, fixed_points


def elman(kernel, bias=0.0, **options):
    """h' = act(h U + b) under zeros, and its params."""
    n = len(kernel)
    cell = Elman(1, n, **options)
    params = {"kernel": jnp.ones((1, n)), "recurrent_kernel": jnp.asarray(kernel)}
    return cell, params | {"bias": jnp.full(n, bias)}


def cloud(n, count=60, scale=1.0, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(0, scale, (count, n)))


def root(function, low, high):
    """Where an increasing function is zero, by bisection in NumPy."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return (low + high) / 2


def plain(cell, params, x, carry):
    """A step of one example by the cell itself, in one vector."""
    new, _ = cell(params, carry, x)
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(new)])


def row(tree, i):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[i]), tree)


def test_of_a_linear_network_there_is_one_by_algebra():
    """h = h U + b, so h = b (1 - U)^-1, with the eigenvalues of U."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(6, 6)) * 0.8 / np.sqrt(6)
    cell, params = elman(U, 0.3, activation="identity")
    found = fixed_points(cell, params, jnp.ones(1), cloud(6))
    expected = np.linalg.solve((np.eye(6) - U).T, np.full(6, 1.3))
    np.testing.assert_allclose(found.points, expected[None], rtol=1e-12)
    np.testing.assert_allclose(found.jacobians, U.T[None], rtol=1e-14)
    size = -np.sort(-np.abs(np.linalg.eigvals(U)))
    np.testing.assert_allclose(np.abs(found.eigenvalues[0]), size, rtol=1e-12)
    assert found.unstable == (size > 1).sum() and found.counts == 60
    assert len(found.unconverged.speeds) == len(found.outliers.speeds) == 0
    assert found.speeds[0] < 1e-28


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_two_units_that_decide_there_are_two_stable_ones_and_a_saddle(dtype):
    """h' = tanh(w (h_1, h_2) - v (h_2, h_1)): at (a, -a) with a = tanh((w + v) a)."""
    w, v = 1.2, 0.5
    cell, params = elman([[w, -v], [-v, w]])
    params, starts = jax.tree.map(lambda a: a.astype(dtype), (params, cloud(2)))
    found = fixed_points(cell, params, jnp.zeros(1, dtype), starts)
    assert found.points.dtype == found.speeds.dtype == found.jacobians.dtype == dtype
    assert jnp.issubdtype(found.eigenvalues.dtype, jnp.complexfloating)
    # By the gain of each mode: 1.7 grows from the middle, 0.7 does not.
    a = root(lambda a: a - np.tanh((w + v) * a), 0.1, 1)
    tight = 1e-5 if dtype == "float32" else 1e-12
    order = np.argsort(found.points[:2, 0])
    stable = found.points[:2][order]
    np.testing.assert_allclose(stable, [[-a, a], [a, -a]], rtol=tight)
    np.testing.assert_allclose(found.points[2], [0, 0], atol=1e-6)
    assert found.unstable.tolist() == [0, 0, 1] and found.counts.sum() == 60
    slope = 1 - a**2
    expected = [(w + v) * slope, (w - v) * slope]
    for i in range(2):
        actual = found.eigenvalues[i].real
        np.testing.assert_allclose(actual, expected, rtol=10 * tight)
    np.testing.assert_allclose(found.eigenvalues[2], [w + v, w - v], rtol=10 * tight)
    stable = found.where(found.unstable == 0)
    assert len(stable.points) == len(stable.jacobians) == 2
    assert stable.unconverged is found.unconverged


def test_patterns_that_are_stored_are_stable():
    """h' = tanh(g h W), W = sum of p p^T / n of orthogonal p: at +-a p, a = tanh(g a)."""
    n, g = 16, 2.0
    patterns = np.array([[1.0]])
    while len(patterns) < n:  # Hadamard's
        patterns = np.block([[patterns, patterns], [patterns, -patterns]])
    patterns = patterns[1:4]
    cell, params = elman(g * patterns.T @ patterns / n)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, (6, 20, n))
    starts = np.concatenate([patterns, -patterns])[:, None] + noise
    found = fixed_points(cell, params, jnp.zeros(1), starts)
    a = root(lambda a: a - np.tanh(g * a), 0.1, 1)
    for pattern in (*patterns, *-patterns):
        away = np.abs(found.points - a * pattern).max(1)
        assert away.min() < 1e-12
        assert found.unstable[away.argmin()] == 0
        largest = g * (1 - a**2)
        np.testing.assert_allclose(found.eigenvalues[away.argmin(), 0], largest)
    stable = found.where(found.unstable == 0)
    assert len(stable.points) == 6 and stable.counts.sum() > 60


@pytest.mark.parametrize(
    "cell",
    by_default(
        cells := [
            LSTM(2, 3),
            GRU(2, 4),
            Stack((GRU(2, 3), LSTM(3, 2))),
            Turning(),
            jaxrnn.Zoneout(GRU(2, 3), 0.3),
        ],
        *cells[:2],
    ),
    ids=str,
)
def test_a_point_stays_where_it_is_and_its_jacobian_is_the_steps(cell):
    params, x = params_of(cell), inputs_of(cell, ())
    if isinstance(cell, Turning):
        params = cell.init(jax.random.key(0))
    initial = jax.eval_shape(cell.initial_carry, params)
    starts = random_like(initial, 5, (12,))
    starts = jax.tree.map(lambda a, like: a.astype(like.dtype), starts, initial)
    found = fixed_points(cell, params, x, starts)
    assert len(found.speeds) >= 1
    assert jax.tree.structure(found.points) == jax.tree.structure(initial)
    lost = len(found.outliers.speeds) + len(found.unconverged.speeds)
    assert found.counts.sum() + lost == 12
    for i in range(len(found.speeds)):
        point = row(found.points, i)
        new, _ = cell(params, point, x)
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(point), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        xs = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x)
        expected = jaxrnn.step_jacobians(cell, params, xs, point)[0]
        np.testing.assert_allclose(found.jacobians[i], expected, rtol=1e-9, atol=1e-12)
        of = np.linalg.eigvals(expected)
        np.testing.assert_allclose(
            np.abs(found.eigenvalues[i]), -np.sort(-np.abs(of)), atol=1e-9
        )


def test_a_network_that_runs_comes_to_a_stable_point():
    """A trajectory of a GRU under a constant input ends at one of those found."""
    cell = GRU(2, 5)
    params, x = params_of(cell), jnp.array([0.4, -1.0])
    xs = jnp.broadcast_to(x, (400, 3, 2))
    carries = jaxrnn.trajectory(cell, params, xs, random_like(jnp.zeros((3, 5))))
    found = fixed_points(cell, params, x, carries[:20])
    stable = found.where(found.unstable == 0)
    for end in np.asarray(carries[-1]):
        assert np.abs(stable.points - end).max(1).min() < 1e-8


def test_several_inputs_are_a_search_each():
    cell, params = elman(2 * np.eye(1))
    xs = jnp.array([[-1.0], [0.0], [0.1]])
    starts = jnp.linspace(-1.2, 1.2, 40)[:, None]
    found = fixed_points(cell, params, xs, starts)
    assert found.inputs.tolist() == [0, 1, 1, 1, 2, 2, 2]
    alone = [fixed_points(cell, params, x, starts) for x in xs]
    for i, one in enumerate(alone):
        some = found.where(found.inputs == i)
        np.testing.assert_allclose(some.points, one.points, atol=1e-14)
        assert some.unstable.tolist() == one.unstable.tolist()
        assert some.counts.tolist() == one.counts.tolist()
    # tanh(2 h - 1) has one fixed point only; from above, searches come to rest beside it.
    assert found.counts[:1] + len(alone[0].unconverged.speeds) == 40


def test_where_a_pair_has_just_vanished_the_ghost_is_told_apart():
    """tanh(2 h + b) with b below the fold: a minimum of q > 0, which is a slow point."""
    fold = 2 * np.sqrt(0.5) - np.arctanh(np.sqrt(0.5))  # where slope and value agree
    cell, params = elman(2 * np.eye(1), -fold - 1e-3)
    starts = jnp.linspace(0.5, 1, 10)[:, None]
    found = fixed_points(cell, params, jnp.zeros(1), starts)
    ghosts = found.unconverged
    function = lambda h: np.tanh(2 * h - fold - 1e-3) - h  # noqa: E731
    grid = np.linspace(0.5, 0.9, 400001)
    least = grid[np.argmax(function(grid))]
    assert len(ghosts.speeds) > 0
    np.testing.assert_allclose(ghosts.points[:, 0], least, atol=1e-5)
    np.testing.assert_allclose(ghosts.speeds, function(least) ** 2 / 2, rtol=1e-6)
    slow = fixed_points(cell, params, jnp.zeros(1), starts, slow=1e-5)
    assert np.all(slow.speeds <= 1e-5) and len(slow.unconverged.speeds) == 0
    assert np.abs(slow.points[:, 0] - least).min() < 0.1


def line(slope):
    """Two units, of which one difference is kept, or nearly, and the sum fades."""
    kept = np.array([1.0, -1.0]) / np.sqrt(2)
    lost = np.array([1.0, 1.0]) / np.sqrt(2)
    return slope * np.outer(kept, kept) + 0.3 * np.outer(lost, lost), kept


def test_a_line_of_fixed_points_is_found_all_along():
    U, kept = line(1.0)
    cell, params = elman(U, activation="identity")
    starts = cloud(2, 200)
    found = fixed_points(cell, params, jnp.zeros(1), starts, distinct=0.05)
    np.testing.assert_allclose(found.points @ np.array([1, 1]), 0, atol=1e-12)
    # Searches go straight to the line, and no farther.
    where = np.sort(found.points @ kept)
    assert len(where) > 30 and np.all(np.diff(where) >= 0.05)
    reached = starts @ kept
    np.testing.assert_allclose(
        [where[0], where[-1]], [reached.min(), reached.max()], atol=0.05
    )
    np.testing.assert_allclose(found.eigenvalues[:, 0], 1, atol=1e-12)
    assert np.all(found.unstable == 0)  # as far as numbers tell


def test_a_line_that_leaks_has_one_fixed_point_and_slow_points_all_along():
    U, kept = line(0.999)
    cell, params = elman(U, activation="identity")
    starts = cloud(2, 200)
    fixed = fixed_points(cell, params, jnp.zeros(1), starts)
    assert fixed.points.shape == (1, 2) and np.abs(fixed.points).max() < 1e-10
    slow = fixed_points(cell, params, jnp.zeros(1), starts, slow=1e-5, distinct=0.05)
    assert len(slow.points) > 30 and np.all(slow.speeds <= 1e-5)
    assert np.ptp(slow.points @ kept) > 3
    np.testing.assert_allclose(slow.points @ np.array([1, 1]), 0, atol=0.02)


class Parabola(Cell):
    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(1)

    def step(self, params, carry, drive):
        return carry + (carry - 0.1) * (carry - 50) / 100 + drive


def test_what_is_far_from_all_starts_is_an_outlier():
    """h' = h + (h - 0.1) (h - 50) / 100 has a second point far away."""
    starts = jnp.linspace(-1, 1, 11)[:, None]
    starts = jnp.concatenate([starts, jnp.array([[26.0]])])
    given = Parabola(), (), jnp.zeros(1), starts
    near = fixed_points(*given, reach=2)
    np.testing.assert_allclose(near.points, [[0.1]], rtol=1e-10)
    np.testing.assert_allclose(near.outliers.points, [[50]], rtol=1e-10)
    assert near.outliers.inputs.tolist() == [0] and near.counts.tolist() == [11]
    every = fixed_points(*given, reach=np.inf)
    np.testing.assert_allclose(np.sort(every.points[:, 0]), [0.1, 50], rtol=1e-10)
    assert every.unstable.tolist() == [0, 1]
    # One start has no spread, and nothing is far.
    alone = fixed_points(*given[:3], starts[-1:])
    np.testing.assert_allclose(alone.points, [[50]], rtol=1e-10)


def test_what_is_not_finite_or_out_of_iterations_is_not_converged():
    cell, params = elman(0.5 * np.eye(2))
    starts = jnp.array([[jnp.nan, 0], [jnp.inf, 0], [0.5, 0.5]])
    found = fixed_points(cell, params, jnp.zeros(1), starts)
    assert found.counts.tolist() == [1] and len(found.unconverged.speeds) == 2
    short = fixed_points(cell, params, jnp.zeros(1), starts[2:], max_iterations=1)
    assert short.points.shape == (0, 2) and short.jacobians.shape == (0, 2, 2)
    assert 1e-12 < short.unconverged.speeds[0] < 0.01
    assert short.eigenvalues.shape == (0, 2) and short.unstable.shape == (0,)


def test_parts_make_no_difference(monkeypatch):
    cell, params = elman(np.array([[1.5, 0.3], [-0.2, 1.3]]))
    args = cell, params, jnp.zeros(1), cloud(2, 23)
    whole = fixed_points(*args)
    monkeypatch.setattr(jaxrnn.dynamics.points, "TOGETHER", 4 * 5)
    parts = fixed_points(*args)
    assert whole.counts.tolist() == parts.counts.tolist()
    np.testing.assert_allclose(parts.points, whole.points, atol=1e-12)
    np.testing.assert_allclose(parts.jacobians, whole.jacobians, atol=1e-12)


class Counting(Cell):
    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(2), jnp.zeros((), int)

    def step(self, params, carry, drive):
        return carry[0] / 2 + drive, carry[1] + 1


def test_what_cannot_be_searched_is_refused_in_our_words():
    cell, params = elman(np.eye(2))
    x, starts = jnp.zeros(1), jnp.zeros((3, 2))

    def refused(kind, message, *args, **options):
        given = [*args, *(cell, params, x, starts)[len(args) :]]
        with pytest.raises(kind, match=f"fixed_points: .*{message}"):
            fixed_points(*given, **options)

    refused(TypeError, "no state to search", Dense(1, 2), params_of(Dense(1, 2)), x, ())
    counting = Counting(), (), x, (starts, jnp.zeros(3, int))
    refused(TypeError, "leaves of integers.*a step that counts", *counting)
    both = jaxrnn.Bidirectional(cell, cell)
    refused(TypeError, "whole sequences", both, (params, params), x, (starts, starts))
    decoder = jaxrnn.BahdanauAttention(GRU(7, 4), 4, jaxrnn.Dot())
    own = params_of(decoder)
    refused(TypeError, "Context", decoder, own, jnp.zeros(3), starts)
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), (params, x, starts))
    refused(TypeError, "bfloat16.*cast", cell, *half)
    refused(ValueError, r"starts has the shapes \(2,\)", cell, params, x, starts[0])
    refused(ValueError, r"starts has the shapes \(0, 2\)", cell, params, x, starts[:0])
    refused(
        ValueError, r"starts has the shapes \(3, 3\)", cell, params, x, jnp.zeros((3, 3))
    )
    refused(ValueError, "x has shape", cell, params, jnp.zeros((2, 2, 1)))
    refused(ValueError, "x has shape", cell, params, jnp.zeros(3))
    refused(ValueError, "x has shape", cell, params, jnp.zeros((0, 1)))
    wrong = ("tolerance", 0), ("tolerance", np.inf), ("distinct", "1"), ("reach", -1.0)
    for option, value in wrong:
        refused(ValueError, f"{option} is {value!r}, expected a", **{option: value})
    refused(ValueError, "slow is 1e-13, expected a number above tolerance", slow=1e-13)
    refused(ValueError, "max_iterations is 0", max_iterations=0)
    refused(TypeError, "of type int, expected a jaxrnn.Cell", 3)
    with pytest.raises(TypeError, match=r"fixed_points: an argument is traced"):
        jax.jit(lambda starts: fixed_points(cell, params, x, starts).speeds)(starts)
