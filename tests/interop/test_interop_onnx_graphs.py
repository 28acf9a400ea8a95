"""Whole graphs of ONNX, as exporters write them, against onnxruntime."""

import contextlib
import io
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from onnx_models import model_of, onnx, run, weights
from peer import peer

from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Elman,
    Embedding,
    LSTMCarry,
    Residual,
    Reversed,
    Stack,
    last,
    unroll,
)
from jaxrnn.interop.onnx import load

CLOSE = dict(rtol=1e-5, atol=1e-6)
T, B, V = 6, 3, 11
LENGTHS = np.array([6, 2, 5], "int32")
X = {"X": ["T", "batch", 3]}
YS = {"ys": 3}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype("float32")


def gru(name, I, H, D=1, seed=0):
    """The constants of a node, and the names of its inputs but X."""
    made = weights(np.random.default_rng(seed), "GRU", I, H, D)
    given = ",".join(f"{name}{letter}" for letter in "WRB")
    return {f"{name}{letter}": array for letter, array in made.items()}, given


def agree(model, expected, *, batch_first=False, features=3, lengths=None, **options):
    """Load a model of one input X, and compare values."""
    cell, params = load(model)
    assert cell == expected
    x = normal(T, B, features, seed=9)
    given = {} if lengths is None else {"sequence_lens": lengths}
    Y = run(model, X=x.swapaxes(0, 1) if batch_first else x, **given)[0]
    _, ys = unroll(cell, params, jnp.asarray(x), lengths=lengths)
    if options.get("last"):
        ys = last(ys, jnp.full(B, T) if lengths is None else lengths)
    elif batch_first:
        Y = Y.swapaxes(0, 1)
    np.testing.assert_allclose(ys, Y.reshape(ys.shape), **CLOSE)
    return params


# Models of exporters.


def exported(model, x, **options):
    torch = peer("torch")
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        given = (torch.as_tensor(x),)
        if options["dynamo"]:
            peer("onnxscript")
            program = torch.onnx.export(model.eval(), given, input_names=["X"], **options)
            return program.model_proto
        torch.onnx.export(model.eval(), given, file, input_names=["X"], **options)
    return onnx.load_model_from_string(file.getvalue())


def tagger(torch):
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(V, 4)
            self.rnn = torch.nn.LSTM(
                4, 5, 2, bidirectional=True, batch_first=True, dropout=0.3
            )
            self.read = torch.nn.Linear(10, 2)

        def forward(self, symbols):
            return self.read(self.rnn(self.embed(symbols))[0])

    torch.manual_seed(0)
    return Tagger()


both = lambda I: Bidirectional(LSTM(I, 5), LSTM(I, 5))  # noqa: E731
TAGGER = Stack((Embedding(V, 4), both(4), both(10), Dense(10, 2)))
DYNAMIC = {"dynamic_axes": {"X": {0: "batch", 1: "T"}}, "dynamo": False}
WAYS = {"dynamic": DYNAMIC, "fixed": {"dynamo": False}, "dynamo": {"dynamo": True}}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", by_default(WAYS, "dynamic"))
def test_a_tagger_of_torch(way):
    torch = peer("torch")
    model = tagger(torch)
    symbols = np.random.default_rng(0).integers(0, V, (B, T))
    proto = exported(model, symbols, **WAYS[way])
    cell, params = load(proto)
    assert cell == TAGGER
    xs = jnp.asarray(symbols.T)
    _, ys = unroll(cell, params, xs)
    np.testing.assert_allclose(ys.swapaxes(0, 1), run(proto, X=symbols)[0], **CLOSE)

    # Gradients, against those of the model itself at the same loss.
    out = model.double()(torch.as_tensor(symbols))
    weight = normal(*out.shape, seed=1)
    (out * torch.as_tensor(weight)).sum().backward()
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float64"), params)

    def loss(params):
        ys = unroll(cell, params, xs)[1]
        return jnp.sum(ys * jnp.asarray(weight, "float64").swapaxes(0, 1))

    gradient = jax.grad(loss)(wide)
    pairs = [
        (gradient[0]["embedding"], model.embed.weight.grad),
        (gradient[1][1]["kernel"][:, :10], model.rnn.weight_ih_l0_reverse.grad.T[:, :10]),
        (gradient[2][0]["recurrent_kernel"], model.rnn.weight_hh_l1.grad.T),
        (gradient[3]["bias"], model.read.bias.grad),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)  # b: summed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", by_default(WAYS, "fixed"))
