"""The tagger as a user runs it, tiny; its arrays and its baseline, counted again here."""

import json
import re
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from program import EXAMPLES, run

WAYS = "one way", "both ways"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagging")
    options = f"--steps 6 --seeds 2 --seed 3 --hidden-size 4 --out {folder}"
    printed = run("tagging.py", options)
    return folder, printed, json.loads((folder / "results.json").read_text())


def sentences():
    """Lists of (word, tag), read line by line."""
    treebank = metadata.distribution("turkish-treebanks")
    found = []
    for name in ("web", "wiki"):
        found.append([])
        path = Path(str(treebank.locate_file(f"data/{name}.conllu")))
        for line in path.read_text("utf-8").splitlines():
            if not line:
                found.append([])
            elif line[0] != "#":
                fields = line.split("\t")
                small = fields[1].translate({ord("I"): "ı", ord("İ"): "i"}).lower()
                found[-1].append((small, fields[3]))
    return [sentence[:48] for sentence in found if sentence]


@pytest.mark.slow
def test_it_learns_prints_what_it_saves_and_draws(finished):
    folder, printed, numbers = finished
    everything, unknown, *tags = numbers["gain"][0]
    assert everything.startswith("all (") and unknown.startswith("unknown (")
    assert len(tags) == 12 and any(tag.startswith("NOUN (") for tag in tags)
    for way in WAYS:
        first, second = numbers[way]
        for each in (first, second):
            assert len(each["losses"]) == 6
            assert np.mean(each["losses"][-2:]) < 0.98 * each["losses"][0]
        assert first["losses"] != second["losses"]
    for key in (everything, unknown, *tags):
        one, both = (np.array([run[key] for run in numbers[way]]) for way in WAYS)
        gains = [gain[key] for gain in numbers["gain"]]
        np.testing.assert_allclose(gains, both - one, atol=1e-9)
    for name in (*WAYS, "gain"):
        cells = []
        for key in (everything, unknown):
            runs = np.array([run[key] for run in numbers[name]])
            cells.append(re.escape(f"{runs.mean():.2f} ± {runs.std(ddof=1):.2f}"))
        assert re.search(rf"^ {name} +{' +'.join(cells)} *$", printed, re.MULTILINE)
    shown = [f"{gain[everything]:+.2f}" for gain in numbers["gain"]]
    assert f"gain of each run: {' '.join(shown)}" in printed
    assert f"{folder}/tagging.png" in printed
    assert imread(folder / "tagging.png")[..., :3].std() > 0.01


@pytest.mark.slow
def test_words_labels_and_the_baseline_are_those_of_the_treebank(finished, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import tagging

    text = sentences()
    counts = Counter(w for i, s in enumerate(text) if i % 10 < 9 for w, _ in s)
    words, labels, lengths = tagging.treebank()
    assert lengths.tolist() == [len(sentence) for sentence in text]
    ids = {}
    for b, sentence in enumerate(text):
        spelled = [tagging.TAGS[i] for i in labels[: lengths[b], b]]
        assert spelled == [tag for _, tag in sentence]
        assert (labels[lengths[b] :, b] == -1).all()
        for t, (word, _) in enumerate(sentence):
            assert (words[t, 0, b] > 0) == (counts[word] > 1)
            if counts[word] > 1:
                assert ids.setdefault(word, words[t, 0, b]) == words[t, 0, b]
    assert len(set(ids.values())) == len(ids)

    seen = defaultdict(Counter)
    for i, sentence in enumerate(text):
        for word, tag in sentence if i % 10 < 9 else ():
            seen[word if counts[word] > 1 else None][tag] += 1
    right = {"all": [], "unknown": [], "NOUN": []}
    for word, tag in (pair for sentence in text[9::10] for pair in sentence):
        known = seen[word if counts[word] > 1 else None]
        hit = tag == min(known, key=lambda tag: (-known[tag], tag))
        groups = ["all", *["unknown"] * (counts[word] < 2), *["NOUN"] * (tag == "NOUN")]
        for group in groups:
            right[group].append(hit)
    baseline = finished[2]["most frequent tag (computed)"][0]
    for group, hits in right.items():
        value = baseline[f"{group} ({len(hits):,})"]
        assert value == pytest.approx(100 * np.mean(hits)), group
