"""What was asked for, as every question reads it."""

from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .workers import Turns, Workers


class ProgressLine:
    """One line on stderr: the question, how much of it is done, what happens now."""

    def __init__(self, quiet: bool = False) -> None:
        self.rich = Progress(
            TextColumn("{task.fields[question]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=quiet,
            # The line would redraw itself while a library is timed.
            auto_refresh=False,
        )
        self._task = self.rich.add_task("", total=None, question="")

    def begin(self, question: str, total: int) -> None:
        self.rich.reset(self._task, total=total, question=question, description="")
        self.rich.refresh()

    def say(self, text: str) -> None:
        self.rich.update(self._task, description=text)
        self.rich.refresh()

    def advance(self) -> None:
        self.rich.advance(self._task)
        self.rich.refresh()


@dataclass(frozen=True)
class Options:
    """The command line.

    Args:
        cells: the cells to measure.
        peers: the libraries to measure beside jaxrnn.
        quick: smaller shapes and fewer of them.
        shapes: those to measure, if not the question's own.
        turns: how long to time.
        workers: the processes that measure.
        progress: the line to write on.
    """

    cells: tuple[str, ...]
    peers: tuple[str, ...]
    quick: bool
    shapes: tuple[tuple[int, int, int, int], ...] | None
    turns: Turns
    workers: Workers
    progress: ProgressLine