def test_a_classifier_of_torch_that_reads_the_last_step(way):
    torch = peer("torch")

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch.nn.GRU(3, 5, 2)
            self.read = torch.nn.Linear(5, 2)

        def forward(self, x):
            ys, h = self.rnn(x)
            return torch.relu(self.read(ys[-1])), h

    torch.manual_seed(0)
    options = dict(WAYS[way])
    if "dynamic_axes" in options:
        options["dynamic_axes"] = {"X": {0: "T", 1: "batch"}}
    x = normal(T, B, 3, seed=9)
    proto = exported(Classifier(), x, **options)
    layers = GRU(3, 5), GRU(5, 5), Dense(5, 2), Activation("relu")
    agree(proto, Stack(layers), last=True)


def test_a_bidirectional_layer_as_tf2onnx_writes_it():
    """The directions cut apart and joined; a product with T and batch as one axis."""
    constants = {
        **weights(np.random.default_rng(0), "LSTM", 3, 5, 2),
        "one": np.array([1]),
        "two": np.array([2]),
        "zero": np.array([0]),
        "units": np.array([5]),
        "directions": np.array([2]),
        "nothing": np.zeros((), "float32"),
        "free": np.array([0, 1]),
        "back": np.array([2]),
        "kernel": normal(10, 2),
        "bias": normal(2, seed=1),
    }
    axes = {"axes": [0], "keepdims": 0}
    nodes = [
        ("Transpose", "X", "x", {"perm": [1, 0, 2]}),
        ("Shape", "X", "shape"),
        ("Slice", "shape,zero,one,zero", "batch"),
        ("Concat", "batch,units", "size", {"axis": 0}),
        ("Expand", "nothing,size", "start"),
        ("Unsqueeze", "start,zero", "starts"),
        ("Concat", "starts,starts", "initial", {"axis": 0}),
        (
            "LSTM",
            "x,W,R,B,,initial,initial",
            "Y,,",
            {"direction": "bidirectional", "hidden_size": 5},
        ),
        ("Slice", "Y,zero,one,one", "forward"),
        ("Slice", "Y,one,two,one", "backward"),
        ("Squeeze", "forward,one", "f"),
        ("Squeeze", "backward,one", "b"),
        ("Concat", "f,b", "joined", {"axis": 2}),
        ("Transpose", "joined", "batch_first", {"perm": [1, 0, 2]}),
        ("Shape", "batch_first", "sizes"),
        ("Gather", "sizes,free", "leading"),
        ("ReduceProd", "leading", "rows", axes),
        ("Unsqueeze", "rows,zero", "row"),
        ("Gather", "sizes,back", "features"),
        ("Concat", "row,features", "flat_shape", {"axis": 0}),
        ("Reshape", "batch_first,flat_shape", "flat"),
        ("MatMul", "flat,kernel", "product"),
        ("Concat", "leading,directions", "whole_shape", {"axis": 0}),
        ("Reshape", "product,whole_shape", "whole"),
        ("Add", "whole,bias", "ys"),
    ]
    nodes = [
        (*node[:2], node[2].strip(","), *node[3:]) if node[0] == "LSTM" else node
        for node in nodes
    ]
    model = model_of(nodes, {"X": ["batch", "T", 3]}, YS, constants, opset=15)
    cell = Stack((Bidirectional(LSTM(3, 5), LSTM(3, 5)), Dense(10, 2)))
    agree(model, cell, batch_first=True)


# What stands between nodes.


def after(constants, nodes, *, given="WRB", I=3, H=4, D=1, opset=20, **options):
    """A model of a GRU over X, whose output is Y, and more nodes that make ys."""
    own, names = gru("", I, H, D)
    attributes = {"hidden_size": H, **options.pop("attributes", {})}
    first = "GRU", f"{options.pop('x', 'X')},{names}", "Y,Y_h", attributes
    outputs = options.pop("outputs", YS)
    nodes = [*options.pop("before", []), first, *nodes]
    inputs = options.pop("inputs", X)
    return model_of(nodes, inputs, outputs, own | constants, opset)


