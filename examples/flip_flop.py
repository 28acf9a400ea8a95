"""What a network that remembers three bits has learned: the cube inside of it.

Three inputs, each now and then +1 or -1 for one step; three outputs, each to show the
last sign that its input had. A GRU is trained on it; then the states are found at which
it stands still without input. As published, the memories are eight stable points at the
corners of a cube, and between them lie saddles, of which each decides between corners.

    python examples/flip_flop.py
    python examples/flip_flop.py --quick

Sussillo and Barak, "Opening the black box: low-dimensional dynamics in high-dimensional
recurrent neural networks", Neural Computation 25, 2013. The data are drawn here.
"""

from functools import partial
from itertools import combinations, product

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
from matplotlib.figure import Figure
from options import options, parsed, progress, save, whole
from rich.table import Table

from jaxrnn import GRU, Dense, Elman, Stack, fixed_points, plotting, trajectory, unroll

BITS, STEPS, RATE = 3, 100, 0.1  # of a sequence; the chance of a pulse in each input
BATCH, LEARNING_RATE = 32, 5e-3
STARTS, NOISE = 2048, 0.5  # of the search: states visited, with noise added


def draw_sequences(key: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
    """Pulses and the last sign of each, `(STEPS, batch, BITS)`; all are set at first."""
    where, signs = jax.random.split(key)
    shape = STEPS, batch, BITS
    pulses = jax.random.bernoulli(where, RATE, shape).at[0].set(True)
    xs = jnp.where(pulses, jax.random.rademacher(signs, shape, jnp.float32), 0)
    last = lambda before, x: jnp.where(x == 0, before, x)  # noqa: E731
    return xs, jax.lax.associative_scan(last, xs)


def loss_and_bits(model, params, key, batch):
    xs, targets = draw_sequences(key, batch)
    _, ys = unroll(model, params, xs)
    return jnp.mean((ys - targets) ** 2), jnp.mean(jnp.sign(ys) == targets)


@partial(jax.jit, static_argnames=("model", "optimizer"))
def train(model, optimizer, state, keys):
    """One training step for each key; also the last loss."""

    def step(state, key):
        params, moments = state
        loss = lambda params: loss_and_bits(model, params, key, BATCH)[0]  # noqa: E731
        value, gradient = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), value

    state, losses = jax.lax.scan(step, state, keys)
    return state, losses[-1]


def search(cell, params, readout, key):
    """Fixed points without input, what is read out at each, and some trajectories."""
    data, some, noise = jax.random.split(key, 3)
    carries = trajectory(cell, params, draw_sequences(data, 64)[0])
    visited = carries.reshape(-1, carries.shape[-1])
    starts = jax.random.choice(some, visited, (STARTS,), replace=False)
    starts += NOISE * jax.random.normal(noise, starts.shape)
    found = fixed_points(cell, params, jnp.zeros(BITS), starts, distinct=0.1)
    shown = found.points @ readout["kernel"] + readout["bias"]
    return found, np.asarray(shown), carries[:, :12]


def corners_of(found, shown) -> int:
    """How many of the eight memories have a stable point of their own."""
    stable = shown[found.unstable == 0]
    near = np.abs(np.abs(stable) - 1).max(axis=1, initial=0) < 0.5
    return len({tuple(corner) for corner in np.sign(stable[near])})


def draw(found, shown, carries) -> Figure:
    """The states in three components, eigenvalues, and the cube of what is read out."""
    figure = Figure((17, 5.5), layout="constrained")
    states = figure.add_subplot(131, projection="3d")
    plotting.fixed_points(found, states, trajectories=carries)
    plotting.eigenvalues(found, figure.add_subplot(132))
    cube = figure.add_subplot(133, projection="3d")
    corners = np.array(list(product((-1, 1), repeat=BITS)))
    for a, b in combinations(corners, 2):
        if np.abs(a - b).sum() == 2:
            cube.plot(*np.stack([a, b], axis=1), color="k", linewidth=0.6)
    for grows in np.unique(found.unstable):
        x, y, z = shown[found.unstable == grows].T
        look = {"marker": "os^D"[min(grows, 3)], "color": f"C{grows}", "s": 40}
        cube.scatter(x, y, z, label=f"{grows} grow: {len(x)}", depthshade=False, **look)
    cube.set(xlabel="bit 1", ylabel="bit 2", zlabel="bit 3", title="What is read out")
    cube.locator_params(nbins=3)
    cube.legend(loc="upper left", bbox_to_anchor=(1.05, 1))
    return figure


def main() -> None:
    parser = options(__doc__, steps=2000, seeds=3)
    parser.add_argument("--hidden-size", type=whole(1), default=64, help="units")
    choices = {"gru": GRU, "elman": Elman}
    parser.add_argument("--cell", choices=choices, default="gru", help="what is trained")
    args = parsed(parser, steps=1000, seeds=1)
    cell = choices[args.cell](BITS, args.hidden_size)
    model = Stack((cell, Dense(args.hidden_size, BITS)))
    rate = optax.cosine_decay_schedule(LEARNING_RATE, args.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    title = f"Fixed points of {cell}, without input"
    table = Table("seed", "test loss", "bits right", box=None, title=title)
    for column in ("corners of 8", "points", "stable", "1 grows", "2", "3 or more"):
        table.add_column(column, justify="right")
    results = []
    with progress() as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            bar = bars.add_task(f"seed {seed}", total=args.steps, note="")
            init, data, test, looking = jax.random.split(jax.random.key(seed), 4)
            params = model.init(init)
            state, done = (params, optimizer.init(params)), 0
            while done < args.steps:
                some = min(100, args.steps - done)
                keys = jax.random.split(jax.random.fold_in(data, done), some)
                state, loss = train(model, optimizer, state, keys)
                bars.update(bar, completed=(done := done + some), note=f"{loss:.4f}")
            loss, right = loss_and_bits(model, state[0], test, 256)
            inner, readout = state[0]
            found, shown, carries = search(cell, inner, readout, looking)
            kinds = np.bincount(np.minimum(found.unstable, 3), minlength=4)
            row = {"corners": corners_of(found, shown), "points": len(found.speeds)}
            row |= {"kinds": kinds, "unconverged": len(found.unconverged.speeds)}
            results.append(row | {"loss": float(loss), "right": float(right)})
            cells = f"{loss:.4f}", f"{right:.2%}", row["corners"], row["points"], *kinds
            table.add_row(str(seed), *map(str, cells))
            if seed == args.seed:
                file = args.out / "flip_flop.png"
                draw(found, shown, carries).savefig(file, dpi=110)
    rich.print(table, f"{STARTS} searches each; those that ended nowhere are left out.")
    save(args, results=results)
    print(f"Figure and numbers: {args.out}/flip_flop.png and results.json")


if __name__ == "__main__":
    main()
