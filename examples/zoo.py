"""Which cell should I take? All of them, on the same two tasks.

Trains every cell at equal hidden size, three times each, on the adding problem, which
asks for memory, and on scanned digits that are read pixel by pixel. Prints parameters,
time, how far back the gradient of the last output reaches before and after training, and
what was reached; and draws all of that in one figure.

    python examples/zoo.py          # after pip install -e ".[examples]"
    python examples/zoo.py --quick
    python examples/zoo.py --cells LSTM LEM CoRNN --data fashion

Adding: Hochreiter and Schmidhuber, 1997. Data: 1,797 digits of 8 x 8 pixels in
scikit-learn (BSD-3), of which a random fifth is the test; with `--data fashion` the
70,000 images of Fashion-MNIST (MIT), row by row, of Debian's package
dataset-fashion-mnist. Nothing was chosen cell by cell: rate, clipping and steps are the
same for all.
"""

import concurrent.futures
import dataclasses
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from image_data import FASHION, garments
from memory_tasks import adding
from options import mean_and_spread, options, parsed, progress, save, whole
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from zoo_cells import FAMILY, entry
from zoo_figure import draw

import jaxrnn
from jaxrnn import Dense, Stack

BATCH, LEARNING_RATE, MAX_NORM = 32, 3e-3, 1.0
QUICK = "Elman LSTM GRU MGU IndRNN LEM CoRNN AntisymmetricRNN".split()


@dataclasses.dataclass(frozen=True, eq=False)  # equal to itself, for `jax.jit`
class Task:
    """What is drawn, what is lost on it, and what is said of a trained model."""

    sample: Callable[[jax.Array, Any], tuple[Any, Any]]  # key, data -> xs (T, B, I), ...
    loss: Callable[[Any, Any], Any]  # of ys (T, B, O) and targets
    score: Callable[[Any, Any], Any]
    data: Any  # to draw from
    test: tuple[Any, Any]  # xs, targets
    inputs: int
    outputs: int


@cache
def adding_task(length: int) -> Task:
    task = adding(length)
    return Task(
        sample=lambda key, data: task.sample(key, BATCH),
        loss=task.loss,
        score=lambda ys, targets: task.loss(ys, targets) / task.guess,
        data=(),
        test=task.sample(jax.random.key(99), 256),
        inputs=task.inputs,
        outputs=task.outputs,
    )


@cache
def images_task(data: str) -> Task:
    """A digit by its 64 pixels, or a garment by its 28 rows."""
    train, test = digits() if data == "digits" else fashion()

    def sample(key: jax.Array, data: Any) -> tuple[Any, Any]:
        pixels, labels = data
        some = jax.random.randint(key, (BATCH,), 0, len(labels))
        return jnp.swapaxes(pixels[some], 0, 1), labels[some]

    def loss(ys: Any, targets: Any) -> Any:
        losses = optax.softmax_cross_entropy_with_integer_labels(ys[-1], targets)
        return losses.mean()

    return Task(
        sample,
        loss,
        score=lambda ys, targets: jnp.mean(ys[-1].argmax(-1) == targets),
        data=jax.tree.map(jnp.asarray, train),
        test=(jnp.swapaxes(jnp.asarray(test[0]), 0, 1), jnp.asarray(test[1])),
        inputs=train[0].shape[-1],
        outputs=10,
    )


