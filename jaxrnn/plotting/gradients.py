"""Figures of gradients through time."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .look import axes_or_new, by_label, draw_line, log_scale, rows_of


def gradient_norms(
    norms: Mapping[str, Any], ax: Any = None, *, title: str | None = None
) -> Any:
    """Gradient norms against time, on a logarithmic axis, a line for each entry.

    Args:
        norms: by label, `(T,)` or `(T, *batch)`, of which the mean is drawn: a leaf of
            `jaxrnn.gradient_norms` for each layer, or before and after training. The
            zeros of examples that have ended are in the mean.
        ax: an `Axes`; None makes one.
        title: in place of the ordinary one.

    Returns:
        The `Axes`.

    Raises:
        ImportError: without matplotlib.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.gradient_norms({"layer 1": 0.9 ** np.arange(50.0)[::-1]})
        >>> print(ax.get_yscale())
        log
    """
    ax = axes_or_new(ax)
    for index, (label, values) in enumerate(by_label("gradient_norms", norms).items()):
        mean = rows_of(values).mean(1)
        draw_line(ax, np.arange(len(mean)), mean, label, index, positive=True)
    log_scale(ax)
    ax.set_xlabel("time step t")
    ax.set_ylabel(r"$\|\partial L / \partial\,\mathrm{carry}_t\|$")
    ax.set_title(title or "Gradient of the loss in the carry, over time")
    ax.legend()
    return ax


def lag_profile(
    norms: Mapping[str, Any],
    ax: Any = None,
    *,
    counts: Any = None,
    title: str | None = None,
) -> Any:
    """Gradient norms against the lag, on a logarithmic axis, relative to the first.

    The dotted line is 1/e: where a profile crosses it is its `memory_horizon`.

    Args:
        norms: by label, `(lags,)` or `(lags, *batch)`, of which the mean is drawn: leaves
            of `LagProfile.norms`.
        counts: `LagProfile.counts`, the weights of the mean, where lengths differ.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.lag_profile({"LSTM": 0.9 ** np.arange(50.0)})
        >>> print(ax.get_xlabel())
        lag k, steps
    """
    ax = axes_or_new(ax)
    for index, (label, values) in enumerate(by_label("lag_profile", norms).items()):
        rows = rows_of(values)
        weights = np.ones_like(rows) if counts is None else rows_of(counts)
        mean = (rows * weights).sum(1) / np.maximum(weights.sum(1), 1)
        first = mean[np.argmax(mean > 0)] or 1
        draw_line(ax, np.arange(len(mean)), mean / first, label, index, positive=True)
    ax.axhline(1 / np.e, color="0.5", linestyle=":", linewidth=1)
    place = {"xycoords": ("axes fraction", "data"), "va": "bottom", "ha": "right"}
    ax.annotate("1/e", (1, 1 / np.e), **place, color="0.4")
    log_scale(ax)
    ax.set_xlabel("lag k, steps")
    ax.set_ylabel(r"$\|\partial L_t / \partial\,\mathrm{carry}_{t-k}\|$, first = 1")
    ax.set_title(title or "How the gradient of one step's loss fades with the lag")
    ax.legend(loc="lower left")
    return ax


def gradient_map(norms: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """The gradient of every step's loss in every carry, as a picture of (t, s).

    Args:
        norms: `(T, T)` or `(T, T, *batch)`, of which the mean is drawn: a leaf of
            `jaxrnn.gradient_map` for all steps.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> lags = np.arange(9)[:, None] - np.arange(9)
        >>> norms = np.where(lags >= 0, 0.5 ** np.abs(lags), 0.0)
        >>> ax = jaxrnn.plotting.gradient_map(norms)
        >>> print(ax.get_xlabel())
        step s of the carry
    """
    ax = axes_or_new(ax)
    from matplotlib.colors import LogNorm

    values = np.asarray(norms, float)
    values = values.reshape(*values.shape[:2], -1).mean(-1)
    values = np.where(np.isfinite(values), values, 0)
    positive = values[values > 0]
    top = positive.max() if positive.size else 1.0
    least = max(positive.min() if positive.size else 0.1, top * 1e-8)
    image = ax.imshow(
        np.ma.masked_less_equal(values, 0),
        norm=LogNorm(least, top if top > least else 10 * least),
        cmap="viridis",
        origin="upper",
        interpolation="nearest",
        aspect="auto",
    )
    label = r"$\|\partial L_t / \partial\,\mathrm{carry}_s\|$"
    ax.figure.colorbar(image, ax=ax, label=label, extend="min")
    ax.set_xlabel("step s of the carry")
    ax.set_ylabel("step t of the loss")
    ax.set_title(title or "Which steps the loss of each step learns from")
    return ax
