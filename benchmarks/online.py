"""What do gradients that run forward cost, beside backpropagation through time?"""

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import TRAINING, Case
from .equality import assert_workers_agree
from .libraries import LIBRARIES, ONLINE
from .options import Options
from .record import Record
from .tables import ABSENT, digits, mebibytes, table
from .workers import alternate, ask_all

QUESTION = "online"
SHAPE, QUICK_SHAPE = (1, 16, 32), (1, 8, 16)  # B, I, H
STEPS, QUICK_STEPS = (100, 1000, 10_000, 100_000), (100, 1000)
TIMED = 10_000  # longer sequences are compiled, and do not run
EXACT = ("online_bptt", "online_rtrl")
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """The exact ones are compared first, where sequences are shortest."""
    steps = QUICK_STEPS if options.quick else STEPS
    shapes = options.shapes or [
        (T, *(QUICK_SHAPE if options.quick else SHAPE)) for T in steps
    ]
    options.progress.begin(QUESTION, len(shapes))
    record.begin(QUESTION)
    workers = options.workers.named(*ONLINE)
    for number, shape in enumerate(shapes):
        case = Case("gru", *shape)
        options.progress.say(f"{case}: compiling")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        costs = ask_all(workers, "compile", what=TRAINING)
        if number == 0:
            exact = {name: workers[name] for name in EXACT}
            with tempfile.TemporaryDirectory() as folder:
                assert_workers_agree(exact, EXACT[0], Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        if case.T <= TIMED:
            options.progress.say(f"{case}: timing")
            seconds = alternate(workers, TRAINING, options.turns)
        for name, cost in costs.items():
            record.add(
                QUESTION,
                **dataclasses.asdict(case),
                library=name,
                seconds=seconds[name],
                temporary_bytes=cost["temporary_bytes"],
            )
        options.progress.advance()
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


INTRODUCTION = f"""\
The gradient of the sum of the squares of all outputs of a GRU in its params: by
`jax.grad` of `unroll`, and by `online_gradients`. MiB of temporaries, as XLA says, and
microseconds for each step of the sequence, by the median time (by the fastest). Beyond
{TIMED:,} steps programs are only compiled. **Forwards, memory does not grow with T.**"""


def report(rows: Sequence[Row]) -> str:
    """Memory against T, then time."""
    names = [name for name in ONLINE if any(row["library"] == name for row in rows)]
    found: dict[tuple[int, ...], dict[str, Row]] = {}
    for row in rows:
        shape = tuple(row[size] for size in "TBIH")
        found.setdefault(shape, {})[row["library"]] = row
    header = ["T, B, I, H", *(LIBRARIES[name].title for name in names)]

    def lines(shown: Any) -> list[list[str]]:
        return [
            [
                ", ".join(map(str, shape)),
                *(shown(of[name]) if name in of else ABSENT for name in names),
            ]
            for shape, of in found.items()
        ]

    memory = table(header, lines(lambda row: mebibytes(row["temporary_bytes"])))
    times = table(header, lines(microseconds))
    titles = "### MiB of temporaries", "### Microseconds a step"
    return "\n\n".join([INTRODUCTION, titles[0], memory, titles[1], times])


def microseconds(row: Row) -> str:
    runs = [1e6 * seconds / row["T"] for seconds in row["seconds"]]
    if not runs:
        return ABSENT
    return f"{digits(statistics.median(runs))} ({digits(min(runs))})"
