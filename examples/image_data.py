"""Images as sequences: garments by the row or by the pixel, and digits of one dimension.

Used by `pixels.py` and `zoo.py`. Fashion-MNIST is a package of Debian,
dataset-fashion-mnist; MNIST-1D one of Python, mnist1d, which makes its data from a seed.
"""

import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from options import fail

FASHION = Path("/usr/share/datasets/fashion-mnist")
Part = tuple[np.ndarray, np.ndarray]  # what is read, one example after another; labels


class Task(NamedTuple):
    title: str
    published: dict[str, float]
    size: int  # H
    batch: int
    pace: int  # training steps for each of --steps


SEEN_WHOLE = {"MLP that sees all": 0.883, "people": 0.835}  # of 28 x 28 pixels
TASKS = {
    "rows": Task("garments, row by row", {"GRU + SVM": 0.888}, 128, 32, 2),
    "pixels": Task("garments, pixel by pixel", SEEN_WHOLE, 64, 32, 1),
    "permuted": Task("garments, pixels out of order", SEEN_WHOLE, 64, 32, 1),
    "mnist1d": Task("digits in 40 numbers", {"GRU": 0.91}, 64, 64, 2),
    "shuffled1d": Task("digits, numbers out of order", {"GRU": 0.57}, 64, 64, 2),
}


def garments(folder: Path, otherwise: str) -> list[Part]:
    """To train on, and the test: pixels (N, 28, 28) in 0..255, classes."""

    def numbers(name: str, offset: int) -> np.ndarray:
        try:
            with gzip.open(folder / f"{name}-ubyte.gz") as file:
                return np.frombuffer(file.read(), np.uint8, offset=offset)
        except OSError as error:
            fail(
                f"cannot read {folder}/{name}-ubyte.gz: {error.strerror or error}; "
                f"apt install dataset-fashion-mnist, or {otherwise}"
            )

    return [
        (
            numbers(f"{part}-images-idx3", 16).reshape(-1, 28, 28),
            numbers(f"{part}-labels-idx1", 8).astype(int),
        )
        for part in ("train", "t10k")
    ]


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """Means of two by two pixels."""
    N, height, width = pixels.shape
    return pixels.reshape(N, height // 2, 2, width // 2, 2).mean((2, 4))


def signals(shuffled: bool) -> list[Part]:
    """To train on, and the test: (N, 40), digits; of the package's own seed."""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        fail('the data is in mnist1d: pip install -e ".[pixels]"')
    how: Any = get_dataset_args()
    how.shuffle_seq = shuffled
    made = make_dataset(how)
    return [(made["x"], made["y"]), (made["x_test"], made["y_test"])]


def read(name: str, folder: Path, full: bool, validate: bool) -> list[Part]:
    """To train on, and to score: sequences (N, T, I), labels."""
    if name.endswith("1d"):
        parts = signals(shuffled=name == "shuffled1d")
    else:
        parts = garments(folder, "--task mnist1d shuffled1d")
    if validate:  # the test is not looked at
        xs, labels = parts[0]
        cut = len(xs) - len(xs) // (5 if name.endswith("1d") else 6)
        parts = [(xs[:cut], labels[:cut]), (xs[cut:], labels[cut:])]
    labels = [each for _, each in parts]
    images = [each for each, _ in parts]
    if name in ("pixels", "permuted") and not full:
        images = [shrunk(each) for each in images]
    if name != "rows":
        images = [each.reshape(len(each), -1, 1) for each in images]
    if name == "permuted":  # the same order in every run
        order = np.random.default_rng(0).permutation(images[0].shape[1])
        images = [each[:, order] for each in images]
    images = [each.astype(np.float32) for each in images]
    mean, deviation = images[0].mean(), images[0].std()
    images = [(each - mean) / deviation for each in images]
    return list(zip(images, labels, strict=True))
