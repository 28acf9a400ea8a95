"""Measure jaxrnn beside its peers: tables on stdout, progress on stderr.

    python -m benchmarks --quick
    python -m benchmarks against_peers --cells lstm --json lstm.json
    python -m benchmarks --tables lstm.json
    python -m benchmarks --tables here.json there.json

benchmarks/README.md says what each question means and how timings are taken.
"""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from . import (
    against_peers,
    compile_time,
    generation,
    gradient_norms,
    memory,
    online,
    parallel,
    transformations,
    user_cell,
    zoo,
)
from .cases import GATES, QUICK_CELLS
from .libraries import LIBRARIES, PEERS
from .options import Options, ProgressLine
from .record import Record
from .tables import environment, processor
from .workers import Turns, Workers

QUESTIONS: dict[str, ModuleType] = {
    module.QUESTION: module
    for module in (
        against_peers,
        compile_time,
        gradient_norms,
        memory,
        user_cell,
        transformations,
        generation,
        zoo,
        online,
        parallel,
    )
}


def main(words: list[str]) -> None:
    """The command, given its words.

    What was measured before a failure or an interrupt is saved and shown.
    """
    arguments = parse(words)
    if arguments.tables:
        show([json.loads(path.read_text()) for path in arguments.tables])
        return
    turns = Turns(rounds=3, seconds=0.05) if arguments.quick else Turns()
    if arguments.rounds:
        turns = Turns(rounds=arguments.rounds, seconds=turns.seconds)
    settings = {**vars(arguments), "json": None, "tables": None}  # no machine's paths
    record = Record(arguments.json, settings)
    failure = None
    try:
        progress = ProgressLine()
        with Workers() as workers, progress.rich:
            options = Options(
                cells=tuple(arguments.cells),
                peers=tuple(arguments.peers),
                quick=arguments.quick,
                shapes=arguments.shapes,
                turns=turns,
                workers=workers,
                progress=progress,
            )
            for name in arguments.questions:
                QUESTIONS[name].measure(record, options)
    except KeyboardInterrupt:
        failure = "interrupted"
    except (AssertionError, RuntimeError) as error:
        failure = str(error)
    record.save()
    show([record.data])
    if failure:
        sys.exit(f"Not everything was measured: {failure}")


def show(runs: list[dict]) -> None:
    """The tables of what there is, an interrupted run's too; several runs, side by side.

    A question that has no such table has one for each run.
    """
    labels = [
        f"{number}. {processor(data['machine'])}, {data['date'][:10]}"
        for number, data in enumerate(runs, 1)
    ]
    for data in runs:
        print(environment(data))
    for name in dict.fromkeys(name for data in runs for name in data["questions"]):
        module = QUESTIONS[name]
        question = (module.__doc__ or name).splitlines()[0]
        print(f"\n## {question}\n")
        found = {
            label: data["questions"][name]
            for label, data in zip(labels, runs, strict=True)
            if data["questions"].get(name)
        }
        if not found:
            print("Nothing was measured.")
        elif len(runs) > 1 and hasattr(module, "side_by_side"):
            print(module.side_by_side(found))
        else:
            for label, rows in found.items():
                print(
                    *([f"**{label}**\n"] if len(runs) > 1 else []),
                    module.report(rows),
                    sep="\n",
                )


def parse(words: list[str]) -> argparse.Namespace:
    installed = [name for name in PEERS if LIBRARIES[name].installed]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "questions",
        nargs="*",
        metavar="question",
        help=f"of {', '.join(QUESTIONS)}; all by default",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small shapes, within two minutes"
    )
    parser.add_argument(
        "--cells",
        nargs="+",
        choices=GATES,
        help=f"all by default, with --quick {' and '.join(QUICK_CELLS)}",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=installed,
        help="those that are installed by default",
    )
    parser.add_argument(
        "--shapes",
        nargs="+",
        type=shape,
        metavar="T,B,I,H",
        help="steps, sequences, features and units; each question's own by default",
    )
    parser.add_argument("--rounds", type=int, help="rounds of turns in timings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save every number")
    parser.add_argument(
        "--tables",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="print those of a saved run, only; of several, side by side",
    )
    arguments = parser.parse_args(words)
    unknown = set(arguments.questions) - QUESTIONS.keys()
    if unknown:
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    arguments.questions = arguments.questions or list(QUESTIONS)
    missing = [name for name in arguments.peers if not LIBRARIES[name].installed]
    if missing:
        parser.error(f"not installed: {', '.join(missing)}")
    cells = arguments.cells or (QUICK_CELLS if arguments.quick else GATES)
    arguments.cells = [cell for cell in GATES if cell in cells]
    return arguments


def shape(text: str) -> tuple[int, ...]:
    """Four sizes, as in `1024,16,64,64`."""
    sizes = tuple(int(size) for size in text.split(","))
    if len(sizes) != 4 or min(sizes) < 1:
        raise ValueError(text)
    return sizes


if __name__ == "__main__":
    main(sys.argv[1:])
