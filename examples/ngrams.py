"""Character n-grams, a reference for language models: interpolated modified Kneser-Ney.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling",
1999. The longest n-grams are counted; for a shorter one it counts how many different
symbols stand before it, since it is asked only where longer ones know little.
"""

from typing import Any

import numpy as np

MOST = 8


def codes(symbols: np.ndarray, n: int, V: int) -> np.ndarray:
    """A number for each n-gram of a text: its symbols are the digits, to the base V."""
    size = max(len(symbols) - n + 1, 0)
    digits = [symbols[i : i + size].astype(np.int64) for i in range(n)]
    return sum((d * V ** (n - 1 - i) for i, d in enumerate(digits)), np.zeros(size, int))


def smoothed(grams: np.ndarray, counts: np.ndarray, V: int) -> tuple:
    """One order: what an n-gram keeps of its share, and what a context gives away."""
    kinds = np.bincount(np.minimum(counts, 5), minlength=6)[
        :5
    ]  # how many occur once, ...
    kept = kinds[1] / max(kinds[1] + 2 * kinds[2], 1)
    i = np.arange(4)
    discounts = i - (i + 1) * kept * kinds[1:] / np.maximum(kinds[:-1], 1)
    if not all((0 < discounts[1:]) & (discounts[1:] < i[1:])):
        discounts = i / 2  # too few n-grams to say
    off = discounts[np.minimum(counts, 3)]
    contexts, place = np.unique(grams // V, return_inverse=True)
    totals = np.bincount(place, counts)
    return (
        grams,
        (counts - off) / totals[place],
        contexts,
        np.bincount(place, off) / totals,
    )


def fit(symbols: np.ndarray, n: int, V: int) -> list[tuple]:
    """All orders from 1 to n, each smoothed with the one before it."""
    orders = []
    for k in range(1, n):
        longer = np.unique(codes(symbols, k + 1, V))  # each once: kinds of predecessors
        orders.append(smoothed(*np.unique(longer % V**k, return_counts=True), V))
    grams = np.unique(codes(symbols, n, V), return_counts=True)
    return [*orders, smoothed(*grams, V)]


def found(keys: np.ndarray, values: np.ndarray, asked: np.ndarray, other: float) -> Any:
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], other)


def probabilities(orders: list[tuple], symbols: np.ndarray, V: int) -> np.ndarray:
    """Of each symbol of a text, given those before it; the first ones have fewer."""
    p = np.full(len(symbols), 1 / V)
    for k, (grams, shares, contexts, given) in enumerate(orders, 1):
        asked = codes(symbols, k, V)
        rest = found(contexts, given, asked // V, 1.0)  # an unknown context gives all
        p[k - 1 :] = found(grams, shares, asked, 0.0) + rest * p[k - 1 :]
    return p


def kneser_ney(train: np.ndarray, test: np.ndarray, V: int) -> tuple[int, float]:
    """n, chosen on the last tenth of the training part, and bits per held-out symbol."""
    cut, best = len(train) - len(train) // 10, (np.inf, 0)

    def bits(n: int, known: np.ndarray, text: np.ndarray) -> float:
        return float(-np.log2(probabilities(fit(known, n, V), text, V))[1:].mean())

    for n in range(1, MOST + 1):
        tried = bits(n, train[:cut], train[cut:])
        if tried > best[0] or V**n >= 2**63:
            break
        best = tried, n
    return best[1], bits(best[1], train, test)
