"""Is one layer of jaxrnn faster than the same layer of other libraries?"""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .cases import FORWARD, GATES, QUICK_SHAPES, SHAPES, TITLES, TRAINING, Case
from .equality import assert_workers_agree
from .libraries import CONTROL, FLOOR, LIBRARIES, OURS, PEERS
from .options import Options
from .ratios import STATISTICS, Ratios, geometric_mean, ratios, spread
from .record import Record
from .tables import ABSENT, pair, table
from .workers import alternate, started

QUESTION = "against_peers"
Row = dict[str, Any]
SHAPE = ("T", "B", "I", "H")


def measure(record: Record, options: Options) -> None:
    """Compare the results of all libraries, then time them in turns, case by case."""
    shapes = QUICK_SHAPES if options.quick else SHAPES
    every = [Case(cell, *shape) for cell in options.cells for shape in shapes]
    options.progress.begin(QUESTION, 2 * len(every))
    record.begin(QUESTION)
    measured = [OURS, CONTROL, FLOOR, *(name for name in PEERS if name in options.peers)]
    with started(*measured) as workers, tempfile.TemporaryDirectory() as folder:
        for case in every:
            having = {
                name: worker
                for name, worker in workers.items()
                if case.cell in LIBRARIES[name].cells
            }
            costs = {}
            for name, worker in having.items():
                options.progress.say(f"{case}: {LIBRARIES[name].title} compiles")
                worker.build(case)
                costs[name] = {
                    what: worker.ask("compile", what=what) for what in (FORWARD, TRAINING)
                }
            options.progress.say(f"{case}: comparing results")
            compared = {name: having[name] for name in having if name != FLOOR}
            assert_workers_agree(compared, having[OURS], Path(folder))
            for what in (FORWARD, TRAINING):
                options.progress.say(f"{case}: {what}")
                seconds = alternate(having, what, options.turns)
                for name in having:
                    record.add(
                        QUESTION,
                        **dataclasses.asdict(case),
                        what=what,
                        library=name,
                        seconds=seconds[name],
                        **costs[name][what],
                    )
                options.progress.advance()
        for worker in workers.values():
            record.add_versions(worker.ask("versions"))


def report(rows: Sequence[Row]) -> str:
    """A table for each cell, forward and training, and the geometric means of all."""
    points = [*grouped(rows)]
    parts = [INTRODUCTION]
    for cell in GATES:
        for what in (FORWARD, TRAINING):
            some = [point for point in points if point[:2] == (cell, what)]
            if some:
                heading = f"### {TITLES[cell]}, {TITLE_OF[what]}"
                parts += [heading, cell_table([point[2:] for point in some])]
    return "\n\n".join([*parts, "### Geometric means over the grid", summary(points)])


TITLE_OF = {FORWARD: "forward, ms", TRAINING: "training step, ms"}
INTRODUCTION = """\
Milliseconds of one run, median (minimum); float32. A training step is the loss (sum of
squares of all outputs) with its gradients in all weights and in the inputs. Ratios are
the other's time over jaxrnn's, of medians (of minima): **above 1, jaxrnn is faster**.
`control` is the same ratio for jaxrnn in a second process, 1 but for noise; `spread` is
the interquartile range of jaxrnn's runs over their median. `products alone` are the
case's matrix products and nothing else, the floor. A dash: that library has no such cell
(the Elman cell of haiku is a relu, its GRU resets before the product; equinox has no
Elman cell)."""


Point = tuple[str, str, tuple[int, ...], dict[str, list[float]]]


def grouped(rows: Sequence[Row]) -> Iterator[Point]:
    """(cell, what, shape, seconds by library), in the order of the rows."""
    found: dict[tuple, dict[str, list[float]]] = {}
    for row in rows:
        key = row["cell"], row["what"], tuple(row[size] for size in SHAPE)
        found.setdefault(key, {})[row["library"]] = row["seconds"]
    for (cell, what, shape), seconds in found.items():
        yield cell, what, shape, seconds


def both_statistics(seconds: dict[str, list[float]]) -> tuple[Ratios, Ratios]:
    by_median, by_minimum = (ratios(seconds, statistic) for statistic in STATISTICS)
    return by_median, by_minimum


def cell_table(points: Sequence[tuple[tuple[int, ...], dict[str, list[float]]]]) -> str:
    present = {name for _, seconds in points for name in seconds}
    columns = [name for name in (FLOOR, OURS, *PEERS) if name in present]
    lines, compared = [], []
    for shape, seconds in points:
        median, minimum = both_statistics(seconds)
        compared.append((median, minimum))
        best = median.best_jax_peer
        lines.append(
            [
                ", ".join(map(str, shape)),
                *(milliseconds(seconds.get(name)) for name in columns),
                LIBRARIES[best].title if best else ABSENT,
                pair(median.best_jax, minimum.best_jax),
                pair(median.torch, minimum.torch),
                pair(median.control, minimum.control),
                f"{100 * spread(seconds[OURS]):.0f}%",
            ]
        )
    means = mean_ratios(compared)
    blanks = [""] * (len(columns) + 1)
    lines.append(["geometric mean", *blanks, *means, ""])
    header = [
        "T, B, I, H",
        *(LIBRARIES[name].title for name in columns),
        "best JAX peer",
        "best JAX peer / jaxrnn",
        "torch / jaxrnn",
        "control",
        "spread",
    ]
    return table(header, lines)


def milliseconds(runs: list[float] | None) -> str:
    if runs is None:
        return ABSENT
    return pair(1e3 * statistics.median(runs), 1e3 * min(runs))


def mean_ratios(compared: Sequence[tuple[Ratios, Ratios]]) -> list[str]:
    """Of the best JAX peer, torch and the control, by median (by minimum)."""
    return [
        pair(
            geometric_mean(getattr(median, name) for median, _ in compared),
            geometric_mean(getattr(minimum, name) for _, minimum in compared),
        )
        for name in ("best_jax", "torch", "control")
    ]


def summary(points: Sequence[Point]) -> str:
    """Per cell, and over the cells."""
    lines = []
    for what in (FORWARD, TRAINING):
        selected = [point for point in points if point[1] == what]
        cells = [cell for cell in GATES if any(cell == point[0] for point in selected)]
        for cell in cells:
            some = [both_statistics(point[3]) for point in selected if point[0] == cell]
            best, torch, control = mean_ratios(some)
            lines.append([f"{TITLES[cell]}: {what}", str(len(some)), best, torch, control])
        every = mean_ratios([both_statistics(point[3]) for point in selected])
        lines.append([f"all: {what}", str(len(selected)), *every])
    header = ["", "shapes", "best JAX peer / jaxrnn", "torch / jaxrnn", "control"]
    return table(header, lines)

