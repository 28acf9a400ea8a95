"""Letters from sounds, as a user gets them; the words are stood in for by patterns."""

import json
import shutil

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, run


@pytest.fixture
def speech_data(monkeypatch):
    pytest.importorskip("mnemonic")
    monkeypatch.syspath_prepend(EXAMPLES)
    import speech_data

    return speech_data


def edits(truth, found):
    """The fewest insertions, deletions and substitutions, by the usual table."""
    table = np.zeros((len(truth) + 1, len(found) + 1))
    table[:, 0], table[0] = range(len(truth) + 1), range(len(found) + 1)
    for i, a in enumerate(truth, 1):
        for j, b in enumerate(found, 1):
            around = (
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (a != b),
            )
            table[i, j] = min(around)
    return table[-1, -1]


@pytest.mark.slow
def test_it_learns_to_spell_what_is_said(tmp_path, speech_data):
    pytest.importorskip("jiwer")
    from scipy.io import wavfile

    # A file as if it had been made: two steps for each letter, each with its own pattern.
    plan = [(p, *how) for p, hows in speech_data.scripts(400).items() for how in hows]
    rng = np.random.default_rng(0)
    patterns = rng.normal(0, 1, (27, speech_data.STACKED * speech_data.MELS))
    index = " abcdefghijklmnopqrstuvwxyz".index
    frames = [np.repeat(patterns[[*map(index, text)]], 2, 0) for _, text, *_ in plan]
    ends = np.cumsum([len(one) for one in frames])
    file = tmp_path / "speech-400.npz"
    np.savez(file, plan=np.array(plan), frames=np.concatenate(frames), ends=ends)
    (tmp_path / "digits").mkdir()
    sound = (1e4 * np.sin(np.arange(4000) ** 1.3)).astype(np.int16)
    wavfile.write(tmp_path / "digits/3.wav", 8000, sound)

    options = "--utterances 400 --steps 60 --seeds 2 --hidden-size 48 --seed 3"
    printed = run("speech.py", f"{options} --recordings {tmp_path} --out {tmp_path}")
    numbers = json.loads((tmp_path / "results.json").read_text())
    runs, name = numbers["runs"], "digit strings, known voices"
    assert runs[0]["losses"] != runs[1]["losses"]
    truth = [text for part, text, *_ in plan if part == name]
    assert len(truth) == 10
    for each in runs:
        losses = each["losses"]
        assert len(losses) == 60 and np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
        assert each["weight"] in (0.0, 0.2, 0.4, 0.6) and len(each["choice"]) == 4
        assert len(each["test"]) == 7
        found = each["test"][name]
        for way, (letters, words) in found["errors"].items():
            pairs = list(zip(truth, found["texts"][way], strict=True))
            total = sum(edits(a, b) for a, b in pairs) / sum(map(len, truth))
            np.testing.assert_allclose(letters, total)
            wrong = sum(edits(a.split(), b.split()) for a, b in pairs)
            np.testing.assert_allclose(words, wrong / sum(len(a.split()) for a in truth))
    rates = [100 * each["test"][name]["errors"]["best path"][0] for each in runs]
    assert f"{np.mean(rates):.1f} ± {np.std(rates, ddof=1):.1f}" in printed
    computed = numbers["computed"]
    assert len(computed) == 3 and len(computed["a person's recordings"]["texts"]) == 1
    assert matplotlib.image.imread(tmp_path / "speech.png").std() > 0.01


def test_no_word_and_no_voice_is_in_two_parts(speech_data):
    parts = speech_data.words()
    assert len(set().union(*parts)) == sum(map(len, parts)) > 2048
    assert min(map(len, parts)) == 200
    how = speech_data.scripts(400)
    voices = {name: {variant for _, _, variant, *_ in plan} for name, plan in how.items()}
    words = {
        name: {w for text, *_ in plan for w in text.split()} for name, plan in how.items()
    }
    for name in how:
        if "new voices" in name:
            assert not voices[name] & (voices["train"] | voices["choice"])
        if "new words" in name:
            assert not words[name] & (set(parts[0]) | words["choice"])
        if "known words" in name:
            assert words[name] <= set(parts[0])
    assert not voices["train"] & voices["choice"]


def test_a_template_is_as_far_as_the_best_way_through_both(speech_data):
    pytest.importorskip("jiwer")
    import speech_score

    rng = np.random.default_rng(0)
    one, others = rng.normal(size=(4, 3)), [rng.normal(size=(n, 3)) for n in (2, 5)]

    def best(other, i, j):  # the way to frames i and j, whichever it came
        if i < 0 or j < 0:
            return 0.0 if i == j == -1 else np.inf
        before = min(best(other, i - a, j - b) for a, b in ((1, 0), (0, 1), (1, 1)))
        return before + np.sum((one[i] - other[j]) ** 2)

    templates = np.zeros((2, 5, 3))
    for template, other in zip(templates, others, strict=True):
        template[: len(other)] = other
    found = speech_score.warped(one, templates, np.array([2, 5]))
    expected = [best(o, 3, len(o) - 1) / (4 + len(o)) for o in others]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_a_tone_is_in_its_band_and_a_word_said_twice_is_the_same(speech_data):
    filters = speech_data.mel_filters()
    assert filters.shape == (129, 32) and (filters.max(axis=0) > 0).all()
    tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    tone *= np.hanning(4000)
    frames = speech_data.features(tone.astype(np.float32)).reshape(-1, 32)
    corners = 700 * (10 ** (np.linspace(150.5, 2096.4, 34) / 2595) - 1)
    rise = frames.max(axis=0) - frames.min(axis=0)
    assert corners[rise.argmax()] < 1000 < corners[rise.argmax() + 2]
    once, again = (speech_data.say("seven", "en-us", "f1", 150, 50) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert 8 < len(once) < 40 and np.isfinite(once).all()
    np.testing.assert_allclose(once.reshape(-1, 32).mean(axis=0), 0, atol=0.3)
