"""All cells on two tasks: that all are there, and a tiny run of some."""

import gzip
import importlib
import json
import math
import sys

import numpy as np
import pytest
from program import EXAMPLES, refused, run
from zoo import ZOO, within

import jaxrnn

TINY = "--steps 3 --seeds 2 --hidden-size 8 --length 6"


def test_every_recurrent_cell_has_a_family(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import zoo_cells

    beyond = jaxrnn.Dense, jaxrnn.Embedding, jaxrnn.Activation
    beyond += (jaxrnn.cells.Convolutional,)
    made = {type(cell) for whole in ZOO.values() for cell in within(whole)}
    cells = {
        kind.__name__
        for kind in made
        if "jaxrnn.cells" in kind.__module__ and not issubclass(kind, beyond)
    }
    assert zoo_cells.FAMILY.keys() == cells | {"FastSlow", "Multiscale"}
    for name in zoo_cells.FAMILY:
        whole = zoo_cells.entry(name).make(2, 8)
        assert name in {type(inner).__name__ for inner in within(whole)}


@pytest.mark.slow
def test_a_row_for_each_and_a_figure(tmp_path):
    names = "LSTM", "PhasedLSTM", "MCLSTM", "GRUD", "EchoState"
    options = f"--cells {' '.join(names)} --processes 1 {TINY} --out {tmp_path}"
    printed = run("zoo.py", options)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert rows.keys() == {*names}
    for name, row in rows.items():
        assert name in printed
        assert len(row["before"]) == len(row["after"]) == 6
        assert len(row["accuracy"]) == len(row["adding"]) == 2
        assert all(0 <= share <= 1 for share in row["accuracy"])
        assert all(math.isfinite(part) and part > 0 for part in row["adding"])
        assert max(row["before"]) > 0 and row["microseconds"] > 0
    assert rows["LSTM"]["parameters"] == 4 * 8 * (2 + 8 + 1)
    assert (tmp_path / "zoo.png").stat().st_size > 10_000


def test_garments_are_read_row_by_row(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "zoo")  # the table of the tests
    example = importlib.import_module("zoo")
    monkeypatch.setattr(example, "FASHION", tmp_path / "none")
    with pytest.raises(SystemExit):
        example.fashion()
    assert (
        "apt install dataset-fashion-mnist, or --data digits" in capsys.readouterr().err
    )
    monkeypatch.setattr(example, "FASHION", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    for part in ("train", "t10k"):
        with gzip.open(tmp_path / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + pixels.tobytes())
        with gzip.open(tmp_path / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + bytes([7, 0, 9]))
    task = example.images_task("fashion")
    xs, labels = task.test
    assert (task.inputs, task.outputs) == (28, 10) and labels.tolist() == [7, 0, 9]
    np.testing.assert_allclose(xs[5, 1], pixels[1, 5] / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--length 2", "argument --length: '2' is not a whole number from 3 on"),
        ("--cells Nobody", "argument --cells: invalid choice: 'Nobody'"),
    ],
)
def test_errors(options, message, monkeypatch, capsys, tmp_path):
    monkeypatch.delitem(sys.modules, "zoo")  # the table of the tests
    said = refused("zoo", f"{options} --out {tmp_path}", monkeypatch, capsys)
    assert message in said
