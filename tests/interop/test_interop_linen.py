"""Weights of flax.linen: the same values, carries and gradients, in and out."""

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
    TwoBiases,
    cells,
    unroll,
)

nn = peer("flax.linen")
linen = peer("jaxrnn.interop.linen")

FLOAT64 = {"param_dtype": jnp.float64}  # flax's own carry has it
MGU = cells.MGU(3, 5, reset_after=True)
RECURRENT = {
    "lstm": (nn.OptimizedLSTMCell(5, **FLOAT64), LSTM(3, 5)),
    "lstm_functions": (
        nn.LSTMCell(5, activation_fn=nn.elu, gate_fn=nn.hard_sigmoid, **FLOAT64),
        LSTM(3, 5, activation="elu", gate_activation="hard_sigmoid"),
    ),
    "gru": (nn.GRUCell(5, **FLOAT64), GRU(3, 5)),
    "gru_functions": (
        nn.GRUCell(5, activation_fn=jax.lax.tanh, gate_fn=jax.lax.logistic, **FLOAT64),
        GRU(3, 5, activation=jax.lax.tanh, gate_activation=jax.lax.logistic),
    ),
    "simple": (nn.SimpleCell(5, activation_fn=nn.relu, **FLOAT64), Elman(3, 5, "relu")),
    "simple_residual": (nn.SimpleCell(5, residual=True, **FLOAT64), Elman(3, 5)),
    "mgu": (nn.MGUCell(5, **FLOAT64), MGU),
    "mgu_without_reset": (
        nn.MGUCell(5, reset_gate=False, **FLOAT64),
        cells.UGRNN(3, 5),
    ),
    "reversed": (nn.GRUCell(5, **FLOAT64), Reversed(GRU(3, 5))),
}


def theirs(carry):
    """flax's carry of ours, and back."""
    if isinstance(carry, LSTMCarry):
        return carry.c, carry.h
    return LSTMCarry(h=carry[1], c=carry[0]) if isinstance(carry, tuple) else carry


def weights_of(module, xs, seed=0):
    return random_like(jax.eval_shape(module.init, jax.random.key(0), xs), seed)


def runner(module):
    def run(weights, xs, carry):
        carry, ys = module.apply(weights, xs, initial_carry=theirs(carry))
        return theirs(carry), ys

    return run


@pytest.mark.parametrize("name", by_default(RECURRENT, "lstm", "simple_residual", "mgu"))
def test_a_recurrent_cell(name):
    peer_cell, cell = RECURRENT[name]
    back = name == "reversed"
    module = nn.RNN(
        peer_cell, time_major=True, return_carry=True, reverse=back, keep_order=back
    )
    weights = weights_of(module, jnp.zeros((STEPS, BATCH, 3)))
    assert linen.load(module, weights)[0] == cell
    to_params = lambda weights: linen.load(module, weights)[1]  # noqa: E731
    assert_parity(cell, to_params, weights, runner(module))


@pytest.mark.parametrize("name", by_default(["one", "split", "no_bias", "1d"], "split"))
def test_convolutions(name):
    size, places = ((3,), (4,)) if name == "1d" else ((3, 2), (4, 3))
    bias, split = name != "no_bias", name == "split"
    padding = ((1, 1),) if name == "1d" else "SAME"
    options = {"use_bias": bias, "padding": padding, **FLOAT64}
    module = nn.RNN(
        nn.ConvLSTMCell(2, size, **options), time_major=True, return_carry=True
    )
    cell = cells.ConvLSTM((*places, 3), 2, kernel_size=size)
    cell = TwoBiases(cell) if split else cell
    weights = weights_of(module, jnp.zeros((STEPS, BATCH, *places, 3)))

    def to_params(weights):
        loaded, params = linen.load(module, weights, places=places, split=split)
        assert loaded == cell
        return params

    assert_parity(cell, to_params, weights, runner(module))


