"""The language model, killed and resumed, and what it is compared with."""

import bz2
import json
import re
import signal

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
    samples = (tmp_path / "samples.txt").read_text("utf-8")
    assert re.findall(r"temperature (\S+) ---", samples) == ["0.5", "0.8", "1.0"]
    assert all(len(part) > 300 for part in samples.split("---\nabc")[1:])


def test_pieces_follow_each_other_in_every_stream(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from language_model import piece_of, streams_of

    read = [piece_of(streams_of(np.arange(103), 4, 6), 6, step) for step in range(5)]
    for step, piece in enumerate(read[:4]):  # 25 a stream: four pieces of six and one
        for stream in range(4):
            begin = 25 * stream + 6 * step
            np.testing.assert_array_equal(piece[:, stream], np.arange(begin, begin + 7))
    np.testing.assert_array_equal(read[4], read[0])
