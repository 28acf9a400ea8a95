"""The remedies, on tasks so small that they are run to the end."""

import json
import math

import pytest
from program import interrupted, refused, run

TINY = "--hidden-size 4 --adding-length 6 --copy-length 2 --batch-size 4"


@pytest.mark.slow
def test_every_row_has_its_numbers_and_the_guess_beside_them(tmp_path):
    options = f"--remedies lstm-truncated-20 --tasks copy --steps 3 --every 2 {TINY}"
    printed = run("remedies.py", f"{options} --out {tmp_path}")
    numbers = json.loads((tmp_path / "remedies.json").read_text())
    assert numbers["guesses"] == pytest.approx({"copy": 10 * math.log(8) / 22})
    for rows in numbers["results"].values():
        assert list(rows) == ["lstm-truncated-20"]
        for row in rows.values():
            assert len(row["losses"]) == 2 and math.isfinite(row["loss"])
    (row,) = numbers["results"]["copy"].values()
    assert 0 < row["horizon"] < 22  # cut at 20
    assert "guess without" in printed and "not in 3" in printed


@pytest.mark.slow
def test_an_interrupt_keeps_the_rows_that_are_done(tmp_path):
    options = f"--remedies tanh-uniform gru --tasks copy --steps 2 --every 1 {TINY}"
    ended = interrupted("remedies", f"{options} --out {tmp_path}", "study", 2)
    assert ended.returncode == 130, ended.stderr
    numbers = json.loads((tmp_path / "remedies.json").read_text())
    assert list(numbers["results"]["copy"]) == ["tanh-uniform"]
    assert "Interrupted" in ended.stdout and "tanh-uniform" in ended.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--learning-rate nan", "'nan' is not a positive number"),
        ("--seed 99999999999", "not a whole number below 2^32"),
        ("--steps 0", "'0' is not a positive whole number"),
        ("--adding-length 2", "expected 3 or more"),
        ("--out /proc/none", "cannot write to /proc/none"),
    ],
)
def test_bad_options_are_said_in_one_line(options, message, monkeypatch, capsys):
    errors = refused("remedies", options, monkeypatch, capsys)
    assert message in errors.splitlines()[-1]
