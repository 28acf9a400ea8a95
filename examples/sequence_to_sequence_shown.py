"""What `sequence_to_sequence.py` shows: its results, some answers, and the attention."""

from pathlib import Path
from typing import Any

import rich
from options import mean_and_spread
from paired_data import Pair
from rich.table import Table

import jaxrnn

# README of g2p-seq2seq: of other words of the dictionary.
PUBLISHED = {"n-grams (Phonetisaurus)": "33.9", "transformer, two layers": "about 31"}


def print_table(
    pairs: list[Pair], runs: list[dict[str, float]], simple: dict[str, dict[str, float]]
) -> None:
    """Scores beside those of `simple` ways to translate, or error rates in per cent."""
    title = f"{len(pairs)} held-out {'verses' if simple else 'words: wrong, %'}"
    table = Table("", *runs[0], box=None, title=title)
    for name, published in PUBLISHED.items() if not simple else ():
        table.add_row(f"{name}, published", "", published)
    for name, numbers in simple.items():
        table.add_row(name, *(f"{number:.1f}" for number in numbers.values()))
    factor = 1 if simple else 100
    ours = [mean_and_spread((factor * run[of] for run in runs), 1) for of in runs[0]]
    table.add_row(f"this (runs: {len(runs)})", *ours)
    rich.print(table)


def print_answers(pairs: list[Pair], said: list[list[str]], count: int = 10) -> None:
    """Of pairs from everywhere in the list."""
    every = list(zip(pairs, said, strict=True))[:: max(len(said) // count, 1)]
    for pair, answer in every[:count]:
        right = " or ".join(map(" ".join, pair.targets))
        print(" ".join(pair.source))
        print(f"    said:  {' '.join(answer)}\n    right: {right}")


def draw(path: Path, pairs: list[Pair], said: list[list[str]], look: Any) -> None:
    """Where the decoder looked, `look(pair)`: a long pair that a figure has room for."""
    fitting = [i for i, pair in enumerate(pairs[:50]) if len(pair.source) < 20]
    i = max(fitting or [0], key=lambda i: len(pairs[i].source))
    read, answer = pairs[i].source, said[i] or pairs[i].targets[0]
    ax = jaxrnn.plotting.attention(look(Pair(read, [answer])), read=read, said=answer)
    ax.figure.savefig(path, dpi=120)  # pyright: ignore[reportAttributeAccessIssue]
