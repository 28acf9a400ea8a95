"""The parent's side: start workers, ask them, and let them take turns."""

import contextlib
import dataclasses
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .cases import Case

ROOT = Path(__file__).parent.parent
PAUSE = 0.05  # OpenMP's threads spin on for a while after a run


class Worker:
    """One process that measures one library."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **request: Any) -> Any:
        """The answer to a request, waited for.

        Raises:
            RuntimeError: if the worker fails or has ended.
        """
        self.send(do, **request)
        return self.receive()

    def send(self, do: str, **request: Any) -> None:
        """Begin a request; `receive` its answer before the next."""
        assert self._process.stdin
        self._asked = f"{do} {request}"
        with contextlib.suppress(BrokenPipeError):  # `receive` will say it
            line = json.dumps({"do": do, **request})
            print(line, file=self._process.stdin, flush=True)

    def receive(self) -> Any:
        """The answer to the request that was sent."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.name} has ended, at {self._asked}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}, {self._asked}:\n{answer['error']}")
        return answer["answer"]

    def build(self, case: Case, **options: Any) -> None:
        """Weights and inputs of a case, in the worker."""
        self.ask("build", case=dataclasses.asdict(case), options=options)

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Workers:
    """Workers by name, started when first asked for, all ended together at the end."""

    def __init__(self) -> None:
        self._started: dict[str, Worker] = {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._started.values():
            worker.close()

    def named(self, *names: str) -> dict[str, Worker]:
        """These, importing their libraries at the same time."""
        for name in names:
            if name not in self._started:
                self._started[name] = Worker(name)
        return {name: self._started[name] for name in names}


def ask_all(workers: dict[str, Worker], do: str, **request: Any) -> dict[str, Any]:
    """The answers of all, who work at the same time: for what is not timed."""
    for worker in workers.values():
        worker.send(do, **request)
    return {name: worker.receive() for name, worker in workers.items()}


@dataclasses.dataclass(frozen=True)
class Turns:
    """How long to measure: rounds in which each worker has one turn, of as many runs."""

    rounds: int = 9
    seconds: float = 0.15  # of one turn, about
    most_runs: int = 30
    long_run: float = 0.2  # seconds, beyond which caches are cold at every run anyway


def alternate(
    workers: dict[str, Worker], what: str, turns: Turns
) -> dict[str, list[float]]:
    """Seconds of every run of each worker, one working at a time, in turns.

    The order is drawn anew in each round, so that nobody always follows the same
    neighbour, and what slows the machine down for a while slows all of them.
    """
    order = random.Random(0)
    names = list(workers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    first = [workers[name].ask("time", what=what, runs=1)[0] for name in names]
    typical = statistics.median(first)  # all are treated alike
    runs = min(max(round(turns.seconds / typical), 1), turns.most_runs)
    warm = typical < turns.long_run
    for _ in range(turns.rounds):
        order.shuffle(names)
        for name in names:
            time.sleep(PAUSE)
            seconds[name] += workers[name].ask("time", what=what, runs=runs, warm=warm)
    return seconds
