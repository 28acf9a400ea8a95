"""How much memory does jaxrnn take for temporaries, forward and for gradients?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .cases import FORWARD, SHAPES, TITLES, TRAINING, Case
from .libraries import LIBRARIES, OURS
from .options import Options
from .record import Record
from .tables import ABSENT, digits, mebibytes, table
from .workers import Worker, ask_all

QUESTION = "memory"
PEER = "flax_linen"
STEPS, QUICK_STEPS = (100, 300, 1000, 3000, 10000), (100, 1000)
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Programs are compiled and asked; nothing runs."""
    steps = QUICK_STEPS if options.quick else STEPS
    shapes = options.shapes or (SHAPES[:1] if options.quick else SHAPES)
    series = [Case("lstm", T, B=16, I=64, H=64) for T in steps]
    cells = [cell for cell in ("lstm", "gru") if cell in options.cells]
    grid = [Case(cell, *shape) for cell in cells for shape in shapes]
    record.begin(QUESTION)
    names = (OURS, PEER) if PEER in options.peers else (OURS,)
    workers = options.workers.named(*names)
    methods = workers[OURS].ask("methods")
    others = [method for method in methods if method != methods[0]]
    jobs = [("steps", case, method) for case in series for method in [None, *others]]
    jobs += [("grid", case, None) for case in grid]
    options.progress.begin(QUESTION, len(jobs))
    for name, case, method in jobs:
        options.progress.say(f"{case}: {method or methods[0]}")
        asked = {OURS: workers[OURS]} if method else workers
        for library, found in temporaries(asked, case, method).items():
            setting = (method or methods[0]) if library == OURS else None
            row = {"series": name, "library": library, "method": setting}
            for what, count in found.items():
                record.add(
                    QUESTION,
                    **row,
                    **dataclasses.asdict(case),
                    what=what,
                    temporary_bytes=count,
                )
        options.progress.advance()
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


def temporaries(
    workers: dict[str, Worker], case: Case, method: str | None
) -> dict[str, dict[str, int]]:
    """Bytes by library and program."""
    options = {"method": method} if method else {}
    ask_all(workers, "build", case=dataclasses.asdict(case), options=options)
    found: dict[str, dict[str, int]] = {name: {} for name in workers}
    for what in (FORWARD, TRAINING):
        for name, cost in ask_all(workers, "compile", what=what).items():
            found[name][what] = cost["temporary_bytes"]
    return found


def report(rows: Sequence[Row]) -> str:
    """One table against T for every method, one over the grid beside flax linen."""
    steps = [row for row in rows if row["series"] == "steps"]
    grid = [row for row in rows if row["series"] == "grid"]
    parts = [INTRODUCTION, "### LSTM, B = 16, I = H = 64, MiB against T"]
    parts.append(steps_table(steps))
    if grid:
        parts += ["### The shapes of the grid, MiB", grid_table(grid)]
    return "\n\n".join(parts)


INTRODUCTION = """\
MiB of temporaries (1 MiB = 2^20 bytes) that XLA reserves for one call, as
`compiled.memory_analysis()` says; arguments and results are not among them. Training is
the loss with its gradients in all weights and in the inputs, where what the forward pass
saves for the backward pass is a temporary. Ratios are jaxrnn's bytes over flax linen's:
**below 1, jaxrnn takes less**."""


def column(row: Row) -> str:
    name = row["method"] or LIBRARIES[row["library"]].title
    return f"{row['what']}: {name}"


def steps_table(rows: Sequence[Row]) -> str:
    columns = sorted({column(row): row["what"] for row in rows}.items(), key=by_program)
    found = {(row["T"], column(row)): row["temporary_bytes"] for row in rows}
    lines = []
    for T in dict.fromkeys(row["T"] for row in rows):
        values = [mebibytes(found.get((T, title))) for title, _ in columns]
        lines.append([str(T), *values])
    return table(["T", *(title for title, _ in columns)], lines)


def by_program(item: tuple[str, str]) -> bool:
    return item[1] == TRAINING


def grid_table(rows: Sequence[Row]) -> str:
    lines = []
    for cell, *shape in dict.fromkeys(
        (row["cell"], row["T"], row["B"], row["I"], row["H"]) for row in rows
    ):
        line = [f"{TITLES[cell]}, {', '.join(map(str, shape))}"]
        for what in (FORWARD, TRAINING):
            found = {
                row["library"]: row["temporary_bytes"]
                for row in rows
                if [row["cell"], row["T"], row["B"], row["I"], row["H"]] == [cell, *shape]
                and row["what"] == what
            }
            line += [
                mebibytes(found.get(OURS)),
                mebibytes(found.get(PEER)),
                digits(found[OURS] / found[PEER]) if len(found) == 2 else ABSENT,
            ]
        lines.append(line)
    columns = [
        f"{what}: {title}"
        for what in (FORWARD, TRAINING)
        for title in ("jaxrnn", "flax linen", "ratio")
    ]
    return table(["cell; T, B, I, H", *columns], lines)
