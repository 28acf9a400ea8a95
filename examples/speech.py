"""Speech recognition: letters from sounds, by two bidirectional GRUs and CTC.

Many to many, unaligned but in order. Nobody says where in the sound a letter is:
`ctc_loss` adds up all alignments. The text comes back as the best path (`ctc_greedy`), or
by a beam search beside a language model, here of pairs of letters. Four corners tell what
is learned: words that were trained on or not, in voices that were trained on or not.

    python examples/speech.py            # after pip install -e ".[speech]"
    python examples/speech.py --quick    # and apt install espeak-ng

Data: words and strings of digits by a synthesizer, made on the first run and kept under
--out; also a person's recordings, if they are there. Sources, licences and the split:
`speech_data.py`. Sizes and rates are usual ones, not tuned; the weight of the language
model is chosen after each training, on a part with voices of its own, `choice`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from options import options, parsed, progress, save, whole
from speech_data import MELS, STACKED, Speech, recordings, speech
from speech_score import LETTERS, by_templates, draw, letter_pairs, padded, table, wrong

import jaxrnn
from jaxrnn import GRU, Bidirectional, Dense, Dropout, Embedding, Stack

V, BATCH, WIDTH, SIZES = len(LETTERS), 32, 16, (32, 64, 96)  # frames of batches
LEARNING_RATE, DROPOUT, NOISE, SHIFT, WEIGHTS = 3e-3, 0.2, 0.4, 2, (0.0, 0.2, 0.4, 0.6)
FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")


def disturbed(xs: jax.Array, key: Any) -> jax.Array:
    """Noise, and all bands moved up or down: another throat says it elsewhere."""
    noise_key, shift_key = jax.random.split(key)
    shifts = jax.random.randint(shift_key, (xs.shape[1], 1), -SHIFT, SHIFT + 1)
    bands = jnp.clip(jnp.arange(MELS) + shifts, 0, MELS - 1)[None, :, None]
    frames = xs.reshape(*xs.shape[:2], STACKED, MELS)
    xs = jnp.take_along_axis(frames, bands, axis=-1).reshape(xs.shape)
    return xs + NOISE * jax.random.normal(noise_key, xs.shape)


@partial(jax.jit, static_argnames=("cell", "optimizer"))
def train_step(cell: Any, optimizer: Any, state: Any, batch: Any, key: Any) -> Any:
    xs, lengths, labels, said = batch
    noise_key, dropout_key = jax.random.split(key)
    xs = disturbed(xs, noise_key)

    def loss_of(params: Any) -> jax.Array:
        _, logits = jaxrnn.unroll(cell, params, xs, lengths=lengths, key=dropout_key)
        losses = jaxrnn.ctc_loss(logits, labels, lengths=lengths, label_lengths=said)
        return jnp.sum(losses) / jnp.sum(said)

    params, moments = state
    loss, gradient = jax.value_and_grad(loss_of)(params)
    updates, moments = optimizer.update(gradient, moments, params)
    return (optax.apply_updates(params, updates), moments), loss


@partial(jax.jit, static_argnames="cell")
def decoded(cell: Any, params: Any, batch: Any, model: Any, weight: Any) -> tuple:
    """The best path, and the best of a beam search, each (T, utterance)."""
    (xs, lengths, *_), (pairs, mean) = batch, model
    _, logits = jaxrnn.unroll(cell, params, xs, lengths=lengths)
    how: Any = {"language_model": (Embedding(V, V), {"embedding": pairs}, None, 0)}
    how |= dict(weight=weight, bonus=-weight * mean)  # what a letter costs on average
    found = jaxrnn.ctc_beam_search(logits, lengths, width=WIDTH, **how)
    return jaxrnn.ctc_greedy(logits, lengths).symbols, found.symbols[..., 0]


def score(cell: Any, params: Any, model: Any, weight: float, spoken: Speech) -> dict:
    """What is understood, with the share of letters and of words that are wrong."""
    texts: dict[str, list[str]] = {way: [] for way in ("best path", "beam search")}
    for start in range(0, len(spoken.texts), 50):  # all of one shape, compiled once
        some = np.arange(start, start + 50) % len(spoken.texts)
        batch = padded(spoken, some, SIZES[-1])
        both = decoded(cell, params, batch, model, np.float32(weight))
        for found, symbols in zip(texts.values(), both, strict=True):
            rows = np.asarray(symbols).T[: len(spoken.texts) - start]
            found += ["".join(LETTERS[i] for i in row if i > 0) for row in rows]
    errors = {way: wrong(spoken.texts, found) for way, found in texts.items()}
    return {"texts": texts, "errors": errors}


def fit(cell: Any, optimizer: Any, train: Any, seed: int, steps: int, bar: Any) -> Any:
    """The params after training, and the loss of every step."""
    first, key = jax.random.split(jax.random.key(seed))
    params, rng, losses = cell.init(first), np.random.default_rng(seed), []
    state = params, optimizer.init(params)
    lengths = np.array([len(frames) for frames in train.frames])
    # Short ones together, long ones together: less padding, and few shapes to compile.
    groups = [np.flatnonzero((lengths > T - SIZES[0]) & (lengths <= T)) for T in SIZES]
    sizes = np.array([len(group) for group in groups])
    for step in range(steps):
        group = rng.choice(len(groups), p=sizes / sizes.sum())
        batch = padded(train, rng.choice(groups[group], BATCH), SIZES[group])
        step_key = jax.random.fold_in(key, step)
        state, loss = train_step(cell, optimizer, state, batch, step_key)
        losses.append(float(loss))
        bar(advance=1, note=f"loss {np.mean(losses[-50:]):.3f} nats a letter")
    return state[0], losses


def main() -> None:
    parser = options(__doc__, steps=2500, seeds=5)
    add = parser.add_argument
    add("--hidden-size", type=whole(1), default=96, help="of each GRU")
    add("--utterances", type=whole(400), default=8000, help="to train on")
    add("--recordings", type=Path, default=FOLDER, help="folder of Asterisk's sounds")
    args = parsed(parser, steps=400, seeds=1, utterances=2000)
    H, noise, runs = args.hidden_size, Dropout(DROPOUT), []
    layers = [Bidirectional(GRU(I, H), GRU(I, H)) for I in (STACKED * MELS, 2 * H)]
    cell = Stack((layers[0], noise, layers[1], noise, Dense(2 * H, V)))
    rate = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, 100, max(args.steps, 101))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate))
    with progress() as bars:
        task = bars.add_task("words said", total=None, note="")
        parts = speech(args.out, args.utterances, partial(bars.update, task))
        train, choice, tests = parts.pop("train"), parts.pop("choice"), parts
        real = recordings(args.recordings)
        tests |= {"a person's recordings": real} if real else {}
        task = bars.add_task("templates", total=None, note="")
        computed = by_templates(tests, train, partial(bars.update, task))
        model = letter_pairs(train.texts)
        for seed in range(args.seed, args.seed + args.seeds):
            task = bars.add_task(f"seed {seed}", total=args.steps, note="")
            bar = partial(bars.update, task)
            params, losses = fit(cell, optimizer, train, seed, args.steps, bar)
            hear = partial(score, cell, params, model)
            rates = [hear(w, choice)["errors"]["beam search"][0] for w in WEIGHTS]
            weight = WEIGHTS[int(np.argmin(rates))]
            test = {name: hear(weight, part) for name, part in tests.items()}
            runs.append(dict(losses=losses, choice=rates, weight=weight, test=test))
            save(args, computed=computed, runs=runs)  # now: nothing done is lost
            if seed == args.seed:
                draw(args.out / "speech.png", cell, params, tests)
    rich.print(table(list(tests), runs, computed))
    if not real:
        print("No recordings: apt install asterisk-core-sounds-en-wav")
    print(f"Figure and numbers: {args.out}/speech.png and results.json")


if __name__ == "__main__":
    main()
