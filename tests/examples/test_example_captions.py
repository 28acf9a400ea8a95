"""Captions, as a user makes them, with a small network and few steps."""

import json

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, run


@pytest.mark.slow
def test_it_learns_to_spell_and_counts_what_is_right(tmp_path):
    options = f"--steps 150 --seeds 2 --hidden-size 64 --seed 3 --out {tmp_path}"
    printed = run("captions.py", options)
    numbers = json.loads((tmp_path / "results.json").read_text())
    names = "zero one two three four five six seven eight nine".split()

    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    test, train = order[:359], order[718:]
    truth = [names[digits.target[i]] for i in test]
    shares = []
    assert numbers["runs"][0]["losses"] != numbers["runs"][1]["losses"]
    for each in numbers["runs"]:
        losses = each["losses"]
        assert len(losses) == 150 and losses[0] > 2.5  # of 15 letters, ln 15 = 2.7
        assert np.mean(losses[-5:]) < 0.6 * losses[0]
        same = [a == b for a, b in zip(each["captions"], truth, strict=True)]
        np.testing.assert_allclose(each["test"], np.mean(same))
        assert each["test"] > 0.3  # a guess has 0.1
        shares.append(each["test"])
    assert f"{np.mean(shares):.3f} ± {np.std(shares, ddof=1):.3f}" in printed

    apart = ((digits.data[test][:, None] - digits.data[train]) ** 2).sum(-1)
    nearest = digits.target[train][apart.argmin(axis=1)] == digits.target[test]
    np.testing.assert_allclose(numbers["nearest"], nearest.mean(), atol=2 / 359)  # ties
    assert f"{numbers['nearest']:.3f}" in printed
    assert matplotlib.image.imread(tmp_path / "captions.png").std() > 0.01


@pytest.mark.slow
def test_the_loss_and_the_captions_are_those_of_a_loop(monkeypatch):
    """The network is told the letters one step late, and then tells them to itself."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import captions
    import jax
    import optax

    import jaxrnn

    monkeypatch.setattr(captions, "PIXEL_NOISE", 0.0)
    V, digits = len(captions.LETTERS), np.array([3, 8, 6])
    layers = jaxrnn.Embedding(V, 5), jaxrnn.GRU(5, 4), jaxrnn.Dense(4, V)
    cells = jaxrnn.Dense(64, 4), jaxrnn.Stack(layers)
    keys = jax.random.split(jax.random.key(0))
    params = [cell.init(key) for cell, key in zip(cells, keys, strict=True)]
    params[1][2]["bias"] = params[1][2]["bias"].at[0].add(0.5)  # some stop
    pixels = np.random.default_rng(0).normal(0, 2, (3, 64))

    step, losses, said = jax.jit(cells[1]), [], []
    for image, digit in zip(pixels, digits, strict=True):
        start = np.tanh(image @ params[0]["kernel"] + params[0]["bias"])
        for teacher in (f"{captions.NAMES[digit]}.", None):
            carry, symbol, word = ((), start, ()), 0, ""
            while len(word) < len(teacher or "123456"):
                carry, logits = step(params[1], carry, np.int32(symbol))
                logits = np.asarray(logits)
                if teacher:
                    symbol = captions.LETTERS.index(teacher[len(word)])
                    losses.append(np.log(np.exp(logits).sum()) - logits[symbol])
                else:
                    symbol = int(logits.argmax())
                word += captions.LETTERS[symbol]
                if word[-1] == ".":
                    break
        said.append(word.removesuffix("."))

    optimizer = optax.sgd(0.0)
    state = params, optimizer.init(params)
    batch = pixels, digits
    loss = captions.train_step(cells, optimizer, state, batch, jax.random.key(1))[1]
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    assert list(captions.speak(cells, params, pixels)) == said
    assert len(set(map(len, said))) > 1, said  # of several lengths
