"""The flat vector of weights of `jax.experimental.rnn`: LSTMs of cuDNN."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..arguments.arrays import as_array
from ..arguments.checks import check_params
from ..cell import Cell
from ..cells import LSTM
from . import layers, rows

# All matrices stand before all biases.
PARTS = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")


def load(vector: Any, cell: Cell, *, split: bool = False) -> layers.Layer:
    """The weights of an LSTM of cuDNN as a cell and its params.

        vector = [W_ih, W_hh of every direction, then b_ih, b_hh of every direction]

        kernel, recurrent_kernel = W_ih^T, W_hh^T        bias = b_ih + b_hh

    Directions are in the order first layer forward, its backward one, second layer
    forward; the blocks i, f, g, o lie in rows, as in torch. Matrices are flat, row by
    row. `unroll(cell, params, xs)` is then `jax.experimental.rnn.lstm` of an x with its
    batch axis first: xs is (T, batch, features). Its h_n and c_n are those of torch:
    `interop.torch.load_carry((h_n, c_n), cell)`.

    What differs, though the numbers are equal:

    - cuDNN trains both biases, so that a step of SGD moves their sum by twice as much as
      ours. With `split` they stay two (`TwoBiases`), and training is equal.
    - Of a sequence of length 0 we return the initial carry; there it is none.
    - On GPUs of AMD the vector has passed `swap_lstm_gates`; pass it again to undo that.
    - The `dropout` between layers is drawn otherwise, and where `unroll` gets a key.

    Args:
        vector: all weights, `get_num_params_in_lstm(...)` numbers.
        cell: an `LSTM`, `Bidirectional` of two, or a `Stack` of such layers that are
            alike, with `Dropout` between them or without. The vector does not say sizes.
        split: keep both biases, in `TwoBiases` around every cell.

    Raises:
        ValueError: for a cell that cuDNN's cannot be (no bias, a projection, other
            activations, `clip`, `recurrent_dropout`, layers that differ), or a vector of
            another length.
        TypeError: for a vector that is no array of floats.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.cudnn
        >>> from jax.experimental import rnn
        >>> vector = rnn.init_lstm_weight(jax.random.key(0), 3, 5, 1, bidirectional=True)
        >>> cell = jaxrnn.Bidirectional(jaxrnn.LSTM(3, 5), jaxrnn.LSTM(3, 5))
        >>> cell, params = jaxrnn.interop.cudnn.load(vector, cell)
        >>> print(vector.shape, params[1]["kernel"].shape)
        (400,) (3, 20)
    """
    call = "interop.cudnn.load"
    network = _network_of(call, cell)
    vector = layers.floats(call, "vector", as_array(call, "vector", vector))
    ways = [rows.shapes_of(way) for way in rows.ways_of(network)]
    places = [(k, part) for parts in PARTS for k in range(len(ways)) for part in parts]
    sizes = [math.prod(ways[k][part]) for k, part in places]
    if vector.shape != (sum(sizes),):
        raise ValueError(
            f"{call}: vector has shape {vector.shape}, expected ({sum(sizes)},) for "
            f"{cell}"
        )
    pieces = jnp.split(jnp.array(vector), np.cumsum(sizes)[:-1])
    weights: list[dict[str, Any]] = [{} for _ in ways]
    for (k, part), piece in zip(places, pieces, strict=True):
        weights[k][part] = piece.reshape(ways[k][part])
    if split:
        cell = layers.doubled(cell, rows.has_two)
    rest = iter(weights)
    params = rows.in_place(cell, lambda way: rows.read(way, next(rest)))
    return layers.loaded(call, cell, params)


def dump(cell: Cell, params: Any) -> np.ndarray:
    """The vector of weights: the inverse of `load`.

    What `jax.experimental.rnn.lstm` takes, and `unpack_lstm_weights`, in the dtype of the
    params: the former wants float32. A bias that is one is b_ih, and b_hh is zeros; those
    of `TwoBiases` stay as they are.

    Args:
        cell: as for `load`.
        params: its params.

    Raises:
        ValueError: for a cell that cuDNN's cannot be, or params that are not the cell's.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.cudnn
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.LSTM(5, 5)))
        >>> vector = jaxrnn.interop.cudnn.dump(cell, cell.init(jax.random.key(0)))
        >>> print(vector.shape)
        (440,)
    """
    call = "interop.cudnn.dump"
    _network_of(call, cell)
    params = check_params(call, cell, params)
    weights = [rows.written(own) for _, own in rows.directions(cell, params)]
    flat = [way[part].ravel() for parts in PARTS for way in weights for part in parts]
    return np.array(jnp.concatenate(flat))


def _network_of(call: str, cell: Cell) -> rows.Network:
    network = rows.network_of(call, cell)
    plain = type(network.first) is LSTM and network.first.projection_size is None
    if not plain or not network.first.use_bias:
        raise ValueError(
            f"{call}: {network.first} is not in cuDNN's vector, expected an LSTM with a "
            "bias and without a projection"
        )
    return network