@pytest.mark.usefixtures("promotion")
def test_a_network():
    """Everything in a row, in flax's own order of axes."""
    rnn = lambda cell: nn.RNN(cell(4, **FLOAT64))  # noqa: E731
    both = rnn(nn.GRUCell), rnn(nn.SimpleCell)
    module = nn.Sequential(
        [
            nn.Embed(7, 3),
            nn.Dropout(0.5, deterministic=True),
            nn.Bidirectional(*both, merge_fn=jnp.add),
            nn.Sequential([nn.Dense(6, name="named"), nn.relu]),
            nn.Dense(2, use_bias=False),
        ]
    )
    symbols = jnp.asarray(np.random.default_rng(0).integers(0, 7, (BATCH, STEPS)))
    weights = weights_of(module, symbols)
    cell, params = linen.load(module, weights)
    assert cell == Stack(
        (
            Embedding(7, 3),
            Dropout(0.5),
            Bidirectional(GRU(3, 4), Elman(3, 4), jnp.add),
            Stack((Dense(4, 6), Activation("relu"))),
            Dense(6, 2, use_bias=False),
        )
    )
    _, ys = unroll(cell, params, symbols.T)
    np.testing.assert_allclose(
        ys.swapaxes(0, 1), module.apply(weights, symbols), rtol=1e-12
    )
    assert linen.load(module, weights["params"])[0] == cell


def test_lengths_and_both_directions():
    rnn = lambda: nn.RNN(nn.OptimizedLSTMCell(4, **FLOAT64))  # noqa: E731
    module = nn.Bidirectional(rnn(), rnn(), time_major=True, return_carry=True)
    xs, lengths = inputs_of(LSTM(3, 4), (STEPS, BATCH)), jnp.array([STEPS, 4, 1])
    weights = weights_of(module, xs)
    cell, params = linen.load(module, weights)
    carry, ys = unroll(cell, params, xs, lengths=lengths)
    expected, outputs = module.apply(weights, xs, seq_lengths=lengths)
    there = (np.arange(STEPS)[:, None] < np.asarray(lengths))[..., None]
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12)  # noqa: E731
    same(ys, np.where(there, outputs, 0))
    jax.tree.map(same, carry, tuple(map(theirs, expected)))


GOES_OUT = [
    LSTM(3, 5, activation="elu", gate_activation="hard_sigmoid"),
    GRU(3, 5),
    Elman(3, 5, "relu"),
    MGU,
    cells.UGRNN(3, 5),
    Reversed(LSTM(3, 5)),
    Dense(3, 5, use_bias=False),
    Dropout(0.5),
    Bidirectional(GRU(3, 4), LSTM(3, 2)),
    Stack(
        (
            Embedding(7, 3),
            Stack((Bidirectional(GRU(3, 4), GRU(3, 4), operator.add), Dropout(0.5))),
            Activation("relu"),
            Dense(4, 2),
        )
    ),
]


@pytest.mark.parametrize("cell", GOES_OUT, ids=lambda cell: type(cell).__name__)
def test_out_and_in_again(cell):
    params = params_of(cell)
    module, variables = linen.dump(cell, params)
    again, same = linen.load(module, variables)
    assert again == cell and jax.tree.structure(params) == jax.tree.structure(same)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    if type(cell) is Dropout:
        return
    xs = inputs_of(cell, (STEPS, BATCH))
    outputs = module.apply(variables, xs)
    np.testing.assert_allclose(outputs, unroll(cell, params, xs)[1], rtol=1e-11)


@pytest.mark.parametrize("split", [False, True])
def test_convolutions_out_and_in_again(split):
    cell = cells.ConvLSTM((4, 3, 2), 2, kernel_size=(3, 2))
    cell = TwoBiases(cell) if split else cell
    params, xs = params_of(cell), inputs_of(cell, (2, 1))
    module, variables = linen.dump(cell, params)
    again, same = linen.load(module, variables, places=(4, 3), split=split)
    assert again == cell
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13)  # noqa: E731
    jax.tree.map(close, same, params)  # to rounding: one is added and taken away
    close(module.apply(variables, xs), unroll(cell, params, xs)[1])


@pytest.mark.parametrize("kind", [LSTM, GRU, Elman])
def test_without_a_bias_flax_has_zeros(kind):
    cell = kind(3, 5, use_bias=False)
    params = params_of(cell)
    again, more = linen.load(*linen.dump(cell, params))
    assert again == kind(3, 5)
    for name, leaf in more.items():
        np.testing.assert_array_equal(leaf, params.get(name, 0))


def twice(a, b):
    return jnp.concatenate([a, b], 0)


def rnn(cell, **options):
    return nn.RNN(cell, **options)


