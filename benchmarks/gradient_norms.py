"""What do norms of the gradients in all carries cost, beside one ordinary gradient?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .cases import QUICK_SHAPES, SHAPES, TITLES, TRAINING, Case
from .libraries import GRADIENT, LIBRARIES, NORMS
from .options import Options
from .ratios import STATISTICS, geometric_mean
from .record import Record
from .tables import milliseconds, pair, table
from .workers import alternate, ask_all

QUESTION = "gradient_norms"
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """The two in turns, a process each."""
    shapes = options.shapes or (QUICK_SHAPES[:1] if options.quick else SHAPES)
    cells = [cell for cell in options.cells if cell in LIBRARIES[NORMS].cells]
    every = [Case(cell, *shape) for cell in cells for shape in shapes]
    options.progress.begin(QUESTION, len(every))
    record.begin(QUESTION)
    workers = options.workers.named(GRADIENT, NORMS)
    for case in every:
        options.progress.say(f"{case}: compiling")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        ask_all(workers, "compile", what=TRAINING)
        options.progress.say(f"{case}: timing")
        for library, seconds in alternate(workers, TRAINING, options.turns).items():
            row = dataclasses.asdict(case) | {"library": library, "seconds": seconds}
            record.add(QUESTION, **row)
        options.progress.advance()
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


def report(rows: Sequence[Row]) -> str:
    """A line a case, and the geometric mean of each cell's ratios."""
    points: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        shape = ", ".join(str(row[size]) for size in "TBIH")
        cases = points.setdefault(TITLES[row["cell"]], {})
        cases.setdefault(shape, {})[row["library"]] = row["seconds"]
    lines = []
    for title, cases in points.items():
        ratios = []
        for shape, seconds in cases.items():
            both = seconds[GRADIENT], seconds[NORMS]
            ratios.append([over(both[1]) / over(both[0]) for over in STATISTICS.values()])
            times = [milliseconds(runs) for runs in both]
            lines.append([f"{title}: {shape}", *times, pair(*ratios[-1])])
        means = [geometric_mean(one) for one in zip(*ratios, strict=True)]
        lines.append([f"{title}: geometric mean", "", "", pair(*means)])
    titles = [LIBRARIES[name].title for name in (GRADIENT, NORMS)]
    return f"{INTRODUCTION}\n\n{table(['T, B, I, H', *titles, 'ratio'], lines)}"


INTRODUCTION = """\
Milliseconds of one run, median (minimum), of the sum of the squares of all outputs: the
loss with its gradient in all weights, and `gradient_norms`, which needs the gradient in
every carry but none in the weights. **Below 1, the norms cost less.**"""