BEFORE = GRU(3, 4, reset_after=False)
ONE = {"one": np.array([1])}
FLAT = [("Squeeze", "Y,one", "y")]
ALONG = [("Transpose", "Y", "y2", {"perm": [0, 2, 1, 3]}), ("Reshape", "y2,shape", "y")]
SHAPE = {"shape": np.array([0, 0, -1])}


def stacked(*cells):
    return Stack((BEFORE, *cells))


def test_layers_without_memory():
    constants = {**ONE, "W": normal(4, 2), "b": normal(2), "W2": normal(2, 3)}
    constants = {f"d{name}": array for name, array in constants.items()}
    nodes = [
        ("Squeeze", "Y,done", "y"),
        ("MatMul", "y,dW", "p"),
        ("Add", "db,p", "q"),
        ("LeakyRelu", "q", "r", {"alpha": 0.3}),
        ("Identity", "r", "s"),
        ("Dropout", "s", "t"),
        ("MatMul", "t,dW2", "u"),
        ("Cast", "u", "v", {"to": 11}),
        ("Cast", "v", "w", {"to": 1}),
        ("LogSoftmax", "w", "ys", {"axis": 2}),
    ]
    from jaxrnn.interop.onnx import LeakyRelu

    layers = (
        Dense(4, 2),
        Activation(LeakyRelu(0.3)),
        Dense(2, 3, use_bias=False),
        Activation("log_softmax"),
    )
    agree(after(constants, nodes), stacked(*layers))


def test_nonlinearities_between_layers():
    from jaxrnn.interop.onnx import HardSigmoid, ThresholdedRelu

    ops = ["Tanh", "Softplus", "Elu", "ThresholdedRelu", "HardSigmoid", "Softsign"]
    edges = ["y", *(f"a{index}" for index in range(len(ops) - 1)), "ys"]
    options = {"HardSigmoid": {"alpha": 0.3}, "ThresholdedRelu": {"alpha": 0.1}}
    nodes = [
        (op, *edges[index : index + 2], options.get(op, {}))
        for index, op in enumerate(ops)
    ]
    functions = ["tanh", "softplus", "elu", ThresholdedRelu(0.1), HardSigmoid(0.3, 0.5)]
    layers = map(Activation, [*functions, "soft_sign"])
    agree(after(ONE, [*FLAT, *nodes]), stacked(*layers))


def test_gemm_with_its_factors_on_the_last_state():
    constants = {"K": normal(2, 4), "C": normal(2), "zero": np.array([0])}
    attributes = {"alpha": 0.5, "beta": 2.0, "transB": 1}
    nodes = [("Squeeze", "Y_h,zero", "h"), ("Gemm", "h,K,C", "ys", attributes)]
    model = after(constants, nodes, outputs={"ys": 2})
    params = agree(model, stacked(Dense(4, 2)), last=True)
    np.testing.assert_allclose(params[1]["bias"], 2 * constants["C"])


@pytest.mark.parametrize("cut", ["Slice", "Gather"])
def test_the_last_step_cut_out(cut):
    constants = {**ONE, "K": normal(4, 2), "minus": np.array([-1])}
    constants |= {
        "zero": np.array([0]),
        "far": np.array([2**63 - 1]),
        "end": np.array(-1),
    }
    nodes = [*FLAT, ("Gather", "y,end", "h", {"axis": 0}), ("MatMul", "h,K", "ys")]
    if cut == "Slice":
        nodes[1:2] = [("Slice", "y,minus,far,zero", "h1"), ("Squeeze", "h1,zero", "h")]
    model = after(constants, nodes, outputs={"ys": 2})
    agree(model, stacked(Dense(4, 2, use_bias=False)), last=True)


def test_two_directions_joined_summed_and_of_two_nodes():
    cell = Bidirectional(BEFORE, BEFORE)
    way = {"attributes": {"direction": "bidirectional"}, "D": 2}
    joined = after(SHAPE, [*ALONG, ("Identity", "y", "ys")], **way)
    agree(joined, cell)

    from operator import add

    summed = after(ONE, [("ReduceSum", "Y,one", "ys", {"keepdims": 0})], **way)
    agree(summed, Bidirectional(BEFORE, BEFORE, add))

    own, names = gru("r", 3, 2, seed=1)
    reverse = {"hidden_size": 2, "direction": "reverse", "linear_before_reset": 1}
    nodes = [("GRU", f"X,{names}", "Y2", reverse), *FLAT, ("Squeeze", "Y2,one", "y2")]
    two = after(ONE | own, [*nodes, ("Concat", "y,y2", "ys", {"axis": -1})])
    agree(two, Bidirectional(BEFORE, GRU(3, 2)))
    back = after(ONE | own, [*nodes, ("Concat", "y2,y", "ys", {"axis": -1})])
    agree(back, Bidirectional(Reversed(GRU(3, 2)), Reversed(BEFORE)))


