"""Chorales as piano rolls, what is known without a network, and rolls as MIDI files."""

import importlib.util
import itertools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from options import fail
from rich.console import Console
from rich.progress import track
from sklearn.neural_network import MLPClassifier

KEYS, LOWEST = 88, 21  # of a piano, as in the published comparisons; A0 in MIDI
TUNE = 16  # so many quarter notes of the highest voice tell a tune
PASTS = 1, 4  # frames that a logistic regression sees


class Part(NamedTuple):
    """Some chorales, with one silent frame in front and silence behind the end."""

    rolls: np.ndarray  # (time + 1, chorale, key), whether a key sounds
    lengths: np.ndarray  # (chorale), without the silent frame
    names: list[str]


def chorales(path: Path) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Names and rolls (time, key) to train on, to choose by and to test with.

    Of every five tunes one is in the test and one in the validation, with all of its
    harmonisations. A chorale that the book has twice, in any key, counts once.
    """
    if importlib.util.find_spec("music21") is None:  # it writes MIDI too
        fail('the chorales are in music21: pip install -e ".[music]"')
    if not path.exists():
        _write(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            names, ends = file["names"], np.cumsum(file["lengths"])
            rolls = np.split(file["rolls"], ends[:-1])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        fail(f"{path} holds no piano rolls: delete it, and it is made anew")
    tunes: dict[bytes, dict] = {}
    for name, roll in zip(names.tolist(), rolls, strict=True):
        keys = np.flatnonzero(roll.any(axis=0))
        tops = KEYS - 1 - roll[:TUNE, ::-1].argmax(axis=1)
        same = tunes.setdefault(np.diff(tops).tobytes(), {})
        same.setdefault(roll[:, keys[0] : keys[-1] + 1].tobytes(), (name, roll))
    order = np.random.default_rng(0).permutation(len(tunes))  # in every run
    ordered = [[*list(tunes.values())[i].values()] for i in order]
    parts = {"test": ordered[::5], "validation": ordered[1::5]}
    parts["training"] = [tune for i, tune in enumerate(ordered) if i % 5 > 1]
    return {name: list(itertools.chain(*some)) for name, some in parts.items()}


def _write(path: Path) -> None:
    from music21 import corpus

    names, rolls = [], []
    every: Any = list(corpus.chorales.Iterator(returnType="filename"))
    for name in track(every, "reading scores, once", console=Console(stderr=True)):
        score: Any = corpus.parse(name)
        if len(score.parts) == 4:  # others have instruments too
            names.append(Path(name).name)
            rolls.append(roll_of(score))
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half.npz")  # Ctrl-C leaves no half of the real one
    lengths = [len(roll) for roll in rolls]
    np.savez_compressed(half, names=names, lengths=lengths, rolls=np.concatenate(rolls))
    half.replace(path)


def roll_of(score: Any) -> np.ndarray:
    """(time, key): what sounds at the beginning of each quarter note."""
    roll = np.zeros((int(np.ceil(score.highestTime)), KEYS), bool)
    for note in score.flatten().notes:
        start, end = note.offset, note.offset + note.quarterLength
        for pitch in note.pitches:
            roll[int(np.ceil(start)) : int(np.ceil(end)), pitch.midi - LOWEST] = True
    return roll


def padded(some: list[tuple[str, np.ndarray]]) -> Part:
    lengths = np.array([len(roll) for _, roll in some])
    rolls = np.zeros((lengths.max() + 1, len(some), KEYS), bool)
    for i, (_, roll) in enumerate(some):
        rolls[1 : len(roll) + 1, i] = roll
    return Part(rolls, lengths, [name for name, _ in some])


def nats(chances: np.ndarray, sounds: np.ndarray) -> float:
    """-log of the probability of all 88 keys together, a frame."""
    right = np.where(sounds, chances, 1 - chances)
    return float(-np.log(np.maximum(right, 1e-12)).sum(axis=-1).mean())


def references(train: Part, test: Part) -> dict[str, float]:
    """The nats a frame of what remembers nothing, or little."""
    (seen, sounds), (of_test, truth) = frames(train), frames(test)
    share = lambda some: (some.sum(axis=0) + 0.5) / (len(some) + 1)  # noqa: E731
    after = [[share(sounds[seen[:, k] == on, k]) for k in range(KEYS)] for on in (0, 1)]
    again = np.where(of_test, after[1], after[0])
    found = {"each key as often as it sounds": nats(share(sounds), truth)}
    found["each key by whether it sounded just before"] = nats(again, truth)
    for past in track(PASTS, "logistic regression", console=Console(stderr=True)):
        # Without a hidden layer it is a regression for each key.
        model = MLPClassifier((), solver="lbfgs", alpha=1.0, tol=1e-3, max_iter=2000)
        model.fit(*frames(train, past))
        chances = np.asarray(model.predict_proba(frames(test, past)[0]))
        found[f"logistic regression, frames before: {past}"] = nats(chances, truth)
    return found


def frames(part: Part, past: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Of all quarter notes the frames before (frame, past * key), and the frame."""
    T = len(part.rolls) - 1
    longer = np.pad(part.rolls, ((past - 1, 0), (0, 0), (0, 0)))
    seen = np.concatenate([longer[k : k + T] for k in range(past)], axis=-1)
    valid = np.arange(T)[:, None] < part.lengths
    return seen[valid], part.rolls[1:][valid]


def windows(
    rolls: Any, lengths: Any, key: Any, batch: int, most: int, shifts: tuple[int, int]
) -> tuple[Any, Any]:
    """Rolls and lengths of parts of some chorales, at random, transposed at random."""
    keys, most = jax.random.split(key, 3), min(most, len(rolls) - 1)
    i = jax.random.choice(keys[0], len(lengths), (batch,))
    start = jax.random.randint(
        keys[1], (batch,), 0, jnp.maximum(lengths[i] - most, 0) + 1
    )
    shift = jax.random.randint(keys[2], (batch,), *shifts)

    def one(i: Any, start: Any, shift: Any) -> Any:
        frames = jax.lax.dynamic_slice_in_dim(rolls[:, i], start, most + 1)
        return jnp.roll(frames, shift, axis=1)  # no note is so high or low that it wraps

    some = jax.vmap(one, out_axes=1)(i, start, shift)
    return some, jnp.minimum(lengths[i] - start, most)
