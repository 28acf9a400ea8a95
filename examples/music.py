"""Four-part chorales: which of 88 keys sound at the next quarter note?

A set of notes at every step, so each key has a sigmoid of its own. A GRU reads the notes
up to now and gives the chances of the next ones; then it goes on alone, reading the four
notes that it drew. Every training window is transposed at random.

    python examples/music.py             # after pip install -e ".[music]"
    python examples/music.py --quick

Data: Bach's chorales in music21 (BSD-3; for the scores see its corpus/license.txt), read
once and kept in `--rolls`. A fifth of the tunes, with all harmonisations, is the test, a
fifth the validation, by which cell, rate, dropout and transposing were chosen.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import music_data as data
import music_figure
import numpy as np
import optax
import rich
from options import mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import GRU, Dense, Dropout, Stack

BATCH, WINDOW, CHUNK, LEARNING_RATE, DROPOUT = 16, 64, 100, 1e-2, 0.1
SHIFTS = -5, 7  # semitones: to every key once
GIVEN, VOICES = 32, 4  # quarter notes, eight bars of four; notes that are drawn
PUBLISHED = {"GRU": 8.43, "LSTM": 8.45}  # Bai, Kolter and Koltun 2018, arXiv 1803.01271


@partial(jax.jit, static_argnames="cell")
def loss_of(cell: Any, params: Any, rolls: Any, lengths: Any, key: Any = None) -> Any:
    """Nats a frame; the frame before is read, in the beginning a silent one."""
    rolls = rolls.astype(jnp.float32)
    _, logits = jaxrnn.unroll(cell, params, rolls[:-1], lengths=lengths, key=key)
    losses = optax.sigmoid_binary_cross_entropy(logits, rolls[1:]).sum(axis=-1)
    return jaxrnn.mean_loss(losses, lengths=lengths)


@partial(jax.jit, static_argnames=("cell", "optimizer"))
def train_steps(cell: Any, optimizer: Any, state: Any, part: Any, keys: Any) -> Any:
    """One step for each key, in one program; the loss of each."""

    def step(state: Any, key: Any) -> Any:
        params, moments = state
        batch_key, noise = jax.random.split(key)
        rolls, lengths = part
        batch = data.windows(rolls, lengths, batch_key, BATCH, WINDOW, SHIFTS)
        of_params = lambda params: loss_of(cell, params, *batch, noise)  # noqa: E731
        loss, gradient = jax.value_and_grad(of_params)(params)
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), loss

    return jax.lax.scan(step, state, keys)


@partial(jax.jit, static_argnames=("cell", "length"))
def go_on(cell: Any, params: Any, given: Any, length: int, key: Any) -> tuple:
    """After the frames given: those drawn, (length, key), and their chances."""
    silent = jnp.zeros((1, data.KEYS))
    read = jnp.concatenate([silent, given.astype(jnp.float32)])
    carry, logits = jaxrnn.unroll(cell, params, read)

    def draw_one(state: Any, key: Any) -> tuple:
        carry, logits = state
        noisy = logits + jax.random.logistic(key, logits.shape)  # > 0: drawn each alone
        drawn = noisy >= jax.lax.top_k(noisy, VOICES)[0][-1]  # chords would grow
        new = cell(params, carry, drawn.astype(logits.dtype))  # one step
        return new, (drawn, jax.nn.sigmoid(logits))

    keys = jax.random.split(key, length)
    return jax.lax.scan(draw_one, (carry, logits[-1]), keys)[1]


def fit(cell: Any, optimizer: Any, parts: dict, seed: int, steps: int, bar: Any) -> tuple:
    """The params that were best on the validation, and how the training went."""
    train, valid, test = (parts[name][:2] for name in ("training", "validation", "test"))
    first, key = jax.random.split(jax.random.key(seed))
    params, losses, scores, best = cell.init(first), [], [], None
    state, keys = (params, optimizer.init(params)), jax.random.split(key, steps)
    for start in range(0, steps, CHUNK):
        some = keys[start : start + CHUNK]
        state, chunk = train_steps(cell, optimizer, state, train, some)
        losses.extend(np.asarray(chunk).tolist())
        scores.append(float(loss_of(cell, state[0], *valid)))
        best = state[0] if scores[-1] == min(scores) else best
        bar(completed=len(losses), note=f"validation {scores[-1]:.3f} nats a frame")
    loss = float(loss_of(cell, best, *test))
    return best, {"losses": losses, "validation": scores, "test": loss}


def sing(args: Any, cell: Any, params: Any, test: data.Part) -> str:
    """Go on with the first test chorale that is long enough: a figure, and MIDI files."""
    i = int(np.argmax(np.minimum(test.lengths, 2 * GIVEN)))
    truth, name = test.rolls[1 : test.lengths[i] + 1, i], test.names[i]
    key, length = jax.random.key(args.seed), len(truth) - GIVEN
    drawn, chances = map(np.asarray, go_on(cell, params, truth[:GIVEN], length, key))
    roll = np.concatenate([truth[:GIVEN], drawn])
    music_figure.write_midi(args.out / "network.mid", roll)
    music_figure.write_midi(args.out / "bach.mid", truth)
    both = {"as Bach goes on": truth, "as the GRU goes on, from its own notes": roll}
    music_figure.draw(args.out / "music.png", name, GIVEN, both, chances)
    counts = truth[GIVEN:].sum(axis=1).mean(), chances.sum(axis=1).mean()
    return "Notes at once in {}: Bach {:.2f}, GRU expects {:.2f}".format(name, *counts)


def main() -> None:
    parser = options(__doc__, steps=3000)
    add, rolls = parser.add_argument, Path("outputs/chorales.npz")
    add("--hidden-size", type=whole(1), default=200, help="of the GRU")
    add("--rolls", type=Path, default=rolls, help="kept scores")
    args = parsed(parser, steps=400, seeds=1)
    parts = {name: data.padded(some) for name, some in data.chorales(args.rolls).items()}
    test, runs, remark, H = parts["test"], [], "", args.hidden_size
    cell = Stack((GRU(data.KEYS, H), Dropout(DROPOUT), Dense(H, data.KEYS)))
    adam = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, args.steps))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)
    found = data.references(parts["training"], test)
    try:
        with progress() as bars:
            for seed in range(args.seed, args.seed + args.seeds):
                task = bars.add_task(f"seed {seed}", total=args.steps, note="")
                bar = partial(bars.update, task)
                params, run = fit(cell, optimizer, parts, seed, args.steps, bar)
                remark = remark or sing(args, cell, params, test)
                runs.append(run)
                save(args, references=found, published=PUBLISHED, runs=runs)
    except KeyboardInterrupt:
        print("Interrupted: what follows was done until then.")
    table = Table("", "nats a frame", box=None, title=f"{len(test.names)} test chorales")
    if runs:
        table.add_row("GRU", mean_and_spread(run["test"] for run in runs))
    for name, nats in found.items():
        table.add_row(f"computed: {name}", f"{nats:.3f}")
    for name, nats in PUBLISHED.items():
        table.add_row(f"published: {name}, on another split", f"{nats:.2f}")
    rich.print(table, remark)
    print(f"In {args.out}: results.json, music.png, network.mid, bach.mid" * bool(runs))


if __name__ == "__main__":
    main()