def test_a_reverse_node_between_forward_ones_with_lengths():
    own, names = gru("r", 4, 2, seed=1)
    more, others = gru("f", 2, 3, seed=2)
    reverse = {"hidden_size": 2, "direction": "reverse"}
    nodes = [
        *FLAT,
        ("GRU", f"y,{names},sequence_lens", "Y2", reverse),
        ("Squeeze", "Y2,one", "y2"),
        ("GRU", f"y2,{others},sequence_lens", "Y3", {"hidden_size": 3}),
        ("Squeeze", "Y3,one", "ys"),
    ]
    first, given = gru("", 3, 4)
    nodes = [("GRU", f"X,{given},sequence_lens", "Y", {"hidden_size": 4}), *nodes]
    inputs = X | {"sequence_lens": ["batch"]}
    model = model_of(nodes, inputs, YS, ONE | first | own | more)
    before = {"reset_after": False}
    cells = Reversed(GRU(4, 2, **before)), GRU(2, 3, **before)
    agree(model, stacked(*cells), lengths=LENGTHS)


def test_a_sum_of_two_sequences_is_residual():
    own, names = gru("r", 4, 4, seed=1)
    nodes = [*FLAT, ("GRU", f"y,{names}", "Y2", {"hidden_size": 4})]
    nodes += [("Squeeze", "Y2,one", "y2"), ("Add", "y2,y", "ys")]
    inner = GRU(4, 4, reset_after=False)
    agree(after(ONE | own, nodes), stacked(Residual(inner)))


@pytest.mark.parametrize("fixed", [(1, 3), (6, 1), (1, 1)])
def test_fixed_sizes_of_one(fixed):
    steps, batch = fixed
    inputs = {"X": [batch, steps, 3]}
    nodes = [("Reshape", "Y,shape", "flat"), ("MatMul", "flat,K", "ys")]
    constants = {"K": normal(4, 2), "shape": np.array([steps, batch, 4])}
    before = [("Transpose", "X", "x", {"perm": [1, 0, 2]})]
    model = after(constants, nodes, inputs=inputs, before=before, x="x")
    cell, params = load(model)
    x = normal(steps, batch, 3)
    _, ys = unroll(cell, params, jnp.asarray(x))
    np.testing.assert_allclose(ys, run(model, X=x.swapaxes(0, 1))[0], **CLOSE)


def test_a_sequence_without_a_batch():
    before = [("Unsqueeze", "X,one", "x")]
    nodes = [*FLAT, ("Squeeze", "y,one", "ys")]
    options = {"before": before, "x": "x", "inputs": {"X": ["T", 3]}}
    model = after(ONE, nodes, outputs={"ys": 2}, **options)
    cell, params = load(model)
    x = normal(T, 3)
    _, ys = unroll(cell, params, jnp.asarray(x))
    np.testing.assert_allclose(ys, run(model, X=x)[0], **CLOSE)


def test_initial_states_that_are_inputs_are_the_callers():
    """One input for all layers, cut into its parts, as torch has it."""
    own, names = gru("r", 4, 4, seed=1)
    first, given = gru("", 3, 4)
    nodes = [
        ("Split", "h0", "a,b", {"axis": 0, "num_outputs": 2}),
        ("GRU", f"X,{given},,a", "Y,Y_h", {"hidden_size": 4}),
        *FLAT,
        ("GRU", f"y,{names},,b", "Y2,Y_h2", {"hidden_size": 4}),
        ("Squeeze", "Y2,one", "ys"),
        ("Concat", "Y_h,Y_h2", "h", {"axis": 0}),
    ]
    inputs, outputs = X | {"h0": [2, "batch", 4]}, YS | {"h": 3}
    model = model_of(nodes, inputs, outputs, ONE | own | first)
    cell, params = load(model)
    x, h0 = normal(T, B, 3), normal(2, B, 4, seed=1)
    ys, h = run(model, X=x, h0=h0)
    carry, ours = unroll(cell, params, jnp.asarray(x), tuple(h0))
    np.testing.assert_allclose(ours, ys, **CLOSE)
    np.testing.assert_allclose(jnp.stack(carry), h, **CLOSE)