BAD = {
    "a module of ours": (
        nn.Conv(2, (3,)),
        "module is Conv, expected RNN, Bidirectional, Seq",
    ),
    "dtype": (
        rnn(nn.GRUCell(4, dtype=jnp.bfloat16)),
        r"module.cell.dtype is bfloat16, and the we",
    ),
    "carry": (
        rnn(nn.GRUCell(4, carry_init=nn.initializers.ones_init())),
        "module.cell.carry_init is .* starts at zeros",
    ),
    "lambda": (
        rnn(nn.GRUCell(4, gate_fn=lambda x: x)),
        "gate_fn is .*write it as a function",
    ),
    "mgu": (
        rnn(nn.MGUCell(4, gate_fn=nn.relu)),
        "gate_fn='relu', expected tanh and sigmoid",
    ),
    "order": (rnn(nn.GRUCell(4), reverse=True), "module.reverse is True without keep_o"),
    "precision": (nn.Dense(4, precision="highest"), "precision is .*matmul_precision"),
    "twice": (nn.Sequential([nn.Dense(3)] * 2), r"layers\[1\] is module.layers\[0\] ag"),
    "carries": (
        nn.Sequential([rnn(nn.GRUCell(4), return_carry=True), nn.Dense(2)]),
        r"module.layers\[0\].return_carry is True",
    ),
    "axes": (
        nn.Sequential([rnn(nn.GRUCell(4), time_major=True), rnn(nn.GRUCell(4))]),
        r"layers\[0\].time_major=True, module.layers\[1\].time_major=False: the layers",
    ),
    "merge": (
        nn.Bidirectional(rnn(nn.GRUCell(4)), rnn(nn.GRUCell(4)), merge_fn=twice),
        "module.merge_fn is <function twice .*looks beyond one step",
    ),
    "places": (nn.ConvLSTMCell(4, (3,)), "module is a ConvLSTMCell, .*give places=, 1"),
    "padding": (nn.ConvLSTMCell(4, (3,), padding="CIRCULAR"), "padding is 'CIRCULAR'"),
    "strides": (nn.ConvLSTMCell(4, (3,), strides=(2,)), r"strides is \(2,\), which h"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("promotion")
def test_what_no_cell_can_be(name):
    module, message = BAD[name]
    early = isinstance(module, nn.ConvLSTMCell) or name == "carries"
    weights = {} if early else weights_of(module, jnp.zeros((2, 3, 3), np.float32))
    with pytest.raises(ValueError, match=f"^interop.linen.load: .*{message}") as caught:
        linen.load(module, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("promotion")
def test_weights_of_another_module():
    weights = weights_of(nn.RNN(nn.GRUCell(4)), jnp.zeros((2, 3, 3), np.float32))
    match = "params of module.cell, a SimpleCell, are .*expected .'h', 'i'."
    with pytest.raises(ValueError, match=match):
        linen.load(nn.RNN(nn.SimpleCell(4)), weights)
    with pytest.raises(ValueError, match=r"shape \(12,\), expected \(18,\) for GRU"):
        linen.load(nn.RNN(nn.GRUCell(6)), weights)
    with pytest.raises(TypeError, match=r"^interop.linen.load: variables is a NoneType"):
        linen.load(nn.GRUCell(4), None)


@pytest.mark.parametrize("places", [4, (4, 3)])
def test_places_are_as_many_as_the_kernel_has(places):
    match = r"^interop.linen.load: places is .*, expected 1 of them, as module has"
    with pytest.raises(ValueError, match=match):
        linen.load(nn.ConvLSTMCell(4, (3,)), {}, places=places)


def test_arrays_of_another_byte_order():
    module, variables = linen.dump(GRU(3, 5), params_of(GRU(3, 5)))
    other = jax.tree.map(lambda leaf: np.asarray(leaf).astype(">f8"), variables)
    same = np.testing.assert_array_equal
    jax.tree.map(same, *(linen.load(module, each)[1] for each in (other, variables)))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (LSTM(3, 5, recurrent_dropout=0.5), r"recurrent_dropout is 0.5.*replace\(cell"),
        (LSTM(3, 5, projection_size=2), "projection_size is 2"),
        (GRU(3, 5, reset_after=False), "reset_after is False .*GRUCell has True"),
        (cells.MGU(3, 5), "reset_after is False .*MGUCell has True"),
        (TwoBiases(GRU(3, 5)), "TwoBiases.*has no counterpart in flax.linen"),
        (Residual(GRU(3, 3)), "Residual.*has no counterpart"),
        (cells.ConvLSTM((4, 3), 2, padding="VALID"), "one kernel_size, and padding"),
        (cells.ConvLSTM((4, 3), 2, dilation=2), "dilation is 2"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_flax_has_not(cell, message):
    with pytest.raises(ValueError, match=f"^interop.linen.dump: .*{message}"):
        linen.dump(cell, params_of(cell))
