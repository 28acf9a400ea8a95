"""From letters to phonemes: an encoder, and a decoder with attention.

Learns to say English words from the CMU Pronouncing Dictionary (BSD-like licence).
Prints error rates beside published ones, and draws what the decoder looked at. The same
program translates verses, word by word, from Spanish to English (Reina-Valera 1909 and
World English Bible, public domain; Debian's sword-text-sparv and sword-text-web).

    pip install -e ".[pronunciation]" && python examples/sequence_to_sequence.py
    pip install -e ".[verses]" && python examples/sequence_to_sequence.py --translate

A twentieth of the pairs is held out, whole chapters of verses; rate, size and steps were
chosen on a part of the others, and how long verses are learned by time.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import paired_data
import sequence_to_sequence_shown as shown
from options import options, parsed, progress, save, whole
from paired_data import END, Data, arrays
from sequence_to_sequence_model import Translator, speller, translator
from verse_data import baselines, dictionary, filled, scores, verses

import jaxrnn

RATE, VERSES_RATE = 4e-3, 2e-3
VERSES = {"steps": 5000, "seeds": 1, "hidden_size": 128, "batch": 32}  # the defaults


@partial(jax.jit, static_argnames=("model", "optimizer"))
def train_step(
    model: Translator, optimizer: Any, state: Any, source: Any, target: Any, key: Any
) -> Any:
    def loss(params: Any) -> jax.Array:
        keys = jax.random.split(key)
        carry = model.read(params, source, keys[0])
        before = jnp.roll(target, 1, axis=0)  # END comes first
        _, logits = jaxrnn.unroll(model.decoder, params[1], before, carry, key=keys[1])
        valid = {"lengths": (target != END).sum(axis=0) + 1}  # the END is learned too
        return jaxrnn.mean_loss(jaxrnn.cross_entropy(logits, target, **valid), **valid)

    params, moments = state
    nats, gradient = jax.value_and_grad(loss)(params)
    updates, moments = optimizer.update(gradient, moments)
    return (optax.apply_updates(params, updates), moments), nats


def train(model: Translator, data: Data, args: Any, seed: int, bars: Any) -> Any:
    rate = optax.cosine_decay_schedule(
        VERSES_RATE if args.translate else RATE, args.steps
    )
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    init, noise = jax.random.split(jax.random.key(seed))
    params = jax.jit(model.init)(init)
    state = params, optimizer.init(params)
    drawn = paired_data.batches(data.train, args.batch, np.random.default_rng(seed))
    bar = bars.add_task(f"seed {seed}", total=args.steps, note="")
    for step in range(args.steps):
        both, key = arrays(next(drawn), data), jax.random.fold_in(noise, step)
        state, nats = train_step(model, optimizer, state, *both, key)
        bars.update(bar, completed=step + 1, note=f"{nats:.3f} nats a symbol")
    return state[0]


@partial(jax.jit, static_argnames="model")
def say(model: Translator, params: Any, source: Any, power: float = 0.0) -> jax.Array:
    """The best target of up to 40 symbols that a beam of four finds for each source.

    Of long ones by the mean over their symbols, `power=1`: else the shortest win.
    """
    carry, first = model.read(params, source), jnp.full(source.shape[1], END)
    search = partial(jaxrnn.beam_search, stop=END, length_power=power)
    found = search(model.decoder, params[1], carry, first, 4, 40)
    return found.symbols[..., 0].T


@partial(jax.jit, static_argnames="model")
def looks(model: Translator, params: Any, source: Any, target: Any) -> jax.Array:
    """What the decoder looks at when it says the target, `(step, batch, place)`."""
    carry, before = model.read(params, source), jnp.roll(target, 1, 0).at[0].set(END)
    gates = jaxrnn.gate_activations(model.decoder, params[1], before, carry)
    return gates[1]["attention"]


def main() -> None:
    parser = options(__doc__, steps=4000)
    add, sword = parser.add_argument, Path("/usr/share/sword")
    add("--translate", type=Path, nargs="?", const=sword, help="folder of the verses")
    add("--hidden-size", type=whole(1), default=96, help="of a direction; decoder: twice")
    add("--batch", type=whole(1), default=128, help="pairs in a training step")
    add("--pairs", type=whole(100), default=10**6, help="how many are read, at most")
    folder = parser.parse_known_args()[0].translate
    parser.set_defaults(**(VERSES if folder else {}))
    quick = {"seeds": 1, "hidden_size": 64, "pairs": 20_000}
    args = parsed(parser, steps=200 if folder else 300, **quick)
    pairs = verses(folder) if folder else paired_data.pronunciations()
    data = paired_data.split(pairs, args.pairs, least=5 if folder else 1)
    kind = translator if folder else speller
    model = kind(len(data.sources), len(data.targets), args.hidden_size)
    known = dictionary(data.train) if folder else {}
    simple = baselines(data.test, known) if known else {}
    source, runs = arrays(data.test, data)[0], []
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            params = train(model, data, args, seed, bars)
            rows = say(model, params, source, 1.0 if folder else 0.0)
            said = [[data.targets[i] for i in row if i != END] for row in rows.tolist()]
            if folder:
                said = filled(
                    data.test, said, looks(model, params, source, rows.T), known
                )
            runs.append((scores if folder else paired_data.error_rates)(data.test, said))
    shown.print_table(data.test, runs, simple)
    shown.print_answers(data.test, said)
    look = lambda pair: looks(model, params, *arrays([pair], data))[:, 0]  # noqa: E731
    shown.draw(args.out / "attention.png", data.test, said, look)
    save(args, runs=runs, baselines=simple, said=said)
    print(f"Figure and numbers: {args.out}/attention.png and results.json")


if __name__ == "__main__":
    main()
