"""Images as sequences, as a user reads them: stand-ins for the garments, few steps."""

import gzip
import json

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, interrupted, run


def garments(folder, count=60):
    """Bright above, or below: classes 2 and 7."""
    rng, made = np.random.default_rng(0), {}
    for part in ("train", "t10k"):
        labels = rng.choice([2, 7], count).astype(np.uint8)
        pixels = rng.integers(0, 100, (count, 28, 28), np.uint8)
        pixels[labels == 2, :14] += 150
        pixels[labels == 7, 14:] += 150
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + pixels.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + labels.tobytes())
        made[part] = pixels, labels
    return made


@pytest.mark.slow
def test_it_learns_by_rows_and_counts_what_is_right(tmp_path):
    made = garments(tmp_path)
    options = f"--fashion {tmp_path} --steps 20 --seeds 2 --hidden-size 4 --cells GRU"
    printed = run("pixels.py", f"{options} --task rows --seed 3 --out {tmp_path}")
    numbers = json.loads((tmp_path / "results.json").read_text())
    assert [(r["task"], r["cell"], r["seed"]) for r in numbers["runs"]] == [
        ("rows", "GRU", 3),
        ("rows", "GRU", 4),
    ]
    for each in numbers["runs"]:
        losses, shares = each["losses"], each["shares"]
        assert len(losses) == 40 and 1.5 < losses[0] < 3.5  # ln 10 = 2.3
        assert np.mean(losses[-5:]) < 0.9 * losses[0]
        assert len(shares) == 28 and shares[-1] == each["right"]
        np.testing.assert_allclose(60 * np.array(shares), np.rint(60 * np.array(shares)))
        assert each["right"] > 0.4  # one of two, after ten
    rights = [each["right"] for each in numbers["runs"]]
    assert f"{np.mean(rights):.3f} ± {np.std(rights, ddof=1):.3f}" in printed
    assert "0.888" in printed

    # The linear reference: least squares of +1 and -1 with a penalty of 1, and a bias.
    (pixels, labels), (scored, truth) = made["train"], made["t10k"]
    mean, deviation = pixels.mean(), pixels.std()
    xs, tests = ((each.reshape(60, -1) - mean) / deviation for each in (pixels, scored))
    targets, middle = np.where(labels == 7, 1.0, -1.0), xs.mean(axis=0)
    centred = xs - middle
    gram = centred @ centred.T + np.eye(60)
    weights = centred.T @ np.linalg.solve(gram, targets - targets.mean())
    said = (tests - middle) @ weights + targets.mean() > 0
    np.testing.assert_allclose(numbers["linear"]["rows"], np.mean(said == (truth == 7)))
    assert matplotlib.image.imread(tmp_path / "pixels.png").std() > 0.01


@pytest.mark.slow
def test_what_was_done_before_an_interrupt_is_shown(tmp_path):
    garments(tmp_path, 10)
    options = f"--fashion {tmp_path} --steps 1 --seeds 1 --hidden-size 2 --task rows"
    more = f"--cells Elman MinGRU --validate --out {tmp_path / 'out'}"
    ended = interrupted("pixels", f"{options} {more}", "fit", 2)
    assert ended.returncode == 0, ended.stderr
    assert "Interrupted: 1 of 2 runs" in ended.stdout and "validation" in ended.stdout
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [each["cell"] for each in numbers["runs"]] == ["Elman"]
    assert (tmp_path / "out" / "pixels.png").stat().st_size > 10_000


@pytest.mark.usefixtures("promotion")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GRU", "LRU"])
def test_late_answers_count_more_and_each_step_is_scored(kind, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import jax
    import optax
    import pixels

    N, T, rng = 3, 5, np.random.default_rng(0)
    cell = pixels.model_of(kind, 2, 4)
    params = cell.init(jax.random.key(0))
    images, labels = rng.normal(0, 2, (N, T, 2)), np.array([3, 8, 0])
    lost, right, step = np.zeros(N), np.zeros((N, T)), jax.jit(cell)
    for n in range(N):
        carry = cell.initial_carry(params)
        for t in range(T):
            carry, logits = step(params, carry, images[n, t])
            odds = np.exp(np.asarray(logits))
            right[n, t] = odds.argmax() == labels[n]
            weight = (t + 1) ** 4 / (1 + 16 + 81 + 256 + 625)
            lost[n] -= weight * np.log(odds[labels[n]] / odds.sum())
    found = pixels.shares_right(cell, params, images, labels)
    np.testing.assert_allclose(found, right.mean(axis=0))

    optimizer, key = optax.sgd(0.0), jax.random.key(1)
    some = jax.random.randint(key, (4,), 0, N)
    state = params, optimizer.init(params)
    data = jax.tree.map(jax.numpy.asarray, (images, labels))
    _, losses = pixels.train(cell, optimizer, 4, state, data, key[None])
    np.testing.assert_allclose(losses, [lost[some].mean()], rtol=1e-6)


def test_every_way_to_read_a_garment(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from image_data import read

    (pixels, labels), (scored, truth) = garments(tmp_path, 12).values()

    def parts(name, full=False, validate=False):
        return read(name, tmp_path, full, validate)

    (xs, said), (tests, answers) = parts("rows")
    assert (said == labels).all() and (answers == truth).all()
    np.testing.assert_allclose(tests, (scored - pixels.mean()) / pixels.std(), rtol=1e-4)
    (full, _), (full_tests, _) = parts("pixels", full=True)
    np.testing.assert_allclose(full, xs.reshape(12, 784, 1), rtol=1e-6)
    np.testing.assert_allclose(full_tests[..., 0], tests.reshape(12, 784), rtol=1e-6)

    (small, _), _ = parts("pixels")
    means = [[pixels[5, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(14)]
             for i in range(14)]  # fmt: skip
    alike = np.corrcoef(small[5, :, 0], np.ravel(means))[0, 1]  # up to their scale
    assert alike > 1 - 1e-6
    np.testing.assert_allclose((small.mean(), small.std()), (0, 1), atol=1e-5)

    (mixed, _), (mixed_tests, _) = parts("permuted")
    columns = small[..., 0].T
    place = [
        int(np.flatnonzero((columns == column).all(axis=1))[0])
        for column in mixed[..., 0].T
    ]
    assert sorted(place) == list(range(196)) != place
    np.testing.assert_array_equal(mixed_tests, parts("pixels")[1][0][:, place])

    (kept, few), (held, rest) = parts("rows", validate=True)
    assert (len(kept), len(held)) == (10, 2)
    np.testing.assert_array_equal([*few, *rest], labels)

    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SystemExit):
        parts("rows")
    assert "apt install dataset-fashion-mnist, or --task" in capsys.readouterr().err


@pytest.mark.slow
def test_signals_are_those_of_the_package(monkeypatch, tmp_path):
    pytest.importorskip("mnist1d")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from image_data import read

    (xs, labels), (tests, truth) = read("mnist1d", tmp_path, False, False)
    assert xs.shape == (4000, 40, 1) and tests.shape == (1000, 40, 1)
    assert sorted(np.bincount([*labels, *truth])) == [500] * 10
    (mixed, same), _ = read("shuffled1d", tmp_path, False, False)
    assert (same == labels).all() and not np.allclose(mixed, xs)
    np.testing.assert_allclose(np.sort(mixed, axis=1), np.sort(xs, axis=1), atol=1e-5)
