"""Models that onnxruntime runs compute what `unroll` does."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from peer import peer
from zoo import ZOO, inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    ClipCarryGradient,
    Dense,
    DenseSkip,
    Dropout,
    Elman,
    Embedding,
    LearnedCarry,
    Residual,
    Reversed,
    Stack,
    TwoBiases,
    VariationalDropout,
    WeightDrop,
    Wrapper,
    Zoneout,
    cells,
    unroll,
)

onnx = peer("onnx")
reference = peer("onnx.reference")
onnxruntime = peer("onnxruntime")

from jaxrnn.interop.onnx import (  # noqa: E402
    Affine,
    Clipped,
    Elu,
    HardSigmoid,
    LeakyRelu,
    OnnxLSTM,
    ScaledTanh,
    ThresholdedRelu,
    dump,
    load,
)

HARD = Clipped(HardSigmoid(0.3, 0.4), 0.6)

CASES = {
    "elman": Elman(3, 5),
    "lstm": LSTM(3, 5, recurrent_dropout=0.4),
    "gru": GRU(3, 5),
    "gru_reset_before": GRU(3, 5, reset_after=False),
    "peephole": cells.PeepholeLSTM(3, 5),
    "coupled": cells.CoupledLSTM(3, 5),
    "no_bias": GRU(3, 5, use_bias=False),
    "hard": LSTM(3, 5, gate_activation="onnx_hard_sigmoid"),
    "peephole_of_others": cells.PeepholeLSTM(3, 5, gate_activation="hard_sigmoid"),
    "coupled_of_others": cells.CoupledLSTM(
        3, 5, activation="soft_sign", gate_activation="hard_sigmoid"
    ),
    "clipped_elman": Elman(3, 5, Clipped(Affine(0.5, 0.1), 0.3)),
    "clipped_gru": GRU(3, 5, activation=Clipped("tanh", 0.6), gate_activation=HARD),
    "clipped_gru_reset_before": GRU(
        3, 5, reset_after=False, activation=Clipped("elu", 0.6), gate_activation=HARD
    ),
    "onnx_lstm": OnnxLSTM(
        3, 5, activation=Clipped("relu", 0.6), gate_activation=HARD, peepholes=True
    ),
    "onnx_lstm_coupled": OnnxLSTM(
        3, 5, output_activation=ScaledTanh(1.5, 0.3), peepholes=True, coupled=True
    ),
    "onnx_lstm_coupled_blind": OnnxLSTM(3, 5, activation=Elu(0.4), coupled=True),
    "two_biases": TwoBiases(LSTM(3, 5)),
    "two_biases_gru": TwoBiases(GRU(3, 5)),
    "two_biases_gru_reset_before": TwoBiases(GRU(3, 5, reset_after=False)),
    "two_biases_coupled": TwoBiases(cells.CoupledLSTM(3, 5)),
    "two_biases_dense": Stack((GRU(3, 5), TwoBiases(Dense(5, 2)))),
    "learned": LearnedCarry(LSTM(3, 5)),
    "reversed": Stack(
        (Reversed(LSTM(3, 5)), Reversed(Bidirectional(GRU(5, 2), GRU(5, 2))))
    ),
    "both": Bidirectional(LSTM(3, 5), LSTM(3, 5)),
    "both_summed": Bidirectional(GRU(3, 5), LearnedCarry(GRU(3, 5)), operator.add),
    "both_of_two_kinds": Bidirectional(GRU(3, 5), LSTM(3, 4, use_bias=False)),
    "both_of_two_kinds_summed": Bidirectional(Elman(3, 5), LSTM(3, 5), operator.add),
    "both_of_two_functions": Bidirectional(
        LSTM(3, 5, activation=LeakyRelu(0.3)),
        LSTM(3, 5, gate_activation=HardSigmoid(0.1, 0.3), activation="elu"),
    ),
    "both_elman": Bidirectional(
        Elman(3, 5, ThresholdedRelu(0.2)), Elman(3, 5, LeakyRelu(0.3))
    ),
    "both_deep": Bidirectional(
        Bidirectional(GRU(3, 2), GRU(3, 2)),
        Stack((Bidirectional(GRU(3, 2), Elman(3, 2)), Dense(4, 3))),
    ),
    "dense_skip": DenseSkip((GRU(3, 2), Elman(5, 4))),
    "wrapped": ClipCarryGradient(Wrapper(WeightDrop(GRU(3, 4), 0.4))),
    "everything": Stack(
        (
            Embedding(7, 3),
            LearnedCarry(Bidirectional(LSTM(3, 2), LSTM(3, 2))),
            Dropout(0.4),
            Residual(Residual(GRU(4, 4))),
            VariationalDropout(0.4),
            Stack((Dense(4, 5), Activation("relu"), Dense(5, 4, use_bias=False))),
            Activation("log_softmax"),
        )
    ),
}
NAMES = (
    "tanh sigmoid relu identity hard_sigmoid onnx_hard_sigmoid leaky_relu elu softplus "
    "soft_sign"
).split()


def params_in(cell, dtype="float32"):
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), params_of(cell))


def wide(tree):
    """In float64, in which `unroll` makes no errors to speak of."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), tree)


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs with a default
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def carries(session):
    """The inputs that are leaves of the carry, in their order."""
    names = [one.name for one in session.get_overridable_initializers()]
    return [name for name in names if name != "lengths"]


