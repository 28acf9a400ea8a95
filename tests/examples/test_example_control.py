"""Policies that remember, with few updates, and their learning against loops."""

import json

import matplotlib.image
import numpy as np
import pytest
from program import EXAMPLES, interrupted, run


@pytest.mark.slow
def test_it_learns_to_turn_to_the_side_of_the_hint(tmp_path):
    options = "--task maze cartpole --lengths 2 --cells GRU --steps 50 --hidden-size 8"
    printed = run("control.py", f"{options} --seeds 2 --seed 3 --out {tmp_path}")
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {key: list(runs) for key, runs in results.items()} == {
        "maze 2": ["GRU"],
        "cart-pole": ["GRU", "feed-forward, all seen"],
    }
    maze = results["maze 2"]["GRU"]
    assert [each["seed"] for each in maze] == [3, 4]
    assert maze[0]["curve"] != maze[1]["curve"]
    scores = [each["score"] for each in maze]
    assert min(scores) > 0.9  # a guess has 0.5
    assert f"{np.mean(scores):.2f} ± {np.std(scores, ddof=1):.2f}" in printed
    for runs in results["cart-pole"].values():
        assert [len(each["curve"]) for each in runs] == [2, 2]  # a third of 50, in tens
        scores = [each["score"] for each in runs]
        assert f"{np.mean(scores):.0f} ± {np.std(scores, ddof=1):.0f}" in printed
        assert all(each["curve"][1] > each["curve"][0] > 10 for each in runs)
    assert matplotlib.image.imread(tmp_path / "control.png").std() > 0.01


@pytest.mark.slow
def test_what_was_done_before_an_interruption_is_kept(tmp_path):
    options = (
        f"--task maze --lengths 2 --cells feed-forward GRU --steps 1 --out {tmp_path}"
    )
    ended = interrupted("control", options, "fit", 2)
    assert ended.returncode == 130, ended.stderr
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert list(results["maze 2"]) == ["feed-forward"]
    assert f"{results['maze 2']['feed-forward'][0]['score']:.2f}" in ended.stdout
    assert (tmp_path / "control.png").exists()


def test_the_hint_is_seen_once_and_the_last_move_alone_counts(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import jax.numpy as jnp
    from control_tasks import Maze

    maze = Maze(3)
    for side in (0, 1):
        state, seen = (jnp.array(side), jnp.array(0)), []
        for place in range(4):
            seen.append(int(maze.see(state).argmax()))
            for action in (0, 1):
                after, reward, done, score = maze.move(state, jnp.array(action))
                assert float(reward) == float(score) == (place == 3 and action == side)
                assert bool(done) == (place == 3)
            state = after
        assert seen == [side, 2, 2, 3] and maze.limit == 4


def test_the_pole_falls_as_its_equations_of_motion_say(monkeypatch):
    """Two linear equations for both accelerations: of all forces, and of all moments."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import jax.numpy as jnp
    from control_tasks import CartPole

    world, rng = CartPole(), np.random.default_rng(0)
    for action in (0, 1):
        x, v, a, w = rng.normal(0, 0.1, 4)
        m, h, force = 0.1, 0.5, (-10.0, 10.0)[action] - 0.0005 * np.sign(v)
        matrix = [[1.1, m * h * np.cos(a)], [m * h * np.cos(a), 4 / 3 * m * h**2]]
        right = force + m * h * w**2 * np.sin(a), m * 9.8 * h * np.sin(a) - 2e-6 * w
        push, swing = np.linalg.solve(matrix, right)
        state = jnp.array([x, v, a, w]), jnp.array(0)
        (after, count), reward, done, score = world.move(state, jnp.array(action))
        moved = np.array([x, v, a, w]) + 0.02 * np.array([v, push, w, swing])
        np.testing.assert_allclose(after, moved, rtol=1e-6)
        assert (int(count), float(reward), bool(done), float(score)) == (1, 0, False, 1)
        np.testing.assert_allclose(world.see(state), [x / 2.4, a / 0.21])
    for first, fallen in (
        ([2.41, 0, 0, 0], True),
        ([0, 0, -0.22, 0], True),
        ([0] * 4, 0),
    ):
        state = jnp.array(first, float), jnp.array(499)
        _, reward, done, _ = world.move(state, jnp.array(0))
        assert bool(done) and float(reward) == -bool(fallen)


@pytest.mark.slow
def test_the_loss_is_that_of_a_loop_over_the_actors_steps(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import control_ppo
    import jax
    from control_tasks import CartPole

    world, T, B = CartPole(limit=4), 10, 3
    model = control_ppo.model_of("GRU", world, 4)
    keys = jax.random.split(jax.random.key(0), 6)
    params, new = model.init(keys[0]), model.init(keys[1])
    start = control_ppo.begun(model, world, params, keys[2], B)
    play = jax.jit(control_ppo.play, static_argnums=(0, 1))
    start, _ = play(model, world, params, start, jax.random.split(keys[3], 3))
    _, seen = play(model, world, params, start, jax.random.split(keys[4], T))
    last = jax.random.normal(keys[5], (B,))
    advantage = np.asarray(control_ppo.advantages_of(seen, last))
    loss = jax.jit(control_ppo.loss_of, static_argnums=1)
    found = loss(new, model, start[1], seen, advantage)

    seen, step = jax.tree.map(np.asarray, seen), jax.jit(model)
    assert list(seen["done"][:, 0].nonzero()[0]) == [0, 4, 8]  # four moves, three before
    for b in range(B):
        later = 0.0
        for t in reversed(range(T)):
            expected = seen["value"][t + 1, b] if t + 1 < T else last[b]
            on = 0.0 if seen["done"][t, b] else 0.99
            surprise = seen["reward"][t, b] + on * expected - seen["value"][t, b]
            later = surprise + on * 0.95 * later
            np.testing.assert_allclose(advantage[t, b], later, rtol=1e-9, atol=1e-12)

    scaled, terms = (advantage - advantage.mean()) / (advantage.std() + 1e-6), []
    for b in range(B):
        carries = {
            which: jax.tree.map(lambda leaf: leaf[b], start[1])  # noqa: B023
            for which in ("actor", "learner")
        }
        for t in range(T):
            odds = {}
            for which, p in (("actor", params), ("learner", new)):
                carries[which], y = step(p, carries[which], seen["x"][t, b])
                odds[which] = np.exp(y[:-1]) / np.exp(y[:-1]).sum()
                if seen["done"][t, b]:
                    carries[which] = model.initial_carry(p)
                if which == "actor":
                    np.testing.assert_allclose(odds[which], np.exp(seen["odds"][t, b]))
                    np.testing.assert_allclose(y[-1], seen["value"][t, b])
            action, A = seen["action"][t, b], scaled[t, b]
            ratio = odds["learner"][action] / odds["actor"][action]
            gain = min(ratio * A, min(max(ratio, 0.8), 1.2) * A)
            entropy = -sum(odds["learner"] * np.log(odds["learner"]))
            target = seen["value"][t, b] + advantage[t, b]
            terms.append(0.5 * (y[-1] - target) ** 2 - gain - 0.01 * entropy)
    np.testing.assert_allclose(found, np.mean(terms), rtol=1e-7)
