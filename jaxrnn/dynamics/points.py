"""The states at which a network stands still, or nearly."""

from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.numbers import check_count, is_number
from ..cell import Cell, check_cell
from ..unrolling.stepping import flat
from .descent import descend, jacobians_at
from .states import carries_of, states_of

NAME = "fixed_points"
STRIDE = 0.25  # of the spread of the starts: no step jumps over what is near
TOGETHER = 2**22  # entries of the Jacobians of the searches that run at once


class Ends(NamedTuple):
    """Where searches ended that found nothing.

    Attributes:
        points: the carry's pytree, leaves `(count, ...)`.
        speeds: `(count,)`, q there; not finite where the search left all numbers.
        inputs: `(count,)`, the number of the input.

    Example:
        >>> import numpy as np
        >>> from jaxrnn.dynamics import Ends
        >>> ends = Ends(np.zeros((2, 5)), np.full(2, 1e-3), np.zeros(2, int))
        >>> print(len(ends.speeds))
        2
    """

    points: Any
    speeds: np.ndarray
    inputs: np.ndarray


class FixedPoints(NamedTuple):
    """What `fixed_points` found, in arrays of NumPy; n is the size of the carry.

    In order: by input, those with fewer directions that grow first, of these first what
    more starts led to.

    Attributes:
        points: the carry's pytree, leaves `(found, ...)`.
        speeds: `(found,)`, q = |F(h) - h|^2 / 2.
        jacobians: `(found, n, n)`, dF/dh there, for a vector as in `step_jacobians`.
        eigenvalues: `(found, n)`, complex, of the largest absolute value first.
        unstable: `(found,)`, the number of directions that grow: of eigenvalues with an
            absolute value above 1, by more than the dtype's root of epsilon. A point with
            none is stable; one with some is a saddle, or with n a source.
        counts: `(found,)`, how many starts led there.
        inputs: `(found,)`, under which of the inputs; zeros where one alone was given.
        outliers: `Ends` that are fixed points too, but far from all starts.
        unconverged: `Ends` that are none: q has a minimum there that is above the
            tolerance, or the iterations ran out.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(1, 4)
        >>> params = cell.init(jax.random.key(0))
        >>> starts = jax.random.normal(jax.random.key(1), (20, 4))
        >>> found = jaxrnn.fixed_points(cell, params, jnp.ones(1), starts)
        >>> print(found.where(found.unstable == 0).points.shape)
        (1, 4)
    """

    points: Any
    speeds: np.ndarray
    jacobians: np.ndarray
    eigenvalues: np.ndarray
    unstable: np.ndarray
    counts: np.ndarray
    inputs: np.ndarray
    outliers: Ends
    unconverged: Ends

    def where(self, which: Any) -> "FixedPoints":
        """Some of the points: `found.where(found.unstable == 0)` are the stable ones.

        What was not found is kept as it is.
        """
        names = self._fields[:-2]
        some = {name: getattr(self, name) for name in names}
        return self._replace(**jax.tree.map(lambda leaf: leaf[which], some))


