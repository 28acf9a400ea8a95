"""Part-of-speech tags of Turkish words: what does reading both ways gain?

A tagger gives each word of a sentence a tag (many to many, aligned). One LSTM knows only
the words before; two of half the size, one in each direction, know those after too.
Named-entity recognition is the same code with other labels (B-PER, I-PER, O), and a score
that counts entities.

    python examples/tagging.py --quick

Data: turkish-treebanks 1.0.0 (Apache-2.0, Google), `pip install -e ".[examples]"`, words
cut where a suffix changes the part of speech; Kayadelen et al., LREC 2020, who report on
parsing. Every tenth sentence is the test; embedding size, dropout, learning rate and
steps were chosen by the accuracy on a tenth of the others, held out for that.
"""

from collections import Counter
from functools import partial
from itertools import product

import jax
import numpy as np
import optax
import rich
from matplotlib.figure import Figure
from options import data_file, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

import jaxrnn
from jaxrnn import LSTM, Bidirectional, Dense, Dropout, Embedding, Stack

TAGS = tuple("ADJ ADP ADV AFFIX CONJ DET NOUN NUM ONOM PRON PRT PUNCT VERB X".split())
# 1.4% of the sentences are longer: what follows is dropped, in the test too.
E, DROP, BATCH, LONGEST = 32, Dropout(0.3), 32, 48
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(6e-3))


def features(word: str) -> list[str]:
    # Turkish has many suffixes, and two letters i: with a dot (İ i) and without (I ı).
    small = word.replace("İ", "i").replace("I", "ı").lower()
    return [small, "first " + word[0]] + [f"last {n} {small[-n:]}" for n in (1, 2, 3, 4)]


def treebank() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words (time, feature, sentence), labels (time, sentence), lengths (sentence)."""
    names = "data/web.conllu", "data/wiki.conllu"
    files = [data_file("turkish-treebanks", name, "examples") for name in names]
    text = "\n\n".join(file.read_text("utf-8").strip() for file in files)
    lines = [[line.split("\t") for line in s.split("\n")] for s in text.split("\n\n")]
    # Other lines of CoNLL-U: "# comment", "3-4" for a range of words, "5.1" for no word.
    rows = [[row for row in s if row[0].isdigit()][:LONGEST] for s in lines]
    train = [row[1] for i, s in enumerate(rows) if i % 10 < 9 for row in s]
    spelled = (feature for word in train for feature in features(word))
    counts = Counter(spelled).most_common()
    number = {feature: 1 + i for i, (feature, n) in enumerate(counts) if n > 1}
    words = np.zeros((LONGEST, 6, len(rows)), np.int32)  # 0 is what is not known
    labels = np.full((LONGEST, len(rows)), -1)  # and -1 what is no word
    for b, s in enumerate(rows):
        for t, (_, word, _, tag, *_) in enumerate(s):
            words[t, :, b] = [number.get(feature, 0) for feature in features(word)]
            labels[t, b] = TAGS.index(tag)
    return words, labels, np.array([len(s) for s in rows])


@partial(jax.jit, static_argnames="cells")
def logits_of(cells, params, words, lengths, key=None):
    _, parts = jaxrnn.unroll(cells[0], params[0], words)  # (time, feature, sentence, E)
    return jaxrnn.unroll(cells[1], params[1], parts.sum(1), lengths=lengths, key=key)[1]


@partial(jax.jit, static_argnames=("cells", "optimizer"))
def train_step(cells, optimizer, params, moments, key, words, labels, lengths):
    def loss_of(params):
        logits = logits_of(cells, params, words, lengths, key)
        losses = jaxrnn.cross_entropy(logits, labels, lengths=lengths)
        return jaxrnn.mean_loss(losses, lengths=lengths)

    loss, gradient = jax.value_and_grad(loss_of)(params)
    updates, moments = optimizer.update(gradient, moments)
    return (optax.apply_updates(params, updates), moments), loss


def accuracies(guess, words, labels) -> dict[str, float]:
    """In percent, with the number of words: of all, of the unknown, and of each tag's."""
    groups = {"all": labels >= 0, "unknown": (labels >= 0) & (words[:, 0] == 0)}
    groups |= {tag: labels == i for i, tag in enumerate(TAGS)}
    named = {f"{k} ({g.sum():,})": g for k, g in groups.items() if g.sum() >= 20}
    return {k: 100 * float((guess == labels)[g].mean()) for k, g in named.items()}


