"""Learning online, on streams so short that little is learned."""

import importlib
import json

import jax
import numpy as np
import pytest
from matplotlib.image import imread
from program import EXAMPLES, refused, run

import jaxrnn


@pytest.fixture
def online(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("online")


@pytest.mark.slow
def test_every_method_learns_and_is_shown(tmp_path, online):
    printed = run("online.py", f"--steps 640 --seeds 1 --hidden-size 6 --out {tmp_path}")
    numbers = json.loads((tmp_path / "results.json").read_text())
    names = [*online.METHODS, *online.WINDOWS]
    for stream, guess in {"copy": np.log(5), "laser": 1.0}.items():
        assert list(numbers["losses"][stream]) == names
        for name in names:
            assert numbers["losses"][stream][name][0] < guess, (stream, name)
    assert all(name in printed for name in names)
    assert list(numbers["lags"]) == [*online.METHODS]
    exact, none = numbers["lags"]["RTRL"], numbers["lags"]["one step"]
    np.testing.assert_allclose(exact["cosine"], 1, atol=1e-3)
    np.testing.assert_allclose(none["cosine"][1:], 0, atol=1e-6)
    assert imread(tmp_path / "online.png")[..., :3].std() > 0.01


def test_the_streams_are_what_they_say(online):
    xs, targets = online.copy_stream(jax.random.key(0), 18)
    symbols = np.asarray(xs.argmax(-1))
    for start in (0, 9):
        word = symbols[start : start + 3]
        assert ((word >= 1) & (word <= 4)).all()
        np.testing.assert_array_equal(
            symbols[start + 3 : start + 9, 0], [0, 0, 5, 0, 0, 0]
        )
        np.testing.assert_array_equal(targets[start + 6 : start + 9], word)
        assert not np.any(targets[start : start + 6])
    xs, targets = online.laser_stream(jax.random.key(0), 12_000)
    np.testing.assert_array_equal(xs[1:], targets[:-1])
    np.testing.assert_array_equal(xs[10_093:], xs[: 12_000 - 10_093])
    np.testing.assert_allclose([xs[:10_093].mean(), xs[:10_093].std()], [0, 1], atol=1e-3)


@pytest.mark.slow
def test_a_window_of_one_step_is_the_method_of_one_step(online, monkeypatch, promotion):
    monkeypatch.setattr(online, "WINDOW", 1)
    xs, targets = online.copy_stream(jax.random.key(0), 30)
    xs = xs.astype(float)
    cell = jaxrnn.Stack((jaxrnn.GRU(6, 4), jaxrnn.Dense(4, 5)))
    params = jax.tree.map(lambda leaf: leaf.astype(float), cell.init(jax.random.key(1)))
    run = cell, jaxrnn.OneStep(), params, xs, targets, None
    one = online.online(online.symbol_loss, *run)
    cell, _, *run = run[:-1]
    other = online.in_windows(online.symbol_loss, cell, jaxrnn.Scan(), *run)
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("options", ["--steps 0", "--hidden-size x", "--out /proc/none"])
def test_bad_options_are_refused(options, monkeypatch, capsys):
    assert "online.py: error:" in refused("online", options, monkeypatch, capsys)
