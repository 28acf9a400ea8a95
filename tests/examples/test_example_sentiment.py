"""The sentiment of tweets, as a user has it judged, on a file of a few made-up ones."""

import csv
import json

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, run

CLASSES = ["negative", "neutral", "positive"]
TELLING = [
    ["awful", "late", "broken"],
    ["gate", "ticket", "seat"],
    ["great", "fine", "joy"],
]


def file_of(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("sentiment", "confidence", "text"), *rows])
    return path


@pytest.mark.slow
def test_it_learns_what_words_say_and_counts_what_is_right(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for i in range(1000):
        c = rng.choice(3, p=[0.5, 0.3, 0.2])
        words = [f"w{i}", *rng.choice([f"filler{k}" for k in range(20)], 6)]
        words[rng.integers(1, 7)] = rng.choice(TELLING[c])
        rows.append((CLASSES[c], 1, " ".join(words)))
    file = file_of(tmp_path / "tweets.csv", rows)
    options = f"--steps 240 --seeds 2 --hidden-size 8 --seed 3 --data {file}"
    printed = run("sentiment.py", f"{options} --out {tmp_path}")
    numbers = json.loads((tmp_path / "results.json").read_text())
    order = np.random.default_rng(0).permutation(1000)
    truth = np.array([CLASSES.index(rows[i][0]) for i in order[:100]])
    assert numbers["truth"] == truth.tolist()

    def scored(guess):
        overlap = [2 * np.sum((guess == c) & (truth == c)) for c in range(3)]
        sizes = [np.sum(guess == c) + np.sum(truth == c) for c in range(3)]
        return np.mean(guess == truth), np.mean(np.array(overlap) / sizes)

    shares = []
    assert numbers["runs"][0]["losses"] != numbers["runs"][1]["losses"]
    for each in numbers["runs"]:
        assert len(each["losses"]) == 240 and 0.9 < each["losses"][0] < 1.3  # ln 3 = 1.1
        assert np.mean(each["losses"][-5:]) < 0.8 * each["losses"][0]
        shares.append(scored(np.array(each["verdicts"])))
        np.testing.assert_allclose([*each["test"].values()], shares[-1])
        assert each["test"]["accuracy"] > 0.7 and each["validation"]["accuracy"] > 0.7
    for column in np.transpose(shares):
        assert f"{column.mean():.3f} ± {column.std(ddof=1):.3f}" in printed
    regression, most = numbers["references"].values()
    np.testing.assert_allclose([*most.values()], scored(np.zeros(100, int)))
    assert regression["accuracy"] > 0.9 and f"{regression['accuracy']:.3f}" in printed
    assert "always negative" in printed
    assert matplotlib.image.imread(tmp_path / "sentiment.png").std() > 0.01


def test_a_tweet_that_is_sent_on_stands_in_one_part_alone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import sentiment_data

    rows = [("neutral", 1, f"number {i} of many") for i in range(98)]
    said = "I can't believe it: so good, and on time! :) http://t.co/a"
    rows += [("positive", 1, said), ("neutral", 1, f"RT @some_one: {said}bc")]
    rows += [("negative", 1, f"{said[:-20]} ..."), ("negative", 1, "http://t.co/only")]
    rows += [("negative", 1, "@some_one ok"), ("negative", 1, "@another ok")]
    parts = sentiment_data.tweets(file_of(tmp_path / "tweets.csv", rows))
    assert [len(classes) for _, classes in parts] == [10, 10, 81]
    texts = [" ".join(text) for part, _ in parts for text in part]
    expected = {"i can't believe it so good and on time ! :)", "@some_one ok"}
    assert expected | {"@another ok"} <= set(texts) and len(set(texts)) == 101
    number = sentiment_data.vocabulary([["b", "a", "b"], ["c", "c"]])
    assert sorted(number) == ["b", "c"]
    words, lengths = sentiment_data.numbered([["a", "b"], ["c"]], number)
    assert lengths.tolist() == [2, 1] and words[2:].max() == 0
    assert words[:2].T.tolist() == [[0, number["b"]], [number["c"], 0]]
    with pytest.raises(SystemExit):
        sentiment_data.tweets(tmp_path / "missing.csv")


@pytest.mark.usefixtures("promotion")
@pytest.mark.slow
def test_verdicts_and_gradients_are_those_of_a_loop_over_each_beginning(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import jax
    import sentiment

    import jaxrnn

    grus = jaxrnn.GRU(3, 4), jaxrnn.GRU(3, 4)
    reader = jaxrnn.Stack((jaxrnn.Dropout(0.5), jaxrnn.Bidirectional(*grus)))
    readout = jaxrnn.Dense(8, 1), jaxrnn.Dense(8, 3)
    cells = jaxrnn.Embedding(6, 3), reader, *readout
    keys = jax.random.split(jax.random.key(0), 4)
    params = [cell.init(key) for cell, key in zip(cells, keys, strict=True)]
    params = jax.tree.map(lambda leaf: 2 * np.asarray(leaf, float), params)
    number, text = {c: i + 1 for i, c in enumerate("abcde")}, list("dabe")
    both, (scorer, judge) = params[1][1], params[2:]
    steps = [jax.jit(gru) for gru in grus]

    def log_odds(vectors):
        shown = []
        for step, inner, way in zip(steps, both, (1, -1), strict=True):
            h, hs = np.zeros(4), []
            for x in vectors[::way]:
                h, _ = step(inner, h, x)
                hs.append(h)
            shown.append(np.array(hs[::way]))
        ys = np.concatenate(shown, axis=1)
        weights = np.exp(ys @ scorer["kernel"] + scorer["bias"])
        mean = (weights * ys).sum(axis=0) / weights.sum()
        logits = mean @ judge["kernel"] + judge["bias"]
        return logits - np.log(np.exp(logits).sum())

    table = next(iter(jax.tree.leaves(params[0])))
    vectors = table[[number[word] for word in text]]
    odds, norms, products = sentiment.word_by_word(cells, params, number, text)
    expected = [np.exp(log_odds(vectors[:n])) for n in range(1, 5)]
    np.testing.assert_allclose(odds, expected, rtol=1e-6)

    best, slopes = np.argmax(odds[-1]), np.zeros((4, 3))
    for at in np.ndindex(4, 3):
        moved = np.zeros((4, 3))
        moved[at] = 1e-5
        change = log_odds(vectors + moved) - log_odds(vectors - moved)
        slopes[at] = change[best] / 2e-5
    np.testing.assert_allclose(norms, np.linalg.norm(slopes, axis=1), rtol=1e-5)
    np.testing.assert_allclose(products, np.sum(slopes * vectors, axis=1), rtol=1e-5)
