"""Figures of what a training loop records."""

from typing import Any

import numpy as np

from .look import axes_or_new, named


def training(
    log: Any,
    ax: Any = None,
    *,
    steps: Any = None,
    leaf: str | None = None,
    title: str | None = None,
) -> Any:
    """How far gradients reach, as training goes on: training step against lag.

    The colour is the norm at a lag, relative to the greatest of its record, so that a
    column is a `lag_profile`; what is zero has none. The line is the horizon, at which it
    has fallen to 1/e of the first; where it does not, the line has a gap.

    Args:
        log: records of `jaxrnn.gradient_log`, stacked: norms `(records, lags)`.
        steps: the training steps of the records, `(records,)`, ascending; by default 0,
            1, 2, ...
        leaf: which leaf of the carry, such as "h", "c" or "[1]", of several.
        ax, title: as in `gradient_norms`, as are result and error.

    Raises:
        TypeError: if something else is given.
        ValueError: for a leaf that is not there, records that are not stacked, or steps
            that are not one for each and ascending.

    Example:
        >>> import numpy as np, jaxrnn
        >>> norms = 0.9 ** np.outer([4, 2, 1], np.arange(20))
        >>> log = jaxrnn.GradientLog(norms, np.array([2.4, 4.7, 9.5]), np.zeros(3), {})
        >>> ax = jaxrnn.plotting.training(log, steps=[0, 100, 200])
        >>> print(ax.get_xlabel(), "|", ax.get_ylabel())
        training step | lag k, steps
    """
    if not all(hasattr(log, part) for part in ("norms", "horizon")):
        raise TypeError(
            f"plotting.training: got a {type(log).__name__}, expected a GradientLog "
            "whose records are stacked"
        )
    leaves, horizons = named(log.norms), named(log.horizon)
    chosen = next(iter(leaves)) if leaf is None and len(leaves) == 1 else leaf
    if chosen not in leaves:
        raise ValueError(
            f"plotting.training: leaf is {leaf!r}, expected one of {', '.join(leaves)}: "
            "draw each into an axis of its own"
        )
    norms, horizon = (np.asarray(of[chosen], float) for of in (leaves, horizons))
    if norms.ndim != 2:
        raise ValueError(
            f"plotting.training: norms has shape {norms.shape}, expected (records, "
            "lags): stack them, jax.tree.map(lambda *leaves: jnp.stack(leaves), *records)"
        )
    steps = np.arange(len(norms)) if steps is None else np.asarray(steps)
    if steps.shape != (len(norms),) or np.any(np.diff(steps) <= 0):
        raise ValueError(
            f"plotting.training: steps is {steps}, expected {len(norms)} ascending "
            "numbers, one for each record"
        )
    ax = axes_or_new(ax)
    from matplotlib.colors import LogNorm

    norms = np.where(np.isfinite(norms), norms, 0)
    top = norms.max(1, keepdims=True)
    shown = norms / np.where(top > 0, top, 1)
    least = shown[shown > 0].min() if np.any(shown > 0) else 0.1
    mesh = ax.pcolormesh(
        steps,
        np.arange(shown.shape[1]),
        np.ma.masked_less_equal(shown.T, 0),
        norm=LogNorm(np.clip(least, 1e-6, 0.5), 1),
        cmap="viridis",
        shading="nearest",
    )
    label = r"$\|\partial L_t / \partial\,\mathrm{carry}_{t-k}\|$, greatest = 1"
    ax.figure.colorbar(mesh, ax=ax, label=label, extend="min")
    there = np.where(np.isfinite(horizon), horizon, np.nan)
    marker = "o" if len(steps) == 1 else None  # one point is no line
    look = {"color": "w", "marker": marker, "label": "horizon: 1/e of the first"}
    ax.plot(steps, there, linewidth=1.5, **look)
    ax.set_ylim(-0.5, shown.shape[1] - 0.5)
    ax.set_xlabel("training step")
    ax.set_ylabel("lag k, steps")
    ax.set_title(title or "How far gradients reach, as training goes on")
    ax.legend(facecolor="0.4", labelcolor="w", loc="upper left")
    return ax
