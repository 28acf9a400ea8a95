"""The parent's side: start workers, ask them, and let them take turns."""

import contextlib
import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .cases import Case
from .libraries import LIBRARIES

ROOT = Path(__file__).parent.parent
PAUSE = 0.05  # OpenMP's threads spin on for a while after a run


class Worker:
    """One process that measures one library."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            cwd=ROOT,
            env=os.environ | LIBRARIES[name].environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **request: Any) -> Any:
        """The answer to a request, waited for.

        Raises:
            RuntimeError: if the worker fails or has ended.
        """
        to, back = self._process.stdin, self._process.stdout
        assert to and back
        try:
            print(json.dumps({"do": do, **request}), file=to, flush=True)
            line = back.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the worker of {self.name} has ended, at {do} {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}, {do} {request}:\n{answer['error']}")
        return answer["answer"]

    def build(self, case: Case, **options: Any) -> None:
        self.ask("build", case=dataclasses.asdict(case), options=options)

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def started(*names: str) -> Iterator[dict[str, Worker]]:
    """A worker for each name, ended at the end."""
    workers = {}
    try:
        for name in names:
            workers[name] = Worker(name)
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


@dataclasses.dataclass(frozen=True)
class Turns:
    """How long to measure: rounds in which each worker has one turn, of many runs."""

    rounds: int = 9
    seconds: float = 0.15  # of one turn, about
    most_runs: int = 10


def alternate(
    workers: dict[str, Worker],
    what: str,
    turns: Turns,
    report: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of every run of each worker, one working at a time, in turns.

    The order is drawn anew in each round, so that nobody always follows the same
    neighbour, and what slows the machine down for a while slows all of them.
    """
    order = random.Random(0)
    names = list(workers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    first = {name: workers[name].ask("time", what=what, runs=1)[0] for name in names}
    for _ in range(turns.rounds):
        order.shuffle(names)
        for name in names:
            runs = round(turns.seconds / first[name])
            runs = min(max(runs, 1), turns.most_runs)
            time.sleep(PAUSE)
            seconds[name] += workers[name].ask("time", what=what, runs=runs)
        report()
    return seconds
