"""Letters to phonemes, and verses to verses."""

import json
import re
import sys
import types
from collections import Counter

import jax
import matplotlib.image
import numpy as np
import optax
import pytest
from program import EXAMPLES, run, started

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
@pytest.mark.parametrize("kind", ["speller", "translator"])
def test_the_loss_and_the_answers_are_those_of_each_pair_alone(
    kind, paired_data, monkeypatch
):
    """Symbols are read a step late, the end is learned too, and padding is nowhere."""
    import sequence_to_sequence as s2s
    import sequence_to_sequence_model as models

    monkeypatch.setattr(models, "Dropout", lambda rate: jaxrnn.Dropout(0.0))
    model = getattr(models, kind)(9, 8, 3)
    params = jax.tree.map(lambda leaf: 6 * leaf, model.init(jax.random.key(0)))
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
        "spaRV1909eb": {(1, 1): "Hola, mundo.", (1, 2): "Dos", (2, 1): "Tres " * 31},
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
            book = types.SimpleNamespace(name="Mark", chapter_lengths=self.counts)
            return {"nt": [book]}

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
    from verse_data import verses

    assert verses(tmp_path) == [
        (["hola", ",", "mundo", "."], [["hello", ",", "world", "!"]], "Mark 1"),
        (["dos"], [["two"]], "Mark 1"),
    ]


def test_a_chapter_is_held_out_as_a_whole(paired_data):
    pairs = [
        paired_data.Pair([str(i)], [[str(verse)]], f"Mark {i}")
        for i in range(40)
        for verse in range(7)
    ]
    data = paired_data.split(pairs, 200, least=1)
    held_out, learned = (
        {pair.group for pair in part} for part in (data.test, data.train)
    )
    assert not held_out & learned
    assert len(data.test) + len(data.train) == 200 and len(data.test) == 14  # from 10


def test_words_go_with_those_that_stand_for_them(paired_data):
    """Model 1, link by link, in dictionaries."""
    from verse_data import dictionary

    texts = [
        ("la casa", "the house"),
        ("la flor", "the flower"),
        ("una casa grande", "a big house"),
        ("una flor", "a flower"),
        ("la casa grande", "the big house"),
    ]
    pairs = [paired_data.Pair(a.split(), [b.split()]) for a, b in texts]
    chance = Counter()
    for a, b in texts:
        chance.update({(f, e): 1.0 for f in a.split() for e in b.split()})
    chance = dict.fromkeys(chance, 1.0)
    for _ in range(5):
        shares = Counter()
        for a, b in texts:
            for e in b.split():
                total = sum(chance[f, e] for f in a.split())
                for f in a.split():
                    shares[f, e] += chance[f, e] / total
        of = Counter()
        for (f, _), share in shares.items():
            of[f] += share
        chance = {link: share / of[link[0]] for link, share in shares.items()}
    best = {
        f: max((c, e) for (g, e), c in chance.items() if g == f)[1] for f, _ in chance
    }
    assert dictionary(pairs) == best
    assert best["casa"] == "house" and best["flor"] == "flower"


STAND_IN = """
import random, types
class Bible:
    def __init__(self, words):
        self.words = words
    def get(self, books, chapters, verses, clean):
        drawn = random.Random(f"{books} {chapters} {verses}")
        return " ".join(drawn.choices(self.words, k=drawn.randint(2, 6)))
    def get_structure(self):
        return self
    def get_books(self):
        return {"ot": [types.SimpleNamespace(name="I Kings", chapter_lengths=[12] * 20)]}
class SwordModules:
    def __init__(self, folder):
        pass
    def parse_modules(self):
        pass
    def get_bible_from_module(self, name):
        words = "uno dos tres yo" if "spa" in name else "One two three I"
        return Bible(words.split())
"""


@pytest.mark.slow
def test_verses_become_verses(tmp_path):
    """Word for word, so that a dictionary translates them without a fault."""
    pytest.importorskip("sacrebleu")
    package = tmp_path / "site" / "pysword"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "modules.py").write_text(STAND_IN)
    options = f"--translate --steps 40 --hidden-size 8 --out {tmp_path}"
    printed = run("sequence_to_sequence.py", options, PYTHONPATH=str(tmp_path / "site"))
    numbers = json.loads((tmp_path / "results.json").read_text())
    known, (ours,) = numbers["baselines"], numbers["runs"]
    assert known["the Spanish itself"]["BLEU"] < 1
    perfect = pytest.approx({"BLEU": 100, "chrF": 100})
    assert known["word by word (IBM model 1)"] == perfect
    told = re.findall(r"^(.*)\n    said:  (.*)\n    right: (.*)$", printed, re.MULTILINE)
    assert len(told) == 10 and "12 held-out verses" in printed
    english = dict(zip("uno dos tres yo".split(), "one two three i".split(), strict=True))
    for source, said, right in told:
        assert [english[word] for word in source.split()] == right.split()
        assert said.split() in numbers["said"]
    assert f"{ours['BLEU']:.1f}" in printed and f"{ours['chrF']:.1f}" in printed
    assert matplotlib.image.imread(tmp_path / "attention.png").std() > 0.01


def test_an_unknown_word_is_the_one_that_was_looked_at(paired_data):
    from verse_data import filled

    pairs = [paired_data.Pair(["la", "casa", "oreb"], [[]])] * 2
    weights = np.zeros((3, 2, 4))
    weights[0, 0, 1] = weights[1, 0, 2] = weights[2, 1, 2] = 0.4
    weights[:, :, 3] = 0.6  # padding is not looked at
    said = [["<unknown>", "<unknown>"], ["in", "the", "<unknown>"]]
    answers = filled(pairs, said, weights, {"casa": "house"})
    assert answers == [["house", "oreb"], ["in", "the", "oreb"]]


def test_bleu_is_that_of_the_formula(paired_data):
    pytest.importorskip("sacrebleu")
    from verse_data import scores

    said = ["the dog sat on the mat .".split(), "he went to the house .".split()]
    right = ["the cat sat on the mat .".split(), "he went into the big house .".split()]
    logs = []
    for n in range(1, 5):
        hits = total = 0
        for answer, truth in zip(said, right, strict=True):
            each = [
                Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
                for text in (answer, truth)
            ]
            hits += sum((each[0] & each[1]).values())
            total += sum(each[0].values())
        logs.append(np.log(hits / total))
    penalty = min(0, 1 - sum(map(len, right)) / sum(map(len, said)))
    pairs = [paired_data.Pair([], [truth]) for truth in right]
    bleu = scores(pairs, said)["BLEU"]
    np.testing.assert_allclose(bleu, 100 * np.exp(np.mean(logs) + penalty))
