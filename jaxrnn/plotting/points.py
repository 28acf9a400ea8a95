"""Figures of fixed points among the states that a network visits."""

from typing import Any

import jax
import numpy as np

from .look import axes_or_new

LOOKS = {0: "stable", 1: "1 direction grows", 2: "2 directions grow", 3: "3 or more grow"}
MARKERS = "os^D"
LENGTH = 0.12  # of a direction, each way, in the extent of what is drawn


def fixed_points(
    found: Any,
    ax: Any = None,
    *,
    trajectories: Any = None,
    dimensions: int = 2,
    title: str | None = None,
) -> Any:
    """Fixed points in the plane or space of the first principal components.

    Those of the states of the trajectories, or, without any, of the points. Stable points
    are filled, others open, by the number of directions that grow. Through each runs a
    line along every direction that grows, in red, and through the stable ones along that
    which fades most slowly, in grey; as long as seen from here: across, it is short.

    Args:
        found: what `jaxrnn.fixed_points` returns.
        ax, title: as in `gradient_norms`, as are result and error.
        trajectories: what `jaxrnn.trajectory` returns, leaves `(T, *batch, ...)`: a thin
            line each.
        dimensions: 2, or 3; with `ax` those that it has.

    Raises:
        TypeError: if something else is given.
        ValueError: if trajectories are not of the points' carry, or there is nothing to
            draw.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(1, 2)  # h' = tanh(2 h)
        >>> params = {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)}
        >>> params |= {"recurrent_kernel": 2 * jnp.eye(2)}
        >>> starts = jnp.array([[1.0, 1], [1, -1], [0.1, 1], [0, 0]])
        >>> found = jaxrnn.fixed_points(cell, params, jnp.zeros(1), starts)
        >>> ax = jaxrnn.plotting.fixed_points(found)
        >>> print([text.get_text() for text in ax.get_legend().get_texts()][2:4])
        ['stable', '1 direction grows']
    """
    if not all(hasattr(found, part) for part in ("points", "jacobians", "unstable")):
        raise TypeError(
            f"plotting.fixed_points: got a {type(found).__name__}, expected what "
            "jaxrnn.fixed_points returns"
        )
    if dimensions not in (2, 3):
        raise ValueError(
            f"plotting.fixed_points: dimensions is {dimensions!r}, expected 2 or 3"
        )
    points = _vectors(found.points, 1)
    visited = None if trajectories is None else _visited(trajectories, found.points)
    seen = points if visited is None else visited.reshape(-1, points.shape[1])
    seen = seen[np.isfinite(seen).all(1)]
    if not len(seen):
        raise ValueError("plotting.fixed_points: there is nothing to draw, of no points")
    ax = axes_or_new(ax, "3d" if dimensions == 3 else None)
    dimensions = 3 if ax.name == "3d" else 2
    centre, components, parts = _principal(seen, dimensions)
    place = lambda states: ((states - centre) @ components).T  # noqa: E731
    if visited is not None:
        label = "trajectories"
        for one in np.moveaxis(visited, 1, 0):
            ax.plot(*place(one), color="C0", alpha=0.35, linewidth=0.8, label=label)
            label = None
    length = LENGTH * np.ptp(np.concatenate([place(seen), place(points)], 1), 1).max()
    _draw_directions(ax, found, place(points).T, components, length)
    for grows, label in LOOKS.items():
        some = np.minimum(found.unstable, max(LOOKS)) == grows
        if some.any():
            look = {"facecolors": "k" if not grows else "w", "marker": MARKERS[grows]}
            look["edgecolors"] = f"C{grows}" if grows else "k"
            look |= {"depthshade": False} if dimensions == 3 else {}
            ax.scatter(*place(points[some]), s=36, label=label, zorder=3, **look)
    for name, part, number in zip("xyz"[:dimensions], parts, "123", strict=False):
        getattr(ax, f"set_{name}label")(f"principal component {number} ({part:.0%})")
    ax.set_title(title or "Fixed points, and where they lead")
    aside = 1.02 if dimensions == 2 else 1.15  # over nothing that is drawn
    ax.legend(loc="upper left", bbox_to_anchor=(aside, 1))
    return ax


def _draw_directions(
    ax: Any, found: Any, places: np.ndarray, components: np.ndarray, length: float
) -> None:
    labels = {"C3": "grows", "0.6": "fades most slowly"}
    for place, jacobian, unstable in zip(
        places, found.jacobians, found.unstable, strict=True
    ):
        values, vectors = np.linalg.eig(np.asarray(jacobian, float))
        order = np.argsort(-np.abs(values), kind="stable")[: max(unstable, 1)]
        color = "C3" if unstable else "0.6"
        for one in order:
            if np.imag(values[one]) < 0:
                continue  # of a pair the first stands for both, which turn in a plane
            plane = [np.real(vectors[:, one])]
            if np.imag(values[one]) > 0:
                plane.append(np.imag(vectors[:, one]))
            for direction in plane:
                unit = direction / max(np.linalg.norm(direction), 1e-300)
                way = length * (unit @ components)
                ends = np.stack([place - way, place + way], 1)
                label = labels.pop(color, None)
                ax.plot(*ends, color=color, linewidth=1.2, label=label, zorder=2)


def _principal(
    states: np.ndarray, dimensions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, components `(n, dimensions)`, and the part of the variance along each."""
    centre = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - centre, full_matrices=False)
    parts = sizes**2 / max((sizes**2).sum(), 1e-300)
    short = max(dimensions - len(axes), 0)  # of a single unit there is one component
    components = np.pad(axes[:dimensions].T, ((0, 0), (0, short)))
    # The sign that makes the largest entry positive, whichever LAPACK chose.
    largest = np.abs(components).argmax(0)
    components *= np.where(components[largest, np.arange(dimensions)] < 0, -1, 1)
    return centre, components, np.pad(parts[:dimensions], (0, short))


def _vectors(carries: Any, leading: int) -> np.ndarray:
    """`(*leading, n)`, in the order of Jacobians."""
    rows = []
    for leaf in map(np.asarray, jax.tree.leaves(carries)):
        parts = (np.real(leaf), np.imag(leaf)) if np.iscomplexobj(leaf) else (leaf,)
        size = int(np.prod(leaf.shape[leading:]))  # -1 would not do for no rows
        shape = *leaf.shape[:leading], size
        rows += [part.reshape(shape).astype(float) for part in parts]
    return np.concatenate(rows, -1)


def _visited(trajectories: Any, points: Any) -> np.ndarray:
    """`(T, examples, n)`."""
    leaves, expected = jax.tree.leaves(trajectories), jax.tree.leaves(points)
    same = jax.tree.structure(trajectories) == jax.tree.structure(points)
    axes = np.ndim(leaves[0]) - np.ndim(expected[0]) + 1 if same else 0
    if axes < 1 or any(
        np.shape(leaf)[axes:] != np.shape(want)[1:]
        for leaf, want in zip(leaves, expected, strict=True)
    ):
        got, want = jax.tree.map(np.shape, (trajectories, points))
        raise ValueError(
            f"plotting.fixed_points: trajectories has the shapes {got}, expected a time "
            f"axis, and any of a batch, before those of a point, and points have {want}"
        )
    rows = _vectors(trajectories, axes)
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:-1])), rows.shape[-1])
