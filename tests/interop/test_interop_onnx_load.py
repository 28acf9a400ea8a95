"""Single nodes of ONNX, every attribute of them, against onnxruntime."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from onnx_models import node_model, onnx, run, weights

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Elman,
    LearnedCarry,
    LSTMCarry,
    Reversed,
    cells,
    unroll,
)
from jaxrnn.interop.onnx import (
    Affine,
    Clipped,
    Elu,
    HardSigmoid,
    LeakyRelu,
    OnnxLSTM,
    ScaledTanh,
    ThresholdedRelu,
    load,
)

I, H, T, B = 3, 5, 6, 4
LENGTHS = np.array([6, 2, 5, 1], "int32")
CLOSE = dict(rtol=1e-5, atol=1e-6)  # the runtime computes in float32


def as_ours(op, states):
    """Final or initial states [D, batch, H] as a carry: of each direction, or of one."""
    each = list(map(LSTMCarry, *states)) if op == "LSTM" else list(states[0])
    return tuple(each) if len(each) > 1 else each[0]


def wide(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, "float64"), tree)


def compare(op, constants, attributes, seed=0, lengths=True, carry=True):
    """Values and final states of a node, ours in float64 from the same weights."""
    rng = np.random.default_rng(seed)
    model = node_model(op, constants, attributes, lengths=lengths, carry=carry)
    cell, params = load(model)
    D = len(constants["W"])
    x = rng.normal(size=(T, B, constants["W"].shape[2])).astype("float32")
    inputs, start = {"X": x}, None
    if lengths:
        inputs["sequence_lens"] = LENGTHS
    if carry:
        states = rng.normal(size=(1 + (op == "LSTM"), D, B, H)).astype("float32")
        inputs |= dict(zip(("initial_h", "initial_c"), states, strict=False))
        start = wide(as_ours(op, list(states)))
    Y, *lasts = run(model, **inputs)
    own = LENGTHS if lengths else None
    final, ys = unroll(cell, wide(params), wide(x), start, lengths=own)
    expected = Y.transpose(0, 2, 1, 3).reshape(T, B, -1)
    np.testing.assert_allclose(ys, expected, **CLOSE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), final, as_ours(op, lasts)
    )
    return cell


BOTH = {"direction": "bidirectional"}
SIX = ["Sigmoid", "Tanh", "Softsign", "HardSigmoid", "Elu", "Relu"]
CASES = {
    "rnn": ("RNN", {}, Elman(I, H)),
    "rnn clip": ("RNN", {"clip": 0.5}, Elman(I, H, Clipped("tanh", 0.5))),
    "rnn reverse": ("RNN", {"direction": "reverse"}, Reversed(Elman(I, H))),
    "rnn both": (
        "RNN",
        BOTH | {"activations": ["Relu", "Sigmoid"]},
        Bidirectional(Elman(I, H, "relu"), Elman(I, H, "sigmoid")),
    ),
    "gru": ("GRU", {}, GRU(I, H, reset_after=False)),
    "gru linear": ("GRU", {"linear_before_reset": 1}, GRU(I, H)),
    "gru clip": (
        "GRU",
        {"clip": 0.7, "linear_before_reset": 1},
        GRU(
            I, H, activation=Clipped("tanh", 0.7), gate_activation=Clipped("sigmoid", 0.7)
        ),
    ),
    "gru reverse": (
        "GRU",
        {"direction": "reverse", "linear_before_reset": 1},
        Reversed(GRU(I, H)),
    ),
    "gru both": (
        "GRU",
        BOTH
        | {"activations": ["HardSigmoid", "Tanh", "Sigmoid", "ScaledTanh"]}
        | {"activation_alpha": [0.2, 1.7], "activation_beta": [0.5, 0.6]},
        Bidirectional(
            GRU(I, H, reset_after=False, gate_activation="onnx_hard_sigmoid"),
            GRU(I, H, reset_after=False, activation=ScaledTanh(1.7, 0.6)),
        ),
    ),
    "lstm": ("LSTM", {}, LSTM(I, H)),
    "lstm reverse": ("LSTM", {"direction": "reverse"}, Reversed(LSTM(I, H))),
    "lstm both": ("LSTM", BOTH, Bidirectional(LSTM(I, H), LSTM(I, H))),
    "lstm of two activations": (
        "LSTM",
        {"activations": ["HardSigmoid", "Softsign", "Softsign"]},
        LSTM(I, H, activation="soft_sign", gate_activation="onnx_hard_sigmoid"),
    ),
    "lstm of three activations": (
        "LSTM",
        {"activations": ["Sigmoid", "Tanh", "Softsign"]},
        OnnxLSTM(I, H, output_activation="soft_sign"),
    ),
    "lstm clip": (
        "LSTM",
        {"clip": 0.4},
        OnnxLSTM(
            I, H, activation=Clipped("tanh", 0.4), gate_activation=Clipped("sigmoid", 0.4)
        ),
    ),
    "lstm coupled": ("LSTM", {"input_forget": 1}, cells.CoupledLSTM(I, H)),
    "lstm coupled, of a gate that is not odd": (
        "LSTM",
        {"input_forget": 1, "activations": ["Softsign", "Tanh", "Tanh"]},
        OnnxLSTM(I, H, coupled=True, gate_activation="soft_sign"),
    ),
    "lstm of six activations": (
        "LSTM",
        BOTH | {"activations": SIX, "activation_alpha": [0.3, 0.9]},
        Bidirectional(
            OnnxLSTM(I, H, output_activation="soft_sign"),
            OnnxLSTM(
                I,
                H,
                gate_activation=HardSigmoid(0.3, 0.5),
                activation=Elu(0.9),
                output_activation="relu",
            ),
        ),
    ),
    "lstm peepholes": ("LSTM", {"P": True}, cells.PeepholeLSTM(I, H)),
    "lstm peepholes, coupled": (
        "LSTM",
        {"P": True, "input_forget": 1},
        OnnxLSTM(I, H, coupled=True, peepholes=True),
    ),
    "lstm peepholes, clip": (
        "LSTM",
        {"P": True, "clip": 0.4},
        OnnxLSTM(
            I,
            H,
            peepholes=True,
            activation=Clipped("tanh", 0.4),
            gate_activation=Clipped("sigmoid", 0.4),
        ),
    ),
}


def made(op, attributes, seed=0, **options):
    """Weights and attributes of a node; "P" stands for peepholes."""
    D = 2 if attributes.get("direction") == "bidirectional" else 1
    options["peepholes"] = attributes.get("P", False)
    rest = {name: value for name, value in attributes.items() if name != "P"}
    return weights(np.random.default_rng(seed), op, I, H, D, **options), rest


@pytest.mark.parametrize("name", CASES)
def test_an_attribute_is_honoured(name):
    op, attributes, expected = CASES[name]
    assert compare(op, *made(op, attributes)) == expected


FUNCTIONS = {
    "Relu": ("relu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "Softsign": ("soft_sign", {}),
    "Softplus": ("softplus", {}),
    "Affine": (Affine(0.4, -0.1), {"alpha": 0.4, "beta": -0.1}),
    "LeakyRelu": (LeakyRelu(0.3), {"alpha": 0.3}),
    "ThresholdedRelu": (ThresholdedRelu(0.3), {"alpha": 0.3}),
    "ScaledTanh": (ScaledTanh(1.2, 0.7), {"alpha": 1.2, "beta": 0.7}),
    "HardSigmoid": (HardSigmoid(0.4, 0.3), {"alpha": 0.4, "beta": 0.3}),
    "Elu": (Elu(0.6), {"alpha": 0.6}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_has_its_numbers(name):
    expected, numbers = FUNCTIONS[name]
    attributes = {"activations": [name]}
    attributes |= {f"activation_{label}": [value] for label, value in numbers.items()}
    cell = compare("RNN", *made("RNN", attributes), lengths=False, carry=False)
    assert cell == Elman(I, H, expected)
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert eval(repr(cell), vars(jaxrnn)) == cell
    assert hash(cell) == hash(Elman(I, H, expected))


def test_numbers_that_are_not_given_or_given_to_all():
    """Defaults, and a list with one for every activation that says the same."""
    names = ["Sigmoid", "LeakyRelu", "Elu", "HardSigmoid", "Tanh", "Tanh"]
    attributes = BOTH | {"activations": names}
    expected = Bidirectional(
        OnnxLSTM(I, H, activation="leaky_relu", output_activation="elu"),
        LSTM(I, H, gate_activation="onnx_hard_sigmoid"),
    )
    assert compare("LSTM", *made("LSTM", attributes)) == expected
    attributes["activation_beta"] = [0.3, 0.0, 0.0, 0.3, 0.0, 0.0]
    beta = HardSigmoid(0.2, 0.3)
    cell = compare("LSTM", *made("LSTM", attributes))
    assert cell == Bidirectional(expected.forward, LSTM(I, H, gate_activation=beta))


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_without_biases_lengths_and_initial_states(op):
    constants, attributes = made(op, {}, bias=False)
    cell = compare(op, constants, attributes, lengths=False, carry=False)
    assert not cell.use_bias


RNN = ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "ScaledTanh", "Softsign", "Elu", "Affine"]
ALL = [*RNN, "HardSigmoid", "Softplus", "ThresholdedRelu"]
SQUASHING = ["Sigmoid", "HardSigmoid", "Tanh", "Softsign"]


def drawn(seed):
    """A node with any of its attributes."""
    rng = np.random.default_rng(seed)
    op = ("RNN", "GRU", "LSTM")[seed % 3]
    attributes = {"direction": str(rng.choice(["forward", "reverse", "bidirectional"]))}
    D = 1 + (attributes["direction"] == "bidirectional")
    if rng.integers(2):
        gates = [] if op == "RNN" else SQUASHING
        each = [*[gates] * bool(gates), *[ALL] * (2 if op == "LSTM" else 1)]
        names = [str(rng.choice(kinds)) for kinds in D * each]
        attributes["activations"] = names
        for label, place in (("alpha", 0), ("beta", 1)):
            takers = [name for name in names if len(FUNCTIONS[name][1]) > place]
            values = [FUNCTIONS[name][1][label] for name in takers]
            if values:
                attributes[f"activation_{label}"] = values
    if rng.integers(2):
        attributes["clip"] = float(rng.choice([0.25, 0.5, 2.0]))
    if op == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if op == "LSTM":
        attributes["input_forget"] = int(rng.integers(2))
        attributes["P"] = bool(rng.integers(2))
    constants, attributes = made(op, attributes, seed, bias=bool(rng.integers(3)))
    return op, constants, attributes, rng.integers(2, size=2).astype(bool)


@pytest.mark.parametrize("seed", by_default(range(42), *range(6)))
def test_attributes_drawn_at_random(seed):
    op, constants, attributes, (lengths, carry) = drawn(seed)
    compare(op, constants, attributes, seed, bool(lengths), bool(carry))


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_layout_concerns_the_call_alone(op):
    constants, attributes = made(op, BOTH)
    first = load(node_model(op, constants, attributes, lengths=True, carry=True))
    batch_first = attributes | {"layout": 1}
    second = load(node_model(op, constants, batch_first, lengths=True, carry=True))
    assert first[0] == second[0]
    jax.tree.map(np.testing.assert_array_equal, first[1], second[1])


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_an_empty_sequence_keeps_its_carry_where_onnx_has_zeros(op):
    constants, attributes = made(op, {})
    model = node_model(op, constants, attributes, lengths=True, carry=True)
    cell, params = load(model)
    x, states = np.ones((T, 2, I), "float32"), np.ones((2, 1, 2, H), "float32")
    count = 1 + (op == "LSTM")
    names = ["initial_h", "initial_c"][:count]
    lengths = np.array([3, 0], "int32")
    given = dict(zip(names, states, strict=False))
    Y, *lasts = run(model, X=x, sequence_lens=lengths, **given)
    carry = as_ours(op, list(states[:count]))
    final, ys = unroll(cell, params, jnp.asarray(x), carry, lengths=lengths)
    for ours, last in zip(jax.tree.leaves(final), lasts, strict=True):
        np.testing.assert_allclose(ours[0], last[0, 0], **CLOSE)
        np.testing.assert_array_equal(ours[1], 1)
        np.testing.assert_array_equal(last[0, 1], 0)
    np.testing.assert_array_equal(ys[:, 1], Y[:, 0, 1])


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_constant_initial_states_are_a_learned_carry(op, direction):
    constants, attributes = made(op, {"direction": direction})
    rng, D = np.random.default_rng(1), len(constants["W"])
    row = rng.normal(size=(2, D, 1, H)).astype("float32")
    constants["initial_h"] = np.tile(row[0], (1, B, 1))
    if op == "LSTM":
        constants["initial_c"] = np.tile(row[1], (1, B, 1))
    model = node_model(op, constants, attributes)
    x = rng.normal(size=(T, B, I)).astype("float32")
    Y, *lasts = run(model, X=x)
    cell, params = load(model)
    assert type(cell) is LearnedCarry
    final, ys = unroll(cell, wide(params), wide(x))
    np.testing.assert_allclose(ys, Y.transpose(0, 2, 1, 3).reshape(T, B, -1), **CLOSE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), final, as_ours(op, lasts)
    )
    for name in {"initial_h", "initial_c"} & constants.keys():
        constants[name] = np.zeros_like(constants[name])
    assert load(node_model(op, constants, attributes))[0] == cell.cell


def test_a_model_may_be_a_file(tmp_path):
    model = node_model("GRU", *made("GRU", {}))
    onnx.save(model, tmp_path / "gru.onnx")
    for source in (tmp_path / "gru.onnx", str(tmp_path / "gru.onnx")):
        jax.tree.map(np.testing.assert_array_equal, load(source)[1], load(model)[1])


def refused(op, attributes, message, change=None):
    constants, attributes = made(op, attributes)
    if change is not None:
        change(constants)
    model = node_model(op, constants, attributes)
    with pytest.raises(ValueError, match=message) as error:
        load(model)
    assert str(error.value).startswith(f"interop.onnx.load: {op} node 'rnn': ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        (
            "RNN",
            {"activations": ["Gelu"]},
            "activations has 'Gelu', expected one of Relu",
        ),
        (
            "RNN",
            {"activations": ["Affine"]},
            "Affine has no alpha, for which runtimes",
        ),
        ("GRU", {"activations": ["Tanh"]}, "activations is Tanh, expected 2 of them"),
        ("GRU", {"direction": "both"}, "direction is 'both', expected one of 'forward'"),
        (
            "GRU",
            {"hidden_size": 4},
            r"hidden_size is 4, but R has the shape \(1, 15, 5\)",
        ),
        ("LSTM", {"clip": 0.0}, "clip is 0.0, expected a positive number"),
        (
            "LSTM",
            {
                "activations": ["Sigmoid", "LeakyRelu", "Tanh"],
                "activation_alpha": [0.1, 0.2, 0.3],
            },
            "activation_alpha has 3 values, but 1 of the activations Sigmoid, LeakyRelu, "
            "Tanh take one, expected as many",
        ),
    ],
)
def test_an_attribute_that_is_none_is_refused(op, attributes, message):
    refused(op, attributes, message)


@pytest.mark.parametrize(
    ("name", "shape"), [("B", (1, 4)), ("P", (1, 4)), ("R", (1, 20, 4)), ("W", (1, 3, 3))]
)
def test_weights_of_other_shapes_are_refused(name, shape):
    def change(constants):
        constants[name] = np.ones(shape, "float32")

    refused("LSTM", {"P": True}, rf"{name} has the shape|hidden_size|W has", change)


def test_an_initial_state_of_each_example_is_refused():
    def change(constants):
        constants["initial_h"] = np.arange(10, dtype="float32").reshape(1, 2, 5)

    refused("GRU", {}, "initial_h is a constant of each example, .* as carry=", change)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"source is of type int, expected an onnx\.Mo"):
        load(5)
