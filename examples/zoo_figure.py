"""The figure of `zoo.py`: cells against lags, beside what they reach and cost."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

LEAST = 1e-6  # smaller gradients have the colour of this one
COLOURS = dict(
    zip(
        ("LSTM", "GRU", "Elman", "stable", "dynamics", "scales", "affine"),
        plt.get_cmap("tab10").colors,  # pyright: ignore[reportAttributeAccessIssue]
        strict=False,
    )
)


def draw(rows: list[tuple[str, dict]], args: Any, path: Path) -> None:
    """One row a cell, in this order."""
    names = [name for name, _ in rows]
    colours = [COLOURS[row["family"]] for _, row in rows]
    height = 2.4 + 0.19 * len(rows)
    figure, panels = plt.subplots(
        1,
        5,
        figsize=(15, height),
        sharey=True,
        width_ratios=(3, 3, 1.3, 1.3, 1.3),
        layout="constrained",
    )
    for axes, when in zip(panels, ("before", "after"), strict=False):
        image = lags(axes, [np.asarray(row[when], float) for _, row in rows])
        axes.set_title(f"Gradient {when} training", fontsize=11)
    panels[0].set_yticks(range(len(rows)), names, fontsize=8)
    for label, colour in zip(panels[0].get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    bar = figure.colorbar(
        image, ax=panels[:2], location="bottom", shrink=0.4, aspect=40, pad=0.01
    )
    bar.set_label("size of the gradient, where it starts: 1", fontsize=9)
    measured = (
        ("accuracy", 100, f"{args.data}: % right", (0, 100)),
        ("adding", 100, "adding: error,\n% of a guess", (0, 120)),
    )
    for axes, (key, factor, title, limits) in zip(panels[2:], measured, strict=False):
        for place, (_, row) in enumerate(rows):
            runs = np.nan_to_num(factor * np.asarray(row[key], float), nan=1e9)
            axes.plot(np.clip(runs, *limits), [place] * len(runs), ".", c="0.6", ms=4)
            axes.plot(np.clip(runs.mean(), *limits), place, "o", c=colours[place], ms=5)
        axes.set_xlim(limits[0] - 4, limits[1] + 4)
        axes.set_title(title, fontsize=11)
    panels[4].scatter(
        [row["microseconds"] for _, row in rows], range(len(rows)), c=colours
    )
    panels[4].set_xscale("log")
    low, high = panels[4].get_xlim()
    panels[4].set_xlim(min(low, 0.3), max(high, 3))
    panels[4].xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panels[4].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[4].xaxis.set_minor_formatter(NullFormatter())
    panels[4].set_title("cost: µs a step\nand sequence", fontsize=11)
    for axes in panels[2:]:
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
    panels[0].margins(y=0.01)
    families = dict.fromkeys(row["family"] for _, row in rows)
    handles = [Patch(color=COLOURS[family], label=family) for family in families]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False)
    figure.suptitle(
        f"How far back does the last output see? {len(rows)} recurrent cells of "
        f"{args.hidden_size} units, {args.length} steps of the adding problem",
        fontsize=13,
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def lags(axes: Any, profiles: list[np.ndarray]) -> Any:
    """Rows of colours: the size of a gradient by lag.

    It starts at the first lag where it is not zero: some outputs do not read the state.
    """
    starts = [profile[np.argmax(profile > 0)] for profile in profiles]
    parts = [
        p / start if start > 0 else p for p, start in zip(profiles, starts, strict=True)
    ]
    image = axes.imshow(
        np.clip(np.nan_to_num(np.stack(parts), posinf=10, nan=LEAST), LEAST, 10),
        norm=LogNorm(LEAST, 10),
        cmap="magma",
        aspect="auto",
        interpolation="none",
    )
    axes.set_xlabel("lag, steps back from the last output", fontsize=9)
    axes.tick_params(labelsize=8)
    return image
