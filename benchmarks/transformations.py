"""What do jax.vmap, ensembles and a batch over devices cost, beside batch axes?"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import TITLES, TRAINING, Case
from .equality import assert_workers_agree
from .libraries import LIBRARIES, TRANSFORMED
from .options import Options
from .ratios import STATISTICS, geometric_mean
from .record import Record
from .tables import ABSENT, mebibytes, milliseconds, pair, table
from .workers import alternate, ask_all

QUESTION = "transformations"
SHAPES = ((200, 64, 128, 128), (128, 32, 256, 256))
SHAPES_OF_MODELS = ((100, 32, 64, 128), (128, 32, 256, 256))
QUICK_SHAPES = ((50, 8, 32, 64),)
CELLS = ("lstm", "gru")
OF_EXAMPLES = ("batch_axes", "over_examples", "over_devices", "equinox_examples")
OF_MODELS = ("models_in_turn", "over_models", "equinox_models", "flax_linen_models")
Row = dict[str, Any]


def measure(record: Record, options: Options) -> None:
    """Equal losses and gradients in the inputs first, then turns, a process each."""
    cells = [cell for cell in CELLS if cell in options.cells]
    of_examples = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    of_models = options.shapes or (QUICK_SHAPES if options.quick else SHAPES_OF_MODELS)
    jobs = [
        (names, Case(cell, *shape))
        for names, shapes in ((OF_EXAMPLES, of_examples), (OF_MODELS, of_models))
        for cell in cells
        for shape in shapes
    ]
    options.progress.begin(QUESTION, len(jobs))
    record.begin(QUESTION)
    for names, case in jobs:
        peers = {name: TRANSFORMED[name] for name in names}
        wanted = [name for name, of in peers.items() if of in (None, *options.peers)]
        workers = options.workers.named(*wanted)
        options.progress.say(f"{case}: compiling")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        costs = ask_all(workers, "compile", what=TRAINING)
        with tempfile.TemporaryDirectory() as folder:
            assert_workers_agree(workers, wanted[0], Path(folder))
        options.progress.say(f"{case}: timing")
        for name, seconds in alternate(workers, TRAINING, options.turns).items():
            record.add(
                QUESTION,
                **dataclasses.asdict(case),
                library=name,
                seconds=seconds,
                temporary_bytes=costs[name]["temporary_bytes"],
            )
        options.progress.advance()
        for versions in ask_all(workers, "versions").values():
            record.add_versions(versions)


INTRODUCTION = """\
Milliseconds of one training step, the loss (sum of squares of all outputs) with its
gradients in all weights and in the inputs, median (minimum); ratios of medians (of
minima); MiB of temporaries, as XLA says. **Ratios are the column's time over that of the
first column, jaxrnn's own plain form: 1 means that the transformation is free.**"""
TEXTS = {
    OF_EXAMPLES: (
        "### One model, many examples",
        "`jaxrnn.unroll` with batch axes; the same of one example under `jax.vmap`;\n"
        "with batch axes, the batch spread over two devices, which share the cores; and\n"
        "equinox, whose cells of one example are under `jax.vmap` inside of a scan.",
    ),
    OF_MODELS: (
        "### Eight models",
        "Eight gradients of the same inputs: one after another in one program, by\n"
        "`jax.lax.map`, and by `jax.vmap` over the params, here and in other libraries.",
    ),
}


def report(rows: Sequence[Row]) -> str:
    parts = [INTRODUCTION]
    for names, texts in TEXTS.items():
        some = [row for row in rows if row["library"] in names]
        if some:
            parts += [*texts, table_of(names, some)]
    return "\n\n".join(parts)


def table_of(names: Sequence[str], rows: Sequence[Row]) -> str:
    """A line a case; times, ratios to the first form and temporaries."""
    present = [name for name in names if any(row["library"] == name for row in rows)]
    cases: dict[str, dict[str, Row]] = {}
    for row in rows:
        shape = ", ".join(str(row[size]) for size in "TBIH")
        cases.setdefault(f"{TITLES[row['cell']]}, {shape}", {})[row["library"]] = row
    lines, every = [], {name: [] for name in present[1:]}
    for title, found in cases.items():
        base = found[present[0]]["seconds"]
        for name, ratios in every.items():
            if name in found:
                runs = found[name]["seconds"]
                both = [over(runs) / over(base) for over in STATISTICS.values()]
                ratios.append(both)
        lines.append(
            [
                title,
                *(
                    milliseconds(found[name]["seconds"]) if name in found else ABSENT
                    for name in present
                ),
                *(pair(*every[name][-1]) if name in found else ABSENT for name in every),
                *(
                    mebibytes(found[name]["temporary_bytes"]) if name in found else ABSENT
                    for name in present
                ),
            ]
        )
    means = [
        pair(*(geometric_mean(one) for one in zip(*ratios, strict=True)))
        for ratios in every.values()
    ]
    blanks = [""] * len(present)
    lines.append(["geometric mean", *blanks, *means, *blanks])
    titles = [LIBRARIES[name].title for name in present]
    header = [
        "T, B, I, H",
        *(f"{title}, ms" for title in titles),
        *(f"{title}, ratio" for title in titles[1:]),
        *(f"{title}, MiB" for title in titles),
    ]
    return table(header, lines)
