"""THE table of every cell and combinator; test_laws.py runs each law over all of it.

A new cell is one line here, with the sizes of the others, 3 in and 4 or 5 hidden, so that
the loop's operations are compiled once for all of them. By default a cell runs against
its paper (papers.py), in half a second of a processor; the laws of test_laws.py, in about
four, are in the slow run. What the engine alone decides is tested on BASIC.
"""

import dataclasses
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Cell,
    ClipCarryGradient,
    Dense,
    DenseSkip,
    Dropout,
    Elman,
    Embedding,
    FastSlow,
    Keys,
    LearnedCarry,
    LSTMCarry,
    Multiscale,
    Residual,
    Reversed,
    Stack,
    TwoBiases,
    VariationalDropout,
    WeightDrop,
    Wrapper,
    Zoneout,
    cells,
    initializers,
)
from jaxrnn.arguments.keys import keys_in_time, prepare_key

ZOO = {
    "elman": Elman(3, 5),
    "lstm": LSTM(3, 5),
    "lstm_projected": LSTM(3, 5, projection_size=4, clip=5.0, recurrent_dropout=0.4),
    "gru": GRU(3, 5),
    "gru_reset_before": GRU(3, 5, reset_after=False, recurrent_dropout=0.4),
    # lstms
    "peephole": cells.PeepholeLSTM(3, 5),
    "coupled": cells.CoupledLSTM(3, 5),
    "janet": cells.JANET(3, 5),
    "ordered": cells.OrderedLSTM(3, 4, chunk_size=2),
    "phased": cells.PhasedLSTM(3, 5, ratio_on=0.5, recurrent_dropout=0.4),
    "slstm": cells.SLSTM(3, 4, heads=2),
    # lstms, of their own kind
    "layer_norm_lstm": cells.LayerNormLSTM(3, 5),
    "layer_norm_gru": cells.LayerNormGRU(3, 5),
    "multiplicative_rnn": cells.MultiplicativeRNN(3, 5),
    "multiplicative_lstm": cells.MultiplicativeLSTM(3, 5),
    "nas": cells.NAS(3, 5),
    "original_lstm": cells.OriginalLSTM(3, 5),
    "res_lstm": cells.ResLSTM(3, 5),
    "wmc_lstm": cells.WMCLSTM(3, 5),
    "mc_lstm": cells.MCLSTM(2, 3, 5),
    # grus
    "ugrnn": cells.UGRNN(3, 5),
    "ligru": cells.LiGRU(3, 5),
    "mgu": cells.MGU(3, 5),
    "minimal": cells.MinimalRNN(3, 5),
    "trnn": cells.TRNN(3, 5),
    "tgru": cells.TGRU(3, 5),
    "tlstm": cells.TLSTM(3, 5),
    "intersection": cells.IntersectionRNN(4, 4),
    "tau_gru": cells.TauGRU(3, 5, delay=2),
    "grud": cells.GRUD(3, 5),
    # grus, of their own kind
    "lightru": cells.LightRU(3, 5),
    "star": cells.STAR(3, 5),
    "sgrn": cells.SGRN(3, 5),
    "ran": cells.RAN(3, 5),
    "atr": cells.ATR(3, 5),
    "mut1": cells.MUT1(3, 5),
    "mut2": cells.MUT2(3, 5, recurrent_dropout=0.4),
    "mut3": cells.MUT3(3, 5),
    "sgu": cells.SGU(3, 5),
    "dsgu": cells.DSGU(3, 5),
    "cfn": cells.CFN(3, 5),
    "br": cells.BR(3, 5),
    "nbr": cells.NBR(3, 5),
    "miru1": cells.MiRU1(3, 5),
    "miru2": cells.MiRU2(3, 5),
    # simple
    "scrn": cells.SCRN(3, 5, context_size=2, output_size=4),
    "independent": cells.IndRNN(3, 5),
    "highway": cells.RHN(3, 5, depth=2, coupled=False, recurrent_dropout=0.4),
    "clockwork": cells.ClockworkRNN(3, 4, periods=(1, 3)),
    "fast": cells.FastRNN(3, 5),
    "fast_gated": cells.FastGRNN(3, 5, kernel_rank=2, recurrent_rank=2),
    "jordan": cells.JordanRNN(3, 5, output_size=4, decay=0.3),
    # dynamics
    "low_rank": cells.LowRankRNN(3, 5, rank=2, g=0.5),
    "dale": cells.EIRNN(3, 5, sigma=0.3, recurrent_dropout=0.4),
    "plrnn": cells.PLRNN(3, 5),
    "shallow_plrnn": cells.ShallowPLRNN(3, 5, layer_size=4, clipped=True),
    "echo_state": cells.EchoState(3, 5, leak=0.3),
    # stable
    "antisymmetric": cells.AntisymmetricRNN(3, 5),
    "antisymmetric_gated": cells.GatedAntisymmetricRNN(3, 5),
    "cornn": cells.CoRNN(3, 5, recurrent_dropout=0.4),
    "unicornn": cells.UnICORNN(3, 5),
    "lem": cells.LEM(3, 5),
    "lipschitz": cells.LipschitzRNN(3, 5),
    "lipschitz_midpoint": cells.LipschitzRNN(3, 5, solver="midpoint"),
    "exprnn": cells.ExpRNN(3, 5),
    "ctrnn": cells.CTRNN(3, 5),
    "ctrnn_current": cells.CTRNN(3, 5, state="current"),
    "ltc": cells.LTC(3, 5, ode_unfolds=2),
    "cfc": cells.CfC(3, 5, backbone_units=4),
    "cfc_pure": cells.CfC(3, 5, mode="pure", backbone_layers=0),
    # convolutional
    "conv_lstm": cells.ConvLSTM((3, 2), 4, peephole_init=initializers.uniform),
    "conv_gru": cells.ConvGRU((4, 3, 1), 2, kernel_size=(2, 3), padding="VALID"),
    # linear, with gates of x alone
    "min_gru": cells.MinGRU(3, 5),
    "min_lstm": cells.MinLSTM(3, 5, activation=cells.above_zero),
    "sru": cells.SRU(3, 5),
    "qrnn": cells.QRNN(3, 5),
    "linear": cells.LinearRNN(3, 5),
    "linear_attention": cells.GatedLinearAttention(3, 4, heads=2, rank=2),
    "delta_net": cells.DeltaNet(3, 4, heads=2),
    "gated_delta_net": cells.GatedDeltaNet(3, 4, heads=2),
    # linear, with a state of its own
    "lru": cells.LRU(3, 5, state_size=4),
    "s4d": cells.S4D(4, 4, state_size=4, initial="lin", discretisation="bilinear"),
    "s5": cells.S5(3, 5, state_size=4),
    "rglru": cells.RGLRU(4, 4, heads=2),
    "mlstm": cells.MLSTM(3, 4, heads=2),
    # no cells of the zoo
    "dense": Dense(3, 4),
    "embedding": Embedding(vocabulary=7, features=3),
    "stack_mixed": Stack((LSTM(3, 4), GRU(4, 5))),
    "stack_language_model": Stack((Embedding(7, 3), Elman(3, 5), Dense(5, 7))),
    "dropouts": Stack(
        (Dropout(0.4), LSTM(3, 4, recurrent_dropout=0.4), VariationalDropout(0.4))
    ),
    "weight_drop": WeightDrop(GRU(3, 4), 0.4),
    "zoneout": Zoneout(LSTM(3, 4), LSTMCarry(h=0.3, c=0.5)),
    "residual": Residual(Zoneout(Elman(3, 3), 0.4)),
    "dense_skip": DenseSkip((GRU(3, 2), Elman(5, 4))),
    "clip": ClipCarryGradient(GRU(3, 4), 1e6),  # a bound that is never reached
    "learned_carry": LearnedCarry(LSTM(3, 4)),
    "wrapper": Wrapper(
        Elman(3, 4, "relu", use_bias=False, recurrent_init=initializers.identity)
    ),
    "fast_slow": FastSlow((GRU(3, 4), GRU(2, 4), GRU(1, 4)), Elman(4, 2)),
    "multiscale": Multiscale(LSTM(3, 4), 2),
    "activation": Stack((Dense(3, 4), Activation("softplus"), GRU(4, 4))),
    "two_biases": TwoBiases(GRU(3, 5)),
    "bidirectional": Bidirectional(LSTM(3, 4, recurrent_dropout=0.4), GRU(3, 2)),
    "reversed": Stack((Reversed(GRU(3, 5, recurrent_dropout=0.4)), Elman(5, 4))),
    "residual_bidirectional": Stack(
        (Residual(Bidirectional(GRU(3, 2), LearnedCarry(Elman(3, 1)))), Elman(3, 4))
    ),
}

