"""Models of ONNX by hand, and what onnxruntime makes of them."""

from peer import peer

onnx = peer("onnx")
runtime = peer("onnxruntime")

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OPSET = 20


def model_of(nodes, inputs, outputs, constants, opset=OPSET):
    """A model of nodes `(op, inputs, outputs, attributes)`, inputs and outputs by name.

    An input is its shape, with names for what is not known, integers where it is named
    after symbols or lengths; an output is its number of axes.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info

    def kind(name):
        integers = {"symbols": kinds.INT64, "sequence_lens": kinds.INT32}
        return integers.get(name, kinds.FLOAT)

    made = [
        helper.make_node(op, given.split(","), made.split(","), **dict(*attributes))
        for op, given, made, *attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "by hand",
        [value(name, kind(name), shape) for name, shape in inputs.items()],
        [value(name, kinds.FLOAT, [None] * ndim) for name, ndim in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    return model


def run(model, **inputs):
    """The outputs of a model."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, inputs)


def weights(rng, op, I, H, D=1, *, bias=True, peepholes=False):
    """Random constants of a recurrent node, by the names of its inputs."""
    rows = GATES[op] * H
    shapes = {"W": (D, rows, I), "R": (D, rows, H)}
    shapes |= {"B": (D, 2 * rows)} if bias else {}
    shapes |= {"P": (D, 3 * H)} if peepholes else {}
    return {
        name: rng.normal(0, 0.5, shape).astype("float32")
        for name, shape in shapes.items()
    }


def node_model(op, constants, attributes, *, lengths=False, carry=False):
    """A model of a single node, its name "rnn", with sequence_lens and initial states."""
    D, H = constants["R"].shape[0], constants["R"].shape[2]
    layout = attributes.get("layout", 0)
    two = ["batch", "T"] if layout else ["T", "batch"]
    inputs = {"X": [*two, constants["W"].shape[2]]}
    if lengths:
        inputs["sequence_lens"] = ["batch"]
    if carry:
        shape = ["batch", D, H] if layout else [D, "batch", H]
        inputs |= {"initial_h": shape} | ({"initial_c": shape} if op == "LSTM" else {})
    there = set(inputs) | set(constants)
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    names += ["initial_c", "P"] if op == "LSTM" else []
    given = ",".join(name if name in there else "" for name in names)
    outputs = {"Y": 4, "Y_h": 3} | ({"Y_c": 3} if op == "LSTM" else {})
    node = op, given, ",".join(outputs), {"hidden_size": H, **attributes, "name": "rnn"}
    return model_of([node], inputs, outputs, constants)
