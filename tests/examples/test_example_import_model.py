"""Models of other libraries come in, in one short run for each way."""

import jax
import matplotlib.image
import numpy as np
import pytest
from peer import peer
from program import EXAMPLES, refused, started

from jaxrnn import GRU, Bidirectional, Dense, Embedding

FILES = {"torch": "model.pt", "keras": "model.keras", "onnx": "model.onnx"}


def shown(*options):
    """What it printed; keras 3.12 and NumPy 2.4 have a warning of their own."""
    program = "-W", "ignore::DeprecationWarning", EXAMPLES / "import_model.py"
    ended = started(*program, *options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_it_makes_models_takes_them_and_tells_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for library in FILES:
        peer(library)
    printed = shown("--length", "8", "--out", tmp_path)
    for library, name in FILES.items():
        assert f"{library}: {tmp_path / name}\n" in printed
    assert "    LSTM(input_size=3, hidden_size=16), 1,280 parameters" in printed
    assert "    GRU(input_size=3, hidden_size=16), 976 parameters" in printed
    assert "    Embedding(vocabulary=20, features=8), 160 parameters" in printed
    assert printed.count("norm at first") == 3
    assert matplotlib.image.imread(tmp_path / "import_model.png").std() > 0.01


@pytest.mark.slow
def test_a_state_dict_of_several_modules(tmp_path):
    peer("torch")
    save = peer("safetensors.numpy").save_file
    gru = Bidirectional(GRU(3, 5), GRU(3, 5))
    rng = np.random.default_rng(0)
    weights = {"embed.weight": (11, 3), "head.weight": (2, 10), "head.bias": (2,)}
    for suffix in ("l0", "l0_reverse"):
        sizes = {"weight_ih": (15, 3), "weight_hh": (15, 5)}
        sizes |= {"bias_ih": (15,), "bias_hh": (15,)}
        weights |= {f"rnn.{name}_{suffix}": shape for name, shape in sizes.items()}
    arrays = {
        name: rng.normal(size=shape).astype("float32") for name, shape in weights.items()
    }
    save(arrays, tmp_path / "model.safetensors")
    options = "--prefix rnn. head. --embedding embed. --length 8".split()
    file = "--torch", tmp_path / "model.safetensors"
    printed = shown(*file, *options, "--out", tmp_path)
    assert f"    {Embedding(11, 3)}, 33 parameters" in printed
    assert f"    {Dense(10, 2)}, 22 parameters" in printed
    assert "gradient of the output at 4" in printed  # lags are of one direction
    leaves = jax.tree.leaves(jax.eval_shape(gru.init, jax.random.key(0)))
    assert f"    {gru}, {sum(leaf.size for leaf in leaves)} parameters" in printed
    assert matplotlib.image.imread(tmp_path / "import_model.png").std() > 0.01


def test_what_does_not_come_in_is_told_in_one_line(monkeypatch, capsys, tmp_path):
    peer("onnx")
    for option, name in (("onnx", "no.onnx"), ("torch", "no.safetensors")):
        file = tmp_path / name
        errors = refused(
            "import_model", f"--{option} {file} --out {tmp_path}", monkeypatch, capsys
        )
        assert errors.startswith(f"import_model.py: error: {file}: ")
        assert errors.count("\n") == 1
