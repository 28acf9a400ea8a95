"""Are a user's own cell and deep networks of ragged sequences as fast as they can be?"""

from collections.abc import Sequence
from typing import Any

from .cases import FORWARD, QUICK_SHAPES, SHAPES, TRAINING, Case
from .comparison import measure_case
from .libraries import CONTROL, LIBRARIES, OURS
from .options import Options
from .ratios import geometric_mean, median_and_minimum
from .record import Record
from .tables import milliseconds, pair, table
from .workers import ask_all

QUESTION = "user_cell"
WRITTEN = ("user_project", "user_step")
PEERS_OF_DEEP = ("flax_linen", "torch")
DEEP = Case("lstm", 100, 32, 128, 128, layers=4, bidirectional=True, ragged=True)
QUICK_DEEP = Case("lstm", 30, 8, 64, 64, layers=4, bidirectional=True, ragged=True)
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Equal results first, then turns, as against the peers."""
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    deep = QUICK_DEEP if options.quick else DEEP
    options.progress.begin(QUESTION, 2 * len(shapes) + 2)
    record.begin(QUESTION)
    others = [name for name in PEERS_OF_DEEP if name in options.peers]
    cases = [(Case("lstm", *shape), WRITTEN) for shape in shapes]
    for case, names in [*cases, (deep, others)]:
        workers = options.workers.named(OURS, CONTROL, *names)
        measure_case(QUESTION, case, workers, record, options)
        for versions in ask_all(workers, "versions").values():
            record.add_versions(versions)


def report(rows: Sequence[Row]) -> str:
    """A table of the user's cells, and one of the deep network."""
    single = [row for row in rows if row["layers"] == 1]
    deep = [row for row in rows if row["layers"] > 1]
    parts = [INTRODUCTION]
    if single:
        parts += ["### An LSTM as a user writes it", WRITTEN_TEXT]
        parts.append(comparison_table(single, WRITTEN))
    if deep:
        parts += [f"### {deep[0]['layers']} bidirectional LSTM layers", DEEP_TEXT]
        parts.append(comparison_table(deep, PEERS_OF_DEEP))
    return "\n\n".join(parts)


INTRODUCTION = """\
Milliseconds of one run, median (minimum); ratios are the other's time over jaxrnn's, of
medians (of minima): **above 1, jaxrnn's own is faster**. `jaxrnn again` is the same
program in a second process, and its ratio 1 but for noise."""
WRITTEN_TEXT = """\
The equations of `jaxrnn.LSTM` with `jax.nn.sigmoid` and `jnp.tanh` of the four blocks:
`with project` has x W + b in `project`, `step alone` has everything in `step`. A ratio of
1 means that writing a cell oneself costs nothing."""
DEEP_TEXT = """\
Sequences of a quarter of T to T steps: `jaxrnn.Stack` of `jaxrnn.Bidirectional` with
`lengths`, flax linen's `nn.Bidirectional` with `seq_lengths`, torch's `nn.LSTM` on a
packed sequence."""


def comparison_table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Times and ratios of jaxrnn, its control and the others; a line a shape."""
    present = {row["library"] for row in rows}
    others = [CONTROL, *(name for name in names if name in present)]
    lines = []
    for what in (FORWARD, TRAINING):
        points: dict[str, dict[str, list[float]]] = {}
        for row in rows:
            if row["what"] == what:
                shape = ", ".join(str(row[size]) for size in "TBIH")
                points.setdefault(shape, {})[row["library"]] = row["seconds"]
        compared = []
        for shape, seconds in points.items():
            times = [milliseconds(seconds[name]) for name in (OURS, *others)]
            compared.append([median_and_minimum(seconds, name) for name in others])
            shown = [pair(*both) for both in compared[-1]]
            lines.append([f"{what}: {shape}", *times, *shown])
        if len(points) > 1:
            means = [
                pair(*(geometric_mean(one) for one in zip(*column, strict=True)))
                for column in zip(*compared, strict=True)
            ]
            blanks = [""] * (1 + len(others))
            lines.append([f"{what}: geometric mean", *blanks, *means])
    titles = [LIBRARIES[name].title for name in others]
    header = ["T, B, I, H", "jaxrnn", *titles, *(f"{title} / jaxrnn" for title in titles)]
    return table(header, lines)
