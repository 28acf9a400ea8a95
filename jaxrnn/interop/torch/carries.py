"""h_n and c_n of torch: a row for each layer and direction."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.checks import shapes, structure
from ...cell import Cell
from ...cells import LSTM, LSTMCarry
from .. import rows
from .names import as_array, as_numpy


def load_carry(state: Any, cell: Cell) -> Any:
    """The carry that a state of `nn.RNN`, `nn.LSTM` or `nn.GRU` is.

        h_n [L D, *batch, H]    one row a layer and direction: the first layer forward,
        c_n [L D, *batch, H]    backward, the second layer forward, ...

    `batch_first` does not touch them. With a projection h_n has P in place of H. Those of
    `jax.experimental.rnn` have the same rows. The state of an `nn.LSTMCell` has none, and
    is `LSTMCarry(*state)`, as arrays.

    Args:
        state: h_n, or (h_n, c_n) of an LSTM: tensors, or arrays of NumPy or JAX.
        cell: as `load` gave it.

    Raises:
        ValueError: for a cell that torch lacks, or a state of other shapes.
        TypeError: for what is no array of floats.

    Example:
        >>> import jaxrnn, numpy as np
        >>> from jaxrnn.interop.torch import load_carry
        >>> gru = jaxrnn.GRU(3, 5)
        >>> cell = jaxrnn.Stack((gru, jaxrnn.Dropout(0.1), jaxrnn.GRU(5, 5)))
        >>> first, none, second = load_carry(np.ones((2, 7, 5)), cell)
        >>> print(first.shape, none, second.shape)
        (7, 5) () (7, 5)
    """
    call = "interop.torch.load_carry"
    network = rows.network_of(call, cell)
    names = ["h_n", "c_n"] if type(network.first) is LSTM else ["h_n"]
    parts = list(state) if isinstance(state, tuple | list) else [state]
    if len(parts) != len(names):
        raise ValueError(f"{call}: state has {len(parts)} parts, expected {names}")
    parts = [as_array(call, *pair) for pair in zip(names, parts, strict=True)]
    count = network.layers * (1 + network.both)
    sizes = network.first.state_size, network.first.hidden_size
    for name, part, size in zip(names, parts, sizes, strict=False):
        if part.ndim < 2 or (part.shape[0], part.shape[-1]) != (count, size):
            raise ValueError(
                f"{call}: {name} has shape {part.shape}, expected ({count}, ..., {size}) "
                f"for {cell}: a row for each layer and direction"
            )
    if len({part.shape[:-1] for part in parts}) > 1:
        raise ValueError(
            f"{call}: h_n has shape {parts[0].shape} and c_n {parts[1].shape}, expected "
            "the same batch"
        )
    states = zip(*parts, strict=True)
    if len(names) == 2:
        return rows.in_place(cell, lambda _: LSTMCarry(*next(states)))
    return rows.in_place(cell, lambda _: next(states)[0])


def dump_carry(cell: Cell, carry: Any) -> Any:
    """The state that a carry is in torch: h_n, or (h_n, c_n), in arrays of NumPy.

    The inverse of `load_carry`: what `torch.from_numpy` takes, for an `nn.LSTM` that goes
    on where a run of ours stopped. bfloat16 is float32 there, without loss.

    Args:
        cell: as `load` gave it.
        carry: of the cell, with any batch axes.

    Raises:
        ValueError: for a cell that torch lacks, or a carry of another structure or of
            other shapes.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.torch
        >>> cell = jaxrnn.Bidirectional(jaxrnn.LSTM(3, 5), jaxrnn.LSTM(3, 5))
        >>> params = cell.init(jax.random.key(0))
        >>> carry = jaxrnn.batched_carry(cell, params, (7,))
        >>> h, c = jaxrnn.interop.torch.dump_carry(cell, carry)
        >>> print(h.shape, c.shape)
        (2, 7, 5) (2, 7, 5)
    """
    call = "interop.torch.dump_carry"
    network = rows.network_of(call, cell)
    expected = jax.eval_shape(lambda: cell.initial_carry(cell.init(jax.random.key(0))))
    if jax.tree.structure(carry) != jax.tree.structure(expected):
        raise ValueError(
            f"{call}: carry has the structure {structure(carry)}, expected "
            f"{structure(expected)} for {cell}"
        )
    pairs = zip(jax.tree.leaves(carry), jax.tree.leaves(expected), strict=True)
    for leaf, one in pairs:
        if jnp.shape(leaf)[-1:] != one.shape:
            raise ValueError(
                f"{call}: carry has a leaf of shape {jnp.shape(leaf)}, expected (*batch, "
                f"{one.shape[0]}) for {cell}"
            )
    if len({jnp.shape(leaf)[:-1] for leaf in jax.tree.leaves(carry)}) > 1:
        raise ValueError(
            f"{call}: carry has leaves of the shapes {shapes(carry)}, expected the same "
            "batch axes"
        )
    states = [own for _, own in rows.directions(cell, carry)]
    if type(network.first) is not LSTM:
        return as_numpy(jnp.stack(states))
    return tuple(as_numpy(jnp.stack(part)) for part in zip(*states, strict=True))
