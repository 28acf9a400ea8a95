"""How long does jaxrnn compile, for deeper networks and for longer sequences?"""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from .cases import FORWARD, TRAINING, Case
from .libraries import OURS
from .options import Options
from .record import Record
from .tables import digits, table
from .workers import Workers

QUESTION = "compile_time"
DEPTHS, QUICK_DEPTHS = range(1, 9), (1, 2)
STEPS, QUICK_STEPS = (10, 100, 1000, 10000), (10, 1000)
STAGES = ("trace_seconds", "lower_seconds", "compile_seconds")
REPEATS = 3
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Every program is compiled in processes of its own: nothing is there already."""
    depths = QUICK_DEPTHS if options.quick else DEPTHS
    steps = QUICK_STEPS if options.quick else STEPS
    base = Case("lstm", T=100, B=16, I=64, H=64)
    series = [
        *(("depth", dataclasses.replace(base, layers=depth)) for depth in depths),
        *(("steps", dataclasses.replace(base, T=T)) for T in steps),
    ]
    repeats = 1 if options.quick else REPEATS
    programs = (TRAINING,) if options.quick else (FORWARD, TRAINING)
    options.progress.begin(QUESTION, len(series) * len(programs))
    record.begin(QUESTION)
    for name, case in series:
        for what in programs:
            options.progress.say(f"{case}: {what}")
            costs = [compiled(case, what, record) for _ in range(repeats)]
            stages = {stage: [cost[stage] for cost in costs] for stage in STAGES}
            row = dataclasses.asdict(case) | stages
            record.add(QUESTION, series=name, what=what, **row)
            options.progress.advance()


def compiled(case: Case, what: str, record: Record) -> dict[str, Any]:
    """The cost of one program, in a process that has compiled another, small one."""
    with Workers() as workers:
        worker = workers.named(OURS)[OURS]
        worker.build(Case("elman", T=2, B=1, I=1, H=1))
        worker.ask("compile", what=what)
        worker.build(case)
        cost = worker.ask("compile", what=what)
        record.add_versions(worker.ask("versions"))
    return cost


def report(rows: Sequence[Row]) -> str:
    """One table against depth, one against T."""
    parts = [INTRODUCTION]
    for series, size, title in (
        ("depth", "layers", "A stack of LSTM layers, T = 100"),
        ("steps", "T", "One LSTM layer"),
    ):
        some = [row for row in rows if row["series"] == series]
        if some:
            parts += [f"### {title}", series_table(some, size)]
    return "\n\n".join(parts)


INTRODUCTION = f"""\
Seconds to trace (Python), to lower (to StableHLO) and to compile (XLA), B = 16, I = H =
64; the median of {REPEATS} processes (one with --quick). The last line is the last row
over the first: against T it must be about 1, since the loop is compiled once whatever its
length."""


def series_table(rows: Sequence[Row], size: str) -> str:
    programs = list(dict.fromkeys(row["what"] for row in rows))
    measured = [row[size] for row in rows]
    # Of an interrupted run, what is complete.
    sizes = [s for s in dict.fromkeys(measured) if measured.count(s) == len(programs)]
    columns = {}
    for what in programs:
        by_size = {row[size]: row for row in rows if row["what"] == what}
        for stage in STAGES:
            title = f"{what}: {stage.removesuffix('_seconds')}"
            columns[title] = [statistics.median(by_size[s][stage]) for s in sizes]
        totals = [sum(statistics.median(by_size[s][x]) for x in STAGES) for s in sizes]
        columns[f"{what}: all"] = totals
    lines = [
        [str(s), *(digits(column[k]) for column in columns.values())]
        for k, s in enumerate(sizes)
    ]
    if not sizes:
        return "Nothing was measured."
    growth = [digits(column[-1] / column[0]) for column in columns.values()]
    lines.append([f"{sizes[-1]} over {sizes[0]}", *growth])
    return table([size, *columns], lines)