def fixed_points(
    cell: Cell,
    params: Any,
    x: Any,
    starts: Any,
    *,
    tolerance: float = 1e-12,
    slow: float | None = None,
    distinct: float = 1e-3,
    reach: float = 10.0,
    max_iterations: int = 200,
) -> FixedPoints:
    """The fixed points of a cell under a constant input, and its slow points.

        F(h) = step(h, x)        q(h) = |F(h) - h|^2 / 2        F(h*) = h*, q(h*) = 0

    h is the whole carry, one vector of n numbers as in `step_jacobians`: of an LSTM h and
    c, of a `Stack` the carries of all its layers. q is minimised from every start, by the
    method of Levenberg and Marquardt, whose last steps are Newton's: to the last digit in
    some ten or twenty iterations, with no rate to choose. Saddles are found as stable
    points are, which running the network does not show. Sussillo and Barak, "Opening the
    black box: low-dimensional dynamics in high-dimensional recurrent neural networks",
    Neural Computation 25, 2013; Golub and Sussillo, "FixedPointFinder", Journal of Open
    Source Software 3, 2018.

    Starts are states that the network visits, such as those of `trajectory`, best with
    some noise added, and many more than the points that are looked for: nothing tells
    that all were found. Around a point h* the network moves as its Jacobian does.

    Args:
        cell, params: as in `unroll`; evaluated without noise.
        x: one constant input, of the cell's `input_shape`, such as zeros; or several,
            `(inputs, *input_shape)`, of which each is searched from all starts.
        starts: the carry's pytree with any number of axes in front: `(T, *batch, ...)`
            from `trajectory`, or some of these states, `(count, ...)`.
        tolerance: q up to which a point is a fixed point. In float32 rounding leaves
            some n 1e-15 of states of size 1.
        slow: to find slow points, q at which a search ends, above `tolerance`: points up
            to there are found, near to their starts, in place of the fixed points that
            they drift to. Along a continuum that is not quite one, such as a trained
            integrator's, q is 1e-4 or less, where elsewhere it is 1e-1. By default a
            search goes on to the minimum.
        distinct: points nearer to each other than this are one, of which the one with
            the least q is told.
        reach: a point is an outlier if it is farther from the mean of the starts than
            `reach` times their mean distance from it; inf keeps all.
        max_iterations: of a search. One takes O(n^3) operations, and n products of the
            size of a step.

    Returns:
        `FixedPoints`: `points`, `speeds`, `jacobians`, `eigenvalues`, `unstable`,
        `counts`, `inputs`, and apart from them `outliers` and `unconverged`. How many are
        found is not known before, so that this is not for `jax.jit`; the searches are
        compiled.

    Raises:
        TypeError: for a cell whose carry has no state to search, or integers (a step that
            counts never stands still), or half precision; for one that exists over whole
            sequences only; for traced arguments.
        ValueError: for starts that are no carries, or none; for options out of range.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(1, 2)  # h' = tanh(2 h): three in each unit
        >>> params = {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)}
        >>> params |= {"recurrent_kernel": 2 * jnp.eye(2)}
        >>> line = jnp.linspace(-1, 1, 9)
        >>> starts = jnp.stack(jnp.meshgrid(line, line), -1)  # (9, 9, 2)
        >>> found = jaxrnn.fixed_points(cell, params, jnp.zeros(1), starts)
        >>> print(found.points.shape, found.unstable)
        (9, 2) [0 0 0 0 1 1 1 1 2]
        >>> print(abs(found.points[0]).round(4))
        [0.9575 0.9575]
    """
    _check_options(tolerance, slow, distinct, reach)
    max_iterations = check_count(NAME, "max_iterations", max_iterations)
    check_cell(NAME, cell)
    params = checks.check_params(NAME, cell, params)
    x = native(NAME, "x", x)
    leading = checks.leading_shape(NAME, "x", cell, x)
    if len(leading) > 1 or 0 in leading:
        raise ValueError(
            f"{NAME}: x has shape {checks.shapes(x)}, expected one constant input "
            f"{cell.input_shape} for {cell}, or several, with one axis in front"
        )
    starts, like = states_of(NAME, cell, params, x, starts, len(leading))
    if any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((params, x, starts))):
        raise TypeError(
            f"{NAME}: an argument is traced, expected arrays with values: how many "
            "points there are is not known before, so call it outside of jax.jit, "
            "jax.vmap and jax.grad; several inputs are one call"
        )
    params = cell.prepare(params)
    vectors = np.asarray(jax.vmap(flat)(starts))
    count = len(vectors)
    xs = x if leading else jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x)
    m = leading[0] if leading else 1
    inputs = np.repeat(np.arange(m), count)
    sane = vectors[np.isfinite(vectors).all(1)]
    centre = sane.mean(0) if sane.size else vectors[0]
    spread = np.linalg.norm(sane - centre, axis=1).mean() if sane.size else 0
    spread = spread or np.inf  # one start is near to anything
    limits = np.asarray([slow or 0, STRIDE * spread], vectors.dtype)

    def of(function: Any, vectors: np.ndarray, which: np.ndarray, *more: Any) -> Any:
        return _in_parts(function, like, params, vectors, xs, which, *more)

    search = lambda *args: descend(cell, max_iterations, *args)  # noqa: E731
    ends, speeds = of(search, np.tile(vectors, (m, 1)), inputs, *limits)
    found = speeds <= max(tolerance, slow or 0)  # NaN is not
    far = np.linalg.norm(ends - centre, axis=1) > reach * spread

    def apart(which: np.ndarray) -> Ends:
        return Ends(carries_of(ends[which], like), speeds[which], inputs[which])

    (inside,) = np.nonzero(found & ~far)
    first, counts = _unique(ends[inside], speeds[inside], inputs[inside], distinct)
    one = inside[first]
    jacobians = np.zeros((0, *2 * vectors.shape[1:]), vectors.dtype)
    if one.size:
        evaluate = lambda *args: jacobians_at(cell, *args)  # noqa: E731
        (jacobians,) = of(evaluate, ends[one], inputs[one])
    eigenvalues = np.linalg.eigvals(jacobians).astype(np.result_type(jacobians, "c8"))
    by_size = np.argsort(-np.abs(eigenvalues), axis=1, kind="stable")
    eigenvalues = np.take_along_axis(eigenvalues, by_size, 1)
    margin = np.sqrt(np.finfo(vectors.dtype).eps)
    unstable = (np.abs(eigenvalues) > 1 + margin).sum(1)
    order = np.lexsort((-counts, unstable, inputs[one]))
    return FixedPoints(
        points=carries_of(ends[one[order]], like),
        speeds=speeds[one[order]],
        jacobians=jacobians[order],
        eigenvalues=eigenvalues[order],
        unstable=unstable[order],
        counts=counts[order],
        inputs=inputs[one[order]],
        outliers=apart(found & far),
        unconverged=apart(~found),
    )