# What the engine is tested on: all but the cells in the folders, and a few of these.
KINDS = {"mgu", "conv_lstm", "slstm", "clockwork"}
BASIC = {
    name: cell
    for name, cell in ZOO.items()
    if type(cell).__module__.count(".") < 3 or name in KINDS
}


class Turning(Cell):
    """A complex state and a real one, h' = a h + s x, s' = tanh(s + |h|^2)."""

    input_size: int = 2

    def init(self, key):
        return {"a": jnp.array([0.9 * jnp.exp(0.7j), 0.5 * jnp.exp(-2j)])}

    def initial_carry(self, params):
        return {"h": jnp.zeros(2, complex), "s": jnp.zeros(1)}

    def step(self, params, carry, drive):
        h, s = carry["h"], carry["s"]
        new = params["a"] * h + (s * drive).astype(h.dtype)
        return {"h": new, "s": jnp.tanh(s + jnp.sum(jnp.abs(h) ** 2))}


class Noisy(Cell):
    """Shows the noise it gets: of the call, of the sequence and of the step."""

    input_size: int = 1

    def init(self, key):
        return jnp.zeros(())

    def initial_carry(self, params):
        return jnp.zeros(())

    def prepare(self, params, key=None):
        return params if key is None else jax.random.normal(key)

    def project(self, params, x, keys: Keys | None = None):
        if keys is None:
            return jnp.zeros(3)
        noise = jax.random.normal(keys.sequence), jax.random.normal(keys.step)
        return jnp.stack([params, *noise])

    def step(self, params, carry, drive):
        return carry

    def output(self, params, carry, drive):
        return drive