def digits() -> list[tuple[np.ndarray, np.ndarray]]:
    """To train on, and the test: pixels (N, 64, 1) in 0..1, digits."""
    found: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))  # in every run
    parts = np.split(order, [len(order) // 5])[::-1]
    pixels = found.data.astype(np.float32)[..., None] / 16
    return [(pixels[part], found.target[part]) for part in parts]


def fashion() -> list[tuple[np.ndarray, np.ndarray]]:
    """To train on, and 2,000 of the test: pixels (N, 28, 28) in 0..1, classes."""
    (pixels, labels), (more, truth) = garments(FASHION, "--data digits")
    parts = (pixels, labels), (more[:2_000], truth[:2_000])
    return [(each / np.float32(255), classes) for each, classes in parts]


def model_of(name: str, task: Task, hidden_size: int) -> jaxrnn.Cell:
    cell = entry(name).make(task.inputs, hidden_size)
    shapes = jax.eval_shape(
        lambda key: jaxrnn.unroll(
            cell, cell.init(key), entry(name).feed(jnp.zeros((1, 1, task.inputs)))
        ),
        jax.random.key(0),
    )
    return Stack((cell, Dense(shapes[1].shape[-1], task.outputs)))


def loss_of(name: str, model: jaxrnn.Cell, task: Task) -> Callable[..., Any]:
    def loss(params: Any, xs: Any, targets: Any) -> Any:
        return task.loss(jaxrnn.unroll(model, params, entry(name).feed(xs))[1], targets)

    return loss


@partial(jax.jit, static_argnames=("name", "task", "hidden_size", "steps"))
def trained(
    name: str, task: Task, hidden_size: int, steps: int, keys: Any, data: Any, test: Any
) -> Any:
    """Params before and after training, and the score: for each key."""
    model = model_of(name, task, hidden_size)
    optimizer = optax.chain(
        optax.clip_by_global_norm(MAX_NORM), optax.adam(LEARNING_RATE)
    )
    gradient_of = jax.grad(loss_of(name, model, task))

    def step(state: tuple[Any, Any], key: jax.Array) -> tuple[Any, None]:
        params, moments = state
        gradient = gradient_of(params, *task.sample(key, data))
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), None

    def one(key: jax.Array) -> Any:
        init, training = jax.random.split(key)
        params = model.init(init)
        state = params, optimizer.init(params)
        (after, _), _ = jax.lax.scan(step, state, jax.random.split(training, steps))
        xs, targets = test
        _, ys = jaxrnn.unroll(model, after, entry(name).feed(xs))
        return params, after, task.score(ys, targets)

    return jax.vmap(one)(keys)


@partial(jax.jit, static_argnames=("name", "task", "hidden_size"))
def reach(name: str, task: Task, hidden_size: int, params: Any, xs: Any) -> jax.Array:
    """How the last output depends on the state so many steps before: (lags,)."""
    model: Any = model_of(name, task, hidden_size)

    def one(params: Any) -> jax.Array:
        last = lambda ys: jnp.sum(ys[-1])  # noqa: E731
        norms, _ = jaxrnn.gradient_norms(last, model, params, entry(name).feed(xs))
        of = jax.tree.leaves(model.cells[0].is_state(norms))
        leaves = zip(jax.tree.leaves(norms), of, strict=True)
        # Of the whole state, and a mean over the examples.
        of_state = [norm for norm, is_state in leaves if is_state or not any(of)]
        return jnp.sqrt(sum(norm**2 for norm in of_state)).mean(1)[::-1]

    return jax.vmap(one)(params).mean(0)


def study(name: str, args: Any) -> dict[str, Any]:
    """One row: in a process of its own, beside others."""
    keys = jax.random.split(jax.random.key(args.seed), args.seeds)

    def runs(task: Task) -> Any:
        size, data = args.hidden_size, (task.data, task.test)
        return trained(name, task, size, args.steps, keys, *data)

    memory, images = adding_task(args.length), images_task(args.data)
    *both, lost = runs(memory)
    _, _, right = runs(images)
    xs = memory.test[0][:, :BATCH]
    before, after = (reach(name, memory, args.hidden_size, p, xs) for p in both)
    horizons = [float(jaxrnn.memory_horizon(p)) for p in (before, after)]
    return {
        "adding": np.asarray(lost).tolist(),
        "accuracy": np.asarray(right).tolist(),
        "before": np.asarray(before).tolist(),
        "after": np.asarray(after).tolist(),
        "horizons": horizons,
    }


def cost(name: str, args: Any) -> dict[str, Any]:
    """Parameters without the readout, and microseconds of a training step."""
    task = adding_task(args.length)
    model: Any = model_of(name, task, args.hidden_size)
    params = jax.jit(model.init)(jax.random.key(0))
    gradient_of = jax.jit(jax.grad(loss_of(name, model, task)))
    batch = task.sample(jax.random.key(1), ())
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        jax.block_until_ready(gradient_of(params, *batch))
        seconds.append(time.perf_counter() - begin)
    count = sum(leaf.size for leaf in jax.tree.leaves(params[0]))
    micro = 1e6 * statistics.median(seconds[1:]) / (args.length * BATCH)
    return {"family": FAMILY[name], "parameters": count, "microseconds": micro}


def shown(rows: dict[str, dict], args: Any) -> Table:
    table = Table(box=box.SIMPLE, title_justify="left")
    table.add_column("cell", no_wrap=True)
    for column in (
        "family",
        "parameters",
        "µs",
        "reach at start",
        "trained",
        "adding, % of guess",
        f"{args.data}, % right",
    ):
        table.add_column(column, justify="right")
    for name, row in in_order(rows):
        steps = ["beyond T" if math.isinf(h) else f"{h:.1f}" for h in row["horizons"]]
        table.add_row(
            name,
            row["family"],
            f"{row['parameters']:,}",
            f"{row['microseconds']:.2f}",
            *("-" if step == "nan" else step for step in steps),
            mean_and_spread((100 * np.asarray(row["adding"])).tolist(), 1),
            mean_and_spread((100 * np.asarray(row["accuracy"])).tolist(), 1),
        )
    return table


def in_order(rows: dict[str, dict]) -> list[tuple[str, dict]]:
    """The best first."""
    finished = [(name, row) for name, row in rows.items() if "accuracy" in row]
    return sorted(finished, key=lambda item: -np.mean(item[1]["accuracy"]))


def arguments() -> Any:
    parser = options(__doc__, steps=800, seeds=3)
    add = parser.add_argument
    every = list(FAMILY)
    add("--cells", nargs="+", choices=every, default=every, metavar="CELL", help="some")
    add("--data", choices=["digits", "fashion"], default="digits", help="the images")
    add("--hidden-size", type=whole(8), default=32, help="H, of all cells")
    add("--length", type=whole(3), default=200, help="steps of the adding problem")
    add(
        "--processes",
        type=whole(1),
        default=len(os.sched_getaffinity(0)),
        help="to train in",
    )
    quick = dict(cells=QUICK, steps=200, seeds=2, length=60)
    return parsed(parser, **quick)


def main() -> None:
    args = arguments()
    rows: dict[str, dict] = {}
    console = Console(width=max(Console().width, 116), highlight=False)
    context = multiprocessing.get_context("spawn")
    # One core each: what they compute is small.
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    )
    with progress() as bars:
        bar = bars.add_task("time", total=len(args.cells), note="")
        for name in args.cells:  # one by one, with nothing beside
            bars.update(bar, note=name)
            rows[name] = cost(name, args)
            bars.advance(bar)
        bar = bars.add_task("training", total=len(args.cells), note="")
        with concurrent.futures.ProcessPoolExecutor(args.processes, context) as pool:
            slow_first = sorted(args.cells, key=lambda name: -rows[name]["microseconds"])
            jobs = {pool.submit(study, name, args): name for name in slow_first}
            try:
                for job in concurrent.futures.as_completed(jobs):
                    rows[jobs[job]] |= job.result()
                    save(args, rows=rows)
                    bars.update(bar, advance=1, note=jobs[job])
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                console.print("Interrupted: what follows was done until then.")
    console.print(shown(rows, args))
    console.print(
        f"Each cell with H = {args.hidden_size} under a Dense readout, {args.steps} "
        f"steps of Adam at {LEARNING_RATE} with {BATCH} sequences; the mean of "
        f"{args.seeds} seeds ± the deviation of one. µs: a training step (value and "
        "gradient) by step of time and sequence. Reach: the lag at which the gradient of "
        f"the last output has fallen to 1/e, of {args.length} steps of the adding "
        "problem. Adding: the error, 100% without memory."
    )
    figure = args.out / "zoo.png"
    draw(in_order(rows), args, figure)
    console.print(f"Figure: {figure}; numbers: {args.out / 'results.json'}")


if __name__ == "__main__":
    main()
