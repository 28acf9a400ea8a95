"""Weights of torch, in and out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arguments.checks import check_params
from ...cell import Cell
from ...cells import Dense, Embedding
from .. import layers, rows
from . import modules, names


def load(
    source: Any, cell: Cell | None = None, *, prefix: str = "", split: bool = False
) -> layers.Layer:
    """A module of torch, or its weights, as a cell and its params.

        nn.RNN, nn.LSTM, nn.GRU    `Elman`, `LSTM`, `GRU`; bidirectional: `Bidirectional`
                                   of two; several layers: a `Stack`, with `Dropout`
                                   between them where the module has dropout
        nn.RNNCell, ...            one of them
        nn.Linear, nn.Embedding    `Dense`, `Embedding`

        kernel, recurrent_kernel, projection = weight_ih^T, weight_hh^T, weight_hr^T
        bias = bias_ih + bias_hh            of a GRU's n: bias_ih, and
                                            recurrent_bias = bias_hh

    Of a model with several modules, each is read by its own prefix, and a `Stack` is the
    whole: see the example.

    What differs, though the numbers are equal:

    - torch trains both biases, each with the gradient of their sum, so that a step of SGD
      moves the sum by twice as much as ours, and weight decay meets each. With `split`
      they stay two (`TwoBiases`), and training is equal step for step. A sum is rounded
      to the dtype; with `split` nothing is.
    - Time comes first: `batch_first` is about the call, and nothing of it is left; give
      arrays (T, batch, features). Lengths are an argument of `unroll` in place of a
      PackedSequence, and may be 0.
    - Dropout is drawn where `unroll` gets a key. As in torch there is none after the last
      layer; masks are others.
    - `requires_grad` is not read: what is not to learn is a matter of the optimizer.
    - float64 stays so where `jax_enable_x64` is set, and is float32 otherwise.

    Args:
        source: a module of those above; or a state dict, a mapping of names to tensors or
            to arrays of NumPy, of which it is taken for granted that it is one of theirs.
        cell: what the weights are read into, instead of the cell found out: one with
            initializers, dropout or `TwoBiases` of your own. To be given with a state
            dict that does not say enough: of an nn.RNN (tanh or relu?), of dropout
            between layers, of a `weight` alone (an nn.Embedding, or an nn.Linear without
            bias?).
        prefix: what the keys begin with: "encoder.rnn." of a state dict.
        split: keep both biases, in `TwoBiases` around every cell that has a bias.

    Raises:
        ValueError: for keys that are missing or not understood, other shapes, a cell that
            torch's layers cannot be or one that does not compute what the module does;
            for options of an nn.Embedding by which values or training differ
            (padding_idx, max_norm, scale_grad_by_freq, sparse), and a dropout of 1.
        TypeError: for another source, such as a subclass with a `forward` of its own.

    Example:
        >>> import jax.numpy as jnp, jaxrnn, numpy as np
        >>> from jaxrnn.interop.torch import load
        >>> shapes = {"embed.weight": (11, 3), "head.weight": (2, 5), "head.bias": (2,)}
        >>> shapes |= {"rnn.weight_ih_l0": (20, 3), "rnn.weight_hh_l0": (20, 5)}
        >>> shapes |= {"rnn.bias_ih_l0": (20,), "rnn.bias_hh_l0": (20,)}
        >>> state = {name: np.ones(s, "float32") for name, s in shapes.items()}
        >>> embed = load(state, jaxrnn.Embedding(11, 3), prefix="embed.")
        >>> rnn, head = load(state, prefix="rnn."), load(state, prefix="head.")
        >>> cells, params = zip(embed, rnn, head)
        >>> print(jaxrnn.Stack(cells).cells[1:])
        (LSTM(input_size=3, hidden_size=5), Dense(input_size=5, output_size=2))
        >>> _, ys = jaxrnn.unroll(jaxrnn.Stack(cells), params, jnp.array([3, 1, 4]))
        >>> print(ys.shape)
        (3, 2)
    """
    call, own, prefix = "interop.torch.load", None, names.dotted(prefix)
    if not isinstance(source, Mapping):
        own = modules.cell_of(call, source)
        if prefix:
            raise ValueError(
                f"{call}: prefix is {prefix!r} for a module, expected none: it is for "
                "the keys of a state dict"
            )
        source = source.state_dict()
    weights = names.under(call, source, prefix)
    if cell is None:
        cell = own or names.found(call, weights, prefix)
    if split:
        cell = layers.doubled(cell, rows.has_two)
    one = "weight_ih" in weights
    shapes = names.shapes_of(call, cell, one)
    names.check_shapes(call, cell, weights, shapes, prefix)
    if type(cell) is Embedding:
        return layers.loaded(call, cell, {"embedding": weights["weight"]})
    if type(cell) is Dense:
        params = {"kernel": weights["weight"].T}
        params |= {"bias": weights["bias"]} if cell.use_bias else {}
        return layers.loaded(call, cell, params)
    network = rows.network_of(call, cell)
    if own is not None and network != rows.network_of(call, own):
        raise ValueError(
            f"{call}: cell is {cell}, which is not what the module is: {own}"
        )
    suffixes = iter(names.suffixes_of(network, one))

    def read(way: Any) -> dict[str, Any]:
        suffix = next(suffixes)
        part = {name: weights[name + suffix] for name in rows.shapes_of(way)}
        return rows.read(way, part)

    return layers.loaded(call, cell, rows.in_place(cell, read))


def dump(cell: Cell, params: Any, *, prefix: str = "") -> dict[str, np.ndarray]:
    """The weights in torch's names: the inverse of `load`.

        module.load_state_dict({k: torch.from_numpy(v) for k, v in dump(...).items()})

    The module is an nn.RNN (of `Elman` with "tanh" or "relu"), nn.LSTM or nn.GRU of the
    same sizes, an nn.Linear (`Dense`) or an nn.Embedding. A bias that is one is bias_ih,
    and bias_hh is zeros, but for b_hn of a GRU; those of `TwoBiases` stay as they are. An
    nn.LSTMCell and its like have these names without "_l0". bfloat16, which NumPy lacks,
    is float32 here, and `load_state_dict` makes it the module's dtype again, without
    loss. Dropout has no weights: it is the module's own `dropout`.

    Args:
        cell: an `Elman`, `LSTM` or `GRU`, `TwoBiases` around one, `Bidirectional`, a
            `Stack` of such layers that are alike, with `Dropout` between them or without;
            `Dense`, `Embedding`.
        params: its params.
        prefix: what the keys begin with: "encoder.rnn.".

    Returns:
        Arrays of NumPy, of their own memory, in torch's order.

    Raises:
        ValueError: for what torch's layers have not: other cells, activations, `clip`,
            `recurrent_dropout`, `GRU(reset_after=False)`, layers of different sizes,
            other merges than `concatenate`, dropout at other places, a projection that is
            no smaller than the hidden size; and for params that are not the cell's.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.torch
        >>> cell = jaxrnn.LSTM(3, 5, projection_size=4)
        >>> params = cell.init(jax.random.key(0))
        >>> weights = jaxrnn.interop.torch.dump(cell, params, prefix="rnn.")
        >>> for name, array in weights.items():
        ...     print(name, array.shape)
        rnn.weight_ih_l0 (20, 3)
        rnn.weight_hh_l0 (20, 4)
        rnn.bias_ih_l0 (20,)
        rnn.bias_hh_l0 (20,)
        rnn.weight_hr_l0 (4, 5)
    """
    call, prefix = "interop.torch.dump", names.dotted(prefix)
    memoryless = type(cell) in (Dense, Embedding)
    network = None if memoryless else rows.network_of(call, cell)
    params = check_params(call, cell, params)
    if network is None:
        weights = {"weight": params["kernel"].T} if "kernel" in params else {}
        weights |= {"bias": params["bias"]} if "bias" in params else {}
        weights |= {"weight": params["embedding"]} if "embedding" in params else {}
    else:
        ways, suffixes = rows.directions(cell, params), names.suffixes_of(network, False)
        weights = {
            name + suffix: array
            for (_, own), suffix in zip(ways, suffixes, strict=True)
            for name, array in rows.written(own).items()
        }
    return {prefix + name: names.as_numpy(array) for name, array in weights.items()}
