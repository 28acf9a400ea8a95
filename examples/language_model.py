"""A language model of characters: stacked LSTMs, truncated BPTT, and what they say.

The text is cut into streams that are read side by side, piece by piece: the carry is
handed on, its gradient is not. Prints bits per held-out character beside those of bz2, xz
and n-grams, and saves what the network says at three temperatures.

    python examples/language_model.py
    python examples/language_model.py --text shakespeare      # or a file
    python examples/language_model.py --text shakespeare --prompt "ROMEO:"

The same command again goes on from the last checkpoint (parameters, optimiser state,
carry, key, step) and ends bit for bit as if never interrupted; other sizes or --steps
begin anew. `--prompt` lets the last checkpoint speak, without training. Texts: Python's
reference, whose training part tuned rate and sizes, and Shakespeare: see `text_data.py`.
"""

import zlib
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import rich
from language_model_checkpoints import train, trained
from ngrams import kneser_ney
from options import mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table
from text_data import (
    bits_per_character,
    piece_of,
    read_corpus,
    references,
    say,
    split,
    streams_of,
)

import jaxrnn
from jaxrnn import LSTM, Dense, Dropout, Embedding, Stack

RATE = 6e-3
DEFAULTS = {"shakespeare": {"steps": 4500, "seeds": 3}}  # ten times the text


def language_model(V: int, H: int) -> jaxrnn.Cell:
    first = Embedding(V, 64), LSTM(64, H), Dropout(0.1)
    return Stack((*first, LSTM(H, H), Dropout(0.1), Dense(H, V)))


@partial(jax.jit, static_argnames=("model", "optimizer"))
def train_step(model: Any, optimizer: Any, state: dict, piece: jax.Array) -> tuple:
    """One step on a piece of every stream, `(length + 1, streams)`."""
    key = jax.random.fold_in(jax.random.wrap_key_data(state["key"]), state["step"])

    def loss(params: Any) -> tuple[jax.Array, Any]:
        carry, logits = jaxrnn.unroll(model, params, piece[:-1], state["carry"], key=key)
        return jaxrnn.cross_entropy(logits, piece[1:]).mean(), carry

    (nats, carry), gradient = jax.value_and_grad(loss, has_aux=True)(state["params"])
    updates, moments = optimizer.update(gradient, state["moments"])
    params = optax.apply_updates(state["params"], updates)
    # The next step starts from the value of this carry: BPTT is truncated here.
    new = {"params": params, "moments": moments, "carry": carry}
    return state | new | {"step": state["step"] + 1}, nats


def optimizer_of(steps: int) -> Any:
    schedule = optax.cosine_decay_schedule(RATE, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def start(model: Any, optimizer: Any, streams: int, seed: int) -> dict:
    """All that training changes: what a checkpoint has."""
    init, noise = jax.random.split(jax.random.key(seed))
    params = jax.jit(model.init)(init)
    return {
        "params": params,
        "moments": optimizer.init(params),
        "carry": jaxrnn.batched_carry(model, params, (streams,)),
        "key": jax.random.key_data(noise),
        "step": jnp.array(0),
    }


def folder_of(args: Any, text: str, model: Any) -> Path:
    """For checkpoints of one way to train; a cell prints as the code that makes it."""
    way = f"{text} {model} {RATE} {args.steps} {args.length} {args.streams}"
    return args.out / f"checkpoints-{zlib.crc32(way.encode()):08x}"


def arguments(description: str | None = __doc__) -> Any:
    """The options of this example, and of another that trains the same model."""
    parser = options(description, steps=1500)
    add = parser.add_argument
    add("--text", default="manual", help="manual (Python's), shakespeare or a UTF-8 file")
    add("--hidden-size", type=whole(1), default=192, help="of both layers")
    add("--length", type=whole(2), default=100, help="characters in a piece")
    add("--streams", type=whole(1), default=32, help="read side by side")
    add("--save-every", type=whole(1), default=200, help="steps between checkpoints")
    return parser


def parsed_for_text(parser: Any) -> Any:
    """The arguments, with defaults that go with the text."""
    text = parser.parse_known_args()[0].text
    parser.set_defaults(**DEFAULTS.get(text, {}))
    return parsed(parser, steps=300, seeds=1, hidden_size=96)


def main() -> None:
    parser = arguments()
    parser.add_argument("--prompt", help="only go on from this, by the last checkpoint")
    args = parsed_for_text(parser)
    text, held_out = read_corpus(args.text)
    train_part, test, alphabet = split(text, args.length, held_out)
    model = language_model(len(alphabet), args.hidden_size)
    folder, V = folder_of(args, text, model), len(alphabet)
    optimizer = optimizer_of(args.steps)
    start_of = partial(start, model, optimizer, args.streams)
    if args.prompt is not None:
        params = trained(folder / str(args.seed), start_of(args.seed))
        print(say(model, params, alphabet, train_part, args.prompt, args.seed))
        return
    rows = streams_of(train_part, args.streams, args.length)
    one_step, bits, said = partial(train_step, model, optimizer), [], ""
    with progress() as bars:
        known = references(text, train_part, test, V)
        n, known["n-grams"] = kneser_ney(train_part, test, V)
        for seed in range(args.seed, args.seed + args.seeds):
            read = partial(piece_of, rows, args.length)
            params = train(one_step, read, start_of(seed), args, folder / str(seed), bars)
            bits.append(bits_per_character(model, params, test))
            prompt = "ROMEO.\n" if args.text == "shakespeare" else text[:50]
            said = said or say(model, params, alphabet, train_part, prompt, seed)
    table = Table("", "bits per held-out character", box=None)
    for name, reference in known.items():
        longest = f" up to {n}, Kneser-Ney" if name == "n-grams" else ""
        table.add_row(name + longest, f"{reference:.3f}")
    table.add_row(f"two LSTM layers (runs: {args.seeds})", mean_and_spread(bits))
    (args.out / "samples.txt").write_text(said, "utf-8")
    save(args, bits=bits, references=known)
    rich.print(table)
    print(f"\n{said}\nSamples and numbers: {args.out}/samples.txt and results.json")


if __name__ == "__main__":
    main()
