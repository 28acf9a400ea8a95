"""Weights of keras, in and out."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arguments.checks import check_params
from ...cell import Cell
from .. import layers
from .cells import cell_of
from .chain import in_order
from .refusal import DUMP, LOAD
from .weights import arrays_of, from_keras, has_rows, leaves_of, params_of, shapes_of


def load(source: Any, cell: Cell | None = None, *, split: bool = False) -> layers.Layer:
    """A cell, and its params from weights of keras.

        SimpleRNN, LSTM, GRU, RNN(...)    Elman, LSTM, GRU; one for each stacked cell
        Bidirectional                     Bidirectional, with its merge_mode
        ConvLSTM1D, 2D, 3D                cells.ConvLSTM
        Dense, TimeDistributed(Dense)     Dense, and Activation(...) if it has one
        Embedding                         Embedding
        Dropout, SpatialDropout1D         Dropout, VariationalDropout
        dropout of a recurrent layer      VariationalDropout in front of its cell
        Sequential, functional models     a Stack, if the layers are a chain

    Blocks of gates are in our order, i, f, c, o, but those of the GRU are z, r, h. With
    reset_after its bias is [2, 3H], a row beside x W and a row beside h U: the two are
    added up, but for what stands inside the reset, which is recurrent_bias. keras has the
    batch first, `unroll` has time first: `jnp.swapaxes(xs, 0, 1)`.

    Some options are a matter of the call, not of the cell:

    * return_sequences: a cell shows every step. What keras shows without it is
      `jaxrnn.last(ys, lengths)`, or `ys[-1]`; a Dense behind is at every step, and at the
      last one it shows the same. A Bidirectional without it joins the last step of one
      direction with the first of the other: it is refused, but with `cell=` the final
      carries of both are what it shows.
    * Masks: for Embedding(mask_zero=True), `unroll(..., mask=tokens != 0)`, or lengths=.
      A masked step shows zeros; in keras it repeats the last output, unless
      zero_output_for_mask is set.
    * return_state, stateful: `unroll` takes a carry and gives one.
    * go_backwards is refused: with `cell=`, `unroll(..., reverse=True)` does it, and its
      outputs are in the order of the inputs, where those of keras are in the order read.

    Equal numbers are trained in other ways:

    * A GRU with reset_after has two biases for r and for z, so that a step of SGD moves
      their sum by twice as much as the folded one: `split=True` keeps both.
    * Adam's epsilon, 1e-7 by default, stands beside sqrt(v) before v is corrected. For
      optax that is an epsilon that falls from step to step:

          eps = lambda count: 1e-7 / jnp.sqrt(1 - 0.999 ** (count + 1))
          optax.inject_hyperparams(optax.adam)(learning_rate, eps=eps)

    * Regularizers, constraints and layers that are not trainable are not here.
    * keras draws kernels over all gates at once, and `init` of a cell gate by gate. With
      `kernel_init=initializers.PerKernel(jax.nn.initializers.glorot_uniform)` and
      `recurrent_init=initializers.PerKernel(jax.nn.initializers.orthogonal)` a cell
      begins as in keras.

    "hard_sigmoid" was x / 5 + 1 / 2 in keras 2, and is x / 6 + 1 / 2 in keras 3, which
    reads old files as its own: for them give `cell=` with
    gate_activation="onnx_hard_sigmoid".

    Args:
        source: a built layer or model, the path of a file for `keras.saving.load_model`,
            or the list of arrays that `get_weights()` gives, which needs no keras.
        cell: what the weights are for, whatever the options of the source; None: as the
            source says.
        split: a GRU with reset_after becomes `TwoBiases(GRU)`, and is trained as in keras
            step for step.

    Returns:
        The cell and its params.

    Raises:
        TypeError: for another source, or a cell that is none.
        ValueError: for a layer or an option that no cell can express, which is named; for
            arrays without a cell, or of other shapes than the cell's.

    Example:
        >>> import jax.numpy as jnp, jaxrnn, jaxrnn.interop.keras
        >>> arrays = [jnp.ones((3, 15)), jnp.ones((5, 15)), jnp.ones((2, 15))]  # of a GRU
        >>> cell, params = jaxrnn.interop.keras.load(arrays, jaxrnn.GRU(3, 5))
        >>> print(params["bias"].shape, params["bias"][0], params["bias"][-1])
        (15,) 2.0 1.0
    """
    if cell is not None and not isinstance(cell, Cell):
        raise TypeError(f"{LOAD}: cell is {cell!r}, expected a cell or None")
    if cell is not None and split:
        cell = layers.doubled(cell, has_rows)
    if _are_arrays(source):
        if cell is None:
            raise ValueError(
                f"{LOAD}: source is a list of {len(source)} arrays, which do not say "
                "what they are for; give cell="
            )
        return _loaded(cell, source)
    model = _model(source)
    if cell is not None:
        return _loaded(cell, _weights(model))
    chain = in_order(model)
    cell = cell_of(chain)
    cell = layers.doubled(cell, has_rows) if split else cell
    return _loaded(cell, [array for layer in chain for array in _weights(layer)])


def dump(cell: Cell, params: Any) -> list[np.ndarray]:
    """The arrays that `set_weights` of a layer or a model of keras takes.

        Elman, LSTM, cells.ConvLSTM, Dense    kernel, recurrent_kernel, bias
        GRU                                   the same, blocks z, r, h; bias [2, 3H]
        Embedding                             embeddings
        Stack                                 those of its cells, one after the other
        Bidirectional                         those of forward, then of backward
        Dropout, VariationalDropout, Activation: none

    The bias of a GRU with reset_after is the first row, and the second is zeros but for
    recurrent_bias, which stands inside the reset; both rows of a `TwoBiases(GRU)` are its
    own. The layer must have the options of the cell, which arrays do not say: its
    activations, use_bias, reset_after. It is the inverse of `load`, exact where nothing
    was folded.

    Args:
        cell: one of the above.
        params: its params.

    Returns:
        NumPy arrays.

    Raises:
        TypeError: for a cell that is none.
        ValueError: for a cell that keras has no layer for, which is named, or params of
            other shapes than the cell's.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.keras
        >>> cell = jaxrnn.Stack((jaxrnn.Embedding(7, 3), jaxrnn.LSTM(3, 5)))
        >>> params = cell.init(jax.random.key(0))
        >>> print([array.shape for array in jaxrnn.interop.keras.dump(cell, params)])
        [(7, 3), (3, 20), (5, 20), (20,)]
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"{DUMP}: cell is {cell!r}, expected a cell")
    list(leaves_of(DUMP, cell))
    return arrays_of(cell, check_params(DUMP, cell, params))


