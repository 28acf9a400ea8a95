"""How many symbols a second does a language model say?"""

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import FORWARD, Case
from .equality import assert_workers_agree
from .libraries import LIBRARIES, SPEAKERS
from .options import Options
from .record import Record
from .speaker import MEMORY, SYMBOLS, WIDTH
from .tables import ABSENT, table
from .workers import alternate, ask_all

QUESTION = "generation"
SHAPES = ((200, 1, 64, 128), (200, 1, 64, 512), (200, 32, 64, 128), (100, 64, 64, 512))
QUICK_SHAPES = ((50, 4, 32, 64),)
LAYERS = 2
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """What is said is compared first; `beam_search` and attention have no peer."""
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    wanted = [name for name, of in SPEAKERS.items() if of in (None, *options.peers)]
    options.progress.begin(QUESTION, len(shapes))
    record.begin(QUESTION)
    workers = options.workers.named(*wanted)
    alike = {name: workers[name] for name in wanted if name not in ("beam", "attention")}
    for shape in shapes:
        case = Case("lstm", *shape, layers=LAYERS)
        options.progress.say(f"{case}: compiling")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        ask_all(workers, "compile", what=FORWARD)
        with tempfile.TemporaryDirectory() as folder:
            assert_workers_agree(alike, "generate", Path(folder))
        options.progress.say(f"{case}: timing")
        for name, seconds in alternate(workers, FORWARD, options.turns).items():
            row = dataclasses.asdict(case) | {"library": name, "seconds": seconds}
            record.add(QUESTION, **row)
        options.progress.advance()
    for versions in ask_all(workers, "versions").values():
        record.add_versions(versions)


INTRODUCTION = f"""\
Symbols a second of all sequences together, by the median time (by the fastest):
{LAYERS} LSTM layers between an embedding of I features and logits of {SYMBOLS} symbols,
the most probable of which is said and read, T symbols for each of B sequences. jaxrnn:
`generate`; flax linen: its cells in a `jax.lax.scan`; torch: `nn.LSTM`, a step at a time.
Then `beam_search` of {WIDTH} beginnings, counting the symbols of the best one alone, and
`generate` of one LSTM with additive attention to {MEMORY} steps. **More is faster.**"""


def report(rows: Sequence[Row]) -> str:
    """A line a shape."""
    present = [name for name in SPEAKERS if any(row["library"] == name for row in rows)]
    shapes: dict[tuple[int, ...], dict[str, list[float]]] = {}
    for row in rows:
        shape = tuple(row[size] for size in "TBIH")
        shapes.setdefault(shape, {})[row["library"]] = row["seconds"]
    lines = [
        [
            ", ".join(map(str, shape)),
            *(rate(shape, found[name]) if name in found else ABSENT for name in present),
        ]
        for shape, found in shapes.items()
    ]
    header = ["T, B, I, H", *(LIBRARIES[name].title for name in present)]
    return f"{INTRODUCTION}\n\n{table(header, lines)}"


def rate(shape: tuple[int, ...], seconds: Sequence[float]) -> str:
    symbols = shape[0] * shape[1]
    typical, best = symbols / statistics.median(seconds), symbols / min(seconds)
    return f"{typical:,.0f} ({best:,.0f})"
