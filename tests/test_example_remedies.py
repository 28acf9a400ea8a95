"""The remedies, on tasks so small that they are run to the end."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "examples" / "remedies.py"


def test_every_row_has_its_numbers_and_the_guess_beside_them(tmp_path):
    options = "--remedies lstm-truncated-20 --steps 3 --every 2 --hidden-size 4"
    lengths = "--adding-length 6 --copy-length 2"
    command = [sys.executable, str(PROGRAM), *f"{options} {lengths}".split()]
    command += ["--out", str(tmp_path)]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    numbers = json.loads((tmp_path / "remedies.json").read_text())
    assert numbers["guesses"] == pytest.approx(
        {"adding": 1 / 6, "copy": 10 * math.log(8) / 22}
    )
    for rows in numbers["results"].values():
        assert list(rows) == ["lstm-truncated-20"]
        for row in rows.values():
            assert len(row["losses"]) == 2 and math.isfinite(row["loss"])
            assert row["horizon"] > 0
    assert "guess without" in ended.stdout and "not in 3" in ended.stdout