# One node of several.


def encoder_and_decoder():
    """A decoder that begins with what an encoder leaves: no chain."""
    own, names = gru("r", 3, 4, seed=1)
    nodes = [("GRU", f"Z,{names},,Y_h", "Y2", {"hidden_size": 4, "name": "decoder"})]
    nodes += [("Squeeze", "Y2,one", "ys")]
    inputs = X | {"Z": ["T2", "batch", 3]}
    return after(ONE | own, nodes, inputs=inputs, attributes={"name": "encoder"})


def test_single_nodes_of_a_model():
    model = encoder_and_decoder()
    x, z = normal(T, B, 3), normal(4, B, 3, seed=1)
    ys = run(model, X=x, Z=z)[0]
    encoder, decoder = load(model, node="encoder"), load(model, node="decoder")
    assert encoder[0] == decoder[0] == BEFORE
    h, _ = unroll(*encoder, jnp.asarray(x))
    np.testing.assert_allclose(unroll(*decoder, jnp.asarray(z), h)[1], ys, **CLOSE)
    with pytest.raises(
        ValueError, match="node is 'other', expected one of 'encoder', 'd"
    ):
        load(model, node="other")


# What is refused.


def plain(*nodes, constants=None, **options):
    return after(ONE | (constants or {}), [*FLAT, *nodes], **options)


def reading_time_as_batch():
    own, names = gru("r", 4, 2, seed=1)
    turned = ("Transpose", "y", "z", {"perm": [1, 0, 2]})
    second = ("GRU", f"z,{names}", "Y2", {"hidden_size": 2})
    return plain(turned, second, ("Squeeze", "Y2,one", "ys"), constants=own)


def without_lengths():
    own, names = gru("r", 4, 2, seed=1)
    first, given = gru("", 3, 4)
    nodes = [("GRU", f"X,{given},sequence_lens", "Y", {"hidden_size": 4}), *FLAT]
    nodes += [("GRU", f"y,{names}", "Y2", {"hidden_size": 2})]
    nodes += [("Squeeze", "Y2,one", "ys")]
    inputs = X | {"sequence_lens": ["batch"]}
    return model_of(nodes, inputs, YS, ONE | own | first)


def of_two_sequences():
    own, names = gru("r", 4, 2, seed=1)
    second = ("GRU", f"y,{names}", "Y2", {"hidden_size": 2})
    nodes = second, ("Squeeze", "Y2,one", "ys"), ("Identity", "y", "ys2")
    return plain(*nodes, constants=own, outputs=YS | {"ys2": 3})


def interleaved():
    """The features of two directions by turns."""
    nodes = [("Transpose", "Y", "y2", {"perm": [0, 2, 3, 1]}), ("Reshape", "y2,s", "ys")]
    way = {"attributes": {"direction": "bidirectional"}, "D": 2}
    return after({"s": np.array([0, 0, -1])}, nodes, **way)


def both_last_states():
    constants = {"s": np.array([0, -1]), "K": normal(8, 2)}
    nodes = [("Transpose", "Y_h", "h", {"perm": [1, 0, 2]}), ("Reshape", "h,s", "h2")]
    nodes += [("MatMul", "h2,K", "ys")]
    way = {"attributes": {"direction": "bidirectional"}, "D": 2, "outputs": {"ys": 2}}
    return after(constants, nodes, **way)


