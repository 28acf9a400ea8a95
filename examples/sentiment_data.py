"""What `sentiment.py` needs beside its network: tweets, references and a figure."""

import csv
import html
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from options import fail
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

CLASSES = "negative", "neutral", "positive"
COLOURS = "#d55e00", "#666666", "#0072b2"
# Harmless ones, by their number among the test tweets of their class; and one of ours.
SHOWN = 265, 906, 540
OURS = "the start was terrible and slow, but the ending was amazing!"
STRENGTHS = 0.5, 1, 2  # C of the logistic regression: the validation chooses
LONGEST = 30  # 1% of the tweets have more words, and are cut
WORD = re.compile(r"[@#]?\w+(?:'\w+)*|[!?]+|[:;]-?[()DP]")  # and marks, and smileys
Part = tuple[list[list[str]], np.ndarray]  # the words of each text, and its class


def words_of(text: str) -> list[str]:
    text = re.sub(r"https?://\S*", " ", html.unescape(text).replace("’", "'"))
    # A smiley that the file has lost has left a "_".
    words = [word.strip("_").lower() for word in WORD.findall(text)]
    return [word for word in words if word][:LONGEST]


def tweets(path: Path) -> list[Part]:
    """Of the test, of the validation, and to train on."""
    texts, classes, seen = [], [], set()
    try:  # some bytes are no UTF-8
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = [(row["text"], row["sentiment"]) for row in csv.DictReader(file)]
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    except KeyError as error:
        fail(f"{path} has no column {error}")
    for text, name in rows:
        if name not in CLASSES:
            fail(f"{path}: {name!r} is none of {', '.join(CLASSES)}")
        words = words_of(text)
        # A tweet is sent on as "RT @name: ...", its end cut to make room: what begins
        # alike counts once, and stands in one part alone.
        said = [w for w in words if w != "rt" and w[0] != "@"]
        begin = tuple(said[:8] if len(said) > 2 else words)
        if words and begin not in seen:
            seen.add(begin)
            texts.append(words)
            classes.append(CLASSES.index(name))
    if len(texts) < 100:
        fail(f"{path} has {len(texts)} different texts, expected 100 or more")
    order = np.random.default_rng(0).permutation(len(texts))  # in every run
    parts = np.split(order, [len(order) // 10, len(order) // 10 * 2])
    return [([texts[i] for i in part], np.array(classes)[part]) for part in parts]


def vocabulary(texts: list[list[str]]) -> dict[str, int]:
    """Words that stand in the texts more than once, numbered from 1 on."""
    counts = Counter(word for text in texts for word in text).most_common()
    return {word: 1 + i for i, (word, n) in enumerate(counts) if n > 1}


def numbered(texts: list, number: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of words (time, text), 0 for one that is not known, and lengths (text)."""
    words = np.zeros((LONGEST, len(texts)), np.int32)
    for i, text in enumerate(texts):
        words[: len(text), i] = [number.get(word, 0) for word in text]
    return words, np.array([len(text) for text in texts], np.int32)


def words_and_pairs(text: list[str]) -> list[str]:
    return text + [f"{a} {b}" for a, b in pairwise(text)]


def scores(guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    f1 = f1_score(truth, guess, average="macro")  # of each class, and their mean
    return {"accuracy": float(np.mean(guess == truth)), "f1": float(f1)}


def references(test: Part, valid: Part, train: Part) -> dict[str, dict]:
    """Without any order but that of two neighbours: bags of words and of pairs."""
    settings: Any = {"analyzer": words_and_pairs, "dtype": np.float32}
    bags = TfidfVectorizer(min_df=2, sublinear_tf=True, **settings)
    xs, most, models = bags.fit_transform(train[0]), np.bincount(train[1]).argmax(), {}
    for C in STRENGTHS:
        model = LogisticRegression(C=C, tol=1e-3, max_iter=300).fit(xs, train[1])
        models[model.score(bags.transform(valid[0]), valid[1])] = model
    guess = models[max(models)].predict(bags.transform(test[0]))
    return {
        "computed: logistic regression, words and pairs": scores(guess, test[1]),
        f"computed: always {CLASSES[most]}": scores(np.full_like(guess, most), test[1]),
    }


def draw(path: Path, texts: list, truth: np.ndarray, told: Any) -> None:
    """Four texts, and what `told`, which is `word_by_word`, says of each."""
    panels = {}
    for c, (name, i) in enumerate(zip(CLASSES, SHOWN, strict=True)):
        alike = np.flatnonzero(truth == c)
        panels[f"{name}, as people judge"] = texts[alike[i % len(alike)]]
    panels["made up"] = words_of(OURS)
    figure = Figure(figsize=(12, 8), layout="constrained")
    grid = figure.subplots(2, 2).flat
    for axes, (title, words) in zip(grid, panels.items(), strict=True):
        odds, norms, products = map(np.asarray, told(words))
        at = np.arange(len(words))
        axes.axhline(0, c="k", lw=0.5)
        label = "gradient of the last verdict by the word's vector: norm, % of all"
        axes.bar(at, 100 * norms / norms.sum(), color="#f0d890", label=label)
        label = "gradient times vector: for the verdict or against it, % of all sizes"
        parts = 100 * products / np.abs(products).sum()
        axes.bar(at, parts, 0.3, color="#009e73", label=label)
        for name, colour, line in zip(CLASSES, COLOURS, odds.T, strict=True):
            axes.plot(
                at, 100 * line, "o-", c=colour, label=f"probability of {name}, so far"
            )
        axes.set_xticks(at, words, rotation=45, ha="right")
        axes.set(ylim=(-35, 102), ylabel="%", title=title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle("The verdict word by word, and which words the last one depends on")
    figure.savefig(path, dpi=110)
