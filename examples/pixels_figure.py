"""What `pixels.py` shows: a table, and accuracy against how much has been read."""

import math
from pathlib import Path

import matplotlib
import numpy as np
from image_data import TASKS
from options import mean_and_spread
from rich.table import Table

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"GRU": "C0", "LRU": "C3", "LSTM": "C1", "MinGRU": "C2", "Elman": "C4"}


def draw(path: Path, runs: list[dict], data: dict, linear: dict) -> None:
    """What is read, above; how much of it must be read, below."""
    names = list(dict.fromkeys(run["task"] for run in runs))
    figure = plt.figure(figsize=(4 * max(len(names), 2), 7.4), layout="constrained")
    panels = figure.subplots(2, len(names), height_ratios=(1, 2), squeeze=False)
    for name, top, axes in zip(names, *panels, strict=True):
        task, image = TASKS[name], data[name][1][0][0]  # the first that is scored
        T = len(image)
        top.set_title(f"{task.title}: {T} steps")
        if name.endswith("1d"):
            top.plot(range(1, T + 1), image, "k.-", lw=0.5)
            top.set(xlabel="step", ylabel="number that is read")
        else:
            a_step = "a row is a step" if name == "rows" else "row by row, a pixel a step"
            top.imshow(image.reshape(math.isqrt(image.size), -1), cmap="gray_r")
            top.set(xticks=[], yticks=[], xlabel=a_step)
        for cell in dict.fromkeys(run["cell"] for run in runs):
            of = [r["shares"] for r in runs if (r["task"], r["cell"]) == (name, cell)]
            if of:
                read, share = np.arange(1, T + 1), np.mean(of, axis=0)
                look = dict(c=COLOURS[cell], label=f"{cell}, in the end {share[-1]:.3f}")
                axes.fill_between(
                    read, np.min(of, 0), np.max(of, 0), color=COLOURS[cell], alpha=0.2
                )
                axes.plot(read, share, **look)
        lines = [(f"published: {k}", v, "--") for k, v in task.published.items()]
        for whose, share, style in (
            *lines,
            ("linear, of all at once", linear[name], ":"),
        ):
            colour = {"people": "0.6"}.get(whose.removeprefix("published: "), "k")
            label = f"{whose} {share:.3f}"
            axes.axhline(share, c=colour, ls=style, lw=1, label=label)
        axes.set(xlabel="steps read", ylabel="share of right answers", ylim=(0, 1))
        axes.set(xlim=(0, T), yticks=np.arange(0, 1.01, 0.1))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize="small")
    count = len({run["seed"] for run in runs})
    how = (
        f"\nmean of {count} runs; shaded: the lowest to the highest" if count > 1 else ""
    )
    figure.suptitle(f"Above: what is read. Below: what is known of it by then{how}")
    figure.savefig(path, dpi=100)


def table_of(runs: list[dict], linear: dict, scored: str) -> Table:
    table = Table("read", "by", "right", box=None, title=scored)
    for name in dict.fromkeys(run["task"] for run in runs):
        rights: dict[str, list] = {}
        for run in runs:
            if run["task"] == name:
                rights.setdefault(run["cell"], []).append(run["right"])
        rows = {cell: mean_and_spread(right) for cell, right in rights.items()}
        rows |= {f"published: {k}": f"{v:.3f}" for k, v in TASKS[name].published.items()}
        rows["computed: linear (ridge), of all at once"] = f"{linear[name]:.3f}"
        for i, row in enumerate(rows.items()):
            table.add_row("" if i else TASKS[name].title, *row)
    return table