def main() -> None:
    parser = options(__doc__, steps=600)
    parser.add_argument("--hidden-size", type=whole(1), default=64, help="a direction's")
    args = parsed(parser, steps=150, seeds=1)
    data = treebank()
    H, V, tenth = args.hidden_size, int(data[0].max()) + 1, np.arange(len(data[2])) % 10
    train, test = ([a[..., k] for a in data] for k in (tenth < 9, tenth == 9))

    # Without context: the tag that a word, or any unknown one, most often has.
    tally = np.zeros((V, len(TAGS)))
    np.add.at(tally, (train[0][:, 0], train[1]), train[1] >= 0)
    baseline = accuracies(tally.argmax(axis=1)[test[0][:, 0]], *test[:2])

    lstms = LSTM(E, 2 * H), Bidirectional(LSTM(E, H), LSTM(E, H))
    runs = {"one way": [], "both ways": []}
    seeds = range(args.seed, args.seed + args.seeds)
    with progress() as bars:
        for seed, (way, lstm) in product(seeds, zip(runs, lstms, strict=True)):
            cells = Embedding(V, E), Stack((DROP, lstm, DROP, Dense(2 * H, len(TAGS))))
            rng = np.random.default_rng(seed)
            keys = jax.random.split(jax.random.key(seed), args.steps + 2)
            params = [jax.jit(c.init)(k) for c, k in zip(cells, keys[-2:], strict=True)]
            state, losses = (params, OPTIMIZER.init(params)), []
            bar = bars.add_task(f"{way}, seed {seed}", total=args.steps, note="")
            for step in range(args.steps):
                some = rng.choice(len(train[2]), BATCH, replace=False)
                batch = [array[..., some] for array in train]
                state, loss = train_step(cells, OPTIMIZER, *state, keys[step], *batch)
                losses.append(float(loss))
                bars.update(bar, completed=step + 1, note=f"{loss:.3f} nats a word")
            guess = np.asarray(logits_of(cells, state[0], test[0], test[2])).argmax(-1)
            runs[way].append(accuracies(guess, *test[:2]) | {"losses": losses})

    pairs = zip(*runs.values(), strict=True)
    gains = [{k: both[k] - one[k] for k in baseline} for one, both in pairs]
    rows = {"most frequent tag (computed)": [baseline]} | runs | {"gain": gains}
    everything, unknown, *tags = baseline
    table = Table("% right (unknown: seen at most once)", everything, unknown, box=None)
    for name, row in rows.items():
        columns = [[run[k] for run in row] for k in (everything, unknown)]
        table.add_row(name, *(mean_and_spread(column, 2) for column in columns))
    rich.print(table)
    print("gain of each run:", *(f"{gain[everything]:+.2f}" for gain in gains))
    save(args, **rows)

    order = sorted(tags, key=lambda tag: np.mean([gain[tag] for gain in gains]))
    points = [[gain[tag] for gain in gains] for tag in order]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    bars = "mean of the runs" if args.seeds > 1 else "one run"
    axes.barh(order, np.mean(points, axis=1), color="#56b4e9", label=bars)
    if args.seeds > 1:
        axes.plot(points, order, "k.", label=["each run"] + [""] * (args.seeds - 1))
    axes.set(xlabel="gain in accuracy (percentage points)", ylabel="tag (test words)")
    axes.set_title("What a tagger gains by reading both ways")
    axes.legend()
    figure.savefig(args.out / "tagging.png", dpi=110)
    print(f"Figure and numbers: {args.out}/tagging.png and results.json")


if __name__ == "__main__":
    main()
