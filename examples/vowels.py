"""Who is speaking? Nine men say /ae/, and a bidirectional GRU tells them apart.

Many to one. An utterance has 7 to 29 frames of 12 numbers. Shorter ones are padded, with
NaN to show that no padding reaches the network: `lengths` says how far each one goes. The
figure asks what the network knows when only the first frames are heard.

    python examples/vowels.py            # after pip install -e ".[vowels]"
    python examples/vowels.py --quick

Data: Japanese Vowels, LPC cepstra; Kudo, Toyama and Shimbo, "Multidimensional curve
classification using passing-through regions", Pattern Recognition Letters 20, 1999; UCI
(CC BY 4.0), as a file of sktime (BSD-3). All constants were chosen by cross-validation
(five folds) on the 270 utterances to train on, none by the 370 to test.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import rich
from options import data_file, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import GRU, Bidirectional, Dense, Dropout, Stack

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FRAMES, FEATURES, SPEAKERS, BATCH = 29, 12, 9, 64
LEARNING_RATE, DROPOUT, NOISE = 3e-3, 0.3, 0.5
PUBLISHED = {  # some of them
    "eleven LSTMs, a student project of Groningen": 0.989,
    "KSig, signature kernel (Tóth et al. 2023)": 0.986,
    "GAK, global alignment kernel (Tóth et al. 2023)": 0.981,
    "RFSF, random signature features (Tóth et al. 2023)": 0.978,
    "RWS, random warping series (Tóth et al. 2023)": 0.955,
}


def read(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (time, utterance, feature), and lengths and speakers (utterance)."""
    name = f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts"
    text = data_file("sktime", name, "vowels").read_text("utf-8").split("@data")[1]
    lines = [line.split(":") for line in text.split()]  # 12 features, then the speaker
    xs = np.full((FRAMES, len(lines), FEATURES), np.nan, np.float32)
    for i, (*features, _) in enumerate(lines):
        frames = np.array([feature.split(",") for feature in features], float).T
        xs[: len(frames), i] = frames
    lengths = np.sum(~np.isnan(xs[:, :, 0]), axis=0)
    return xs, lengths, np.array([int(line[-1]) - 1 for line in lines])


@partial(jax.jit, static_argnames=("cell", "optimizer"))
def train_step(cell: Any, optimizer: Any, state: Any, batch: Any, key: Any) -> Any:
    xs, lengths, speakers = batch
    noise_key, dropout_key = jax.random.split(key)
    xs = xs + NOISE * jax.random.normal(noise_key, xs.shape)
    labels = jnp.broadcast_to(speakers, xs.shape[:2])  # the same for every frame

    def loss_of(params: Any) -> jax.Array:
        _, logits = jaxrnn.unroll(cell, params, xs, lengths=lengths, key=dropout_key)
        losses = jaxrnn.cross_entropy(logits, labels, lengths=lengths)
        return jaxrnn.mean_loss(losses, lengths=lengths)

    params, moments = state
    loss, gradient = jax.value_and_grad(loss_of)(params)
    updates, moments = optimizer.update(gradient, moments, params)
    return (optax.apply_updates(params, updates), moments), loss


@partial(jax.jit, static_argnames="cell")
def answers(cell: Any, params: Any, xs: Any, lengths: Any) -> jax.Array:
    """Of whole utterances: the frames vote by their logits, padding by zeros."""
    _, logits = jaxrnn.unroll(cell, params, xs, lengths=lengths)
    return jnp.argmax(jnp.sum(logits, axis=0), axis=-1)


def fit(cell: Any, optimizer: Any, train: tuple, seed: int, steps: int, bar: Any) -> Any:
    """The params after training, and the loss of every step."""
    first, key = jax.random.split(jax.random.key(seed))
    params, rng, losses = cell.init(first), np.random.default_rng(seed), []
    state, (xs, lengths, speakers) = (params, optimizer.init(params)), train
    for step in range(steps):
        i = rng.choice(len(lengths), BATCH, replace=False)
        batch = xs[:, i], lengths[i], speakers[i]
        step_key = jax.random.fold_in(key, step)
        state, loss = train_step(cell, optimizer, state, batch, step_key)
        losses.append(float(loss))
        bar(advance=1, note=f"loss {np.mean(losses[-50:]):.3f} nats a frame")
    return state[0], losses


def draw(path: Any, curves: np.ndarray) -> None:
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    heard = np.arange(1, FRAMES + 1)
    if several := len(curves) > 1:
        labels = ["each run"] + [""] * (len(curves) - 1)
        axes.plot(heard, curves.T, "tab:blue", alpha=0.3, lw=1, label=labels)
    shown = "mean of all runs" if several else "one run"
    axes.plot(heard, curves.mean(axis=0), "tab:blue", lw=2, label=shown)
    axes.axhline(max(PUBLISHED.values()), c="g", ls="--", label="eleven LSTMs")
    axes.set(xlabel="frames heard (an utterance has 7 to 29)", ylabel="accuracy")
    axes.set_title("How much of a test utterance must be heard?")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = options(__doc__, steps=400, seeds=5)
    parser.add_argument("--hidden-size", type=whole(1), default=32, help="of each GRU")
    args = parsed(parser, steps=300, seeds=1)
    train, (xs, lengths, speakers) = read("TRAIN"), read("TEST")
    mean, deviation = np.nanmean(train[0], axis=(0, 1)), np.nanstd(train[0], axis=(0, 1))
    train, xs = ((train[0] - mean) / deviation, *train[1:]), (xs - mean) / deviation
    H = args.hidden_size
    both_ways = Bidirectional(GRU(FEATURES, H), GRU(FEATURES, H))
    cell = Stack((both_ways, Dropout(DROPOUT), Dense(2 * H, SPEAKERS)))
    adam = optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, args.steps))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)
    runs = []
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            task = bars.add_task(f"seed {seed}", total=args.steps, note="")
            bar = partial(bars.update, task)
            params, losses = fit(cell, optimizer, train, seed, args.steps, bar)
            # A frame not heard yet is padding like any other: one program for all.
            heard = [np.minimum(lengths, t) for t in range(1, FRAMES + 1)]
            right = [answers(cell, params, xs, ends) == speakers for ends in heard]
            shares = np.mean(right, axis=1).tolist()
            runs.append({"losses": losses, "shares": shares, "test": shares[-1]})
    table = Table("", "accuracy", box=None, title=f"{len(speakers)} test utterances")
    table.add_row("bidirectional GRU", mean_and_spread(run["test"] for run in runs))
    for name, share in PUBLISHED.items():
        table.add_row(f"published: {name}", f"{share:.3f}")
    rich.print(table)
    draw(args.out / "vowels.png", np.array([run["shares"] for run in runs]))
    save(args, published=PUBLISHED, runs=runs)
    print(f"Figure and numbers: {args.out}/vowels.png and results.json")


if __name__ == "__main__":
    main()
