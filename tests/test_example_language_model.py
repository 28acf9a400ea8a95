"""The language model, killed and resumed, and what it is compared with."""

import bz2
import json
import re
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from program import EXAMPLES, run, start

TINY = "--hidden-size 8 --length 12 --streams 4 --seeds 1"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "alphabet.txt"
    path.write_text("abcdefghijklmnopqrstuvwxyz, ø.\n" * 60, encoding="utf-8")
    return path


def last_state(folder):
    (checkpoints,) = folder.glob("checkpoints-*/0")
    with ocp.CheckpointManager(checkpoints) as manager:
        step = manager.latest_step()
        return step, manager.restore(step, args=ocp.args.StandardRestore())


def test_a_run_that_was_killed_ends_as_any_other_bit_for_bit(tmp_path, text):
    options = f"--text {text} --steps 200 --save-every 20 {TINY}"
    run("language_model.py", f"{options} --out {tmp_path / 'whole'}")
    killed = start("language_model.py", f"{options} --out {tmp_path / 'killed'}")
    saved = tmp_path.glob("killed/checkpoints-*/0/*")
    while not any(path.name.isdigit() for path in saved):
        saved = tmp_path.glob("killed/checkpoints-*/0/*")
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed" / "results.json").exists()
    at, _ = last_state(tmp_path / "killed")
    assert 0 < at < 200

    run("language_model.py", f"{options} --out {tmp_path / 'killed'}")
    (whole_step, whole), (step, state) = map(
        last_state, (tmp_path / "whole", tmp_path / "killed")
    )
    assert step == whole_step == state["step"] == 200
    assert set(state) == {"params", "moments", "carry", "key", "step"}
    jax.tree.map(np.testing.assert_array_equal, state, whole)
    said = [(tmp_path / name / "samples.txt").read_text() for name in ("whole", "killed")]
    assert said[0] == said[1]


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
    from language_model import piece_of

    read = [np.asarray(piece_of(np.arange(103), 4, 6, step)) for step in range(5)]
    for step, piece in enumerate(read[:4]):  # 25 a stream: four pieces of six and one
        for stream in range(4):
            begin = 25 * stream + 6 * step
            np.testing.assert_array_equal(piece[:, stream], np.arange(begin, begin + 7))
    np.testing.assert_array_equal(read[4], read[0])
