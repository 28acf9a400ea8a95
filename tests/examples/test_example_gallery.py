"""The gallery, of models that have hardly learned anything."""

import matplotlib.image
import pytest
from program import EXAMPLES, run

PICTURES = {
    "eigenvalues",
    "gate_histogram",
    "gradient_map",
    "gradient_norms",
    "lag_profile",
    "lyapunov_spectrum",
    "singular_values",
}


@pytest.mark.slow
def test_a_picture_of_every_figure(tmp_path):
    run("gallery.py", f"--steps 2 --hidden-size 8 --out {tmp_path}")
    made = {path.stem: matplotlib.image.imread(path) for path in tmp_path.iterdir()}
    assert set(made) == PICTURES
    assert all(picture.std() > 0.01 for picture in made.values())
    shown = {path.stem for path in (EXAMPLES / "gallery").iterdir()}
    assert shown == PICTURES
