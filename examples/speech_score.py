"""For `speech.py`: batches, letters, what is wrong, nearest templates, the figure."""

from pathlib import Path
from typing import Any

import jax
import jiwer
import matplotlib
import numpy as np
from options import mean_and_spread
from rich.table import Table
from speech_data import MELS, STACKED, Speech

import jaxrnn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LETTERS = "- abcdefghijklmnopqrstuvwxyz"  # the first is the blank
LONGEST, STEP = 32, 0.03  # letters of a text; seconds


def padded(spoken: Speech, indices: Any, T: int) -> tuple:
    """Frames (T, utterance, feature), lengths, letters (letter, utterance), lengths."""
    xs = np.zeros((T, len(indices), STACKED * MELS), np.float32)
    labels = np.zeros((LONGEST, len(indices)), np.int32)
    for b, i in enumerate(indices):
        xs[: len(spoken.frames[i]), b] = spoken.frames[i][:T]
        labels[: len(spoken.texts[i]), b] = [LETTERS.index(c) for c in spoken.texts[i]]
    lengths = np.array([min(len(spoken.frames[i]), T) for i in indices])
    return xs, lengths, labels, np.sum(labels > 0, axis=0)


def letter_pairs(texts: list[str]) -> tuple[np.ndarray, Any]:
    """Log probabilities of the next letter, counted, and their mean over the texts."""
    counts = np.full((len(LETTERS), len(LETTERS)), 0.1)
    for text in texts:
        said = [LETTERS.index(c) for c in text]
        np.add.at(counts, ([0, *said[:-1]], said), 1)  # the blank stands for the start
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    seen = counts - 0.1
    return log_p.astype(np.float32), np.sum(seen * log_p) / np.sum(seen)


def wrong(truth: list[str], found: list[str]) -> tuple[float, float]:
    """Letters, and words, to change, for each that was said."""
    return float(jiwer.cer(truth, found)), float(jiwer.wer(truth, found))


def warped(one: np.ndarray, templates: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Distances by dynamic time warping, to templates (number, time, feature) at once.

    Of all ways through both, each time one frame on in the one, in the other or in both,
    the way of the least squared distances.
    """
    cost = np.sum(one**2, axis=-1)[:, None, None] + np.sum(templates**2, axis=-1).T
    cost -= 2 * np.einsum("tf,nmf->tmn", one, templates, optimize=True)
    number, longest = templates.shape[:2]
    before = np.full((longest + 1, number), np.inf, np.float32)
    before[0] = 0
    for row in cost:
        now = np.full_like(before, np.inf)
        for m in range(longest):
            least = np.minimum(np.minimum(before[m], before[m + 1]), now[m])
            now[m + 1] = row[m] + least
        before = now
    return before[lengths, np.arange(number)] / (len(one) + lengths)


def nearest(spoken: Speech, known: Speech, bar: Any) -> list[str]:
    """For each utterance the word of the nearest one in training, of all single words."""
    words = [i for i, text in enumerate(known.texts) if " " not in text]
    lengths = np.array([len(known.frames[i]) for i in words])
    shape = len(words), lengths.max(), STACKED * MELS
    templates = np.zeros(shape, np.float32)
    for template, i in zip(templates, words, strict=True):
        template[: len(known.frames[i])] = known.frames[i]
    found = []
    for frames in spoken.frames:
        found.append(known.texts[words[warped(frames, templates, lengths).argmin()]])
        bar(advance=1)
    return found


def by_templates(tests: dict[str, Speech], known: Speech, bar: Any) -> dict[str, dict]:
    """Of the parts of single words that there are templates of."""
    computed = {}
    for name, part in tests.items():
        if not name.startswith(("new words", "digit strings")):
            found = nearest(part, known, bar)
            computed[name] = {"texts": found, "errors": wrong(part.texts, found)}
    return computed


def table(names: list[str], runs: list[dict], computed: dict[str, dict]) -> Table:
    ways = "best path", "beam search"
    title = "wrong letters / wrong words, in percent"
    shown = Table("", *ways, "nearest template", title=title, box=None)
    for name in names:
        row = [name]
        for way in ways:
            rates = np.array([run["test"][name]["errors"][way] for run in runs])
            row.append(" / ".join(mean_and_spread(100 * r, 1) for r in rates.T))
        if name in computed:
            row.append(" / ".join(f"{100 * e:.1f}" for e in computed[name]["errors"]))
        shown.add_row(*row)
    return shown


def draw(path: Path, cell: Any, params: Any, tests: dict[str, Speech]) -> None:
    """What is heard and what is understood, over time, in one utterance of a test."""
    spoken = tests["digit strings, new voices"]
    i = next(i for i, text in enumerate(spoken.texts) if text.count(" ") == 2)
    frames, truth = spoken.frames[i], spoken.texts[i]
    _, logits = jaxrnn.unroll(cell, params, frames)
    p, seconds = np.asarray(jax.nn.softmax(logits)), STEP * len(frames)
    best = jaxrnn.ctc_greedy(logits)
    said = "".join(LETTERS[i] for i in np.asarray(best.symbols)[: best.lengths])
    rows = [0, *[k for k in range(len(LETTERS)) if k and p[:, k].max() > 0.05]]
    figure, (top, below) = plt.subplots(
        2, 1, figsize=(10, 7), sharex=True, height_ratios=(2, 3), layout="constrained"
    )
    bands = frames.reshape(-1, MELS).T
    top.imshow(bands, origin="lower", aspect="auto", extent=(0, seconds, 0, MELS))
    top.set(ylabel="mel band (100 to 3,800 Hz)", title="Heard: log power in each band")
    extent = (0, seconds, len(rows) - 0.5, -0.5)
    shown = below.imshow(
        p[:, rows].T, "Blues", aspect="auto", extent=extent, vmin=0, vmax=1
    )
    names = {0: "blank", 1: "space"}
    below.set_yticks(range(len(rows)), [names.get(k, LETTERS[k]) for k in rows])
    below.set(xlabel="seconds", ylabel="what the network says")
    below.set_title("Understood: the probability of each letter, every 30 ms", pad=20)
    figure.colorbar(shown, ax=below, label="probability")
    path_of_letters = p.argmax(axis=1)
    for t, k in enumerate(path_of_letters):  # the letters that are new
        if k > 0 and (t == 0 or path_of_letters[t - 1] != k):
            letter = LETTERS[k].replace(" ", "␣")
            below.text((t + 0.5) * STEP, -0.75, letter, ha="center", weight="bold")
    figure.suptitle(
        f"A voice that was not trained on\nsaid: {truth}   understood: {said}"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
