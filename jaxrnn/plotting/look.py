"""How figures look: axes, lines, scales."""

from collections.abc import Mapping
from typing import Any

import numpy as np

STYLES = ("-", "--", "-.", ":")
MARKERS = (None, "o", "s", "^")


def axes_or_new(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxrnn.plotting needs matplotlib: pip install matplotlib"
        ) from error
    return pyplot.subplots(layout="constrained")[1]


def by_label(name: str, values: Any) -> Mapping[str, Any]:
    if isinstance(values, Mapping):
        return values
    raise TypeError(
        f"plotting.{name}: got a {type(values).__name__}, expected a dict by label, such "
        'as {"LSTM": ...}, with an entry for each line'
    )


def rows_of(values: Any) -> np.ndarray:
    """All axes but the first as one."""
    values = np.asarray(values, float)
    return values.reshape(len(values), -1)


def draw_line(
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


def log_scale(ax: Any) -> None:
    if any(np.isfinite(line.get_ydata()).any() for line in ax.get_lines()):
        ax.set_yscale("log")  # of nothing it would warn