def _are_arrays(source: Any) -> bool:
    return isinstance(source, Sequence) and not isinstance(source, str | bytes)


def _model(source: Any) -> Any:
    """A layer or a model of keras."""
    import keras

    if isinstance(source, str | os.PathLike):
        return keras.saving.load_model(source, compile=False)
    if not isinstance(source, keras.Layer):
        raise TypeError(
            f"{LOAD}: source is {source!r}, expected a layer or a model of keras, the "
            "path of a file, or a list of arrays"
        )
    return source


def _weights(layer: Any) -> list[np.ndarray]:
    """Its `get_weights()`, at which NumPy warns of what keras does."""
    import keras

    values = [variable.value for variable in layer.weights]
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in values]


def _array(name: str, given: Any) -> np.ndarray:
    return layers.floats(LOAD, f"the {name} in source", np.asarray(given))


def _loaded(cell: Cell, arrays: Sequence[Any]) -> layers.Layer:
    leaves = list(leaves_of(LOAD, cell))
    wanted = [(leaf, shapes_of(leaf)) for leaf in leaves]
    count = sum(len(names) for _, names in wanted)
    if len(arrays) != count:
        raise ValueError(
            f"{LOAD}: source has {len(arrays)} arrays, expected {count} for {cell}"
        )
    given, params = iter(arrays), []
    for leaf, names in wanted:
        own = {name: _array(name, next(given)) for name in names}
        for name, array in own.items():
            if array.shape != names[name]:
                raise ValueError(
                    f"{LOAD}: the {name} in source has shape {array.shape}, expected "
                    f"{names[name]} for {leaf}"
                )
        params.append(from_keras(leaf, own))
    return layers.loaded(LOAD, cell, params_of(cell, iter(params)))
