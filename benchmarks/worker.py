"""A process that measures one library: requests in, answers out, a line of JSON each.

    python -m benchmarks.worker flax_linen

Each library has a process of its own, for the thread pool of one disturbs another's.
"""

import gc
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import traceback
from time import perf_counter
from typing import Any

import numpy as np

from .cases import Case
from .libraries import LIBRARIES

VERSIONS = (
    *("jax", "jaxlib", "flax", "dm-haiku", "equinox", "keras"),
    *("torch", "torchrecurrent", "numpy"),
)


class Session:
    """The requests, one method each; the program is that of the case built last."""

    def __init__(self, name: str) -> None:
        self._library = LIBRARIES[name]
        module = f"{__package__}.libraries.{self._library.module}"
        self._module = importlib.import_module(module)
        self._program: Any = None

    def build(self, case: dict[str, Any], options: dict[str, Any]) -> None:
        """Weights and inputs of a case."""
        self._program = None  # its arrays go first
        gc.collect()
        options = self._library.options | options
        self._program = self._module.program(Case(**case), **options)

    def compile(self, what: str) -> dict[str, Any]:
        return self._program.compile(what)

    def results(self, path: str) -> None:
        """Write what the program computes, to be compared by who asks."""
        np.savez(path, **self._program.results())

    def time(self, what: str, runs: int, warm: bool = True) -> list[float]:
        """Seconds of each of so many runs; to warm up, one before is not counted."""
        if warm:
            self._program.run(what)
        gc.collect()
        gc.disable()
        seconds = []
        for _ in range(runs):
            start = perf_counter()
            outcome = self._program.run(what)
            seconds.append(perf_counter() - start)
            del outcome
        gc.enable()
        return seconds

    def names(self) -> list[str]:
        """The cells that the library's module has, where it says so."""
        return self._module.names()

    def methods(self) -> list[str]:
        """The settings of jaxrnn's method that there are, the default first."""
        from .methods import METHODS

        return list(METHODS)

    def versions(self) -> dict[str, str]:
        """Of the packages that this process has imported."""
        found = {"python": sys.version.split()[0]}
        for package in VERSIONS:
            if package.removeprefix("dm-") in sys.modules:
                found[package] = importlib.metadata.version(package)
        return found


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    # Answers alone go to the parent: what a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(session, request.pop("do"))(**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
