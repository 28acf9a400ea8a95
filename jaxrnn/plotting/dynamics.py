"""Figures of Jacobians, exponents and recurrent kernels."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .look import axes_or_new, draw_line, rows_of


def singular_values(
    logs: Any, ax: Any = None, *, lags: Any = None, title: str | None = None
) -> Any:
    """Bands of the singular values of products of Jacobians, against their length.

    The line is the median; the bands hold half of the values, and all of them. What lies
    further below the largest than the dtype can tell is rounding and not drawn.

    Args:
        logs: `(lags, n)` or `(lags, *batch, n)` from `product_singular_values`, in its
            dtype.
        lags: the lengths of the products, where they are not 1, 2, 3, ...
        ax, title: as in `gradient_norms`, as are result and error.

    Raises:
        ValueError: if `lags` are not as many as rows.

    Example:
        >>> import numpy as np, jaxrnn
        >>> lags = np.arange(1.0, 21)[:, None]
        >>> ax = jaxrnn.plotting.singular_values(-lags * np.linspace(0, 1, 5))
        >>> print(ax.get_xlabel())
        steps in the product
    """
    ax = axes_or_new(ax)
    dtype = np.asarray(logs).dtype
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else np.dtype(float)
    logs = rows_of(logs) / np.log(10)
    there = np.isfinite(logs.max(1))
    lags = np.arange(1, len(logs) + 1) if lags is None else np.asarray(lags)
    if lags.shape != there.shape:
        raise ValueError(
            f"plotting.singular_values: lags has shape {lags.shape}, expected "
            f"{there.shape}, one for each row of logs"
        )
    order = np.argsort(lags, kind="stable")
    order = order[there[order]]
    lags, logs = lags[order], logs[order]
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


def lyapunov_spectrum(spectra: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """Lyapunov exponents in descending order, with a band of two standard errors.

    Args:
        spectra: what `jaxrnn.lyapunov_spectrum` returns, or several of these by label, of
            one example or of a batch, of which the mean is drawn, of those examples that
            have steps; exponents of -inf are left out.
        ax, title: as in `gradient_norms`, as are result and error.

    Raises:
        TypeError: if something else is given.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> values = -jnp.arange(5.0)
        >>> spectrum = jaxrnn.LyapunovSpectrum(values, 0.1 + 0 * values, values[None])
        >>> ax = jaxrnn.plotting.lyapunov_spectrum({"Elman": spectrum})
        >>> print(ax.get_ylabel())
        exponent, nats per step
    """
    every = spectra if isinstance(spectra, Mapping) else {"exponents": spectra}
    for spectrum in every.values():
        parts = "exponents", "standard_error"
        if not all(hasattr(spectrum, part) for part in parts):
            raise TypeError(
                f"plotting.lyapunov_spectrum: got a {type(spectrum).__name__}, expected "
                'a LyapunovSpectrum, or several by label, such as {"LSTM": ...}'
            )
    ax = axes_or_new(ax)
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
        draw_line(ax, place, middle, label, index)
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


def eigenvalues(matrices: Any, ax: Any = None, *, title: str | None = None) -> Any:
    """The eigenvalues of recurrent kernels or Jacobians, with the unit circle.

    Outside of the circle a direction grows, inside it fades; at 1 it stays.

    Args:
        matrices: by label, `(n, n)`, such as an Elman cell's `recurrent_kernel` before
            and after training, or many, `(..., n, n)`, such as `step_jacobians` gives; or
            such an array alone; or what `jaxrnn.fixed_points` returns, whose points are
            told apart by the number of directions that grow.
        ax, title: as in `gradient_norms`, as are result and error.

    Raises:
        ValueError: for what is no square matrix.

    Example:
        >>> import numpy as np, jaxrnn
        >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        >>> ax = jaxrnn.plotting.eigenvalues({"turn": turn})
        >>> print(ax.get_aspect())
        1.0
    """
    every, many = _matrices_of(matrices)
    ax = axes_or_new(ax)
    turn = np.linspace(0, 2 * np.pi, 400)
    ax.plot(np.cos(turn), np.sin(turn), color="0.5", linewidth=1, label="unit circle")
    for index, (label, matrix) in enumerate(every.items()):
        there = np.isfinite(matrix).all((-2, -1))
        values = np.linalg.eigvals(matrix[there]).ravel()
        look = {"facecolors": "none", "edgecolors": f"C{index}", "zorder": 2 + index}
        look["alpha"] = float(np.clip(400 / max(values.size, 1), 0.15, 1))
        size, marker = 12 if many else 24, "os^D"[index % 4]
        ax.scatter(values.real, values.imag, size, marker=marker, label=label, **look)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    of = "Jacobians" if many else "the recurrent kernel"
    ax.set_title(title or f"Eigenvalues of {of}")
    ax.legend(loc="upper right")
    return ax


def _matrices_of(matrices: Any) -> tuple[dict[str, np.ndarray], bool]:
    """By label, `(..., n, n)`, and whether any are many."""
    if hasattr(matrices, "jacobians"):
        unstable = np.asarray(matrices.unstable)
        every = {
            f"{count} grow" if count else "stable": matrices.jacobians[unstable == count]
            for count in np.unique(unstable)
        }
    elif isinstance(matrices, Mapping):
        every = dict(matrices)
    else:
        every = {"eigenvalues": matrices}
    every = {label: np.asarray(matrix, float) for label, matrix in every.items()}
    for label, matrix in every.items():
        if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
            raise ValueError(
                f"plotting.eigenvalues: {label!r} has shape {matrix.shape}, expected "
                "(n, n), or (..., n, n) for many matrices"
            )
    return every, any(matrix.ndim > 2 for matrix in every.values())