def assert_close(got, expected, atol=1e-5):
    leaves = jax.tree.leaves(expected)
    assert len(got) == len(leaves)
    for one, leaf in zip(got, leaves, strict=True):
        assert one.shape == leaf.shape
        np.testing.assert_allclose(one, leaf, atol=atol, rtol=atol)


# A batch a line, with the lengths of its examples.
BATCHES = {6: [6, 0, 3], 1: [1], 0: [0, 0], 4: [4, 2]}


@pytest.mark.parametrize(
    "name", by_default(CASES, *"lstm gru elman peephole coupled everything".split())
)
def test_one_session_reads_any_batch(name):
    """What `unroll` gives for all examples at once, NaN past their lengths."""
    cell = CASES[name]
    params = params_in(cell)
    lengths = np.array([n for batch in BATCHES.values() for n in batch], "int32")
    xs = np.asarray(inputs_of(cell, (6, len(lengths))))
    padding = np.arange(6)[:, None] >= lengths
    if xs.ndim == 2:
        given = np.where(padding, 99, xs)
    else:
        xs = xs.astype("float32")
        given = np.where(padding[..., None], np.float32(np.nan), xs)
    exact = xs if xs.ndim == 2 else wide(xs)
    carry, ys = unroll(cell, wide(params), exact, lengths=lengths)
    session, start = session_of(dump(cell, params)), 0
    for T, batch in BATCHES.items():
        rows = slice(start, start := start + len(batch))
        out = session.run(None, {"xs": given[:T, rows], "lengths": lengths[rows]})
        final = jax.tree.map(lambda leaf: leaf[rows], carry)  # noqa: B023
        assert_close(out, (ys[:T, rows], final))


@pytest.mark.parametrize("field", ["activation", "gate_activation"])
@pytest.mark.parametrize("cell", [LSTM, GRU], ids=["lstm", "gru"])
@pytest.mark.slow
def test_gates_of_every_activation(cell, field):
    for name in NAMES:
        one = cell(3, 5, **{field: name})
        xs, params = np.asarray(inputs_of(one, (4, 2)), "float32"), params_in(one)
        carry, ys = unroll(one, wide(params), wide(xs))
        out = session_of(dump(one, params)).run(None, {"xs": xs})
        assert_close(out, (ys, carry), atol=3e-5)  # of gates without bounds too


@pytest.mark.parametrize("name", by_default([*NAMES, "selu", "celu", "softmax"], "elu"))
def test_layers_of_every_activation(name):
    """In the recurrence and behind it; a function of `jax.nn` is as its name."""
    recurrent = Elman(3, 5, name if name in NAMES else "tanh")
    function = jnp.tanh if name == "tanh" else getattr(jax.nn, name, None)
    between = Activation(function or name)
    cell = Stack((recurrent, Dense(5, 4), between))
    xs, params = np.asarray(inputs_of(cell, (4, 2)), "float32"), params_in(cell)
    carry, ys = unroll(cell, wide(params), wide(xs))
    assert_close(session_of(dump(cell, params)).run(None, {"xs": xs}), (ys, carry))


