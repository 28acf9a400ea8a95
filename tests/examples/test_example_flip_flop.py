"""The flip-flop: its data, what is counted, and a run that is tiny."""

import importlib
import json

import jax
import numpy as np
import pytest
from program import EXAMPLES, refused, run

import jaxrnn

ENDS = jaxrnn.dynamics.Ends(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int))


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("flip_flop")


@pytest.mark.slow
def test_targets_are_the_last_signs(example):
    xs, targets = map(np.asarray, example.draw_sequences(jax.random.key(0), 4))
    assert xs.shape == targets.shape == (example.STEPS, 4, 3)
    assert set(np.unique(xs)) == {-1, 0, 1} and 0.05 < np.mean(xs != 0) < 0.2
    last = np.zeros((4, 3))
    for x, target in zip(xs, targets, strict=True):
        last = np.where(x == 0, last, x)
        np.testing.assert_array_equal(target, last)
        assert np.all(last != 0)


def test_a_corner_counts_once_and_if_it_is_stable(example):
    shown = np.array([[1, 1, 1], [0.9, 1.1, 0.8], [1, -1, 1], [-1, -1, 1], [0, 1, 1]])
    unstable = np.array([0, 0, 0, 1, 0])
    zeros = np.zeros((5, 2))
    found = jaxrnn.FixedPoints(zeros, *5 * [zeros], zeros, ENDS, ENDS)
    assert example.corners_of(found._replace(unstable=unstable), shown) == 2


@pytest.mark.slow
def test_a_tiny_run_has_its_table_its_figure_and_its_numbers(tmp_path):
    options = f"--steps 3 --seeds 1 --hidden-size 5 --cell elman --out {tmp_path}"
    printed = run("flip_flop.py", options)
    assert "Fixed points of Elman(input_size=3, hidden_size=5)" in printed
    assert (tmp_path / "flip_flop.png").stat().st_size > 10_000
    (row,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert row["points"] == sum(row["kinds"]) >= 1 and 0 <= row["right"] <= 1


def test_bad_options_are_said_in_one_line(monkeypatch, capsys):
    errors = refused("flip_flop", "--cell lstm", monkeypatch, capsys)
    assert "invalid choice: 'lstm'" in errors.splitlines()[-1]
