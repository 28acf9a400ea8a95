"""The speakers of the vowels, as a user tells them apart, in few steps."""

import json

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, run


@pytest.mark.slow
def test_it_learns_the_speakers_from_more_and_more_frames(tmp_path):
    options = f"--steps 40 --seeds 2 --hidden-size 8 --seed 3 --out {tmp_path}"
    printed = run("vowels.py", options)
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert runs[0]["losses"] != runs[1]["losses"]
    for each in runs:
        assert len(each["losses"]) == 40 and 2.0 < each["losses"][0] < 3.0  # ln 9 = 2.2
        assert np.mean(each["losses"][-5:]) < 0.9 * each["losses"][0]
        assert len(each["shares"]) == 29 and each["shares"][-1] == each["test"]
        assert each["test"] > max(0.3, each["shares"][0])  # after all frames, and one
    tests = [each["test"] for each in runs]
    assert f"{np.mean(tests):.3f} ± {np.std(tests, ddof=1):.3f}" in printed
    assert "0.986" in printed
    assert matplotlib.image.imread(tmp_path / "vowels.png").std() > 0.01


@pytest.mark.usefixtures("promotion")
@pytest.mark.slow
def test_padding_is_no_frame_and_every_utterance_is_answered_as_it_is_alone(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import jax
    import optax
    import vowels

    import jaxrnn

    xs, lengths, speakers = vowels.read("TEST")
    assert list(np.bincount(speakers)) == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert (lengths.min(), lengths.max()) == (7, 29)
    text = vowels.data_file(
        "sktime", "sktime/datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts", "vowels"
    ).read_text()
    fields = text.splitlines()[-1].split(":")  # of the last utterance
    frames = np.array([[float(v) for v in field.split(",")] for field in fields[:-1]])
    np.testing.assert_allclose(xs[: lengths[-1], -1], frames.T, rtol=1e-6)
    assert np.isnan(xs[lengths[-1] :, -1]).all()

    monkeypatch.setattr(vowels, "NOISE", 0.0)
    both_ways = jaxrnn.Bidirectional(jaxrnn.GRU(12, 4), jaxrnn.GRU(12, 4))
    cell = jaxrnn.Stack((both_ways, jaxrnn.Dropout(0.0), jaxrnn.Dense(8, 9)))
    params = cell.init(jax.random.key(0))
    some = np.array([0, 369])
    batch = xs[:, some], lengths[some], speakers[some]
    alone, losses = [], []
    for i in some:
        _, logits = jaxrnn.unroll(cell, params, xs[: lengths[i], i])
        odds = np.exp(np.asarray(logits, float))
        losses.extend(-np.log(odds[:, speakers[i]] / odds.sum(axis=1)))
        _, logits = jaxrnn.unroll(cell, params, xs[:5, i])  # heard so far
        alone.append(np.asarray(logits, float).mean(axis=0).argmax())
    heard = np.minimum(batch[1], 5)
    assert list(vowels.answers(cell, params, batch[0], heard)) == alone
    optimizer = optax.sgd(0.1)
    state = params, optimizer.init(params)
    (new, _), loss = vowels.train_step(cell, optimizer, state, batch, jax.random.key(1))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(new))