@pytest.mark.parametrize(
    "act",
    [HardSigmoid(0.3, 0.4), LeakyRelu(0.3), ThresholdedRelu(0.3), Elu(0.3)],
    ids=str,
)
def test_layers_of_activations_with_numbers(act):
    cell = Stack((GRU(3, 5), Dense(5, 4), Activation(act)))
    xs, params = np.asarray(inputs_of(cell, (4, 2)), "float32"), params_in(cell)
    carry, ys = unroll(cell, wide(params), wide(xs))
    model = dump(cell, params)
    assert_close(session_of(model).run(None, {"xs": xs}), (ys, carry))
    assert load(model)[0] == cell


def test_a_stream_goes_on_where_it_was():
    cell = Stack((LSTM(3, 4), LearnedCarry(GRU(4, 5)), Dense(5, 2)))
    params, lengths = params_in(cell), np.array([6, 2, 0], "int32")
    xs = np.asarray(inputs_of(cell, (6, 3)), "float32")
    session = session_of(dump(cell, params))
    whole = session.run(None, {"xs": xs, "lengths": lengths})
    carry, pieces = {}, []
    for start, stop in [(0, 2), (2, 3), (3, 6)]:
        rest = np.clip(lengths - start, 0, stop - start)
        feed = {"xs": xs[start:stop], "lengths": rest} | carry
        ys, *last = session.run(None, feed)
        carry = dict(zip(carries(session), last, strict=True))
        pieces.append(ys)
    np.testing.assert_allclose(np.concatenate(pieces), whole[0], atol=1e-6)
    assert_close(last, whole[1:], atol=1e-6)


def test_inputs_have_names_and_defaults():
    cell = Stack((Bidirectional(LSTM(3, 2), GRU(3, 2)), GRU(4, 5)))
    params = params_in(cell)
    model = dump(cell, params)
    session = session_of(model)
    names = "carry_0_forward_h carry_0_forward_c carry_0_backward_h carry_1_h".split()
    assert [one.name for one in session.get_inputs()] == ["xs"]
    assert carries(session) == names
    finals = [f"final_{name}" for name in names]
    assert [one.name for one in session.get_outputs()] == ["ys", *finals]
    xs = np.asarray(inputs_of(cell, (4, 2)), "float32")
    initial = cell.initial_carry(wide(params))
    given = jax.tree.map(jnp.asarray, random_like(initial, 5, (2,)))
    feed = dict(zip(names, map(np.float32, jax.tree.leaves(given)), strict=True))
    given = jax.tree.map(lambda leaf: leaf.astype("float32").astype(float), given)
    carry, ys = unroll(cell, wide(params), wide(xs), given)
    assert_close(session.run(None, {"xs": xs} | feed), (ys, carry))
    one = {names[0]: feed[names[0]][:1]}  # a row for all
    row = given[0][0]._replace(c=jnp.zeros((2, 2)), h=jnp.repeat(given[0][0].h[:1], 2, 0))
    start = (row, jnp.zeros((2, 2))), jnp.zeros((2, 5))
    carry, ys = unroll(cell, wide(params), wide(xs), start)
    assert_close(session.run(None, {"xs": xs} | one), (ys, carry))


