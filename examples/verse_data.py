"""Verses in Spanish and English, for `sequence_to_sequence.py --translate`.

Reina-Valera 1909 and the World English Bible, both in the public domain, read by pysword;
the scores of sacrebleu, and a translation word by word to compare with.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from options import fail
from paired_data import Pair


def verses(folder: Path, longest: int = 30) -> list[Pair]:
    """Words of both Bibles, verse by verse; a chapter is a group."""
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
    pairs = []
    counts = dict(chapters(spanish))
    for name, count in chapters(english):
        book, chapter = name.rsplit(" ", 1)
        for verse in range(1, min(count, counts.get(name, 0)) + 1):
            place = {"books": [book], "chapters": [int(chapter)], "verses": [verse]}
            source = words(spanish.get(**place, clean=True))
            target = words(english.get(**place, clean=True))
            if 0 < len(source) <= longest and 0 < len(target) <= longest:
                pairs.append(Pair(source, [target], name))
    return pairs


def chapters(bible: Any) -> list[tuple[str, int]]:
    """The name of each chapter, and how many verses it has."""
    if hasattr(bible, "_decompress"):  # a book is one block: unpacked once, not by verse
        bible._decompress = lru_cache(maxsize=1)(bible._decompress)
    books = [book for part in bible.get_structure().get_books().values() for book in part]
    return [
        (f"{book.name} {chapter}", verses)
        for book in books
        for chapter, verses in enumerate(book.chapter_lengths, 1)
    ]


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def dictionary(pairs: list[Pair], rounds: int = 5) -> dict[str, str]:
    """The likeliest English word for each Spanish one: model 1 of Brown et al., 1993.

    Any word of a verse may come from any of the other language's; who goes with whom in
    many verses gets more of the shares, round after round.
    """
    spanish = sorted({word for pair in pairs for word in pair.source})
    english = sorted({word for pair in pairs for word in pair.targets[0]})
    numbers = [{word: i for i, word in enumerate(side)} for side in (spanish, english)]
    links, said, before = [], [], 0
    for pair in pairs:
        read = np.array([numbers[0][word] for word in pair.source])
        target = np.array([numbers[1][word] for word in pair.targets[0]])
        links.append((read[:, None] * len(english) + target).ravel())
        said.append(np.tile(before + np.arange(len(target)), len(read)))
        before += len(target)
    places = np.concatenate(said)  # of the English word at one end of each link
    kinds, kind = np.unique(np.concatenate(links), return_inverse=True)
    source, chance = kinds // len(english), np.ones(len(kinds))
    for _ in range(rounds):
        share = chance[kind] / np.bincount(places, chance[kind])[places]
        chance = np.bincount(kind, share)
        chance /= np.bincount(source, chance)[source]
    order = np.argsort(chance, kind="stable")  # the best of each comes last, and stays
    return {spanish[source[i]]: english[kinds[i] % len(english)] for i in order}


def scores(pairs: list[Pair], answers: list[list[str]]) -> dict[str, float]:
    """BLEU and chrF of lower-case words and marks, from 0 to 100."""
    try:
        import sacrebleu
    except ImportError:
        fail('translations are scored by sacrebleu: pip install -e ".[verses]"')
    said = [" ".join(answer) for answer in answers]
    right = [[" ".join(pair.targets[0]) for pair in pairs]]
    bleu = sacrebleu.corpus_bleu(said, right, tokenize="none", force=True)
    return {"BLEU": bleu.score, "chrF": sacrebleu.corpus_chrf(said, right).score}


def baselines(test: list[Pair], known: dict[str, str]) -> dict[str, dict[str, float]]:
    """What the Spanish itself scores, and each of its words by the dictionary."""
    single = [[known.get(word, word) for word in pair.source] for pair in test]
    copied = [pair.source for pair in test]
    answers = {"the Spanish itself": copied, "word by word (IBM model 1)": single}
    return {name: scores(test, answer) for name, answer in answers.items()}


def filled(
    pairs: list[Pair], said: list[list[str]], weights: Any, known: dict[str, str]
) -> list[list[str]]:
    """For an unknown word: what the decoder looked at, by the dictionary or as it is."""
    answers, weights = [], np.asarray(weights)
    for b, (pair, answer) in enumerate(zip(pairs, said, strict=True)):
        at = weights[: len(answer), b, : len(pair.source)].argmax(axis=-1)
        read = [pair.source[place] for place in at]
        both = zip(answer, read, strict=True)
        answers.append([known.get(r, r) if w == "<unknown>" else w for w, r in both])
    return answers
