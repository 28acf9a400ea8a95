"""Two methods train the same network to the same loss."""

import json

import numpy as np
import pytest
from matplotlib.image import imread
from program import run


@pytest.mark.slow
def test_every_method_has_the_same_losses(tmp_path):
    printed = run("long_memory.py", f"--steps 4 --length 40 --seeds 2 --out {tmp_path}")
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    for name, method in (("LRU", "Associative()"), ("GRU", "Newton(tolerance=1e-06)")):
        one, other = results[name]["Scan()"], results[name][method]
        losses = np.array(one["losses"])
        assert losses.shape == (4, 2) and np.all(losses[0] != losses[1])
        np.testing.assert_allclose(other["losses"], losses, rtol=1e-3)
        norm = np.linalg.norm(one["gradient"])
        apart = np.subtract(other["gradient"], one["gradient"])
        assert 0 <= np.linalg.norm(apart) < 1e-3 * norm
        assert f"{name}, after training: Newton " in printed
    assert imread(tmp_path / "long_memory.png")[..., :3].std() > 0.01
