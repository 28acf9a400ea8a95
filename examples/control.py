"""Acting from memory: recurrent policies in a T-maze and under a pole that falls.

A hint at the start of a corridor says where to turn at its end, 10 to 200 moves later; a
pole is balanced by its angle and the cart's place, without their velocities. Learned by
PPO in JAX alone, in `control_ppo.py`: the actor takes single steps of a cell, the learner
runs the same cell over the whole trajectory.

    python examples/control.py          # after pip install -e ".[examples]"
    python examples/control.py --quick

Worlds: `control_tasks.py`, no data. Bakker, 2001, penalises wrong moves in the corridor;
here each move leads one place on, whatever it is, so that memory alone decides. Training
ends when a maze is solved; a cart-pole gets a third of the steps. All constants were
chosen with seed 100, which is in no result, and are the same for all cells.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
import rich
from control_ppo import CELLS, OPTIMIZER, begun, judged, model_of, train
from control_tasks import CartPole, Maze
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from options import mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

WORLDS, MOVES = 64, 100  # of a rollout: beside each other, and about how long
CHUNK, SOLVED = 10, 0.98  # updates in one call; the share of right turns that is enough
FREE, SEEING = "feed-forward", "feed-forward, all seen"  # both without memory
NAMES, POLE = (*CELLS, FREE), "cart-pole"
LOOKS = {name: dict(c=f"C{i}", marker="os^D"[i]) for i, name in enumerate(CELLS)}
LOOKS |= {FREE: dict(c="k", marker="v"), SEEING: dict(c="k", ls="--")}


def fit(name: str, world: Any, args: Any, seed: int, bar: Any) -> dict:
    """The score after training, and that of every chunk of it, with actions drawn."""
    model, maze = model_of(name, world, args.hidden_size), isinstance(world, Maze)
    init, first, training, test = jax.random.split(jax.random.key(seed), 4)
    params = model.init(init)
    start = begun(model, world, params, first, WORLDS)
    learner, curve = (params, OPTIMIZER.init(params), start), []
    # A rollout holds whole mazes: from the turn, gradients go back to the hint.
    moves = max(MOVES // world.limit, 1) * world.limit if maze else MOVES
    for done in range(0, args.steps if maze else -(-args.steps // 3), CHUNK):
        keys = jax.random.split(jax.random.fold_in(training, done), CHUNK)
        learner, score = train(model, world, moves, learner, keys)
        curve.append(float(score))
        bar(note=f"{name}, {world}: {curve[-1]:.2f} after {done + CHUNK} updates")
        if maze and curve[-1] > SOLVED:
            break
    score = float(judged(model, world, learner[0], test))
    return dict(seed=seed, score=score, curve=curve)


def table_of(results: dict) -> Table:
    """Of results {world: {cell: runs}}."""
    table = Table("", *results, box=None)
    for name in LOOKS:
        row = []
        for world in results:
            scores = [run["score"] for run in results[world].get(name, [])]
            digits = 0 if world == POLE else 2
            row.append(mean_and_spread(scores, digits) if scores else "")
        if any(row):
            table.add_row(name, *row)
    return table


def draw_mazes(axes: Any, results: dict) -> None:
    mazes = {int(key.split()[1]): results[key] for key in results if key != POLE}
    for i, name in enumerate(NAMES):
        scores = {n: [run["score"] for run in mazes[n].get(name, [])] for n in mazes}
        scores = {
            n * 1.03 ** (i - 2): each for n, each in scores.items() if each
        }  # apart
        axes.plot([*scores], [*map(np.mean, scores.values())], label=name, **LOOKS[name])
        for length, each in scores.items():
            axes.plot([length] * len(each), each, "_", c=LOOKS[name]["c"])
    axes.axhline(0.5, c="0.6", ls=":", label="a guess")
    axes.set(xscale="log", xlabel="moves between the hint and the turn")
    title = "T-maze: who still knows the hint? (means; dashes: runs)"
    axes.set(ylabel="share of right turns", ylim=(-0.03, 1.05), title=title)
    axes.set_xticks([*mazes], [str(length) for length in mazes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower left")


def draw_pole(axes: Any, results: dict) -> None:
    for name, runs in results[POLE].items():
        curves = np.minimum([run["curve"] for run in runs], CartPole.limit)
        seen = np.arange(1, curves.shape[1] + 1) * CHUNK * MOVES * WORLDS / 1000
        look = LOOKS[name] | dict(marker=None)
        axes.plot(seen, curves.mean(0), label=name, **look)
        axes.fill_between(seen, curves.min(0), curves.max(0), fc=look["c"], alpha=0.15)
    axes.axhline(CartPole.limit, c="0.6", ls=":", label="the longest episode")
    title = "Cart-pole, velocities hidden (means; shaded: all runs)"
    axes.set(xlabel="moves played in training (thousands)", title=title)
    axes.set(ylabel="moves until an episode ends", ylim=(0, CartPole.limit * 1.05))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.11), ncols=2)


def main() -> None:
    parser, tasks = options(__doc__, steps=400, seeds=3), ["maze", "cartpole"]
    add, lengths = parser.add_argument, [10, 30, 100, 200]
    add("--task", nargs="+", choices=tasks, default=tasks, help="what is to be learned")
    add("--cells", nargs="+", choices=NAMES, default=list(NAMES), help="who learns")
    add("--lengths", nargs="+", type=whole(1), default=lengths, help="of the mazes")
    add("--hidden-size", type=whole(1), default=32, help="of all layers")
    small = dict(task=["maze"], cells=["GRU", FREE], lengths=[10])
    args = parsed(parser, steps=100, seeds=1, **small)
    mazes = sorted(set(args.lengths)) if "maze" in args.task else []
    plan = [(f"maze {n}", name, Maze(n)) for n in mazes for name in args.cells]
    if "cartpole" in args.task:
        plan += [(POLE, name, CartPole()) for name in args.cells]
        plan += [(POLE, SEEING, CartPole(velocities=True))]
    results: dict[str, Any] = {world: {} for world, *_ in plan}
    stopped = False
    try:
        with progress() as bars:
            for seed in range(args.seed, args.seed + args.seeds):
                task = bars.add_task(f"seed {seed}", total=len(plan), note="")
                for key, name, world in plan:
                    run = fit(name, world, args, seed, partial(bars.update, task))
                    results[key].setdefault(name, []).append(run)
                    save(args, results=results)  # an interruption leaves what was done
                    bars.advance(task)
    except KeyboardInterrupt:
        stopped = True
        print("\nInterrupted: what follows was done until then.")
    rich.print(table_of(results))
    print(
        "Mazes: the share of right turns, 0.50 for a guess. Cart-pole: the moves of an "
        f"episode, {CartPole.limit} at most."
    )
    panels = [draw_mazes] * bool(mazes) + [draw_pole] * (POLE in results)
    figure = Figure((6.5 * len(panels), 4.8), layout="constrained")
    for i, panel in enumerate(panels):
        panel(figure.add_subplot(1, len(panels), i + 1), results)
    figure.savefig(args.out / "control.png", dpi=110)
    print(f"Figure and numbers: {args.out}/control.png and results.json")
    raise SystemExit(130 if stopped else 0)


if __name__ == "__main__":
    main()
