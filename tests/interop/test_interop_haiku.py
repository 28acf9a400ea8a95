"""Weights of dm-haiku: the same values, carries and gradients, in and out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from parity.compare import BATCH, STEPS, assert_parity
from peer import peer
from zoo import inputs_of, params_of, random_like

import jaxrnn.interop.haiku as interop
from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    DenseSkip,
    Dropout,
    Elman,
    Embedding,
    LSTMCarry,
    Stack,
    TwoBiases,
    cells,
    unroll,
)

hk = peer("haiku")

RELU = Elman(3, 5, "relu")
CONV = cells.ConvLSTM((4, 3, 2), 2, kernel_size=(3, 2))
SHORT = cells.ConvLSTM((4, 2), 2, kernel_size=2)
BEFORE = GRU(3, 5, reset_after=False)
BEFORE_4 = GRU(4, 2, reset_after=False)
CORES = {
    "lstm": (lambda: hk.LSTM(5), LSTM(3, 5)),
    "gru": (lambda: hk.GRU(5), BEFORE),
    "vanilla": (lambda: hk.VanillaRNN(5), RELU),
    "vanilla_split": (lambda: hk.VanillaRNN(5), TwoBiases(RELU)),
    "vanilla_one_bias": (lambda: hk.VanillaRNN(5, double_bias=False), RELU),
    "conv": (lambda: hk.Conv2DLSTM((4, 3), 2, (3, 2)), CONV),
    "conv_split": (lambda: hk.Conv1DLSTM((4,), 2, 2), TwoBiases(SHORT)),
}


def runner(new_core):
    """Unrolled from a state of ours, by a core that `new_core` makes."""

    @hk.transform
    def unrolled(xs, carry=None):
        core = new_core()
        state = core.initial_state(xs.shape[1]) if carry is None else carry
        if isinstance(carry, LSTMCarry):
            state = hk.LSTMState(hidden=carry.h, cell=carry.c)
        ys, state = hk.dynamic_unroll(core, xs, state)
        if isinstance(state, hk.LSTMState):
            state = LSTMCarry(h=state.hidden, c=state.cell)
        return state, ys

    return unrolled


def weights_of(transformed, xs):
    return random_like(jax.eval_shape(transformed.init, jax.random.key(0), xs))


@pytest.mark.parametrize("name", by_default(CORES, "lstm", "gru", "vanilla_split"))
def test_a_core(name):
    new_core, cell = CORES[name]
    unrolled = runner(new_core)
    weights = weights_of(unrolled, jnp.zeros((STEPS, BATCH, *cell.input_shape)))

    def to_params(weights):
        if name.startswith("conv"):  # the places are not in the weights
            return interop.load(weights, cell)[1]
        loaded, params = interop.load(weights, split=name.endswith("split"))
        assert loaded == cell
        return params

    def run(weights, xs, carry):
        return unrolled.apply(weights, None, xs, carry)

    assert_parity(cell, to_params, weights, run)


@pytest.mark.usefixtures("promotion")
def test_a_deep_network():
    """In the order of names, whatever the order in the mapping is."""

    @hk.transform
    def network(symbols):
        layers = [hk.LSTM(4), jax.nn.relu, hk.LSTM(3), hk.GRU(2, name="own")]
        core = hk.DeepRNN([*layers, hk.Linear(2, with_bias=False)])
        embedded = hk.Embed(7, 3)(symbols)
        return hk.dynamic_unroll(core, embedded, core.initial_state(BATCH))[0]

    cell = Stack(
        (
            Embedding(7, 3),
            Dropout(0.5),
            Stack((LSTM(3, 4, recurrent_dropout=0.2), Activation("relu"), LSTM(4, 3))),
            GRU(3, 2, reset_after=False),
            Dense(2, 2, use_bias=False),
        )
    )
    symbols = inputs_of(cell, (STEPS, BATCH))
    weights = weights_of(network, symbols)
    assert list(jax.tree.map(jnp.shape, weights)) == sorted(weights)
    names = "embed", "lstm", "lstm_1", "own", "linear"
    loaded, params = interop.load(weights, cell, names=names)
    assert loaded == cell
    expected = network.apply(weights, None, symbols)
    np.testing.assert_allclose(unroll(cell, params, symbols)[1], expected, rtol=1e-11)
    found, _ = interop.load(weights, names=names)
    layers = Embedding(7, 3), LSTM(3, 4), LSTM(4, 3), GRU(3, 2, reset_after=False)
    assert found == Stack((*layers, Dense(2, 2, use_bias=False)))
    assert interop.load(weights, names="own")[0] == GRU(3, 2, reset_after=False)


def test_layers_of_one_kind_are_in_the_order_of_their_numbers():
    names = ["lstm", *(f"lstm_{number}" for number in range(1, 12))]
    sizes = list(itertools.pairwise([3, *range(1, 13)]))
    weights = {
        f"{name}/linear": {"w": np.ones((I + H, 4 * H)), "b": np.ones(4 * H)}
        for name, (I, H) in zip(names, sizes, strict=True)
    }
    cell, _ = interop.load(dict(sorted(weights.items())))
    assert cell == Stack(tuple(LSTM(*pair) for pair in sizes))


def test_skip_connections():
    cell = DenseSkip((LSTM(3, 4), GRU(7, 2, reset_after=False)))
    core = lambda: hk.deep_rnn_with_skip_connections([hk.LSTM(4), hk.GRU(2)])  # noqa: E731
    unrolled, xs = runner(core), inputs_of(cell, (STEPS, BATCH))
    weights = weights_of(unrolled, xs)
    _, params = interop.load(weights, cell)
    _, ys = unroll(cell, params, xs)
    np.testing.assert_allclose(ys, unrolled.apply(weights, None, xs)[1], rtol=1e-11)


GOES_OUT = [cell for _, cell in CORES.values()] + [
    LSTM(3, 5, use_bias=False),
    Stack((LSTM(3, 4), Dropout(0.5), LSTM(4, 5), Activation("relu"), Dense(5, 2))),
]


@pytest.mark.parametrize("index", by_default(range(len(GOES_OUT)), 1, 3, 5, 7, 8))
def test_out_and_in_again(index):
    cell = GOES_OUT[index]
    params = params_of(cell)
    weights = interop.dump(cell, params)
    if index == 7:
        _, same = interop.load(weights)
        np.testing.assert_array_equal(same.pop("bias"), 0)
    else:
        _, same = interop.load(weights, cell)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14)  # noqa: E731
    jax.tree.map(close, same, params)


def test_both_biases_of_a_given_cell_are_kept_too():
    cell = Stack((TwoBiases(RELU), Stack((TwoBiases(Elman(5, 4, "relu")), BEFORE_4))))
    weights = interop.dump(cell, params_of(cell))
    plain = Stack((RELU, Stack((Elman(5, 4, "relu"), BEFORE_4))))
    loaded, params = interop.load(weights, plain, split=True)
    assert loaded == cell
    jax.tree.map(np.testing.assert_array_equal, params, params_of(cell))
    assert interop.load(weights, plain)[0] == plain


def test_arrays_of_another_byte_order():
    weights = interop.dump(LSTM(3, 5), params_of(LSTM(3, 5)))
    other = jax.tree.map(lambda leaf: np.asarray(leaf).astype(">f8"), weights)
    same = np.testing.assert_array_equal
    jax.tree.map(same, interop.load(other)[1], interop.load(weights)[1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "params is a NoneType, expected a mapping: what"),
        ({"w": np.ones(3)}, "params.'w'. is a ndarray, expected a mapping of the arrays"),
        ({"gru": {"w_i": np.ones(3, int)}}, "'gru/w_i' has dtype int64, expected floats"),
    ],
)
def test_params_of_another_kind(params, message):
    with pytest.raises(TypeError, match=f"^interop.haiku.load: .*{message}"):
        interop.load(params)


def test_what_goes_out_haiku_takes():
    cell = Stack((LSTM(3, 4), LSTM(4, 5), TwoBiases(Elman(5, 3, "relu")), Dense(3, 2)))
    core = lambda: hk.DeepRNN(  # noqa: E731
        [hk.LSTM(4), hk.LSTM(5, name="mine"), hk.VanillaRNN(3), hk.Linear(2)]
    )
    params, xs = params_of(cell), inputs_of(cell, (STEPS, BATCH))
    names = "lstm", "mine", "vanilla_rnn", "linear"
    weights = interop.dump(cell, params, names=names)
    unrolled = runner(core)
    shapes = jax.eval_shape(unrolled.init, jax.random.key(0), xs)
    assert jax.tree.map(jnp.shape, weights) == jax.tree.map(jnp.shape, shapes)
    _, ys = unroll(cell, params, xs)
    np.testing.assert_allclose(ys, unrolled.apply(weights, None, xs)[1], rtol=1e-11)


LINEAR = {"w": np.ones((8, 20)), "b": np.ones(20)}
SIDES = {"conv1_dlstm/input_to_hidden": {}, "conv1_dlstm/hidden_to_hidden": {}}
BAD = {
    "order": ({"lstm/linear": LINEAR, "linear": LINEAR}, {}, "in no order; give names="),
    "scopes": ({"a/lstm/linear": LINEAR, "b/lstm/linear": LINEAR}, {}, "in no order"),
    "unknown": ({"norm": {"scale": np.ones(3)}}, {}, "'norm' is no module of a kind"),
    "missing": ({"linear": LINEAR}, {"names": "lstm"}, "'lstm' is no module of a kind"),
    "other": (
        {"encoder/linear": LINEAR},
        {"cell": LSTM(3, 5)},
        "hold .'encoder/linear'., and the layers of cell are called .'lstm'. by haiku",
    ),
    "no such": (
        {"encoder/linear": LINEAR},
        {"cell": LSTM(3, 5), "names": "decoder"},
        "'decoder' is no LSTM: of the modules .'decoder/linear'. the params hold {}",
    ),
    "count": (
        {"lstm/linear": LINEAR},
        {"cell": LSTM(3, 5), "names": ("lstm", "lstm_1")},
        "there are 2 names for LSTM.*expected 1",
    ),
    "sizes": (
        {"lstm/linear": LINEAR},
        {"cell": LSTM(4, 5)},
        r"params.'kernel'. has shape \(3, 20\), expected \(4, 20\)",
    ),
    "places": (SIDES, {}, "'conv1_dlstm' is a ConvLSTM, .*give cell=cells.ConvLSTM"),
    "reset": ({"gru": {}}, {"cell": GRU(3, 5)}, "reset_after is True .*has False alone"),
    "kind": ({}, {"cell": Bidirectional(LSTM(3, 5), RELU)}, "has no counterpart in hai"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_there(name):
    weights, options, message = BAD[name]
    with pytest.raises(ValueError, match=f"^interop.haiku.load: .*{message}") as caught:
        interop.load(weights, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (LSTM(3, 5, recurrent_dropout=0.5), r"recurrent_dropout is 0.5.*replace\(cell"),
        (Elman(3, 5), "activation is 'tanh'.*Elman of haiku has 'relu' alone"),
        (cells.ConvLSTM((4, 3), 2, strides=2), "strides is 2"),
        (cells.ConvLSTM((4, 3), 2, recurrent_kernel_size=1), "has one kernel_size"),
        (TwoBiases(LSTM(3, 5)), "TwoBiases.* has no counterpart in haiku"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_haiku_has_not(cell, message):
    with pytest.raises(ValueError, match=f"^interop.haiku.dump: .*{message}"):
        interop.dump(cell, params_of(cell))