def within(cell):
    """The cell and every cell inside it."""
    yield cell
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Cell):
                yield from within(inner)


def types_within(cell):
    return {type(inner) for inner in within(cell)}


def steps(cell):
    """Whether the cell can take a single step."""
    return not {Bidirectional, Reversed} & types_within(cell)


def noise_key(cell):
    """A key for a cell that draws noise, and None for one that does not."""
    noisy = {Dropout, VariationalDropout, WeightDrop, Zoneout} & types_within(cell)
    fields = "recurrent_dropout", "sigma"
    dropout = any(getattr(inner, name, 0) for inner in within(cell) for name in fields)
    return jax.random.key(7) if noisy or dropout else None


# NumPy draws here: a program compiled for every shape is what would take the time.


def random_like(tree, seed=0, leading=()):
    """Random arrays in float64, none of them zero, with the shapes of `tree`."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(rng.normal(0, 0.5, (*leading, *leaf.shape)))

    return jax.tree.map(draw, tree)


def params_of(cell, seed=0):
    """Random parameters, none of them zero, of no symmetry: Jacobians do not commute."""
    return random_like(jax.eval_shape(cell.init, jax.random.key(0)), seed)


def inputs_of(cell, leading, seed=2):
    """Inputs `(*leading, *input_shape)`: floats, or symbols for an embedding."""
    rng = np.random.default_rng(seed)
    if cell.input_shape == ():
        return jnp.asarray(rng.integers(0, 7, leading))

    def draw(shape):
        return jnp.asarray(rng.normal(size=(*leading, *shape)))

    is_shape = lambda leaf: isinstance(leaf, tuple) and not hasattr(leaf, "_fields")  # noqa: E731
    return jax.tree.map(draw, cell.input_shape, is_leaf=is_shape)


def carry_of(cell, params, batch_shape=(), seed=3):
    """A random carry, batch axes first."""
    initial = jax.eval_shape(cell.initial_carry, params)
    carry = random_like(initial, seed, batch_shape)
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), carry, initial)


def loop(cell, params, xs, carry, reverse=False, key=None, **options):
    """The obvious Python loop over the steps of one example: (carry, carries, ys).

    Carries and outputs are in input order.

    Args:
        options: `valid`, `resets`: a boolean for each step. `initial`: what a reset
            returns to, if not the initial carry. `epsilon`: a trajectory to be added
            between step and output, layer by layer.
    """
    if not steps(cell) and key is not None:
        options["noise"] = Noise(prepare_key(key), key)
    if "epsilon" in options or not steps(cell) or "noise" in options:
        parts = _apart(cell, params, xs, carry, reverse, options)
        if parts is not None:
            return parts
    initial = options.get("initial", cell.initial_carry(params))
    valid, resets = options.get("valid"), options.get("resets")
    T, pending = len(jax.tree.leaves(xs)[0]), False
    carries, ys = {}, {}
    for t in reversed(range(T)) if reverse else range(T):
        boundary = t + 1 if reverse else t  # the step whose reset has just been passed
        if resets is not None and boundary < T and resets[boundary]:
            pending = True
        x, epsilon = jax.tree.map(lambda leaf: leaf[t], (xs, options.get("epsilon")))  # noqa: B023
        if valid is None or valid[t]:
            if pending:
                carry, pending = initial, False
            noise = options.get("noise", Noise())
            if epsilon is None and noise.key is None:
                carry, ys[t] = cell(params, carry, x, key, t)
            else:
                prepared = cell.prepare(params, noise.prepare)
                drive = cell.project(prepared, x, noise.keys(t))
                carry = plus(cell.step(prepared, carry, drive), epsilon)
                ys[t] = cell.output(prepared, carry, drive)
        else:
            y = jax.eval_shape(cell, params, carry, x, key)[1]
            carry, ys[t] = plus(carry, epsilon), jax.tree.map(zeros, y)
        carries[t] = carry

    def in_order(values):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(values.get, range(T)))

    return carry, in_order(carries), in_order(ys)


class Noise(NamedTuple):
    """The keys of one example, for a cell at some depth inside a combinator."""

    prepare: Any = None
    key: Any = None
    path: tuple = ()

    def child(self, index):
        prepare = jax.random.fold_in(self.prepare, index)
        return Noise(prepare, self.key, (*self.path, index))

    def keys(self, t):
        if self.key is None:
            return None
        keys = keys_in_time(self.key, jnp.asarray(t), ())
        return reduce(Keys.child, self.path, keys)


def plus(carry, epsilon):
    return carry if epsilon is None else jax.tree.map(jnp.add, carry, epsilon)


def zeros(like):
    return jnp.zeros(like.shape, like.dtype)


def _apart(cell, params, xs, carry, reverse, options):
    """`loop` of a combinator, from the loops of its parts; None for any other cell."""
    initial = options.get("initial", cell.initial_carry(params))
    valid = options.get("valid")

    def part(index, inner, inputs, reverse=reverse):
        own = options | {"initial": initial[index]}
        if "noise" in options:
            own["noise"] = options["noise"].child(index)
        if "epsilon" in options:
            own["epsilon"] = options["epsilon"][index]
        return loop(inner, params[index], inputs, carry[index], reverse, **own)

    if isinstance(cell, WeightDrop) and "noise" in options:
        return None
    if isinstance(cell, LearnedCarry | WeightDrop | Residual | Reversed):
        inner = params["cell"] if isinstance(cell, LearnedCarry) else params
        own = options | {"initial": initial}
        reverse = reverse is not isinstance(cell, Reversed)
        final, carries, ys = loop(cell.cell, inner, xs, carry, reverse, **own)
        if isinstance(cell, Residual):
            ys = zeros_where_masked(xs + ys, valid)
        return final, carries, ys
    if isinstance(cell, Bidirectional):
        forward = part(0, cell.forward, xs)
        backward = part(1, cell.backward, xs, not reverse)
        final, carries, ys = zip(forward, backward, strict=True)
        merged = jnp.stack([cell.merge(f, b) for f, b in zip(*ys, strict=True)])
        return final, carries, zeros_where_masked(merged, valid)
    if isinstance(cell, Stack | DenseSkip):
        outcomes, inputs = [], xs
        for index, inner in enumerate(cell.cells):
            outcomes.append(part(index, inner, inputs))
            inputs = outcomes[-1][2]
            if isinstance(cell, DenseSkip):
                inputs = jnp.concatenate([xs, inputs], axis=-1)
        final, carries, ys = zip(*outcomes, strict=True)
        shown = jnp.concatenate(ys, -1) if isinstance(cell, DenseSkip) else ys[-1]
        return final, carries, shown
    return None


def zeros_where_masked(ys, valid):
    if valid is None:
        return ys
    return jnp.stack(
        [y if v else jnp.zeros_like(y) for y, v in zip(ys, valid, strict=True)]
    )