def test_a_model_says_what_it_is():
    cell = Stack((LSTM(3, 4), Dense(4, 2)))
    model = dump(cell, params_in(cell))
    said = {one.key: one.value for one in model.metadata_props}
    assert said == {"jaxrnn.cell": repr(cell), "jaxrnn.version": jaxrnn.__version__}
    assert model.producer_name == "jaxrnn" and model.ir_version == 7
    weights = {one.name for one in model.graph.initializer}
    assert {"layer_0/kernel", "layer_0/recurrent_kernel", "layer_0/bias"} <= weights
    assert {"layer_1/kernel", "layer_1/bias"} <= weights
    assert len({one.name for one in model.graph.node}) == len(model.graph.node)
    sizes = [
        [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (model.graph.input[0], model.graph.output[0])
    ]
    assert sizes == [["T", "batch", 3], ["T", "batch", 2]]


@pytest.mark.parametrize("name", by_default(CASES, "everything"))
def test_every_shape_is_inferred(name):
    """By onnx, and as the model says."""
    model = dump(CASES[name], params_in(CASES[name]))
    inferred = onnx.shape_inference.infer_shapes(model, True, True, True)
    known = {one.name: one.type.tensor_type for one in inferred.graph.value_info}
    made = {name for node in model.graph.node for name in node.output}
    made -= {one.name for one in model.graph.output}
    assert made <= set(known)
    assert all(known[name].HasField("shape") for name in made)


@pytest.mark.parametrize("opset", by_default([14, 17, 21, 22], 22))
def test_later_operators(opset):
    cell = CASES["everything"]
    params = params_in(cell)
    xs, feed = inputs_of(cell, (4, 2)), np.array([4, 2], "int32")
    model = dump(cell, params, opset=opset)
    assert [one.version for one in model.opset_import] == [opset]
    carry, ys = unroll(cell, wide(params), xs, lengths=feed)
    out = session_of(model).run(None, {"xs": np.asarray(xs), "lengths": feed})
    assert_close(out, (ys, carry))


def test_float16():
    cell = Stack((Bidirectional(LSTM(3, 2), LSTM(3, 2)), GRU(4, 5), Dense(5, 2)))
    params = params_in(cell)
    xs, lengths = (
        np.asarray(inputs_of(cell, (4, 2)), "float16"),
        np.array([4, 2], "int32"),
    )
    carry, ys = unroll(cell, wide(params), wide(xs), lengths=lengths)
    session = session_of(dump(cell, params, dtype="float16"))
    out = session.run(None, {"xs": xs, "lengths": lengths})
    assert {one.dtype.name for one in out} == {"float16"}
    assert_close(out, (ys, carry), atol=2e-3)


@pytest.mark.parametrize("dtype", ["float64", np.float64, jnp.float64, None])
def test_float64_in_the_reference_implementation(dtype):
    """Which knows one direction, the usual activations, and no lengths."""
    lstms = LSTM(3, 4), cells.PeepholeLSTM(4, 5)
    cell = Stack(
        (*lstms, LearnedCarry(GRU(5, 4)), GRU(4, 4, reset_after=False), Dense(4, 2))
    )
    params, xs = params_in(cell, float), np.asarray(inputs_of(cell, (4, 2)))
    carry, ys = unroll(cell, wide(params), xs)
    model = dump(cell, params, dtype=dtype)
    out = reference.ReferenceEvaluator(model).run(None, {"xs": xs})
    assert {one.dtype.name for one in out} == {"float64"}
    assert_close(out, (ys, carry), atol=1e-12)


def test_dtypes_of_params():
    """The one that holds all of them, or the one that is asked for."""
    cell = GRU(3, 5)
    params = params_in(cell)
    mixed = params | {"bias": params["bias"].astype("float16")}
    bfloat16 = jax.tree.map(lambda leaf: jnp.asarray(leaf, "bfloat16"), params)
    for given, dtype in [(mixed, None), (bfloat16, "float32"), (params, "float32")]:
        model = dump(cell, given, dtype=dtype)
        weights = {one.name: one.data_type for one in model.graph.initializer}
        assert weights["layer_0/kernel"] == onnx.TensorProto.FLOAT
    with pytest.raises(ValueError, match=r"params have the dtype bfloat16.*float32"):
        dump(cell, bfloat16)
    with pytest.raises(ValueError, match=r"onnx\.dump: dtype is int32, expected"):
        dump(cell, params, dtype="int32")


# What comes back as it was.
EXACT = (
    "elman lstm gru gru_reset_before peephole coupled no_bias peephole_of_others learned "
    "clipped_elman clipped_gru onnx_lstm onnx_lstm_coupled both "
    "both_of_two_kinds both_of_two_kinds_summed both_of_two_functions both_elman"
).split()


@pytest.mark.parametrize("name", by_default(EXACT, "lstm", "both"))
def test_what_is_dumped_is_loaded(name):
    cell = CASES[name]
    if name == "lstm":
        cell = LSTM(3, 5)  # a model has no dropout
    params = params_in(cell)
    again, loaded = load(dump(cell, params))
    assert repr(again) == repr(cell)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_a_stack_is_loaded():
    own = Reversed(GRU(4, 4)), Residual(LSTM(4, 4)), Dense(4, 3), Activation("softmax")
    cell = Stack((Embedding(7, 4), *own))
    params = params_in(cell)
    again, loaded = load(dump(cell, params))
    assert again == cell
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def stacked(cell):
    return Stack((GRU(3, 3), cell))


def product(a, b):
    return a * b


REFUSED = {
    "projection": (LSTM(3, 5, projection_size=2), "projection_size"),
    "clip": (LSTM(3, 5, clip=2.0), "clip bounds what activations get"),
    "clip_of_what_is_shown": (
        LSTM(3, 5, activation=Clipped("tanh", 1.0), gate_activation=Clipped("relu", 1.0)),
        r"activation is interop\.onnx\.Clipped.*OnnxLSTM",
    ),
    "two_clips": (
        GRU(3, 5, activation=Clipped("tanh", 1.0)),
        "clip is one for gate_activation and activation",
    ),
    "activation": (Elman(3, 5, "gelu"), "activation is 'gelu', expected one .*'tanh'"),
    "gate_activation": (GRU(3, 5, gate_activation="silu"), "gate_activation is 'silu'"),
    "function": (Elman(3, 5, jnp.sin), "activation is .*sin"),
    "coupled": (cells.CoupledLSTM(3, 5, gate_activation="relu"), "act.-x. = 1 - act.x."),
    "elementwise": (Activation("gelu"), "no single node of ONNX is 'gelu', only"),
    "zoneout": (Zoneout(GRU(3, 5), 0.1), "Zoneout.*no operator"),
    "cell": (cells.MGU(3, 5), "MGU.*no operator"),
    "merge": (Bidirectional(GRU(3, 5), GRU(3, 5), product), "merge=.*product"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_does_not_have_is_refused(name):
    cell, message = REFUSED[name]
    whole = stacked(cell)
    with pytest.raises(
        ValueError, match=rf"^interop\.onnx\.dump: layer_1 is .*{message}"
    ):
        dump(whole, params_in(whole))


def test_a_refusal_says_where():
    inner = Bidirectional(GRU(3, 5), Stack((GRU(3, 4), cells.MGU(4, 5))))
    with pytest.raises(ValueError, match=r"layer_1/backward/1 is cells\.MGU"):
        dump(stacked(inner), params_in(stacked(inner)))


KNOWN = {Elman, LSTM, GRU, cells.PeepholeLSTM, cells.CoupledLSTM, Dense, Embedding, Stack}
KNOWN |= {DenseSkip, ClipCarryGradient, LearnedCarry, Wrapper, TwoBiases, WeightDrop}
KNOWN |= {Bidirectional, Reversed}


@pytest.mark.parametrize(
    "name",
    by_default([name for name in ZOO if type(ZOO[name]) not in KNOWN], "layer_norm_lstm"),
)
def test_other_cells_are_refused(name):
    """Above all those that derive from cells that ONNX has."""
    cell = ZOO[name]
    with pytest.raises(
        ValueError, match=r"interop\.onnx\.dump: layer_0 is .*no operator"
    ):
        dump(cell, params_of(cell))


class Doubled(GRU):
    def step(self, params, carry, drive):
        return 2 * super().step(params, carry, drive)


def test_cells_derived_from_one_that_is_known_are_refused():
    with pytest.raises(ValueError, match=r"Doubled.*no operator"):
        dump(Doubled(3, 5), params_in(GRU(3, 5)))


def test_what_is_no_model():
    cell = GRU(3, 5)
    params = params_in(cell)
    with pytest.raises(TypeError, match=r"interop\.onnx\.dump: cell is the class GRU"):
        dump(GRU, params)
    with pytest.raises(ValueError, match=r"interop\.onnx\.dump: params.*kernel"):
        dump(GRU(4, 5), params)
    for opset in (13, 999, 14.0):
        with pytest.raises(ValueError, match=rf"opset is {opset}, expected one of 14 to"):
            dump(cell, params, opset=opset)
    with pytest.raises(ValueError, match="takes an x of any shape"):
        dump(Stack((Activation("relu"),)), ((),))
    apart = Stack((cell, Dense(4, 2)))
    with pytest.raises(ValueError, match="Dense"):
        dump(apart, params_in(apart))
