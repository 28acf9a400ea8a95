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


def run(folder, options, compile_fast="1"):
    """The finished process, run in a folder of its own."""
    command = [sys.executable, "-W", "error", str(EXAMPLE), *options.split()]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": compile_fast},
        capture_output=True,
        text=True,
        timeout=600,
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


def test_the_printed_tables_are_the_means_of_the_numbers(finished):
    folder, process = finished
    cells = numbers(folder)["cells"]
    _, before, after = re.split(r"(?:before|after) training *\n", process.stdout)
    for printed, moment in ((before, "before"), (after, "after")):
        lines = [np.array(v) for cell in cells.values() for v in cell[moment].values()]
        means = [line.mean(axis=1) for line in lines]
        assert len(means) == 5
        for lag in (0, 1, 2, 5, 10, 20, 23):
            shown = [f"{mean[lag]:.1e}" if mean[lag] else "0" for mean in means]
            pattern = rf"^ +{lag} +" + " +".join(map(re.escape, shown)) + " *$"
            assert re.search(pattern, printed, re.MULTILINE), (pattern, printed)
        first = [int(np.argmax(mean > 0)) for mean in means]
        below = [
            np.flatnonzero((m < 0.01 * m[f]) & (m > 0))
            for m, f in zip(means, first, strict=True)
        ]
        shown = [str(lags[0]) if len(lags) else "> 23" for lags in below]
        pattern = r"1% at k +" + " +".join(map(re.escape, shown))
        assert re.search(pattern, printed), (pattern, printed)


def test_the_references_are_the_entropies_of_the_counts(finished):
    """31 symbols in a fixed order, each seen n = 54 times in the training part."""
    folder, process = finished
    bits = numbers(folder)["references_bits_per_character"]
    np.testing.assert_allclose(bits["unigram"], np.log2(31), rtol=1e-3)
    np.testing.assert_allclose(bits["bigram"], np.log2((54 + 31) / (54 + 1)), rtol=1e-2)
    assert 0 <= bits["bz2"] < bits["bigram"]
    for name, value in bits.items():
        assert re.search(rf"{name} \(reference\) +{value:.3f}", process.stdout)


@pytest.mark.long
def test_the_same_seed_prints_the_same_and_another_does_not(tmp_path, text):
    command = f"--text {text} --cells gru --steps 5 {TINY}"
    first, again = run(tmp_path, command), run(tmp_path, command)
    other = run(tmp_path, f"{command} --seed 2")
    assert first.returncode == other.returncode == 0
    assert first.stdout == again.stdout != other.stdout


def interrupted(folder, options, when):
    """Output and exit code of a run that gets Ctrl-C once `when` is in its progress."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLE), *options.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1"},  # a live progress bar, as on a terminal
    )
    assert process.stderr is not None
    seen = ""
    while when not in seen:
        seen += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    output, rest = process.communicate(timeout=120)
    return output, seen + rest, process.returncode


@pytest.mark.long
def test_ctrl_c_in_training_keeps_what_is_done_and_says_so(tmp_path, text):
    options = f"--text {text} --steps 1000000 --cells gru lstm {TINY}"
    output, _, code = interrupted(tmp_path, options, "bits a character")
    assert code == 130
    assert re.search(r"Interrupted in step \d+ of 1000000 of gru", output)
    assert "GRU" in output and set(numbers(tmp_path)["cells"]) == {"gru"}
    assert numbers(tmp_path)["cells"]["gru"]["steps"] >= 10


@pytest.mark.long
def test_ctrl_c_between_two_cells_keeps_the_first(tmp_path, text):
    """The bar of the second cell appears when it is about to be measured."""
    options = f"--text {text} --steps 3 --cells gru lstm {TINY}"
    output, errors, code = interrupted(tmp_path, options, "lstm")
    assert code == 130 and "Traceback" not in errors
    assert (
        "Interrupted after gru" in output
        or "Interrupted in step 0 of 3 of lstm" in output
    )
    assert "gru" in numbers(tmp_path)["cells"]


def test_ctrl_c_before_anything_is_measured_is_one_line(tmp_path, text):
    options = f"--text {text} --steps 3 --cells gru {TINY}"
    output, errors, code = interrupted(tmp_path, options, "gru")
    assert code == 130 and "Traceback" not in errors
    assert "Interrupted" in output + errors


@pytest.mark.long
def test_with_its_defaults_every_cell_clearly_beats_the_bigram_reference(tmp_path):
    process = run(tmp_path, "", compile_fast="0")
    assert process.returncode == 0, process.stderr
    reference = numbers(tmp_path)["references_bits_per_character"]["bigram"]
    cells = numbers(tmp_path)["cells"]
    assert len(cells) == 4
    for name, cell in cells.items():
        assert cell["bits_per_character"] < reference - 0.8, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--text missing.txt", "cannot read missing.txt: No such file or directory"),
        ("--text .", "cannot read .: Is a directory"),
        ("--text empty.txt", "empty.txt is empty"),
        ("--text latin.txt", "latin.txt is not UTF-8 text"),
        ("--text binary.txt", "binary.txt holds NUL characters: it is no text"),
        ("--text short.txt", "the text has 50 characters, expected at least 1011"),
        ("--length 999999", "the text has "),
        ("--length 1", "argument --length: '1' is not a whole number from 2 on"),
        ("--seed -1", "argument --seed: '-1' is not a whole number from 0 on"),
        ("--out short.txt", "cannot make the folder short.txt: File exists"),
        ("--cells rnn", "argument --cells: invalid choice: 'rnn'"),
        ("--steps 0", "argument --steps: '0' is not a whole number from 1 on"),
        ("--hidden-size ten", "argument --hidden-size: 'ten' is not a whole number"),
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
