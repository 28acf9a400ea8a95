"""One case in several libraries: built, compared, and only then timed."""

import dataclasses
import tempfile
from pathlib import Path

from .cases import FORWARD, TRAINING, Case
from .equality import assert_workers_agree
from .libraries import FLOOR, LIBRARIES, OURS
from .options import Options
from .record import Record
from .workers import Worker, alternate, ask_all


def measure_case(
    question: str,
    case: Case,
    workers: dict[str, Worker],
    record: Record,
    options: Options,
) -> None:
    """Rows for a case, of every worker whose library has the cell.

    Raises:
        AssertionError: if a library computes anything else than jaxrnn.
    """
    having = {
        name: worker
        for name, worker in workers.items()
        if case.cell in LIBRARIES[name].cells
    }
    options.progress.say(f"{case}: compiling")
    ask_all(having, "build", case=dataclasses.asdict(case), options={})
    both = (FORWARD, TRAINING)
    costs = {what: ask_all(having, "compile", what=what) for what in both}

    options.progress.say(f"{case}: comparing results")
    compared = {name: having[name] for name in having if name != FLOOR}
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert_workers_agree(compared, OURS, Path(folder))
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error

    for what in both:
        options.progress.say(f"{case}: timing {what}")
        seconds = alternate(having, what, options.turns)
        for name in having:
            record.add(
                question,
                **dataclasses.asdict(case),
                what=what,
                library=name,
                seconds=seconds[name],
                temporary_bytes=costs[what][name]["temporary_bytes"],
            )
        options.progress.advance()
