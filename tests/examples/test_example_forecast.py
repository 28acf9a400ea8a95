"""The forecasts, with a tiny network; and what they are compared with, by plain loops."""

import importlib
import json
import re

import jax
import numpy as np
import pytest
from matplotlib.image import imread
from program import EXAMPLES, run

import jaxrnn

REFERENCES = ["persistence", "seasonal naive", "analogues"]


@pytest.fixture
def forecast(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("forecast")


@pytest.mark.slow
def test_it_learns_prints_and_draws(tmp_path):
    tiny = f"--steps 60 --seeds 2 --seed 3 --hidden-size 8 --out {tmp_path}"
    printed = run("forecast.py", tiny)
    numbers = json.loads((tmp_path / "results.json").read_text())
    assert numbers["arguments"]["seed"] == 3
    for losses in numbers["losses"]:
        assert len(losses) == 60 and np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert len(set(numbers["validation"])) == 2  # another network of each seed
    errors = {name: np.array(numbers[name]) for name in [*REFERENCES, "GRU"]}
    assert [len(runs) for runs in errors.values()] == [1, 1, 1, 2]
    assert (errors["GRU"][:, 0] < errors["persistence"][:, 0]).all()
    for h in (1, 5, 10, 20, 50):
        shown = [f"{errors[name][0, h - 1]:.3f}" for name in REFERENCES]
        ours = errors["GRU"][:, h - 1]
        shown.append(f"{ours.mean():.3f} ± {ours.std(ddof=1):.3f}")
        pattern = rf"^ {h} +" + " +".join(map(re.escape, shown)) + " *$"
        assert re.search(pattern, printed, re.MULTILINE), (pattern, printed)
    assert imread(tmp_path / "forecast.png")[..., :3].std() > 0.01


def test_the_references_are_those_of_plain_loops(forecast):
    train, valid, test = forecast.laser()
    series = [np.concatenate([part[0], part[1:, -1]]) for part in (train, valid, test)]
    assert [len(part) for part in series] == [6093, 2000, 2000]
    np.testing.assert_allclose([series[0].mean(), series[0].std()], [0, 1], atol=1e-4)
    raw = np.concatenate(series)
    raw = (raw - raw.min()) / (raw.max() - raw.min()) * 255  # the parts are in order
    np.testing.assert_allclose(raw[:5], [86, 141, 95, 41, 22], atol=1e-3)
    np.testing.assert_allclose(raw, np.rint(raw), atol=1e-3)

    some, windows = range(0, test.shape[1], 400), test[:, ::400]
    persistence = forecast.seasonal_naive(windows, 1)
    seasonal = forecast.seasonal_naive(windows, 15)
    analogues = forecast.analogues(windows, train)
    squares = np.zeros(50)
    for column, start in enumerate(some):
        past, truth = series[2][start : start + 50], series[2][start + 50 : start + 100]
        distances = [
            np.sum((past[-30:] - series[0][t - 30 : t]) ** 2) for t in range(50, 6044)
        ]
        nearest = [50 + int(t) for t in np.argsort(distances)[:2]]
        followed = np.mean([series[0][t : t + 50] for t in nearest], axis=0)
        np.testing.assert_allclose(analogues[:, column], followed, atol=1e-5)
        for h in range(50):
            assert persistence[h, column] == past[-1]
            assert seasonal[h, column] == past[50 - 15 + h % 15]
            squares[h] += (past[-1] - truth[h]) ** 2 / len(some)

    def fit(season, starts=range(0, 5994, 7)):
        last = [series[0][t + 50 - season : t + 50] for t in starts]
        guess = np.array([np.resize(values, 50) for values in last])
        truth = np.array([series[0][t + 50 : t + 100] for t in starts])
        return np.sqrt(np.square(guess - truth).mean(axis=0)).mean()

    assert 15 == min(range(1, 51), key=fit)  # as the example says: two pulsations
    expected = np.sqrt(squares) / windows[50:].std()
    errors = forecast.nrmse(persistence, windows)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


@pytest.mark.usefixtures("promotion")
def test_forecasts_are_fed_back_one_by_one(forecast):
    """Prediction t is of value t + 1, and has seen the values up to t, or forecasts."""
    cell = jaxrnn.Stack((jaxrnn.GRU(1, 4), jaxrnn.Dense(4, 1)))
    params = cell.init(jax.random.key(0))
    past = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    step = jax.jit(cell)
    outputs = np.asarray(forecast.predictions(cell, params, past))
    assert outputs.shape == (99, 2)
    for b in range(2):
        carry, y = cell.initial_carry(params), None
        for t in range(99):
            x = past[t, b : b + 1] if t < 50 else y
            carry, y = step(params, carry, x)
            np.testing.assert_allclose(outputs[t, b], y[0], atol=1e-5)


@pytest.mark.parametrize("runs", [1, 3])
def test_the_legend_names_bands_where_there_are_some(monkeypatch, runs):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import forecast

    rng = np.random.default_rng(0)
    windows = rng.normal(size=(forecast.PAST + forecast.HORIZON, 4))
    guesses = dict.fromkeys(("seasonal naive", "GRU"), windows[forecast.PAST :])
    errors = {"GRU": rng.random((runs, forecast.HORIZON)), "naive": np.ones((1, 50))}
    axes = forecast.draw(windows, guesses, errors).axes[-1]
    assert len(axes.collections) == (runs > 1)
    title = axes.get_legend().get_title().get_text()
    assert title == ("bands: deviation of the runs" if runs > 1 else "")
