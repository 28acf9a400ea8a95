"""The example as a user runs it: tiny, twice, interrupted, and with bad input."""

import json
import re

import numpy as np
import pytest
from program import EXAMPLES, interrupted, refused, started

TINY = "--hidden-size 8 --length 24 --batch-size 4 --seed 1"


def run(folder, options, **environment):
    """The finished process, run in a folder of its own."""
    command = EXAMPLES / "gradient_norms.py", *options.split()
    return started(*command, folder=folder, **environment)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_references_are_the_entropies_of_the_counts(finished):
    """31 symbols in a fixed order, each seen n = 54 times in the training part."""
    folder, process = finished
    bits = numbers(folder)["references_bits_per_character"]
    np.testing.assert_allclose(bits["unigram"], np.log2(31), rtol=1e-3)
    np.testing.assert_allclose(bits["bigram"], np.log2((54 + 31) / (54 + 1)), rtol=1e-2)
    assert 0 <= bits["bz2"] < bits["bigram"]
    for name, value in bits.items():
        assert re.search(rf"{name} \(reference\) +{value:.3f}", process.stdout)


@pytest.mark.slow
def test_the_same_seed_prints_the_same_and_another_does_not(tmp_path, text):
    command = f"--text {text} --cells gru --steps 5 {TINY}"
    first, again = run(tmp_path, command), run(tmp_path, command)
    other = run(tmp_path, f"{command} --seed 2")
    assert first.returncode == other.returncode == 0
    assert first.stdout == again.stdout != other.stdout


@pytest.mark.slow
def test_ctrl_c_in_training_keeps_what_is_done_and_says_so(tmp_path, text):
    options = f"--text {text} --steps 20 --cells gru lstm {TINY}"
    ended = interrupted("gradient_norms", options, "train_step", 12, folder=tmp_path)
    assert ended.returncode == 130
    assert "Interrupted in step 11 of 20 of gru" in ended.stdout
    assert "GRU" in ended.stdout and set(numbers(tmp_path)["cells"]) == {"gru"}
    assert numbers(tmp_path)["cells"]["gru"]["steps"] == 11


@pytest.mark.slow
def test_ctrl_c_between_two_cells_keeps_the_first(tmp_path, text):
    options = f"--text {text} --steps 3 --cells gru lstm {TINY}"
    ended = interrupted("gradient_norms", options, "study", 2, folder=tmp_path)
    assert ended.returncode == 130 and "Traceback" not in ended.stderr
    assert "Interrupted after gru" in ended.stdout
    assert set(numbers(tmp_path)["cells"]) == {"gru"}


@pytest.mark.slow
def test_ctrl_c_before_anything_is_measured_is_one_line(tmp_path, text):
    options = f"--text {text} --steps 3 --cells gru {TINY}"
    ended = interrupted("gradient_norms", options, "norms_by_lag", 1, folder=tmp_path)
    assert ended.returncode == 130 and "Traceback" not in ended.stderr
    assert "Interrupted before anything was measured." in ended.stderr


@pytest.mark.slow
def test_with_its_defaults_every_cell_clearly_beats_the_bigram_reference(tmp_path):
    process = run(tmp_path, "", JAX_DISABLE_MOST_OPTIMIZATIONS="0", XLA_FLAGS="")
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
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path, monkeypatch, capsys, options, message
):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9" * 500)
    (tmp_path / "binary.txt").write_bytes(b"ab\x00" * 500)
    (tmp_path / "short.txt").write_text("x" * 50)
    monkeypatch.chdir(tmp_path)
    errors = refused("gradient_norms", options, monkeypatch, capsys)
    assert errors.startswith(f"gradient_norms.py: error: {message}")
    assert errors.count("\n") == 1
