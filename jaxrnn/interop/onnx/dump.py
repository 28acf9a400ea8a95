"""An ONNX model of a cell and its params."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arguments.checks import check_params
from ...arguments.dtypes import promoted
from ...arguments.numbers import is_whole
from ...cell import Cell, check_cell
from ...combinators import Stack
from ...sequence import unroll
from .graph import CALL, Graph, Place
from .nodes import sequence

DTYPES = "float32", "float64", "float16"
OLDEST = 14


def dump(cell: Cell, params: Any, *, dtype: Any = None, opset: int = OLDEST) -> Any:
    """An `onnx.ModelProto` that computes what `unroll` does, in evaluation.

    Its inputs, of which all but the first have a default:

        xs            [T, batch, I] floats, or [T, batch] symbols, int64
        lengths       [batch] int32; by default [-1], which stands for T
        carry_0_h     [batch, H], and so on: the initial carry, one input for each leaf;
                      by default [1, H], that of `cell.initial_carry(params)`

    and its outputs:

        ys            [T, batch, O], zeros past the lengths
        final_carry_0_h       [batch, H], and so on, in the order of `jax.tree.leaves`

    T and the batch are whatever a call has, so one model reads whole batches and goes on
    with a stream: give each final carry to the input of its name. Names have the layer's
    number in the `Stack` and say "forward" and "backward" inside of a `Bidirectional`;
    `weights` of the layer 0 begin with "layer_0/". The model keeps `repr(cell)` in its
    `metadata_props`, and has no noise.

    What becomes of a cell, at any depth:

        Elman, LSTM, GRU               RNN, LSTM, GRU, their activations with them
        cells.PeepholeLSTM             LSTM with P
        cells.CoupledLSTM              LSTM with input_forget: onnxruntime has f = 1 - i,
                                       so that gate i is that of -W_f, -U_f and -b_f
        interop.onnx.OnnxLSTM          LSTM, with any of its attributes
        interop.onnx.Clipped           clip, where all activations of a node have it
        TwoBiases                      both halves of B
        Bidirectional                  one node of two directions, or two; the merge is
                                       `concatenate` or `operator.add`
        Stack, DenseSkip, Residual     a chain, Concat, Add
        Reversed                       the direction reverse
        Dense, Embedding, Activation   MatMul and Add, Gather, a node such as Relu
        LearnedCarry                   the defaults of the carry's inputs
        Dropout, VariationalDropout, WeightDrop, ClipCarryGradient    nothing

    What differs. Of a symbol that is none `Embedding` makes NaN; Gather counts -V..-1
    from the end, and raises for others. onnxruntime computes RNN, LSTM and GRU in float32
    and float16 alone: a model of float64 is for other runtimes. It ends the process at a
    batch of none, and warns, once for each, that inputs with a default are not folded.
    onnx's own reference ignores lengths, activations and input_forget.

    Args:
        cell: of the cells above.
        params: those of the cell.
        dtype: that of xs, weights and outputs, "float32", "float64" or "float16"; by
            default that of the params.
        opset: the version of ONNX's operators, 14 or later.

    Raises:
        TypeError: if `cell` is no cell.
        ValueError: for a cell, or an option of one, that ONNX has no operator for, params
            that are not the cell's, a dtype or an opset that is none of these.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.onnx
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> model = jaxrnn.interop.onnx.dump(cell, params)
        >>> print([value.name for value in model.graph.input])
        ['xs', 'lengths', 'carry_0_h', 'carry_0_c']
        >>> print([value.name for value in model.graph.output])
        ['ys', 'final_carry_0_h', 'final_carry_0_c']
    """
    from onnx import checker

    check_cell(CALL, cell)
    params = check_params(CALL, cell, params)
    dtype, opset = _dtype(params, dtype), _opset(opset)
    params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype), params)
    whole = cell if isinstance(cell, Stack) else Stack((cell,))
    own = params if isinstance(cell, Stack) else (params,)
    graph = Graph(dtype)
    x = _prelude(graph, symbols=whole.input_shape == ())
    y = sequence(graph, whole, own, whole.initial_carry(own), x, Place())
    graph.node("Where", ["mask", y, "zero"], "ys")
    model = _model(graph, cell, _input_shape(cell), _output_shape(cell, params), opset)
    checker.check_model(model, full_check=True)
    return model


def _dtype(params: Any, dtype: Any) -> np.dtype:
    own = [leaf.dtype for leaf in jax.tree.leaves(params)]
    chosen = promoted(*own or ["float32"]) if dtype is None else jnp.dtype(dtype)
    if chosen.name not in DTYPES:
        what = "params have the dtype" if dtype is None else "dtype is"
        raise ValueError(
            f'{CALL}: {what} {chosen.name}, expected "float32", "float64" or "float16"; '
            'dtype="float32" makes a model of that'
        )
    return np.dtype(chosen)


def _opset(opset: Any) -> int:
    from onnx import defs

    newest = defs.onnx_opset_version()
    if not is_whole(opset) or not OLDEST <= opset <= newest:
        raise ValueError(
            f"{CALL}: opset is {opset!r}, expected one of {OLDEST} to {newest}, the "
            "newest that the installed onnx has"
        )
    return int(opset)


def _input_shape(cell: Cell) -> tuple[int, ...]:
    if cell.input_shape is ...:
        raise ValueError(
            f"{CALL}: {cell} takes an x of any shape, expected a cell with an "
            "input_shape: put it in a Stack with one"
        )
    return cell.input_shape


def _output_shape(cell: Cell, params: Any) -> tuple[int, ...]:
    """Of one y; what does not fit together is refused as `unroll` does."""
    shape = 1, 1, *_input_shape(cell)
    like = jax.tree.leaves(params)[0].dtype if len(shape) > 2 else "int32"
    xs = jax.ShapeDtypeStruct(shape, like)
    return jax.eval_shape(lambda xs: unroll(cell, params, xs)[1], xs).shape[2:]


def _prelude(graph: Graph, symbols: bool) -> str:
    """The values that all layers use; returns the name of xs with zeros past the lengths.

    So nothing there reaches anything, NaN and symbols that are none included.
    """
    graph.constants["zero"] = np.zeros((), graph.dtype)
    graph.constants["lengths"] = np.array([-1], "int32")
    number, node = graph.number, graph.node
    node("Shape", ["xs"], "shape")
    node("Gather", ["shape", number(1)], "batch", axis=0)
    node("Concat", ["batch", number(1)], "batch_by_1", axis=0)
    node("Gather", ["shape", number(0, scalar=True)], "T_int64", axis=0)
    node("Cast", ["T_int64"], "T", to=6)  # int32
    all_of_them = number(-1, dtype="int32", scalar=True)
    node("Equal", ["lengths", all_of_them], "is_whole")
    node("Where", ["is_whole", "T", "lengths"], "given_lengths")
    node("Expand", ["given_lengths", "batch"], "valid_lengths")
    zero, one = (number(value, dtype="int32", scalar=True) for value in (0, 1))
    node("Equal", ["valid_lengths", zero], "is_empty_flat")
    node("Unsqueeze", ["is_empty_flat", number(1)], "is_empty")
    node("Range", [zero, "T", one], "steps_flat")
    node("Unsqueeze", ["steps_flat", number(1)], "steps")
    node("Less", ["steps", "valid_lengths"], "mask_flat")
    node("Unsqueeze", ["mask_flat", number(2)], "mask")
    if symbols:
        nothing = number(0, scalar=True)
        return node("Where", ["mask_flat", "xs", nothing], "valid_xs")
    return node("Where", ["mask", "xs", "zero"], "valid_xs")


def _model(
    graph: Graph, cell: Cell, x: tuple[int, ...], y: tuple[int, ...], opset: int
) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    of = helper.np_dtype_to_tensor_dtype(graph.dtype)
    value = helper.make_tensor_value_info
    sizes = {name: default.shape[1] for name, default in graph.carry.items()}
    inputs = [
        value("xs", of if x else TensorProto.INT64, ["T", "batch", *x]),
        # Of other names than the batch, for a default has one row for all.
        value("lengths", TensorProto.INT32, ["batch_or_1"]),
        *(value(name, of, ["batch_or_1", size]) for name, size in sizes.items()),
    ]
    outputs = [
        value("ys", of, ["T", "batch", *y]),
        *(value(f"final_{name}", of, ["batch", size]) for name, size in sizes.items()),
    ]
    constants = graph.constants | graph.carry
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    version = sys.modules[__name__.partition(".")[0]].__version__
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "jaxrnn", inputs, outputs, weights),
        producer_name="jaxrnn",
        producer_version=version,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    helper.set_model_props(model, {"jaxrnn.cell": repr(cell), "jaxrnn.version": version})
    return model
