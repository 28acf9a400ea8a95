"""Captions of digits, letter by letter: one image in, a sequence of characters out.

One to many. A scanned digit becomes the first carry of a GRU, which then spells its
English name: it reads the letter that it said last and says the next one. In training it
reads those of the right name instead (teacher forcing).

    python examples/captions.py          # after pip install -e ".[examples]"
    python examples/captions.py --quick

Data: 1,797 images of 8 x 8 pixels in scikit-learn (BSD-3), a part of Alpaydin and Kaynak,
"Optical Recognition of Handwritten Digits", UCI, 1998 (CC BY 4.0). A random fifth is the
test; all constants were chosen by another fifth, the validation, not trained on either.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import rich
from options import mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import jaxrnn
from jaxrnn import GRU, Dense, Embedding, Greedy, Stack

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NAMES = np.array("zero one two three four five six seven eight nine".split())
LETTERS = "." + "".join(sorted(set("".join(NAMES))))  # the full stop ends a name
STOP, LIMIT = 0, max(map(len, NAMES)) + 1
BATCH, LEARNING_RATE, PIXEL_NOISE = 64, 5e-3, 0.2
SPELT = np.array([[LETTERS.index(c) for c in n.ljust(LIMIT, ".")] for n in NAMES]).T
LENGTHS = np.array([len(name) + 1 for name in NAMES])  # the stop is said too


def split_images() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels in 0..1 and digits: of the test, of the validation, and to train on."""
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))  # in every run
    parts = np.split(order, [len(order) // 5, len(order) // 5 * 2])
    return [(digits.data[i].astype(np.float32) / 16, digits.target[i]) for i in parts]


def look(cells: Any, params: Any, pixels: Any) -> tuple:
    """The carry of the decoder, of whose three cells the GRU alone has one."""
    _, seen = jaxrnn.unroll(cells[0], params[0], pixels[None])  # a sequence of one step
    return (), jnp.tanh(seen[0]), ()


@partial(jax.jit, static_argnames=("cells", "optimizer"))
def train_step(cells: Any, optimizer: Any, state: Any, batch: Any, key: Any) -> Any:
    pixels, digits = batch
    pixels = pixels + PIXEL_NOISE * jax.random.normal(key, pixels.shape)
    said, lengths = jnp.asarray(SPELT)[:, digits], jnp.asarray(LENGTHS)[digits]
    # What is read is what was said a step before; the stop stands for the beginning too.
    heard = jnp.concatenate([jnp.full_like(said[:1], STOP), said[:-1]])

    def loss_of(params: Any) -> jax.Array:
        carry = look(cells, params, pixels)
        _, logits = jaxrnn.decode(cells[1], params[1], heard, carry, lengths=lengths)
        losses = jaxrnn.cross_entropy(logits, said, lengths=lengths)
        return jaxrnn.mean_loss(losses, lengths=lengths)

    params, moments = state
    loss, gradient = jax.value_and_grad(loss_of)(params)
    updates, moments = optimizer.update(gradient, moments)
    return (optax.apply_updates(params, updates), moments), loss


def speak(cells: Any, params: Any, pixels: np.ndarray) -> np.ndarray:
    """A caption for each image; nothing is known of how long it is to be."""
    carry, first = look(cells, params, pixels), jnp.full(len(pixels), STOP)
    said = jaxrnn.generate(cells[1], params[1], carry, first, Greedy(), LIMIT, stop=STOP)
    words = np.asarray(said.symbols).T  # (image, letter)
    return np.array(["".join(LETTERS[i] for i in word if i != STOP) for word in words])


def fit(cells: Any, optimizer: Any, seed: int, steps: int, data: Any, bar: Any) -> dict:
    test, valid, (pixels, digits) = data
    key, *keys = jax.random.split(jax.random.key(seed), 3)
    params = [cell.init(key) for cell, key in zip(cells, keys, strict=True)]
    state, losses, rng = (params, optimizer.init(params)), [], np.random.default_rng(seed)
    for step in range(steps):
        i = rng.choice(len(digits), BATCH, replace=False)
        batch, noise_key = (pixels[i], digits[i]), jax.random.fold_in(key, step)
        state, loss = train_step(cells, optimizer, state, batch, noise_key)
        losses.append(float(loss))
        bar(advance=1, note=f"loss {np.mean(losses[-50:]):.3f} nats a letter")
    said = [speak(cells, state[0], images) for images, _ in (valid, test)]
    # Letter for letter: a name with one wrong letter is wrong.
    tuned, share = np.mean(said[0] == NAMES[valid[1]]), np.mean(said[1] == NAMES[test[1]])
    bar(note=f"{tuned:.1%} of the validation captions right")
    return dict(losses=losses, validation=tuned, test=share, captions=list(said[1]))


def draw(path: Any, pixels: np.ndarray, digits: np.ndarray, captions: Any) -> None:
    """Errors first, in red, then images in the order of the test."""
    right = NAMES[digits] == captions
    figure, grid = plt.subplots(4, 8, figsize=(9, 5.6), layout="constrained")
    for axes, i in zip(grid.flat, np.argsort(right, kind="stable"), strict=False):
        axes.imshow(pixels[i].reshape(8, 8), cmap="gray_r")
        truth = "" if right[i] else f"\n(is: {NAMES[digits[i]]})"
        axes.set_title(captions[i] + truth, color="k" if right[i] else "tab:red")
        axes.axis("off")
    figure.suptitle(f"First run: {sum(~right)} of {len(right)} captions are wrong")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = options(__doc__, steps=1500, seeds=5)
    parser.add_argument("--hidden-size", type=whole(1), default=128, help="of the GRU")
    args = parsed(parser, steps=500, seeds=1)
    data = test, _, train = split_images()
    H, V, F = args.hidden_size, len(LETTERS), 16
    cells = Dense(64, H), Stack((Embedding(V, F), GRU(F, H), Dense(H, V)))
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, args.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    runs = []
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            task = bars.add_task(f"seed {seed}", total=args.steps, note="")
            bar = partial(bars.update, task)
            runs.append(fit(cells, optimizer, seed, args.steps, data, bar))
    most = np.bincount(train[1]).argmax()
    chance = np.mean(test[1] == most)
    nearest = KNeighborsClassifier(1).fit(*train).score(*test)
    table = Table("", "right names", box=None, title=f"{len(test[1])} test images")
    table.add_row("spelt by the GRU", mean_and_spread(run["test"] for run in runs))
    table.add_row("computed: name of the nearest neighbour", f"{nearest:.3f}")
    table.add_row(f"computed: always {NAMES[most]}, the most frequent", f"{chance:.3f}")
    rich.print(table)
    words = sorted({word for run in runs for word in run["captions"]} - set(NAMES))
    print("Said, but no name of a digit:", ", ".join(words) or "nothing")
    draw(args.out / "captions.png", *test, np.array(runs[0]["captions"]))
    save(args, nearest=nearest, runs=runs)
    print(f"Figure and numbers: {args.out}/captions.png and results.json")


if __name__ == "__main__":
    main()
