"""Is every cell of the zoo fast: against torchrecurrent, and a plain scan?"""

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import TRAINING, Case
from .equality import assert_workers_agree
from .libraries import LIBRARIES
from .options import Options
from .ratios import geometric_mean, median_and_minimum
from .record import Record
from .tables import ABSENT, digits, mebibytes, milliseconds, pair, table
from .workers import alternate, ask_all

QUESTION = "zoo"
SHAPES = ((100, 32, 128, 128),)  # I = H: some cells show x itself
QUICK_SHAPES = ((20, 8, 32, 32),)
QUICK_CELLS = ("LSTM", "MGU", "MUT1", "LEM", "IndRNN", "ConvLSTM")
NAMES = OURS, SCAN, TORCH = "zoo", "zoo_scan", "zoo_torch"
TOLERANCE = 2e-2  # relative; some cells divide, some take six steps in one, in float32
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Equal results of `unroll` and scan first, then turns of all three."""
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    peer = "torch" in options.peers and LIBRARIES[TORCH].installed
    names = [OURS, SCAN, *([TORCH] if peer else [])]
    workers = options.workers.named(*names)
    having = ask_all(workers, "names")
    cells = QUICK_CELLS if options.quick else having[OURS]
    options.progress.begin(QUESTION, len(cells) * len(shapes))
    record.begin(QUESTION)
    for case in (Case(cell, *shape) for cell in cells for shape in shapes):
        some = {name: workers[name] for name in names if case.cell in having[name]}
        options.progress.say(f"{case}: compiling")
        ask_all(some, "build", case=dataclasses.asdict(case), options={})
        costs = ask_all(some, "compile", what=TRAINING)
        with tempfile.TemporaryDirectory() as folder:
            both = {name: some[name] for name in (OURS, SCAN)}
            assert_workers_agree(both, OURS, Path(folder), TOLERANCE)
        options.progress.say(f"{case}: timing")
        for name, seconds in alternate(some, TRAINING, options.turns).items():
            record.add(
                QUESTION,
                **dataclasses.asdict(case),
                library=name,
                seconds=seconds,
                compile_seconds=costs[name]["compile_seconds"],
                temporary_bytes=costs[name]["temporary_bytes"],
            )
        options.progress.advance()
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


INTRODUCTION = """\
Milliseconds of one training step, the loss (sum of squares of all outputs) with its
gradients in all weights and in the inputs, median (minimum), sorted by the first;
ratios are the other's time over that of `unroll`, of medians (of minima): **above 1,
`unroll` is faster**. `plain scan` is `jax.lax.scan` of the cell's single step, which has
the products by x in its loop, and gave the same loss and gradients before. torchrecurrent
runs each step from Python, from weights of its own, on the same shapes; tests/parity says
where its equations are others."""


def report(rows: Sequence[Row]) -> str:
    """A line a cell."""
    points: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        shape = ", ".join(str(row[size]) for size in "TBIH")
        points.setdefault((shape, row["cell"]), {})[row["library"]] = row
    parts = [INTRODUCTION]
    for shape in dict.fromkeys(shape for shape, _ in points):
        found = {cell: each for (one, cell), each in points.items() if one == shape}
        parts += [f"T, B, I, H = {shape}", table_of(found)]
    return "\n\n".join(parts)


def table_of(found: dict[str, dict[str, Row]]) -> str:
    lines, ratios = [], {SCAN: [], TORCH: []}
    median = lambda row: statistics.median(row["seconds"])  # noqa: E731
    for cell, rows in sorted(found.items(), key=lambda item: median(item[1][OURS])):
        seconds = {name: row["seconds"] for name, row in rows.items()}
        both = {
            name: median_and_minimum(seconds, name, OURS)
            for name in ratios
            if name in seconds
        }
        for name, ratio in both.items():
            ratios[name].append(ratio)
        ours = rows[OURS]
        lines.append(
            [
                cell,
                *(milliseconds(seconds.get(name)) for name in (OURS, SCAN, TORCH)),
                *(pair(*both[name]) if name in both else ABSENT for name in ratios),
                mebibytes(ours["temporary_bytes"]),
                mebibytes(rows[SCAN]["temporary_bytes"]),
                digits(ours["compile_seconds"]),
            ]
        )
    means = [
        pair(*(geometric_mean(one) for one in zip(*column, strict=True)))
        if column
        else ABSENT
        for column in ratios.values()
    ]
    lines.append(["geometric mean", "", "", "", *means, "", "", ""])
    header = [
        f"{len(found)} cells",
        *("unroll, ms", "plain scan, ms", "torchrecurrent, ms"),
        *("plain scan / unroll", "torchrecurrent / unroll"),
        *("unroll, MiB", "plain scan, MiB", "unroll compiles, s"),
    ]
    return table(header, lines)
