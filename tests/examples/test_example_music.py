"""Chorales: a tiny run on rolls of our own, and its essentials by plain loops."""

import importlib
import json

import jax
import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, run

import jaxrnn


@pytest.fixture
def example(monkeypatch):
    """The two modules: of the network, and of the data."""
    pytest.importorskip("music21")
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("music"), importlib.import_module("music_data")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """30 tunes of four voices, each twice, in the format that the example keeps."""
    rng, rolls, names = np.random.default_rng(0), [], []
    for tune in range(30):
        top = 48 + np.cumsum(rng.integers(-1, 2, 40))
        for below in (4, 5):  # two harmonisations
            roll = np.zeros((40 - tune % 3, 88), bool)
            for voice in range(4):
                roll[np.arange(len(roll)), top[: len(roll)] - below * voice] = True
            rolls.append(roll)
            names.append(f"tune{tune}-{below}")
    rolls.append(np.roll(rolls[6], 3, axis=1))  # the seventh, in another key
    names.append("again")
    path = tmp_path_factory.mktemp("rolls") / "chorales.npz"
    lengths = [len(roll) for roll in rolls]
    np.savez(path, names=names, lengths=lengths, rolls=np.concatenate(rolls))
    return path


@pytest.mark.slow
def test_it_learns_goes_on_and_says_what_it_saved(example, book, tmp_path):
    options = f"--steps 30 --seeds 2 --seed 3 --hidden-size 16 --rolls {book}"
    printed = run("music.py", f"{options} --out {tmp_path}")
    numbers = json.loads((tmp_path / "results.json").read_text())
    first, second = numbers["runs"]
    assert first["losses"] != second["losses"] and len(first["losses"]) == 30
    for each in numbers["runs"]:
        assert 50 < each["losses"][0] < 70  # 88 ln 2 = 61
        assert np.mean(each["losses"][-5:]) < 0.5 * each["losses"][0]
        assert 0 < each["test"] < 30 and len(each["validation"]) == 1  # each 100 steps
    tests = [each["test"] for each in numbers["runs"]]
    assert f"{np.mean(tests):.3f} ± {np.std(tests, ddof=1):.3f}" in printed
    assert "8.43" in printed and "8.45" in printed
    for value in numbers["references"].values():
        assert f"{value:.3f}" in printed

    music21 = pytest.importorskip("music21")
    _, data = example
    notes = [
        data.roll_of(music21.converter.parse(tmp_path / f"{name}.mid"))
        for name in ("bach", "network")
    ]
    test = dict(data.chorales(book)["test"])
    truth = next(roll for name, roll in test.items() if f" {name}: Bach" in printed)
    np.testing.assert_array_equal(notes[0][: len(truth)], truth)
    np.testing.assert_array_equal(notes[1][:32], truth[:32])
    assert f"Bach {truth[32:].sum(axis=1).mean():.2f}, GRU" in printed
    assert (notes[1][32 : len(truth)].sum(axis=1) == 4).all()
    assert matplotlib.image.imread(tmp_path / "music.png").std() > 0.01


def test_no_tune_is_in_two_parts_and_no_chorale_counts_twice(example, book):
    _, data = example
    parts = data.chorales(book)
    names = {part: {name for name, _ in some} for part, some in parts.items()}
    assert {part: len(some) for part, some in names.items()} == {
        "test": 12,
        "validation": 12,
        "training": 36,
    }
    assert not any("again" in some for some in names.values())
    for some in names.values():
        assert {name.replace("-4", "-5") for name in some} <= some

    part = data.padded(parts["test"])
    seen, sounds = data.frames(part, 2)
    rows = [(name, t) for t in range(40) for name, r in parts["test"] if t < len(r)]
    rolls, at = dict(parts["test"]), 17  # of the second frames
    name, t = rows[at]
    assert t == 1 and len(rows) == len(seen)
    np.testing.assert_array_equal(sounds[at], rolls[name][1])
    np.testing.assert_array_equal(seen[at], np.append(np.zeros(88), rolls[name][0]))


@pytest.mark.usefixtures("promotion")
def test_a_roll_has_what_sounds_at_each_quarter_note(example, tmp_path):
    _, data = example
    music21 = pytest.importorskip("music21")
    soprano, bass = music21.stream.Part(), music21.stream.Part()
    for start, length, pitch in ((0, 0.5, 72), (0.5, 1.5, 74), (2, 1, 72)):
        soprano.insert(start, music21.note.Note(pitch, quarterLength=length))
    bass.insert(0, music21.note.Note(48, quarterLength=3))
    expected = np.zeros((3, 88), bool)
    expected[:, 48 - 21] = expected[[0, 2], 72 - 21] = expected[1, 74 - 21] = True
    score = music21.stream.Score([soprano, bass])
    np.testing.assert_array_equal(data.roll_of(score), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("promotion")
def test_the_loss_and_the_notes_drawn_are_those_of_a_loop(example, book):
    music, data = example
    first, second, *_ = data.chorales(book)["test"]
    some = [(first[0], first[1][:9]), (second[0], second[1][:6])]
    part = data.padded(some)
    cell = jaxrnn.Stack((jaxrnn.GRU(88, 5), jaxrnn.Dropout(0.5), jaxrnn.Dense(5, 88)))
    params = cell.init(jax.random.key(0))
    step, losses = jax.jit(cell), []
    for _, roll in some:
        carry, before = cell.initial_carry(params), np.zeros(88)
        for frame in roll:
            carry, logits = step(params, carry, before)
            chances = 1 / (1 + np.exp(-np.asarray(logits)))
            losses.append(-np.log(np.where(frame, chances, 1 - chances)).sum())
            before = frame.astype(float)
    loss = music.loss_of(cell, params, part.rolls, part.lengths)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)

    roll = some[0][1]
    drawn, chances = music.go_on(cell, params, roll, 5, jax.random.key(1))
    read = [np.zeros(88), *roll, *drawn]
    carry = cell.initial_carry(params)
    for t, frame in enumerate(read[:-1]):
        carry, logits = step(params, carry, np.asarray(frame, float))
        if t >= len(roll):
            expected = 1 / (1 + np.exp(-np.asarray(logits)))
            np.testing.assert_allclose(chances[t - len(roll)], expected, rtol=1e-5)
    assert (drawn.sum(axis=1) == 4).all() and len(np.unique(drawn, axis=0)) > 1


@pytest.mark.slow
@pytest.mark.usefixtures("promotion")
def test_windows_are_parts_of_chorales_in_some_key(example, book):
    _, data = example
    some = data.chorales(book)["validation"]
    rolls, lengths, _ = data.padded(some)
    given = jax.numpy.asarray(rolls), jax.numpy.asarray(lengths)
    batch, ends = data.windows(*given, jax.random.key(0), 8, 38, (-2, 3))
    found = set()
    for b in range(8):
        (match,) = {
            (i, start, shift)
            for i in range(len(some))
            for start in range(max(lengths[i] - 38, 0) + 1)
            for shift in range(-2, 3)
            if np.array_equal(
                np.roll(rolls[start : start + 39, i], shift, axis=1), batch[:, b]
            )
        }
        assert ends[b] == min(lengths[match[0]] - match[1], 38)
        found.add(match[1:])
    assert len(found) > 2
