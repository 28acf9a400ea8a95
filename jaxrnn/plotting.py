"""Figures of gradients, Jacobians, exponents and gates; matplotlib is needed here alone.

Every function draws into an `Axes` that is given, or into one of a new figure, and
returns it, with title, labels and legend, so that anything may be added or changed. Lines
differ in style and marker besides colour, so that a print in grey stays legible. What is
not finite is left out.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .lyapunov import LyapunovSpectrum

STYLES = ("-", "--", "-.", ":")
MARKERS = (None, "o", "s", "^")


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
    ax = _axes(ax)
    for index, (label, values) in enumerate(_by_label("gradient_norms", norms).items()):
        mean = _rows(values).mean(1)
        _line(ax, np.arange(len(mean)), mean, label, index, positive=True)
    _log_scale(ax)
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
    ax = _axes(ax)
    for index, (label, values) in enumerate(_by_label("lag_profile", norms).items()):
        rows = _rows(values)
        weights = np.ones_like(rows) if counts is None else _rows(counts)
        mean = (rows * weights).sum(1) / np.maximum(weights.sum(1), 1)
        first = mean[np.argmax(mean > 0)] or 1
        _line(ax, np.arange(len(mean)), mean / first, label, index, positive=True)
    ax.axhline(1 / np.e, color="0.5", linestyle=":", linewidth=1)
    place = {"xycoords": ("axes fraction", "data"), "va": "bottom", "ha": "right"}
    ax.annotate("1/e", (1, 1 / np.e), **place, color="0.4")
    _log_scale(ax)
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
    ax = _axes(ax)
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


def singular_values(logs: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """Bands of the singular values of products of Jacobians, against their length.

    The line is the median; the bands hold half of the values, and all of them. What lies
    further below the largest than the dtype can tell is rounding and not drawn.

    Args:
        logs: `(lags, n)` or `(lags, *batch, n)` from `product_singular_values`, in its
            dtype.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> lags = np.arange(1.0, 21)[:, None]
        >>> ax = jaxrnn.plotting.singular_values(-lags * np.linspace(0, 1, 5))
        >>> print(ax.get_xlabel())
        steps in the product
    """
    ax = _axes(ax)
    dtype = np.asarray(logs).dtype
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else np.dtype(float)
    logs = _rows(logs) / np.log(10)
    lags = 1 + np.flatnonzero(np.isfinite(logs.max(1)))
    logs = logs[lags - 1]
    high = logs.max(1)
    floor = high + np.log10(float(jnp.finfo(dtype).eps))
    bounds = np.quantile(np.maximum(logs, floor[:, None]), [0, 0.25, 0.5, 0.75], axis=1)
    low, quarter, middle, most = bounds
    ax.fill_between(lags, low, high, color="C0", alpha=0.2, label="all")
    ax.fill_between(lags, quarter, most, color="C0", alpha=0.4, label="middle half")
    ax.plot(lags, middle, color="C0", label="median")
    ax.plot(lags, high, color="k", linestyle="--", linewidth=1, label="largest, the norm")
    if np.any(logs < floor[:, None]):
        below = f"below: rounding in {dtype.name}"
        ax.plot(lags, floor, color="0.4", linestyle="-.", linewidth=1, label=below)
    ax.axhline(0, color="0.5", linestyle=":", linewidth=1)
    ax.set_xlabel("steps in the product")
    ax.set_ylabel(r"$\log_{10}$ singular value of $J_t \cdots J_{t-k+1}$")
    ax.set_title(title or "How products of Jacobians stretch and shrink")
    ax.legend()
    return ax


def lyapunov_spectrum(
    spectra: Mapping[str, LyapunovSpectrum],
    ax: Any = None,
    *,
    title: str | None = None,
) -> Any:
    """Lyapunov exponents in descending order, with a band of two standard errors.

    Args:
        spectra: by label, of one example or of a batch, of which the mean is drawn, of
            those examples that have steps; exponents of -inf are left out.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> values = -jnp.arange(5.0)
        >>> spectrum = jaxrnn.LyapunovSpectrum(values, 0.1 + 0 * values, values[None])
        >>> ax = jaxrnn.plotting.lyapunov_spectrum({"Elman": spectrum})
        >>> print(ax.get_ylabel())
        exponent, nats per step
    """
    ax = _axes(ax)
    every = _by_label("lyapunov_spectrum", spectra)
    for index, (label, spectrum) in enumerate(every.items()):
        count = np.shape(spectrum.exponents)[-1]
        exponents, errors = (
            np.asarray(leaf, float).reshape(-1, count)
            for leaf in (spectrum.exponents, spectrum.standard_error)
        )
        known = ~np.all(np.isinf(errors) & (exponents == 0), axis=1)  # it has steps
        middle = exponents[known].mean(0)
        error = np.sqrt((errors[known] ** 2).sum(0)) / max(known.sum(), 1)
        place = np.arange(1, count + 1)
        _line(ax, place, middle, label, index)
        there = np.isfinite(middle) & np.isfinite(error)
        place, middle, error = place[there], middle[there], error[there]
        low, high = middle - 2 * error, middle + 2 * error
        ax.fill_between(place, low, high, color=f"C{index}", alpha=0.2)
    ax.axhline(0, color="0.5", linestyle=":", linewidth=1)
    ax.set_xlabel("number of the exponent, largest first")
    ax.set_ylabel("exponent, nats per step")
    ax.set_title(title or "Lyapunov spectrum: above 0 grows, below 0 fades")
    ax.legend()
    return ax


def gate_histogram(
    activation: Any, ax: Any = None, *, where: Any = None, title: str | None = None
) -> Any:
    """How the activations of a gate are spread, step by step.

    Args:
        activation: `(T, *batch, H)` in [0, 1] or [-1, 1]: an entry of
            `gate_activations`.
        where: which steps count, `(T, *batch)` booleans; by default all.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.gate_histogram(np.linspace(0, 1, 60).reshape(6, 10))
        >>> print(ax.get_ylabel())
        activation
    """
    ax = _axes(ax)
    from matplotlib.colors import PowerNorm

    values = np.asarray(activation, float)
    if where is not None:
        values = np.where(np.asarray(where)[..., None], values, np.nan)
    values = _rows(values)
    there = np.isfinite(values)
    low, high = (values[there].min(), values[there].max()) if there.any() else (0, 1)
    edges = np.linspace(min(0.0, np.floor(low)), max(1.0, high), 41)
    rows = [row[known] for row, known in zip(values, there, strict=True)]
    counts = np.stack([np.histogram(row, edges)[0] for row in rows], 1)
    extent = (-0.5, len(values) - 0.5, edges[0], edges[-1])
    image = ax.imshow(
        counts / np.maximum(counts.sum(0), 1),
        origin="lower",
        aspect="auto",
        extent=extent,
        norm=PowerNorm(0.5),  # what few units do is seen too
        cmap="viridis",
        interpolation="nearest",
    )
    ax.figure.colorbar(image, ax=ax, label="fraction of units and examples")
    middle = [np.median(row) if row.size else np.nan for row in rows]
    ax.plot(np.arange(len(values)), middle, color="w", linewidth=1.5, label="median")
    ax.set_xlabel("time step t")
    ax.set_ylabel("activation")
    ax.set_title(title or "Activations of a gate, over time")
    ax.legend(facecolor="0.4", labelcolor="w")
    return ax


def eigenvalues(
    kernels: Mapping[str, Any], ax: Any = None, *, title: str | None = None
) -> Any:
    """The eigenvalues of recurrent kernels, in the plane with the unit circle.

    Args:
        kernels: by label, `(n, n)`, such as an Elman cell's `recurrent_kernel` before
            and after training.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        >>> ax = jaxrnn.plotting.eigenvalues({"turn": turn})
        >>> print(ax.get_aspect())
        1.0
    """
    ax = _axes(ax)
    turn = np.linspace(0, 2 * np.pi, 400)
    ax.plot(np.cos(turn), np.sin(turn), color="0.5", linewidth=1, label="unit circle")
    for index, (label, kernel) in enumerate(kernels.items()):
        values = np.linalg.eigvals(np.asarray(kernel, float))
        look = {"facecolors": "none", "edgecolors": f"C{index}", "zorder": 2 + index}
        marker = "os^D"[index % 4]
        ax.scatter(values.real, values.imag, 24, marker=marker, label=label, **look)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    ax.set_title(title or "Eigenvalues of the recurrent kernel")
    ax.legend(loc="upper right")
    return ax


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxrnn.plotting needs matplotlib: pip install matplotlib"
        ) from error
    return pyplot.subplots(layout="constrained")[1]


def _by_label(name: str, values: Any) -> Mapping[str, Any]:
    if isinstance(values, Mapping):
        return values
    raise TypeError(
        f"plotting.{name}: got a {type(values).__name__}, expected a dict by label, such "
        'as {"LSTM": ...}, with an entry for each line'
    )


def _rows(values: Any) -> np.ndarray:
    """All axes but the first as one."""
    values = np.asarray(values, float)
    return values.reshape(len(values), -1)


def _line(
    ax: Any, x: np.ndarray, y: np.ndarray, label: str, index: int, positive: bool = False
) -> None:
    shown = np.isfinite(y) & (y > 0 if positive else True)
    style, marker = STYLES[index % len(STYLES)], MARKERS[index // len(STYLES) % 4]
    alone = np.count_nonzero(shown) == 1  # one point is no line
    ax.plot(
        x,
        np.where(shown, y, np.nan),  # a gap
        label=label,
        color=f"C{index}",
        linestyle=style,
        marker=marker or ("o" if alone else None),
        markevery=max(len(x) // 8, 1),
    )


def _log_scale(ax: Any) -> None:
    if any(np.isfinite(line.get_ydata()).any() for line in ax.get_lines()):
        ax.set_yscale("log")  # of nothing it would warn
