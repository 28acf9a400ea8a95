"""The remedies, on tasks so small that they are run to the end."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "examples" / "remedies.py"


def run(options, **how):
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, str(PROGRAM), *options.split()]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **how)


def rows(folder):
    path = folder / "remedies.json"
    text = path.read_text() if path.exists() else ""
    return json.loads(text)["results"] if text else {}


TINY = "--hidden-size 4 --adding-length 6 --copy-length 2 --batch-size 4"


def test_every_row_has_its_numbers_and_the_guess_beside_them(tmp_path):
    options = f"--remedies lstm-truncated-20 --tasks copy --steps 3 --every 2 {TINY}"
    ended = run(f"{options} --out {tmp_path}")
    printed, errors = ended.communicate()
    assert ended.returncode == 0, errors
    numbers = json.loads((tmp_path / "remedies.json").read_text())
    assert numbers["guesses"] == pytest.approx({"copy": 10 * math.log(8) / 22})
    for rows in numbers["results"].values():
        assert list(rows) == ["lstm-truncated-20"]
        for row in rows.values():
            assert len(row["losses"]) == 2 and math.isfinite(row["loss"])
    (row,) = numbers["results"]["copy"].values()
    assert 0 < row["horizon"] < 22  # cut at 20
    assert "guess without" in printed and "not in 3" in printed


@pytest.mark.long
def test_an_interrupt_keeps_the_rows_that_are_done(tmp_path):
    options = (
        f"--remedies tanh-uniform gru --tasks copy --steps 10000 --every 5000 {TINY}"
    )
    ended = run(f"{options} --out {tmp_path}", start_new_session=True)
    while "tanh-uniform" not in json.dumps(rows(tmp_path)) and ended.poll() is None:
        time.sleep(0.2)
    while ended.poll() is None:  # an interrupt inside of Python's collector is lost
        ended.send_signal(signal.SIGINT)
        time.sleep(3)
    printed, errors = ended.communicate()
    assert ended.returncode == 130, errors
    numbers = json.loads((tmp_path / "remedies.json").read_text())
    assert list(numbers["results"]["copy"]) == ["tanh-uniform"]
    assert "Interrupted" in printed and "tanh-uniform" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(*pair, marks=pytest.mark.long)
        for pair in (
            ("--learning-rate nan", "'nan' is not a positive number"),
            ("--seed 99999999999", "not a whole number below 2^32"),
            ("--steps 0", "'0' is not a positive whole number"),
            ("--adding-length 2", "expected 3 or more"),
        )
    ]
    + [
        ("--out /proc/none", "cannot write to /proc/none"),
    ],
)
def test_bad_options_are_said_in_one_line(options, message):
    ended = run(options)
    _, errors = ended.communicate()
    assert ended.returncode == 2
    assert message in errors.splitlines()[-1] and "Traceback" not in errors
