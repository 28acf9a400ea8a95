"""The gallery, of models that have hardly learned anything."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PICTURES = {
    "eigenvalues",
    "gate_histogram",
    "gradient_map",
    "gradient_norms",
    "lag_profile",
    "lyapunov_spectrum",
    "singular_values",
}


@pytest.mark.long
def test_a_picture_of_every_figure(tmp_path):
    command = [sys.executable, str(EXAMPLES / "gallery.py"), "--steps", "2"]
    command += ["--hidden-size", "8", "--out", str(tmp_path)]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    made = {path.stem: matplotlib.image.imread(path) for path in tmp_path.iterdir()}
    assert set(made) == PICTURES
    assert all(picture.std() > 0.01 for picture in made.values())
    shown = {path.stem for path in (EXAMPLES / "gallery").iterdir()}
    assert shown == PICTURES
