"""Letters to phonemes, and verses to verses."""

import json
import re
import sys
import types

import jax
import matplotlib.image
import numpy as np
import optax
import pytest
from program import EXAMPLES, started

import jaxrnn


@pytest.fixture
def paired_data(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import paired_data

    return paired_data


@pytest.mark.slow
def test_letters_become_phonemes(tmp_path):
    options = f"--steps 60 --hidden-size 8 --seeds 1 --pairs 100 --out {tmp_path}"
    ended = started(EXAMPLES / "sequence_to_sequence.py", *options.split())
    printed, errors = ended.stdout, ended.stderr
    assert ended.returncode == 0, errors
    (nats,) = re.findall(r"([\d.]+) nats a symbol", errors)
    assert 1 < float(nats) < 3  # ln 40 = 3.7 of one that knows nothing
    (rates,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert 0.5 < rates["symbols"] < 2 and 0.7 < rates["sequences"] <= 1
    assert f" {100 * rates['symbols']:.1f} " in printed
    assert "33.9" in printed and "right: " in printed
    assert matplotlib.image.imread(tmp_path / "attention.png").std() > 0.01


@pytest.mark.slow
def test_the_loss_and_the_answers_are_those_of_each_pair_alone(paired_data, monkeypatch):
    """Symbols are read a step late, the end is learned too, and padding is nowhere."""
    import sequence_to_sequence as s2s

    monkeypatch.setattr(s2s, "Dropout", lambda rate: jaxrnn.Dropout(0.0))
    model = s2s.translator(9, 8, 3)
    params = jax.tree.map(lambda leaf: 4 * leaf, model.init(jax.random.key(0)))
    bias = params[1][3]["bias"]
    params[1][3]["bias"] = bias.at[0].add(-2)  # the search prefers no word at all
    pairs = [([3, 5, 8], [2, 7]), ([4], [5, 3, 6, 6]), ([7, 7, 2, 6], [4])]
    source, target = np.zeros((5, 3), int), np.zeros((5, 3), int)
    losses, best = [], []
    for column, (read, said) in enumerate(pairs):
        source[: len(read), column], target[: len(said), column] = read, said
        _, memory = jaxrnn.unroll(model.encoder, params[0], np.array(read))
        attention = model.decoder.cells[1].attend(params[1][1], memory)
        begin = (), attention, (), ()
        carry, heard = begin, 0
        for symbol in [*said, 0]:
            carry, logits = jaxrnn.unroll(
                model.decoder, params[1], np.array([heard]), carry
            )
            losses.append(-jax.nn.log_softmax(logits[0])[symbol])
            heard = symbol
        first = np.array(0)
        asked = model.decoder, params[1], begin, first, 4, 40
        best.append(jaxrnn.beam_search(*asked, stop=0).symbols[:, 0])
    optimizer = optax.sgd(0.0)
    state, key = (params, optimizer.init(params)), jax.random.key(1)
    _, nats = s2s.train_step(model, optimizer, state, source, target, key)
    np.testing.assert_allclose(nats, np.mean(losses), rtol=1e-6)
    np.testing.assert_array_equal(s2s.say(model, params, source), np.array(best))
    assert len({tuple(row.tolist()) for row in best}) == 3


@pytest.mark.slow
def test_words_and_their_pronunciations_are_kept_together(paired_data):
    data = paired_data.split(paired_data.pronunciations(), 10**6, least=1)
    known = {"".join(pair.source): pair.targets for pair in data.train + data.test}
    assert known["tomato"] == [
        ["T", "AH", "M", "EY", "T", "OW"],
        ["T", "AH", "M", "AA", "T", "OW"],
    ]
    assert all(len(set(map(tuple, t))) == len(t) for t in known.values())
    spoken = {"".join(pair.source) for pair in data.train}
    assert not spoken & {"".join(pair.source) for pair in data.test}
    assert len(data.sources) > 26 and len(data.targets) == 39 + 2
    drawn = paired_data.batches(data.train[:100], 8, np.random.default_rng(0))
    seen = set()
    for pairs in (next(drawn) for _ in range(60)):
        seen |= {"".join(pair.source) for pair in pairs}
        source, target = paired_data.arrays(pairs, data)
        assert source.shape == target.shape and source.shape[0] % 5 == 0
        for column, pair in enumerate(pairs):
            row = [data.targets[i] for i in target[:, column] if i]
            assert row == pair.targets[0] and target[-1, column] == paired_data.END
            assert [data.sources[i] for i in source[:, column] if i] == pair.source
    assert seen == {"".join(pair.source) for pair in data.train[:100]}  # the longest too


def test_errors_are_counted_to_the_nearest_right_answer(paired_data):
    pairs = [
        paired_data.Pair(["x"], [["a", "b", "c"], ["a", "d"]]),
        paired_data.Pair(["y"], [["a", "b", "c", "d"]]),
    ]
    rates = paired_data.error_rates(pairs, [["a", "d"], ["b", "x", "d", "d"]])
    assert rates == {"symbols": 3 / 6, "sequences": 1 / 2}  # a left out, c x, d put in


def test_verses_are_paired_by_their_place(paired_data, monkeypatch, tmp_path):
    texts = {
        "spaRV1909eb": {(1, 1): "Hola, mundo.", (1, 2): "Dos", (2, 1): "Tres " * 30},
        "engWEB2015eb": {(1, 1): "Hello, World!", (1, 2): "Two", (2, 1): "Three"},
    }

    class Bible:
        def __init__(self, verses, counts):
            self.verses, self.counts = verses, counts

        def get(self, books, chapters, verses, clean):
            assert books == ["Mark"] and clean
            return self.verses[chapters[0], verses[0]]

        def get_structure(self):
            return self

        def get_books(self):
            return {
                "nt": [types.SimpleNamespace(name="Mark", chapter_lengths=self.counts)]
            }

    class Modules:
        def __init__(self, folder):
            assert folder == str(tmp_path)

        def parse_modules(self):
            pass

        def get_bible_from_module(self, name):
            return Bible(texts[name], [3 if name == "spaRV1909eb" else 2, 1])

    module = types.ModuleType("pysword.modules")
    monkeypatch.setitem(sys.modules, "pysword", types.ModuleType("pysword"))
    monkeypatch.setitem(sys.modules, "pysword.modules", module)
    monkeypatch.setattr(module, "SwordModules", Modules, raising=False)
    assert paired_data.verses(tmp_path) == [
        (["hola", ",", "mundo", "."], [["hello", ",", "world", "!"]]),
        (["dos"], [["two"]]),
    ]
