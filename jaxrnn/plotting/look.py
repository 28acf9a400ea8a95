"""How figures look: axes, lines, scales."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

STYLES = ("-", "--", "-.", ":")
MARKERS = (None, "o", "s", "^")


def axes_or_new(ax: Any, projection: str | None = None) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxrnn.plotting needs matplotlib: pip install matplotlib"
        ) from error
    kind = {"projection": projection}
    return pyplot.subplots(layout="constrained", subplot_kw=kind)[1]


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by name, such as "h", "c" or "[1].h"; "carry" if bare."""
    names = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path)
        name = name.replace("['", ".").replace("']", "").removeprefix(".")
        names[name or "carry"] = leaf
    return names


def lines_of(name: str, values: Any) -> dict[str, Any]:
    """What is to be drawn, by label: `(T, *batch)` for every line.

    Of a measurement, bare or by label, every leaf of the carry is a line: of an LSTM "h"
    and "c", by the label "LSTM" "LSTM h" and "LSTM c".
    """
    every = values if isinstance(values, Mapping) else {"": values}
    lines = {}
    for label, value in every.items():
        for leaf_name, leaf in named(_array_of_numbers(value)).items():
            bare = leaf_name == "carry"
            shown = (label or leaf_name) if bare else f"{label} {leaf_name}".strip()
            if np.ndim(leaf) == 0:
                raise ValueError(
                    f"plotting.{name}: {shown!r} is a number, expected an array "
                    "(T, *batch): what the function of the same name returns, or that "
                    'by label, such as {"LSTM": ...}'
                )
            lines[shown] = leaf
    return lines


def _array_of_numbers(value: Any) -> Any:
    """A list of numbers is one line; one of arrays is a line for each."""
    numbers = isinstance(value, list) and all(np.ndim(entry) == 0 for entry in value)
    return np.asarray(value, float) if numbers else value


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