def _check_options(tolerance: Any, slow: Any, distinct: Any, reach: Any) -> None:
    options = {"tolerance": tolerance, "distinct": distinct, "reach": reach}
    for option, value in options.items():
        most = np.inf if option == "reach" else np.finfo(float).max
        if not (is_number(value) and 0 < value <= most):
            kind = "a number" if option == "reach" else "a finite number"
            raise ValueError(f"{NAME}: {option} is {value!r}, expected {kind} above 0")
    if slow is not None and not (is_number(slow) and tolerance < slow < np.inf):
        raise ValueError(
            f"{NAME}: slow is {slow!r}, expected a number above tolerance, {tolerance}, "
            "or None for fixed points alone"
        )


def _in_parts(
    function: Any, like: Any, params: Any, vectors: Any, xs: Any, which: Any, *more: Any
) -> list[np.ndarray]:
    """`function(params, like, vectors, xs, ...)`, of parts that are all of one size."""
    count, n = vectors.shape
    size = min(count, max(1, TOGETHER // n**2))
    like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    parts = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        own = jax.tree.map(lambda leaf: jnp.asarray(leaf)[which[rows]], xs)  # noqa: B023
        result = function(params, like, vectors[rows], own, *more)
        parts.append(jax.tree.leaves(result))
    return [np.concatenate(some)[:count] for some in zip(*parts, strict=True)]


def _unique(
    ends: np.ndarray, speeds: np.ndarray, inputs: np.ndarray, distinct: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the ends stand for all, and for how many: the slowest of those nearby."""
    first, counts = [], []
    rest = np.argsort(speeds, kind="stable")
    while rest.size:
        best = rest[0]
        near = np.linalg.norm(ends[rest] - ends[best], axis=1) < distinct
        near &= inputs[rest] == inputs[best]
        near[0] = True
        first.append(best)
        counts.append(near.sum())
        rest = rest[~near]
    return np.array(first, int), np.array(counts, int)
