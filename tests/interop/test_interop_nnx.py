"""Weights of flax.nnx: the same values, carries and gradients, in and out."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from parity.compare import BATCH, STEPS, assert_parity
from peer import peer
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Elman,
    Embedding,
    LSTMCarry,
    Residual,
    Reversed,
    Stack,
    unroll,
)

nnx = peer("flax.nnx")
interop = peer("jaxrnn.interop.nnx")

FLOAT64 = {"param_dtype": jnp.float64, "dtype": jnp.float64}
ELU = {"activation_fn": nnx.elu, "gate_fn": nnx.hard_sigmoid}
RECURRENT = {
    "lstm": (nnx.OptimizedLSTMCell, {}, LSTM(3, 5)),
    "lstm_functions": (
        nnx.LSTMCell,
        ELU,
        LSTM(3, 5, activation="elu", gate_activation="hard_sigmoid"),
    ),
    "gru": (nnx.GRUCell, {}, GRU(3, 5)),
    "gru_functions": (
        nnx.GRUCell,
        ELU,
        GRU(3, 5, activation="elu", gate_activation="hard_sigmoid"),
    ),
    "simple": (nnx.SimpleCell, {"activation_fn": nnx.relu}, Elman(3, 5, "relu")),
    "simple_residual": (nnx.SimpleCell, {"residual": True}, Elman(3, 5)),
    "reversed": (nnx.GRUCell, {}, Reversed(GRU(3, 5))),
}


def theirs(carry):
    """flax's carry of ours, and back."""
    if isinstance(carry, LSTMCarry):
        return carry.c, carry.h
    return LSTMCarry(h=carry[1], c=carry[0]) if isinstance(carry, tuple) else carry


def split(module):
    """Random weights for `module`, as nested dicts, and the module made of weights."""
    graph, state, rest = nnx.split(module, nnx.Param, ...)

    def merge(weights):
        new = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(new, weights)
        return nnx.merge(graph, new, rest)

    return random_like(nnx.to_pure_dict(state)), merge


@pytest.mark.parametrize("name", by_default(RECURRENT, "lstm", "gru", "simple_residual"))
def test_a_recurrent_cell(name):
    kind, options, cell = RECURRENT[name]
    back = name == "reversed"
    turned = {"reverse": back, "keep_order": back}
    inner = kind(3, 5, rngs=nnx.Rngs(0), **FLOAT64, **options)
    module = nnx.RNN(inner, time_major=True, return_carry=True, **turned)
    weights, merge = split(module)
    assert interop.load(merge(weights))[0] == cell

    def run(weights, xs, carry):
        carry, ys = merge(weights)(xs, initial_carry=theirs(carry))
        return theirs(carry), ys

    def to_params(weights):
        return interop.load(merge(weights))[1]

    if name.startswith("gru"):
        np.testing.assert_array_equal(to_params(weights)["recurrent_bias"], 0)
    assert_parity(cell, to_params, weights, run)


def test_a_bias_inside_the_reset_of_a_gru():
    """As a later flax may have it."""
    module = nnx.GRUCell(3, 5, rngs=nnx.Rngs(0), **FLOAT64)
    module.hn_bias = nnx.Param(jnp.arange(5.0))
    _, params = interop.load(module)
    np.testing.assert_array_equal(params["recurrent_bias"], np.arange(5.0))


def network():
    rngs = nnx.Rngs(0)
    both = [
        nnx.RNN(kind(3, 4, rngs=rngs, **FLOAT64)) for kind in (nnx.GRUCell, nnx.LSTMCell)
    ]
    return nnx.Sequential(
        nnx.Embed(7, 3, rngs=rngs, **FLOAT64),
        nnx.Dropout(0.5, deterministic=True),
        nnx.Bidirectional(*both, merge_fn=jnp.add),
        nnx.Sequential(nnx.Linear(4, 6, rngs=rngs, param_dtype=jnp.float64), nnx.relu),
        nnx.Linear(6, 2, use_bias=False, rngs=rngs, param_dtype=jnp.float64),
    )


def test_a_network():
    weights, merge = split(network())
    module = merge(weights)
    cell, params = interop.load(module)
    assert cell == Stack(
        (
            Embedding(7, 3),
            Dropout(0.5),
            Bidirectional(GRU(3, 4), LSTM(3, 4), jnp.add),
            Stack((Dense(4, 6), Activation("relu"))),
            Dense(6, 2, use_bias=False),
        )
    )
    symbols = jnp.asarray(np.random.default_rng(0).integers(0, 7, (BATCH, STEPS)))
    _, ys = unroll(cell, params, symbols.T)
    np.testing.assert_allclose(ys.swapaxes(0, 1), module(symbols), rtol=1e-11)


