"""What does it cost to solve a recurrence for all steps at once?"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import FORWARD, TRAINING, Case
from .equality import assert_workers_agree
from .libraries import LIBRARIES, PARALLEL
from .options import Options
from .ratios import geometric_mean, median_and_minimum
from .record import Record
from .tables import ABSENT, digits, milliseconds, pair, table
from .workers import alternate, ask_all

QUESTION = "parallel"
CELLS, QUICK_CELLS = ("MinGRU", "LRU", "GRU"), ("MinGRU", "GRU")
SHAPES = (
    (1000, 16, 32, 32),
    (1000, 1, 128, 128),
    (10_000, 1, 32, 32),
    (100_000, 1, 4, 4),
)
QUICK_SHAPES = ((500, 4, 8, 8),)
SCAN, NEWTON = "parallel_scan", "parallel_newton"
MOST = 2**29  # numbers in all Jacobians of Newton's method: 2 GiB, several times over
FEW = 3  # runs of a turn: one form may take a hundred times the time of another
TOLERANCE = 1e-2  # relative; float32 over a hundred thousand steps
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Equal losses and gradients first, then turns of all forms that the cell has."""
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    cells = QUICK_CELLS if options.quick else CELLS
    turns = dataclasses.replace(options.turns, most_runs=FEW)
    options.progress.begin(QUESTION, len(cells) * len(shapes))
    record.begin(QUESTION)
    for case in (Case(cell, *shape) for cell in cells for shape in shapes):
        names = [name for name in PARALLEL if case.cell in LIBRARIES[name].cells]
        if case.T * case.B * case.H**2 > MOST:
            names = [name for name in names if name != NEWTON]
        workers = options.workers.named(*names)
        options.progress.say(f"{case}: compiling")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        programs = FORWARD, TRAINING
        costs = {what: ask_all(workers, "compile", what=what) for what in programs}
        with tempfile.TemporaryDirectory() as folder:
            assert_workers_agree(workers, SCAN, Path(folder), TOLERANCE)
        options.progress.say(f"{case}: timing")
        for what in programs:
            for name, seconds in alternate(workers, what, turns).items():
                row = dataclasses.asdict(case) | costs[what][name]
                record.add(QUESTION, **row, what=what, library=name, seconds=seconds)
        options.progress.advance()
        for versions in ask_all(workers, "versions").values():
            record.add_versions(versions)


INTRODUCTION = """\
Milliseconds of one run, median (minimum), of all outputs, and of the sum of their squares
with its gradients in all weights and in the inputs. Ratios are the other's time over that
of `Scan()`, of medians (of minima): **above 1, `Scan()` is faster**, below 1 the other
is. `plain scan` is `jax.lax.scan` of the step, `plain prefix` `jax.lax.associative_scan`
of the pairs (a, b) of h' = a h + b, of complex ones for the LRU; what does not need the
carry is outside of both. Losses and gradients were equal before. λ is the largest
Lyapunov exponent, nats a step: where it is below 0, iterations are few. Of an affine step
Newton's method is one iteration, the same as `Associative()`, and is left out; as it is
where its Jacobians are above 2 GiB."""


def report(rows: Sequence[Row]) -> str:
    """Forward and training: a line a case, and the geometric means of each cell."""
    parts = [INTRODUCTION]
    for what, title in ((FORWARD, "Forward"), (TRAINING, "Training step")):
        found: dict[str, dict[str, dict[str, Row]]] = {}
        for row in rows:
            if row["what"] == what:
                shape = ", ".join(str(row[size]) for size in "TBIH")
                shapes = found.setdefault(row["cell"], {})
                shapes.setdefault(shape, {})[row["library"]] = row
        parts += [f"### {title}", table_of(found, what)]
    return "\n\n".join(parts)


def table_of(found: dict[str, dict[str, dict[str, Row]]], what: str) -> str:
    others = [name for name in PARALLEL if name != SCAN]
    lines = []
    for cell, shapes in found.items():
        ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in others}
        for shape, rows in shapes.items():
            seconds = {name: row["seconds"] for name, row in rows.items()}
            for name in seconds.keys() & ratios.keys():
                ratios[name].append(median_and_minimum(seconds, name, SCAN))
            lines.append(
                [
                    f"{cell}: {shape}",
                    *(milliseconds(seconds.get(name)) for name in PARALLEL),
                    *(pair(*ratios[n][-1]) if n in seconds else ABSENT for n in others),
                    *(newton(rows.get(NEWTON)) if what == FORWARD else []),
                ]
            )
        if len(shapes) > 1:
            means = [
                pair(*(geometric_mean(one) for one in zip(*each, strict=True)))
                if each
                else ABSENT
                for each in ratios.values()
            ]
            blanks = [""] * len(PARALLEL), [""] * (2 if what == FORWARD else 0)
            lines.append([f"{cell}: geometric mean", *blanks[0], *means, *blanks[1]])
    titles = [LIBRARIES[name].title for name in PARALLEL]
    header = [
        "T, B, I, H",
        *(f"{title}, ms" for title in titles),
        *(f"{LIBRARIES[name].title}, ratio" for name in others),
        *(["iterations", "λ"] if what == FORWARD else []),
    ]
    return table(header, lines)


def newton(row: Row | None) -> list[str]:
    """Its iterations, and the largest exponent."""
    if row is None:
        return [ABSENT, ABSENT]
    sign = "-" if row["exponent"] < 0 else ""
    return [str(row["iterations"]), sign + digits(abs(row["exponent"]))]
