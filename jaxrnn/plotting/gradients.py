"""Figures of gradients through time."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .look import axes_or_new, draw_line, lines_of, log_scale, named, rows_of


def gradient_norms(norms: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """Gradient norms against time, on a logarithmic axis, a line for each leaf.

    Args:
        norms: what `jaxrnn.gradient_norms` returns, or several of these by label, as
            `{"before": ..., "after": ...}`: leaves `(T,)` or `(T, *batch)`, of which the
            mean is drawn. The zeros of examples that have ended are in the mean.
        ax: an `Axes`; None makes one.
        title: in place of the ordinary one.

    Returns:
        The `Axes`.

    Raises:
        ImportError: without matplotlib.
        ValueError: where a number stands for an array.

    Example:
        >>> import numpy as np, jaxrnn
        >>> fading = 0.9 ** np.arange(50.0)[::-1]
        >>> norms = jaxrnn.LSTMCarry(h=fading, c=2 * fading)
        >>> ax = jaxrnn.plotting.gradient_norms({"LSTM": norms})
        >>> print([text.get_text() for text in ax.get_legend().get_texts()])
        ['LSTM h', 'LSTM c']
    """
    lines = lines_of("gradient_norms", norms)
    ax = axes_or_new(ax)
    for index, (label, values) in enumerate(lines.items()):
        mean = rows_of(values).mean(1)
        draw_line(ax, np.arange(len(mean)), mean, label, index, positive=True)
    log_scale(ax)
    ax.set_xlabel("time step t")
    ax.set_ylabel(r"$\|\partial L / \partial\,\mathrm{carry}_t\|$")
    ax.set_title(title or "Gradient of the loss in the carry, over time")
    ax.legend()
    return ax


def lag_profile(profile: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """Gradient norms against the lag, on a logarithmic axis, relative to the first.

    The dotted line is 1/e: where a profile crosses it is its `memory_horizon`.

    Args:
        profile: what `jaxrnn.lag_profile` returns, or several of these by label: leaves
            `(lags,)` or `(lags, *batch)`, of which the mean is drawn, weighted by the
            counts. Norms alone are drawn too, `(lags, *batch)`, with equal weights.
        ax, title: as in `gradient_norms`, as are result and errors.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.lag_profile({"LSTM": 0.9 ** np.arange(50.0)})
        >>> print(ax.get_xlabel())
        lag k, steps
    """
    every = profile if isinstance(profile, Mapping) else {"": profile}
    lines, weights = {}, {}
    for label, one in every.items():
        norms, counts = getattr(one, "norms", one), getattr(one, "counts", None)
        found = lines_of("lag_profile", {label: norms})
        lines |= found
        weights |= dict.fromkeys(found, counts)
    ax = axes_or_new(ax)
    for index, (label, values) in enumerate(lines.items()):
        rows, counts = rows_of(values), weights[label]
        weight = np.ones_like(rows) if counts is None else rows_of(counts)
        mean = (rows * weight).sum(1) / np.maximum(weight.sum(1), 1)
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
        norms: what `jaxrnn.gradient_map` returns for all steps: `(T, T)` or
            `(T, T, *batch)`, of which the mean is drawn.
        ax, title: as in `gradient_norms`, as are result and errors.

    Raises:
        ValueError: for a carry of several leaves, which are a picture each.

    Example:
        >>> import numpy as np, jaxrnn
        >>> lags = np.arange(9)[:, None] - np.arange(9)
        >>> norms = np.where(lags >= 0, 0.5 ** np.abs(lags), 0.0)
        >>> ax = jaxrnn.plotting.gradient_map(norms)
        >>> print(ax.get_xlabel())
        step s of the carry
    """
    leaves = named(norms)
    if len(leaves) != 1 or np.ndim(values := next(iter(leaves.values()))) < 2:
        raise ValueError(
            f"plotting.gradient_map: norms has the leaves {', '.join(leaves)}, expected "
            "one alone, (T, T, *batch): draw norms.h, norms.c or norms[1] each into an "
            "axis of its own"
        )
    ax = axes_or_new(ax)
    from matplotlib.colors import LogNorm

    values = np.asarray(values, float)
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
