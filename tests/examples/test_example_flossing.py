"""Flossing: what is asked, what is trained, and a run that is tiny."""

import importlib
import json

import jax
import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, refused, run

import jaxrnn


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("flossing")


@pytest.mark.parametrize("delay", [4, 5])
def test_targets_compare_two_signs_that_are_past(example, delay):
    xs, targets = map(np.asarray, example.draw_sequences(jax.random.key(0), delay, 6))
    assert xs.shape == (3 * delay, 6, 1) and set(np.unique(xs)) == {-1, 1}
    for t in range(3 * delay):
        for b in range(6):
            differ = xs[t - delay, b, 0] != xs[t - delay // 2, b, 0]
            assert targets[t, b] == (-1 if t < delay else differ)
    assert 0.2 < targets[delay:].mean() < 0.8


@pytest.mark.slow
def test_loss_and_error_are_those_of_a_loop(example, key):
    cell = jaxrnn.Elman(1, 4, kernel_init=example.weak)
    model = jaxrnn.Stack((cell, jaxrnn.Dense(4, 2)))
    params = jax.tree.map(np.float32, model.init(key))
    xs, targets = map(np.asarray, example.draw_sequences(key, 4, 3))
    elman, readout = params
    U, losses, wrong = elman["recurrent_kernel"], [], []
    assert 0 < np.abs(elman["kernel"]).max() < 0.3  # weak
    for b in range(3):
        h = np.zeros(4)
        for x, target in zip(xs[:, b], targets[:, b], strict=True):
            h = np.tanh(x @ elman["kernel"] + h @ U + elman["bias"])
            logits = h @ readout["kernel"] + readout["bias"]
            if target >= 0:
                losses.append(np.log(np.exp(logits).sum()) - logits[target])
                wrong.append(logits.argmax() != target)
    found = example.loss_and_error(params, model, key, 4, 3)
    np.testing.assert_allclose(found, [np.mean(losses), np.mean(wrong)], rtol=1e-5)


@pytest.mark.slow
def test_the_penalty_of_one_unit_is_that_of_a_loop(example, key):
    """It has one direction, so that its exponent is a mean of logarithms."""
    cell = jaxrnn.Elman(1, 1)
    params = jax.tree.map(np.float32, cell.init(key))
    shape = example.FLOSS_STEPS, example.FLOSS_BATCH, 1
    signs = np.asarray(jax.random.rademacher(key, shape, "float32"))
    u, h, rates = params["recurrent_kernel"][0, 0], np.zeros(shape[1]), []
    for x in signs[:, :, 0]:
        h = np.tanh(x * params["kernel"][0, 0] + h * u + params["bias"][0])
        rates.append(np.log(np.abs((1 - h**2) * u)))
    value, shown = example.penalty(params, cell, key, 1)
    assert value == shown
    np.testing.assert_allclose(value, np.mean(np.mean(rates, axis=0) ** 2), rtol=1e-4)


@pytest.mark.slow
def test_a_tiny_run_flosses_one_network_and_counts_who_learned(tmp_path):
    sizes = "--steps 3 --floss 30 --seeds 2 --hidden-size 6 --delay 4 --k 2"
    printed = run("flossing.py", f"{sizes} --seed 3 --out {tmp_path}")
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert len(runs) == 7
    for name, several in runs.items():
        (line,) = (
            row for row in printed.splitlines() if row.strip().startswith(name + "  ")
        )
        errors = np.array([each["test"] for each in several])
        assert f"{100 * errors.mean():.1f} ± {100 * errors.std(ddof=1):.1f}" in line
        assert line.rstrip().endswith(f"{np.sum(errors < 0.05)} of 2")
        for each in several:
            assert len(each["errors"]) == 3 and len(each["norms"]) == 5
            assert len(each["penalties"]) == (30 if name == "flossed" else 0)
    for flossed, plain in zip(runs["flossed"], runs["plain"], strict=True):
        assert np.mean(flossed["penalties"][-5:]) < np.mean(flossed["penalties"][:5])
        assert np.mean(np.square(flossed["exponents"])) < np.mean(
            np.square(plain["exponents"])
        )
    assert matplotlib.image.imread(tmp_path / "flossing.png").std() > 0.01


def test_more_exponents_than_units_are_refused(monkeypatch, capsys, tmp_path):
    options = f"--k 9 --hidden-size 8 --out {tmp_path}"
    assert "--k is 9, expected at most" in refused(
        "flossing", options, monkeypatch, capsys
    )
