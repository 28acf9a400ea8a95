"""What helps against fading gradients? Remedies, on two tasks of long memory.

Trains networks of equal hidden size on the adding problem and on copy memory. Prints for
each remedy the loss reached beside that of a guess without memory, the training steps
until the task was solved, and the gradient horizon at initialisation: the lag at which
the gradient of one step's loss has fallen to 1/e of its first size. Ctrl-C ends the
training and shows the rows that are done.

    python examples/remedies.py
    python examples/remedies.py --quick
    python examples/remedies.py --tasks copy --copy-length 300 --remedies lstm lstm-chrono

Adding: Hochreiter and Schmidhuber, 1997; copy memory: Arjovsky, Shah and Bengio, 2016.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax
from memory_tasks import WORD, Task, adding, copy
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress
from rich.table import Table

import jaxrnn
from jaxrnn import Dense, Stack, initializers

SOLVED = 0.1  # of the loss of a guess without memory
TEST = 256  # sequences
NUMBERS = "remedies.json"


class Remedy(NamedTuple):
    """Layers for (inputs, hidden size), and what else is changed."""

    layers: Callable[[int, int], tuple[jaxrnn.Cell, ...]]
    max_norm: float | None = None  # of the gradient in all parameters
    method: Any = jaxrnn.Scan()


def one(make: Callable[..., jaxrnn.Cell], **options: Any) -> Callable:
    return lambda inputs, hidden: (make(inputs, hidden, **options),)


def skips(inputs: int, hidden: int) -> tuple[jaxrnn.Cell, ...]:
    cell = jaxrnn.Elman(hidden, hidden, recurrent_init=initializers.orthogonal)
    return Dense(inputs, hidden), jaxrnn.Residual(cell), jaxrnn.Residual(cell)


UNIFORM = one(jaxrnn.Elman, recurrent_init=initializers.uniform)
ORTHOGONAL = one(jaxrnn.Elman, recurrent_init=initializers.orthogonal)
IDENTITY = one(jaxrnn.Elman, activation="relu", recurrent_init=initializers.identity)


def remedies(longest: int, batch: int) -> dict[str, Remedy]:
    """By name; `longest` is the longest dependency of the task, `batch` its examples."""
    chrono = one(jaxrnn.LSTM, bias_init=initializers.Chrono(longest))

    def clipped(*sizes: int) -> tuple[jaxrnn.Cell, ...]:
        # Of one example's part in the mean over the batch.
        return (jaxrnn.ClipCarryGradient(*IDENTITY(*sizes), max_norm=1 / batch),)

    return {
        "tanh-uniform": Remedy(UNIFORM),
        "clip-global-norm": Remedy(UNIFORM, max_norm=1.0),
        "orthogonal": Remedy(ORTHOGONAL),
        "identity-relu": Remedy(IDENTITY),
        "identity-clip-global": Remedy(IDENTITY, max_norm=1.0),
        "identity-clip-carry": Remedy(clipped),
        "residual-2-layers": Remedy(skips, max_norm=1.0),
        "gru": Remedy(one(jaxrnn.GRU)),
        "lstm": Remedy(one(jaxrnn.LSTM)),
        "lstm-truncated-20": Remedy(one(jaxrnn.LSTM), method=jaxrnn.Scan(truncate=20)),
        "lstm-chrono": Remedy(chrono),
    }


QUICK = {
    "remedies": ["tanh-uniform", "orthogonal", "gru", "lstm-chrono"],
    "adding_length": 40,
    "copy_length": 15,
    "hidden_size": 64,
    "steps": 1000,
    "learning_rate": 5e-3,
}


@partial(jax.jit, static_argnames=("model", "method", "task", "optimizer", "batch"))
def train(
    model: jaxrnn.Cell,
    method: Any,
    task: Task,
    optimizer: Any,
    batch: int,
    state: tuple[Any, Any],
    keys: jax.Array,
) -> tuple[tuple[Any, Any], jax.Array]:
    """One training step for each key; also the mean loss."""

    def step(state: tuple[Any, Any], key: jax.Array) -> tuple[Any, jax.Array]:
        params, moments = state
        xs, targets = task.sample(key, batch)

        def loss(params: Any) -> jax.Array:
            return task.loss(jaxrnn.unroll(model, params, xs, method=method)[1], targets)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), value

    state, losses = jax.lax.scan(step, state, keys)
    return state, losses.mean()


@partial(jax.jit, static_argnames=("model", "task"))
def test(model: jaxrnn.Cell, task: Task, params: Any, key: jax.Array) -> jax.Array:
    xs, targets = task.sample(key, TEST)
    return task.loss(jaxrnn.unroll(model, params, xs)[1], targets)


def horizon(
    model: jaxrnn.Cell, method: Any, task: Task, params: Any, key: jax.Array, batch: int
) -> float:
    """Of the carry of the layer below the readout: of an LSTM the longer of h and c."""
    draw, steps = jax.random.split(key)
    xs, targets = task.sample(draw, 16)
    profile = jaxrnn.lag_profile(
        lambda ys: task.step_losses(ys, targets) / batch,  # as large as in training
        model,
        params,
        xs,
        sample_key=steps,
        max_lag=len(xs) - 1 - len(xs) // 10,
        method=method,
    )
    leaves = jax.tree.leaves(profile.norms[-2])
    return max(float(jaxrnn.memory_horizon(leaf.mean(1))) for leaf in leaves)


def study(name: str, remedy: Remedy, task: Task, args: Any, progress: Progress) -> dict:
    """One row of the table."""
    bar = progress.add_task(name, total=args.steps, note="")
    layers = remedy.layers(task.inputs, args.hidden_size)
    model = Stack((*layers, Dense(args.hidden_size, task.outputs)))
    init, training, fixed, lags = jax.random.split(jax.random.key(args.seed), 4)
    params = jax.jit(model.init)(init)
    adam = optax.adam(args.learning_rate)
    clip = optax.clip_by_global_norm(remedy.max_norm) if remedy.max_norm else None
    optimizer = optax.chain(clip, adam) if clip else adam
    common = model, remedy.method, task
    far = horizon(*common, params, lags, args.batch_size)
    result = {"horizon": far, "solved": None, "losses": []}
    state = params, optimizer.init(params)
    started = time.perf_counter()
    for start in range(0, args.steps, args.every):
        every = min(args.every, args.steps - start)
        keys = jax.random.split(jax.random.fold_in(training, start), every)
        state, _ = train(*common, optimizer, args.batch_size, state, keys)
        loss = float(test(model, task, state[0], fixed))
        result["losses"].append(loss)
        progress.update(bar, advance=every, note=f"loss {loss:.4f}")
        if not math.isfinite(loss):
            break
        if loss < SOLVED * task.guess:
            result["solved"] = start + every
            break
    progress.update(bar, completed=args.steps)
    result["loss"] = result["losses"][-1]
    result["seconds"] = time.perf_counter() - started
    return result


def shown(title: str, task: Task, results: dict[str, dict], steps: int) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", title_style="bold")
    table.add_column("remedy", no_wrap=True)
    for column in ("test loss", "of the guess", "steps to solve", "horizon at start"):
        table.add_column(column, justify="right")
    for name, result in results.items():
        loss, solved = result["loss"], result["solved"]
        far = result["horizon"]
        table.add_row(
            name,
            f"{loss:.4f}" if math.isfinite(loss) else "not finite",
            f"{loss / task.guess:.0%}" if math.isfinite(loss) else "-",
            str(solved) if solved else f"not in {steps}",
            "beyond T" if math.isinf(far) else "-" if math.isnan(far) else f"{far:.1f}",
        )
    table.add_section()
    table.add_row("guess without memory", f"{task.guess:.4f}", "100%", "", "")
    return table


def save(results: dict, tasks: dict[str, Task], args: Any) -> None:
    """After every row; JSON has no infinity, and null stands for it."""
    numbers = {
        "arguments": vars(args),
        "versions": {"python": sys.version.split()[0], "jax": jax.__version__},
        "guesses": {name: tasks[name].guess for name in args.tasks},
        "results": results,
    }
    none = lambda leaf: isinstance(leaf, float) and not math.isfinite(leaf)  # noqa: E731
    numbers = jax.tree.map(lambda leaf: None if none(leaf) else leaf, numbers)
    text = json.dumps(numbers, default=str, allow_nan=False)
    (args.out / NUMBERS).write_text(text)


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number below 2^32")
    return int(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="What helps against fading gradients?",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    names = list(remedies(3, 1))
    out = Path("outputs/remedies")
    both = ["adding", "copy"]
    add("--tasks", nargs="+", choices=both, default=both, help="what to learn")
    add("--remedies", nargs="+", choices=names, default=names, help="what to try")
    add("--adding-length", type=positive, default=200, help="steps of the adding problem")
    add("--copy-length", type=positive, default=100, help="blanks of copy memory")
    add("--hidden-size", type=positive, default=128, help="of every layer")
    add("--batch-size", type=positive, default=32, help="sequences in a training step")
    add("--steps", type=positive, default=6000, help="training steps, at most")
    add("--every", type=positive, default=100, help="training steps between two tests")
    add("--learning-rate", type=rate, default=1e-3, help="of Adam, for all")
    add("--seed", type=seed, default=0, help="of parameters and sequences")
    add("--quick", action="store_true", help="other defaults, that end in two minutes")
    add("--out", type=Path, default=out, help="folder for the numbers")
    args = parser.parse_args()
    if args.quick:
        parser.set_defaults(**QUICK)
        args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / NUMBERS).touch()
    except OSError as error:
        parser.error(f"argument --out: cannot write to {args.out}: {error.strerror}")
    if args.adding_length < 3:
        parser.error("argument --adding-length: expected 3 or more")
    return args


def main() -> None:
    args = arguments()
    tasks = {"adding": adding(args.adding_length), "copy": copy(args.copy_length)}
    longest = {"adding": args.adding_length, "copy": args.copy_length + 2 * WORD}
    titles = {
        "adding": f"Adding problem, {args.adding_length} steps (mean squared error)",
        "copy": f"Copy memory, {args.copy_length} blanks (cross-entropy, nats a step)",
    }
    console = Console(width=max(Console().width, 80), highlight=False)
    columns = "{task.description:18}", BarColumn(20), MofNCompleteColumn()
    progress = Progress(*columns, "{task.fields[note]}", console=Console(stderr=True))
    results: dict[str, dict[str, dict]] = {name: {} for name in args.tasks}
    stopped = False
    try:
        with progress:
            for name in args.tasks:
                known = remedies(longest[name], args.batch_size)
                for remedy in args.remedies:
                    row = study(remedy, known[remedy], tasks[name], args, progress)
                    results[name][remedy] = row
                    save(results, tasks, args)
    except KeyboardInterrupt:
        stopped = True
        console.print("\nInterrupted: what follows was done until then.")
    for name, rows in results.items():
        if rows:
            console.print(shown(titles[name], tasks[name], rows, args.steps))
    console.print(
        f"Solved: a test loss below {SOLVED:.0%} of that of a guess without memory. "
        "Horizon at start: the lag at which the gradient of one step's loss in the carry "
        "falls to 1/e of its first size, before training. Hidden size "
        f"{args.hidden_size}, Adam at {args.learning_rate}, {args.batch_size} sequences "
        f"a step, at most {args.steps} steps, seed {args.seed}; the same for all."
    )
    console.print(f"Numbers: {args.out / NUMBERS}")
    raise SystemExit(130 if stopped else 0)


if __name__ == "__main__":
    main()
