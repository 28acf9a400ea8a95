"""A roll as a figure and as a MIDI file."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from music_data import KEYS, LOWEST

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(path: Path, name: str, given: int, both: dict, chances: np.ndarray) -> None:
    """Rolls (time, key) against time, and behind the last of them its `chances`."""
    figure, rows = plt.subplots(2, 1, figsize=(11, 8), layout="constrained", sharex=True)
    T, every = len(next(iter(both.values()))), np.logical_or(*both.values())
    lowest, *_, highest = np.flatnonzero(every.any(axis=0))
    for axes, (label, roll) in zip(rows, both.items(), strict=True):
        t, k = np.nonzero(roll)
        for part, color, legend in (
            (t < given, "0.3", f"given: the first {given} quarter notes"),
            (t >= given, "tab:blue", label),
        ):
            axes.hlines(k[part], t[part], t[part] + 1, color, lw=4, label=legend)
        axes.axvspan(0, given, color="0.93", zorder=0)
        octaves = np.arange(3, KEYS, 12)  # the lowest C is the fourth key
        axes.set_yticks(octaves, [f"C{i + 1}" for i in range(len(octaves))])
        axes.set_xticks(range(0, T + 1, 8))
        axes.set_ylabel("note")
        axes.grid(alpha=0.4)
        axes.legend(loc="upper left", ncols=2)
    extent = given, T, -0.5, KEYS - 0.5
    shown = np.ma.masked_less(chances.T, 0.03)  # white
    image = rows[1].imshow(
        shown, "Oranges", aspect="auto", origin="lower", extent=extent, vmin=0, vmax=1
    )
    rows[1].set(xlabel="time (quarter notes)", xlim=(0, T))
    for axes in rows:
        axes.set_ylim(lowest - 1.5, highest + 6)
    label = "chance of the note, by the GRU"
    figure.colorbar(image, ax=rows[1], label=label, pad=0.01)
    figure.suptitle(f"How does {name} go on? A chorale that the GRU was not trained on")
    figure.savefig(path, dpi=110)


def write_midi(path: Path, roll: np.ndarray) -> None:
    """A track for each key, which is held while it sounds in frame after frame."""
    from music21 import note, stream, tempo

    score: Any = stream.Score()
    for key in np.flatnonzero(roll.any(axis=0)).tolist():
        track: Any = stream.Part([tempo.MetronomeMark(number=80)])
        turns = np.flatnonzero(np.diff(roll[:, key].astype(int), prepend=0, append=0))
        for start, end in turns.reshape(-1, 2).tolist():
            track.insert(start, note.Note(key + LOWEST, quarterLength=end - start))
        score.insert(0, track)
    score.write("midi", path)
