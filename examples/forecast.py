"""Forecasting a chaotic laser fifty steps ahead with a deep GRU.

The network predicts each next value while it reads the past (many to many), then goes on
alone, reading its own forecasts (one to many), with gradients through them. On validation
data that beat fifty outputs at once, and training on one step ahead alone.

    python examples/forecast.py
    python examples/forecast.py --quick

Data: series A of the Santa Fe competition (Weigend and Gershenfeld, "Time Series
Prediction", 1993; Huebner, Abraham and Weiss, Phys. Rev. A 40, 1989), 10,093 intensities
of an NH3 laser, as in reservoirpy (MIT): `pip install -e ".[examples]"`. The last 2,000
are the test; by the error on the 2,000 before them all settings were chosen.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from matplotlib.figure import Figure
from options import data_file, mean_and_spread, options, parsed, progress, save, whole
from rich.table import Table

from jaxrnn import GRU, Dense, Residual, Stack, unroll

PAST, HORIZON, HELD_OUT = 50, 50, 2000  # values read, forecast; of validation and test
BATCH, LEARNING_RATE = 16, 5e-3


def laser() -> list[np.ndarray]:
    """Training, validation and test windows, each (PAST + HORIZON, window)."""
    file = data_file("reservoirpy", "reservoirpy/datasets/santafe_laser.npy", "examples")
    series = np.load(file, allow_pickle=False)[:, 0].astype(np.float32)
    known, view = series[: -2 * HELD_OUT], np.lib.stride_tricks.sliding_window_view
    parts = np.split((series - known.mean()) / known.std(), [-2 * HELD_OUT, -HELD_OUT])
    return [view(part, PAST + HORIZON).T for part in parts]


def seasonal_naive(windows: np.ndarray, season: int) -> np.ndarray:
    """The last season of the past, again and again; with season 1 it is persistence."""
    return windows[PAST - season + np.arange(HORIZON) % season]


def analogues(windows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """What followed the two most similar moments in the training part (Lorenz 1969)."""
    now, known = windows[PAST - 30 : PAST], train[PAST - 30 : PAST]
    distances = (known**2).sum(axis=0) - 2 * now.T @ known  # squared, less |now|²
    return train[PAST:][:, np.argsort(distances, axis=1)[:, :2]].mean(axis=-1)


def nrmse(guess, windows: np.ndarray) -> np.ndarray:
    """Root mean square error at each horizon, over the deviation of the truth."""
    truth = windows[PAST:]
    return np.sqrt(np.mean((guess - truth) ** 2, axis=1)) / truth.std()


@partial(jax.jit, static_argnames="cell")
def predictions(cell, params, past):
    """The next value after each of the past, then after each forecast fed back."""
    carry, ys = unroll(cell, params, past[..., None])

    def feed_back(state, _):
        carry, y = jax.vmap(cell, in_axes=(None, 0, 0))(params, *state)  # one step
        return (carry, y), y

    _, later = jax.lax.scan(feed_back, (carry, ys[-1]), length=HORIZON - 1)
    return jnp.concatenate([ys, later])[..., 0]


@partial(jax.jit, static_argnames=("cell", "optimizer"))
def train_step(cell, optimizer, params, state, windows):
    def loss(params):
        return jnp.mean((predictions(cell, params, windows[:PAST]) - windows[1:]) ** 2)

    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state, value


def draw(windows, forecasts, errors) -> Figure:
    """Windows with forecasts {name: (HORIZON, window)}; errors {name: (run, HORIZON)}."""
    figure, ahead = Figure((15, 4.5), layout="constrained"), np.arange(1, HORIZON + 1)
    *panels, axes = figure.subplots(1, 3)
    order = np.argsort(((forecasts["GRU"] - windows[PAST:]) ** 2).mean(axis=0))
    for panel, percent in zip(panels, (50, 95), strict=True):
        one = order[len(order) * percent // 100]
        panel.plot(np.arange(1 - PAST, HORIZON + 1), windows[:, one], "k", label="laser")
        for name, style in (("seasonal naive", "C1--"), ("GRU", "C3--")):
            panel.plot(ahead, forecasts[name][:, one], style, label=name)
        panel.set(xlabel="step (the past ends at 0)", ylabel="intensity (standardised)")
        panel.set(ylim=(-2, 5.5), title=f"{percent}th percentile of the GRU's error")
        panel.legend(loc="upper left", ncols=3)
    for name, runs in errors.items():
        mean = runs.mean(axis=0)
        (line,) = axes.plot(ahead, mean, label=name)
        if len(runs) > 1:
            spread = runs.std(axis=0, ddof=1)
            band = ahead, mean - spread, mean + spread
            axes.fill_between(*band, alpha=0.3, color=line.get_color())
    axes.set(xlabel="horizon (steps)", ylabel="NRMSE", ylim=(0, 2.6), title="All windows")
    several = any(len(runs) > 1 for runs in errors.values())
    title = "bands: deviation of the runs" if several else None
    axes.legend(loc="upper left", ncols=2, title=title)
    return figure


def main() -> None:
    parser = options(__doc__, steps=3000)
    parser.add_argument("--hidden-size", type=whole(1), default=64, help="of every GRU")
    args = parsed(parser, steps=1000, seeds=1)
    train, valid, test = laser()
    fits = [nrmse(seasonal_naive(train, s), train).mean() for s in range(1, PAST + 1)]
    forecasts = {"persistence": seasonal_naive(test, 1)}
    forecasts["seasonal naive"] = seasonal_naive(test, 1 + int(np.argmin(fits)))  # 15
    forecasts["analogues"] = analogues(test, train)
    errors = {name: [nrmse(forecast, test)] for name, forecast in forecasts.items()}
    H, errors["GRU"], losses, scores = args.hidden_size, [], [], []
    cell = Stack((GRU(1, H), Residual(GRU(H, H)), Dense(H, 1)))
    rate = optax.cosine_decay_schedule(LEARNING_RATE, args.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            bar = bars.add_task(f"seed {seed}", total=args.steps, note="")
            rng, params = np.random.default_rng(seed), cell.init(jax.random.key(seed))
            state = optimizer.init(params)
            losses.append([])
            for step in range(1, args.steps + 1):
                some = train[:, rng.integers(train.shape[1], size=BATCH)]
                params, state, loss = train_step(cell, optimizer, params, state, some)
                losses[-1].append(float(loss))
                bars.update(bar, completed=step, note=f"loss {loss:.3f}")
            for part, kept in ((valid, scores), (test, errors["GRU"])):
                forecasts["GRU"] = predictions(cell, params, part[:PAST])[-HORIZON:]
                kept.append(nrmse(forecasts["GRU"], part))
            bars.update(bar, note=f"validation NRMSE {scores[-1].mean():.3f}")
    errors = {name: np.array(runs) for name, runs in errors.items()}
    table = Table("steps ahead", *errors, box=None, title="NRMSE on the test part")
    for h in (1, 5, 10, 20, 50):
        table.add_row(str(h), *(mean_and_spread(e[:, h - 1]) for e in errors.values()))
    table.add_row("mean", *(mean_and_spread(e.mean(axis=1)) for e in errors.values()))
    rich.print(table, "All computed here; forecasting the mean would have about 1.")
    draw(test, forecasts, errors).savefig(args.out / "forecast.png", dpi=110)
    numbers = {name: e.tolist() for name, e in errors.items()} | {"losses": losses}
    save(args, **numbers, validation=np.mean(scores, axis=1).tolist())
    print(f"Figure and numbers: {args.out}/forecast.png and results.json")


if __name__ == "__main__":
    main()
