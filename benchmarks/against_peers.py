"""Is one layer of jaxrnn faster than the same layer of other libraries?"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .cases import FORWARD, GATES, QUICK_SHAPES, SHAPES, TITLES, TRAINING, Case
from .comparison import measure_case
from .libraries import CONTROL, FLOOR, LIBRARIES, OURS, PEERS
from .options import Options
from .ratios import STATISTICS, Ratios, geometric_mean, ratios, spread
from .record import Record
from .tables import ABSENT, digits, milliseconds, pair, table
from .workers import ask_all

QUESTION = "against_peers"
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Compare the results of all libraries, then time them in turns, case by case."""
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    every = [Case(cell, *shape) for cell in options.cells for shape in shapes]
    options.progress.begin(QUESTION, 2 * len(every))
    record.begin(QUESTION)
    measured = [OURS, CONTROL, FLOOR, *(name for name in PEERS if name in options.peers)]
    workers = options.workers.named(*measured)
    for case in every:
        measure_case(QUESTION, case, workers, record, options)
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


def report(rows: Sequence[Row]) -> str:
    """A table for each cell, forward and training, and the geometric means of all."""
    points = grouped(rows)
    parts = [INTRODUCTION]
    for cell in GATES:
        for what in (FORWARD, TRAINING):
            some = selected(points, what, cell)
            if some:
                heading = f"### {TITLES[cell]}, {TITLE_OF[what]}"
                parts += [heading, cell_table(some)]
    return "\n\n".join([*parts, "### Geometric means over the grid", summary(points)])


def side_by_side(runs: Mapping[str, Sequence[Row]]) -> str:
    """Rows by the label of their run: jaxrnn's times and both ratios of each."""
    every = {label: grouped(rows) for label, rows in runs.items()}
    keys = dict.fromkeys(
        (point.case, point.what) for points in every.values() for point in points
    )
    lines = []
    for cell in GATES:
        for what in (FORWARD, TRAINING):
            shapes = [case for case, one in keys if one == what and case.cell == cell]
            compared: dict[str, list] = {label: [] for label in every}
            for case in shapes:
                line = [f"{TITLES[cell]}, {what}: {case.T}, {case.B}, {case.I}, {case.H}"]
                for label, points in every.items():
                    here = [p for p in points if (p.case, p.what) == (case, what)]
                    if here:
                        compared[label].append(both_statistics(here[0]))
                        median, minimum = compared[label][-1]
                        line += [
                            milliseconds(here[0].seconds[OURS]),
                            pair(median.best_jax, minimum.best_jax),
                            pair(median.torch, minimum.torch),
                        ]
                    else:
                        line += [ABSENT] * 3
                lines.append(line)
            if shapes:
                line = [f"{TITLES[cell]}, {what}: geometric mean"]
                for both in compared.values():
                    line += ["", *mean_ratios(both)[:2]]
                lines.append(line)
    columns = "jaxrnn, ms", "best JAX peer / jaxrnn", "torch / jaxrnn"
    header = [f"{label}: {column}" for label in every for column in columns]
    return f"{INTRODUCTION}\n\n{table(['T, B, I, H', *header], lines)}"


TITLE_OF = {FORWARD: "forward, ms", TRAINING: "training step, ms"}
INTRODUCTION = """\
Milliseconds of one run, median (minimum); float32. A training step is the loss (sum of
squares of all outputs) with its gradients in all weights and in the inputs. Ratios are
the other's time over jaxrnn's, of medians (of minima): **above 1, jaxrnn is faster**.
`control` is the same ratio for jaxrnn in a second process, 1 but for noise; `spread` is
the interquartile range of jaxrnn's runs over their median. `products alone` are the
case's matrix products by XLA and nothing else, a floor for the libraries of JAX, and
`GFLOP/s` their speed. A dash: that library has no such cell (haiku's Elman cell is a relu
and its GRU resets before the product; equinox has no Elman cell)."""


class Point(NamedTuple):
    """One program of one case, in every library."""

    case: Case
    what: str
    seconds: dict[str, list[float]]


def grouped(rows: Sequence[Row]) -> list[Point]:
    """The points, in the order of the rows."""
    points: dict[tuple[Case, str], Point] = {}
    for row in rows:
        case = Case(**{field.name: row[field.name] for field in dataclasses.fields(Case)})
        point = points.setdefault((case, row["what"]), Point(case, row["what"], {}))
        point.seconds[row["library"]] = row["seconds"]
    return list(points.values())


def selected(points: Sequence[Point], what: str, cell: str | None = None) -> list[Point]:
    return [
        point
        for point in points
        if point.what == what and cell in (None, point.case.cell)
    ]


def both_statistics(point: Point) -> tuple[Ratios, Ratios]:
    by_median, by_minimum = (ratios(point.seconds, name) for name in STATISTICS)
    return by_median, by_minimum


def cell_table(points: Sequence[Point]) -> str:
    present = {name for point in points for name in point.seconds}
    columns = [name for name in (FLOOR, OURS, *PEERS) if name in present]
    lines, compared = [], []
    for point in points:
        case, seconds = point.case, point.seconds
        median, minimum = both_statistics(point)
        compared.append((median, minimum))
        best = median.best_jax_peer
        lines.append(
            [
                f"{case.T}, {case.B}, {case.I}, {case.H}",
                *(milliseconds(seconds.get(name)) for name in columns),
                LIBRARIES[best].title if best else ABSENT,
                pair(median.best_jax, minimum.best_jax),
                pair(median.torch, minimum.torch),
                pair(median.control, minimum.control),
                f"{100 * spread(seconds[OURS]):.0f}%",
                gigaflops(point),
            ]
        )
    means = mean_ratios(compared)
    blanks = [""] * (len(columns) + 1)
    lines.append(["geometric mean", *blanks, *means, "", ""])
    header = [
        "T, B, I, H",
        *(LIBRARIES[name].title for name in columns),
        "best JAX peer",
        "best JAX peer / jaxrnn",
        "torch / jaxrnn",
        "control",
        "spread",
        "products, GFLOP/s",
    ]
    return table(header, lines)


def gigaflops(point: Point) -> str:
    """The fastest that the machine has done the products of the case."""
    if FLOOR not in point.seconds:
        return ABSENT
    work = point.case.products * (3 if point.what == TRAINING else 1)
    return digits(1e-9 * work / min(point.seconds[FLOOR]))


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
        groups = {TITLES[cell]: selected(points, what, cell) for cell in GATES}
        groups = {title: some for title, some in groups.items() if some}
        groups["all"] = selected(points, what)
        for title, some in groups.items():
            means = mean_ratios([both_statistics(point) for point in some])
            lines.append([f"{title}: {what}", str(len(some)), *means])
    header = ["", "shapes", "best JAX peer / jaxrnn", "torch / jaxrnn", "control"]
    return table(header, lines)
