"""What do norms of the gradients in all carries cost, beside one ordinary gradient?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .cases import QUICK_SHAPES, SHAPES, TITLES, TRAINING, Case
from .libraries import GRADIENT, LIBRARIES, LOG, NORMS
from .options import Options
from .ratios import geometric_mean, median_and_minimum
from .record import Record
from .tables import milliseconds, pair, table
from .workers import alternate, ask_all

QUESTION = "gradient_norms"
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """All in turns, a process each."""
    shapes = options.shapes or (QUICK_SHAPES[:1] if options.quick else SHAPES)
    cells = [cell for cell in options.cells if cell in LIBRARIES[NORMS].cells]
    every = [Case(cell, *shape) for cell in cells for shape in shapes]
    options.progress.begin(QUESTION, len(every))
    record.begin(QUESTION)
    workers = options.workers.named(GRADIENT, NORMS, LOG)
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
        ratios: dict[str, list[tuple[float, float]]] = {NORMS: [], LOG: []}
        for shape, seconds in cases.items():
            for name in ratios:
                ratios[name].append(median_and_minimum(seconds, name, GRADIENT))
            times = [milliseconds(seconds[name]) for name in (GRADIENT, NORMS, LOG)]
            last = [pair(*each[-1]) for each in ratios.values()]
            lines.append([f"{title}: {shape}", *times, *last])
        means = [
            pair(*(geometric_mean(one) for one in zip(*each, strict=True)))
            for each in ratios.values()
        ]
        lines.append([f"{title}: geometric mean", "", "", "", *means])
    titles = [LIBRARIES[name].title for name in (GRADIENT, NORMS, LOG)]
    heads = [f"{title}, ratio" for title in titles[1:]]
    return f"{INTRODUCTION}\n\n{table(['T, B, I, H', *titles, *heads], lines)}"


INTRODUCTION = """\
Milliseconds of one run, median (minimum), of the sum of the squares of all outputs: the
loss with its gradient in all weights, beside `gradient_norms`, which needs the gradient
in every carry but none in the weights: **below 1, the norms cost less**; and beside
`gradient_log` of the whole batch, whose ratio is its cost in percent of training where it
is called every hundredth step."""