K = {"K": normal(4, 4), "b": normal(4)}
REFUSED = {
    "an operator": (
        lambda: plain(("Erf", "y", "ys", {"name": "erf"})),
        "Erf node 'erf': there is no cell for it; take single nodes",
    ),
    "a factor": (
        lambda: plain(("Mul", "y,b", "ys"), constants=K),
        "Mul node 'ys': there is no cell for it",
    ),
    "a bias of nothing": (
        lambda: plain(("Add", "y,b", "ys"), constants=K),
        "Add node 'ys': a constant is added to what is no MatMul",
    ),
    "a softmax over time": (
        lambda: plain(("Softmax", "y", "ys", {"axis": 0})),
        "Softmax node 'ys': axis is 0, expected that of the features",
    ),
    "half precision": (
        lambda: plain(("Cast", "y", "h", {"to": 10}), ("Cast", "h", "ys", {"to": 1})),
        "Cast node 'h': a cast to the type 10 changes numbers",
    ),
    "an inner step": (
        lambda: plain(("Gather", "y,two", "ys"), constants={"two": np.array(2)}),
        "Gather node 'ys': of a sequence only the last step can be chosen",
    ),
    "time as batch": (
        reading_time_as_batch,
        "time and batch are other axes than those of",
    ),
    "lengths of some": (
        without_lengths,
        "the lengths are T, and of the nodes before seq",
    ),
    "two sequences": (of_two_sequences, "the output 'ys2' is another sequence than that"),
    "disorder": (interleaved, "the output 'ys' has its features in another order"),
    "both last states": (
        both_last_states,
        "MatMul node 'ys': it takes the final carry of the node 'Y', and a cell passes",
    ),
    "an encoder and a decoder": (
        encoder_and_decoder,
        "GRU node 'decoder': initial_h is made of other sequences",
    ),
    "product over time": (
        lambda: plain(
            ("Transpose", "y", "z", {"perm": [1, 2, 0]}),
            ("MatMul", "z,L", "ys"),
            constants={"L": normal(6, 2)},
        ),
        "MatMul node 'ys': the last axis is not that of the features",
    ),
    "no recurrence": (
        lambda: model_of([("Relu", "X", "ys")], X, YS, {}),
        "the model has no RNN, LSTM or GRU node",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        load(make())
    assert str(error.value).startswith("interop.onnx.load: ")
    assert "\n" not in str(error.value)


def test_weights_and_lengths_must_be_what_they_are_called():
    names = {"W": [1, 12, 3], "R": [1, 12, 4]}
    node = ("GRU", "X,W,R", "Y", {"hidden_size": 4})
    model = model_of([node, *FLAT, ("Identity", "y", "ys")], X | names, YS, ONE)
    with pytest.raises(ValueError, match="GRU node 'Y': W is no constant"):
        load(model)
    own, given = gru("", 3, 4)
    node = ("GRU", f"X,{given},lens", "Y", {"hidden_size": 4})
    constants = ONE | own | {"lens": np.array([1, 2, 3], "int32")}
    model = model_of([node, *FLAT, ("Identity", "y", "ys")], X, YS, constants)
    with pytest.raises(ValueError, match="the lengths are constants of the model"):
        load(model)


def test_an_lstm_has_both_states_of_its_carry_from_the_caller():
    own = weights(np.random.default_rng(0), "LSTM", 3, 4)
    inputs = X | {"h0": [1, "batch", 4], "c0": [1, "batch", 4]}
    node = ("LSTM", "X,W,R,B,,h0,c0", "Y,Y_h,Y_c", {"hidden_size": 4})
    outputs = {"Y": 4, "Y_h": 3, "Y_c": 3}
    model = model_of([node], inputs, outputs, own)
    x, h0, c0 = normal(T, B, 3), normal(1, B, 4, seed=1), normal(1, B, 4, seed=2)
    Y, Y_h, Y_c = run(model, X=x, h0=h0, c0=c0)
    carry, ys = unroll(*load(model), jnp.asarray(x), LSTMCarry(h0[0], c0[0]))
    for ours, theirs in ((ys, Y[:, 0]), (carry.h, Y_h[0]), (carry.c, Y_c[0])):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_older_opsets_have_their_axes_in_attributes():
    own = weights(np.random.default_rng(0), "RNN", 3, 4)
    nodes = [
        ("RNN", "X,W,R,B", "Y", {"hidden_size": 4}),
        ("Squeeze", "Y", "y", {"axes": [1]}),
        ("Unsqueeze", "y", "y4", {"axes": [0]}),
        ("Squeeze", "y4", "ys"),
    ]
    agree(model_of(nodes, X, YS, own, opset=11), Elman(3, 4))


def test_functions_of_a_model_are_looked_into():
    helper = onnx.helper
    body = [helper.make_node("Squeeze", ["a", "b"], ["c"])]
    opsets = [helper.make_opsetid("", 20)]
    model = after(ONE, [*FLAT, ("Identity", "y", "ys")])
    squeeze = model.graph.node[1]
    squeeze.op_type, squeeze.domain = "Alone", "own"
    function = helper.make_function("own", "Alone", ["a", "b"], ["c"], body, opsets)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    agree(model, BEFORE)