def test_lengths_and_both_directions():
    rnn = lambda: nnx.RNN(nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0), **FLOAT64))  # noqa: E731
    both = nnx.Bidirectional(rnn(), rnn(), time_major=True, return_carry=True)
    weights, merge = split(both)
    module, lengths = merge(weights), jnp.array([STEPS, 4, 1])
    cell, params = interop.load(module)
    xs = inputs_of(cell, (STEPS, BATCH))
    carry, ys = unroll(cell, params, xs, lengths=lengths)
    expected, outputs = module(xs, seq_lengths=lengths)
    there = (np.arange(STEPS)[:, None] < np.asarray(lengths))[..., None]
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11)  # noqa: E731
    same(ys, np.where(there, outputs, 0))
    jax.tree.map(same, carry, tuple(map(theirs, expected)))


GOES_OUT = [
    LSTM(3, 5, activation="elu", gate_activation="hard_sigmoid"),
    Elman(3, 5, "relu"),
    Reversed(LSTM(3, 5)),
    Dense(3, 5, use_bias=False),
    Dropout(0.5),
    Bidirectional(Elman(3, 4), LSTM(3, 2)),
    Stack(
        (
            Embedding(7, 3),
            Stack((Bidirectional(LSTM(3, 4), Elman(3, 4), operator.add), Dropout(0.5))),
            Activation("relu"),
            Dense(4, 2),
        )
    ),
]


@pytest.mark.parametrize("cell", GOES_OUT, ids=lambda cell: type(cell).__name__)
def test_out_and_in_again(cell):
    params = params_of(cell)
    module = interop.dump(cell, params)
    again, same = interop.load(module)
    assert again == cell and jax.tree.structure(params) == jax.tree.structure(same)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    if type(cell) is Dropout:
        return
    xs = inputs_of(cell, (STEPS, BATCH))
    np.testing.assert_allclose(module(xs), unroll(cell, params, xs)[1], rtol=1e-11)


def test_a_gru_goes_out_if_nothing_is_inside_its_reset():
    cell = GRU(3, 5)
    params = params_of(cell)
    with pytest.raises(ValueError, match=r"^interop.nnx.dump: recurrent_bias of GRU"):
        interop.dump(cell, params)
    params["recurrent_bias"] *= 0
    again, same = interop.load(interop.dump(cell, params))
    assert again == cell
    jax.tree.map(np.testing.assert_array_equal, same, params)
    bare = GRU(3, 5, use_bias=False)
    again, same = interop.load(interop.dump(bare, params_of(bare)))
    assert again == cell and not same["bias"].any()


def twice(a, b):
    return jnp.concatenate([a, b], 0)


def gru(**options):
    return nnx.GRUCell(4, 4, rngs=nnx.Rngs(0), **options)


def replaced():
    module = gru()
    module.dense_h = nnx.LoRALinear(4, 12, lora_rank=2, rngs=nnx.Rngs(0))
    return module


def carry_of_ones():
    module = gru()
    module.carry_init = nnx.initializers.ones_init()
    return module


LINEAR = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
RNN = nnx.RNN(gru())
BAD = {
    "a module of ours": (nnx.Conv(2, 2, (3,), rngs=nnx.Rngs(0)), "module is Conv, expec"),
    "dtype": (gru(dtype=jnp.bfloat16), "module.dense_i.dtype is bfloat16, and the weig"),
    "carry": (nnx.RNN(carry_of_ones()), "module.cell.carry_init is .* starts at zeros"),
    "lambda": (gru(gate_fn=lambda x: x), "module.gate_fn is .*write it as a function"),
    "replaced": (replaced(), "module.dense_h is LoRALinear, expected nnx.Linear"),
    "order": (nnx.RNN(gru(), reverse=True), "module.reverse is True without keep_order"),
    "precision": (
        nnx.Linear(4, 4, precision="highest", rngs=nnx.Rngs(0)),
        "module.precision is 'highest'.*matmul_precision",
    ),
    "twice": (
        nnx.Sequential(LINEAR, LINEAR),
        r"module.layers\[1\] is module.layers\[0\] again",
    ),
    "both": (nnx.Bidirectional(RNN, RNN), "module.backward_rnn is module.forward_rnn ag"),
    "carries": (
        nnx.Sequential(nnx.RNN(gru(), return_carry=True), LINEAR),
        r"module.layers\[0\].return_carry is True",
    ),
    "axes": (
        nnx.Sequential(nnx.RNN(gru(), time_major=True), nnx.RNN(gru())),
        r"layers\[0\].time_major=True, module.layers\[1\].time_major=False: the layers",
    ),
    "merge": (
        nnx.Bidirectional(nnx.RNN(gru()), nnx.RNN(gru()), merge_fn=twice),
        "module.merge_fn is <function twice .*looks beyond one step",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_no_cell_can_be(name):
    module, message = BAD[name]
    with pytest.raises(ValueError, match=f"^interop.nnx.load: .*{message}") as caught:
        interop.load(module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (LSTM(3, 5, recurrent_dropout=0.5), r"recurrent_dropout is 0.5.*replace\(cell"),
        (GRU(3, 5, reset_after=False), "reset_after is False .*GRUCell .*has True"),
        (Residual(GRU(3, 3)), "Residual.*has no counterpart in flax.nnx"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_flax_has_not(cell, message):
    with pytest.raises(ValueError, match=f"^interop.nnx.dump: .*{message}"):
        interop.dump(cell, params_of(cell))
