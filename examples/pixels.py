"""Images as sequences: read row by row, pixel by pixel, and pixel by pixel out of order.

Many to one, over long ways: a network says after every step what it has read. Out of
order neighbours are far apart, and memory alone helps. A GRU stands beside two residual
blocks of LRUs, whose recurrence is linear. The figure asks how much must be read.

    python examples/pixels.py          # after pip install -e ".[pixels]"
    python examples/pixels.py --quick
    python examples/pixels.py --full   # all 784 pixels of a garment, instead of 196

Data: Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017; MIT), 70,000 images in Debian's
package dataset-fashion-mnist. Pixel by pixel they are 14 x 14 means of four, which a
processor can afford, unless `--full`. MNIST-1D (Greydanus and Kobak, 2024; Apache-2.0),
5,000 signals. Tests as published. How much late answers count was chosen with
`--validate`, on a part of what is trained on otherwise, the last sixth of the garments;
rates, sizes and steps are first guesses, the same for all cells.
"""

import itertools
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from image_data import FASHION, TASKS, read
from options import options, parsed, progress, save, whole
from pixels_figure import draw, table_of
from sklearn.linear_model import RidgeClassifier

import jaxrnn
from jaxrnn import Activation, Dense, Residual, Stack, cells

CLASSES, CHUNK, SCORED, RATE, LATE = 10, 20, 500, 5e-3, 4
CELLS = "GRU LRU LSTM MinGRU Elman".split()


def model_of(name: str, inputs: int, H: int) -> Stack:
    if name in ("Elman", "LSTM", "GRU"):
        return Stack((getattr(jaxrnn, name)(inputs, H), Dense(H, CLASSES)))
    # A linear recurrence needs layers, and something between them that is not linear.
    if name == "LRU":  # H numbers of state, half of them imaginary
        ring: Any = dict(r_min=0.9, r_max=0.999, max_phase=np.pi / 10)
        cell = cells.LRU(H, H, state_size=max(H // 2, 1), **ring)
    else:
        cell = cells.MinGRU(H, H)
    block = Residual(Stack((cell, Activation("relu"), Dense(H, H))))
    return Stack((Dense(inputs, H), block, block, Dense(H, CLASSES)))


@cache
def optimizer_of(steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 20, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))


@partial(jax.jit, static_argnames=("cell", "optimizer", "batch"))
def train(cell: Any, optimizer: Any, batch: int, state: Any, data: Any, keys: Any) -> Any:
    """A step of training for each key, in one compiled loop: steps are short."""
    images, labels = data
    late = jnp.arange(1, images.shape[1] + 1, dtype=images.dtype) ** LATE
    weights = late / jnp.mean(late)

    def loss_of(params: Any, xs: Any, targets: Any) -> jax.Array:
        _, logits = jaxrnn.unroll(cell, params, xs)
        losses = jaxrnn.cross_entropy(logits, jnp.broadcast_to(targets, xs.shape[:2]))
        return jaxrnn.mean_loss(weights[:, None] * losses)  # late answers count more

    def step(state: Any, key: Any) -> Any:
        params, moments = state
        some = jax.random.randint(key, (batch,), 0, len(labels))
        xs = jnp.swapaxes(images[some], 0, 1)
        loss, gradient = jax.value_and_grad(loss_of)(params, xs, labels[some])
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), loss

    return jax.lax.scan(step, state, keys)


@partial(jax.jit, static_argnames="cell")
def shares_right(cell: Any, params: Any, images: Any, labels: Any) -> jax.Array:
    """Of the answers after each step: (T,)."""

    def right(example: Any) -> jax.Array:
        _, logits = jaxrnn.unroll(cell, params, example[0])
        return jnp.argmax(logits, axis=-1) == example[1]

    return jnp.mean(jax.lax.map(right, (images, labels), batch_size=SCORED), axis=0)


def fit(cell: Any, batch: int, parts: Any, seed: int, steps: int, bar: Any) -> dict:
    optimizer, (first, key) = optimizer_of(steps), jax.random.split(jax.random.key(seed))
    params, data = cell.init(first), jax.tree.map(jnp.asarray, parts[0])
    state, losses = (params, optimizer.init(params)), []
    keys = jax.random.split(key, steps)
    for some in (keys[start : start + CHUNK] for start in range(0, steps, CHUNK)):
        state, new = train(cell, optimizer, batch, state, data, some)
        losses.extend(new.tolist())
        bar(advance=len(some), note=f"loss {np.mean(losses[-100:]):.3f} nats an answer")
    shares = np.asarray(shares_right(cell, state[0], *parts[1])).tolist()
    bar(note=f"{shares[-1]:.1%} right in the end")
    return {"losses": losses, "shares": shares, "right": shares[-1]}


def main() -> None:
    parser = options(__doc__, steps=1400, seeds=3)
    add, every = parser.add_argument, list(TASKS)
    add("--task", nargs="+", choices=every, default=every, help="what is read, and how")
    add("--cells", nargs="+", choices=CELLS, default=["GRU", "LRU"], help="by whom")
    add("--hidden-size", type=whole(1), help="H; without it, that of the task")
    add("--full", action="store_true", help="all 784 pixels, four times as long")
    add("--validate", action="store_true", help="score a part of the training data")
    add("--fashion", type=Path, default=FASHION, help="folder of the garments")
    args = parsed(parser, steps=150, seeds=1, task=["rows", "permuted", "mnist1d"])
    how = args.fashion, args.full, args.validate
    data = {name: read(name, *how) for name in args.task}
    flat = {k: [(xs.reshape(len(xs), -1), y) for xs, y in v] for k, v in data.items()}
    linear = {k: RidgeClassifier().fit(*v[0]).score(*v[1]) for k, v in flat.items()}
    seeds = range(args.seed, args.seed + args.seeds)
    todo: list[Any] = list(itertools.product(seeds, data, args.cells))
    runs: list[dict] = []
    try:
        with progress() as bars:
            for seed, name, kind in todo:
                task, parts = TASKS[name], data[name]
                steps, inputs = args.steps * task.pace, parts[0][0].shape[-1]
                cell = model_of(kind, inputs, args.hidden_size or task.size)
                bar = bars.add_task(f"{name}, {kind}, {seed}", total=steps, note="")
                update = partial(bars.update, bar)
                run = fit(cell, task.batch, parts, seed, steps, update)
                runs.append({"task": name, "cell": kind, "seed": seed, **run})
                save(args, linear=linear, runs=runs)  # now, whatever happens to the next
    except KeyboardInterrupt:
        print(f"Interrupted: {len(runs)} of {len(todo)} runs were done.")
    if runs:
        rich.print(table_of(runs, linear, "validation" if args.validate else "test"))
        draw(args.out / "pixels.png", runs, data, linear)
        print(f"Figure and numbers: {args.out}/pixels.png and results.json")


if __name__ == "__main__":
    main()
