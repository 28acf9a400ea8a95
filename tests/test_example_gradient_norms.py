"""The example as a user runs it: tiny, twice, interrupted, and with bad input."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "gradient_norms.py"
TINY = "--hidden-size 8 --length 24 --batch-size 4 --seed 1"


def run(folder, options):
    """The finished process, run in a folder of its own."""
    command = [sys.executable, "-W", "error", str(EXAMPLE), *options.split()]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text in which every character but the first of a line follows from the last."""
    path = tmp_path_factory.mktemp("text") / "alphabet.txt"
    path.write_text("abcdefghijklmnopqrstuvwxyz, ø.\n" * 60, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, f"--text {text} --steps 40 {TINY}")


def numbers(folder):
    path = folder / "outputs" / "gradient_norms" / "gradient_norms.json"
    return json.loads(path.read_text())


def test_it_trains_measures_and_draws(finished):
    folder, process = finished
    assert process.returncode == 0, process.stderr
    result = numbers(folder)
    assert set(result["cells"]) == {"elman-uniform", "elman-orthogonal", "gru", "lstm"}
    for cell in result["cells"].values():
        losses = cell["losses_nats"]
        assert len(losses) == cell["steps"] == 40 and losses[-1] < 0.8 * losses[0]
        for moment in ("before", "after"):
            for line, norms in cell[moment].items():
                norms = np.array(norms)
                assert norms.shape == (24, 64) and np.isfinite(norms).all()
                # c_T is read through h_T alone, which is held fixed.
                assert (norms[0] == 0).all() == (line == "LSTM, c")
                assert (norms[1:] > 0).all()
    picture = folder / "outputs" / "gradient_norms" / "gradient_norms.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_printed_table_is_the_mean_of_the_numbers(finished):
    folder, process = finished
    cells = numbers(folder)["cells"]
    for line, name in (("GRU", "gru"), ("LSTM, c", "lstm")):
        for moment in ("before", "after"):
            mean = np.array(cells[name][moment][line]).mean(axis=1)
            shown = [f"{mean[k]:.1e}" if mean[k] else "0" for k in (0, 1, 2, 5, 10, 20)]
            pattern = rf"{re.escape(line)} +" + " +".join(map(re.escape, shown))
            assert re.search(pattern, process.stdout), (pattern, process.stdout)


def test_the_references_are_the_entropies_of_the_counts(finished):
    """31 symbols in a fixed order, each seen n = 54 times in the training part."""
    folder, process = finished
    bits = numbers(folder)["references_bits_per_character"]
    np.testing.assert_allclose(bits["unigram"], np.log2(31), rtol=1e-3)
    np.testing.assert_allclose(bits["bigram"], np.log2((54 + 31) / (54 + 1)), rtol=1e-2)
    assert 0 <= bits["bz2"] < bits["bigram"]
    for name, value in bits.items():
        assert re.search(rf"{name} \(reference\) +{value:.3f}", process.stdout)


def test_the_same_seed_prints_the_same_and_another_does_not(tmp_path, text):
    command = f"--text {text} --cells gru --steps 5 {TINY}"
    first, again = run(tmp_path, command), run(tmp_path, command)
    other = run(tmp_path, f"{command} --seed 2")
    assert first.returncode == other.returncode == 0
    assert first.stdout == again.stdout != other.stdout


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path, text):
    command = f"--text {text} --steps 1000000 --cells gru lstm {TINY}".split()
    process = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLE), *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1"},  # a live progress bar, as on a terminal
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "bits a character" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert re.search(r"Interrupted in step \d+ of 1000000 of gru", output)
    assert "GRU" in output and set(numbers(tmp_path)["cells"]) == {"gru"}
    assert numbers(tmp_path)["cells"]["gru"]["steps"] >= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--text missing.txt", "cannot read missing.txt: No such file or directory"),
        ("--text .", "cannot read .: Is a directory"),
        ("--text empty.txt", "empty.txt is empty"),
        ("--text latin.txt", "latin.txt is not UTF-8 text"),
        ("--text binary.txt", "binary.txt holds NUL characters: it is no text"),
        ("--text short.txt", "the text has 50 characters, expected at least 1011"),
        ("--length 999999", "the text has 4"),
        ("--cells rnn", "argument --cells: invalid choice: 'rnn'"),
        ("--steps 0", "argument --steps: '0' is not a positive whole number"),
        ("--hidden-size ten", "argument --hidden-size: 'ten' is not a positive whole"),
        ("--unknown", "unrecognized arguments: --unknown"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, options, message):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9" * 500)
    (tmp_path / "binary.txt").write_bytes(b"ab\x00" * 500)
    (tmp_path / "short.txt").write_text("x" * 50)
    process = run(tmp_path, options)
    assert process.returncode == 2 and process.stdout == ""
    assert process.stderr.startswith(f"gradient_norms.py: error: {message}")
    assert process.stderr.count("\n") == 1
