"""Weights of flax.nnx, in and out."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.checks import check_params
from ...cell import Cell
from ...cells import Dense, Embedding
from ...cells.activations import activation_of
from ...cells.elementwise import Activation
from ...combinators import Bidirectional, Stack
from ...wrappers import Dropout, Reversed
from ..layers import Layer, loaded
from ..options import check_apart, check_defaults, check_row, merged, named, turned
from . import cells
from .cells import DUMP, LOAD


def load(module: Any) -> Layer:
    """The cell that a module of flax.nnx is, and its params.

        OptimizedLSTMCell, LSTMCell    LSTM; the bias is that of dense_h, or of h*
        GRUCell                        GRU; recurrent_bias is zero where flax has none
        SimpleCell                     Elman; residual=True: recurrent_kernel + identity
        RNN                            its cell; Reversed, with reverse and keep_order
        Bidirectional                  Bidirectional, merge_fn its merge
        Linear, Embed                  Dense, Embedding
        Sequential                     Stack; functions are Activation, Dropout is Dropout

    The module is one of these, a cell alone too; its arrays are shared, not copied.
    `unroll` computes what the module does with time in front; flax's carry (c, h) is
    `LSTMCarry(h=h, c=c)`. How a sequence comes in is a matter of the call: time_major,
    return_carry, unroll, state_axes and all rngs are left alone.

    What differs: outputs past the lengths are zeros here, an Embed counts negative
    symbols from the end, and Dropout is on with a key, whatever `deterministic` says. The
    GRU's recurrent_bias, of zeros at first, is trained here. Weight decay pulls the
    kernel of a residual cell, which flax adds h to, elsewhere.

    Args:
        module: of flax.nnx.

    Raises:
        ValueError: in one line, for what no cell can be: a module of another kind, a
            `dtype` other than the weights' (SimpleCell's is float32 by default), a
            `carry_init` that is not zeros, functions that are not of a module.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.nnx
        >>> from flax import nnx
        >>> rngs = nnx.Rngs(0)
        >>> rnn = nnx.RNN(nnx.OptimizedLSTMCell(3, 5, rngs=rngs), time_major=True)
        >>> module = nnx.Sequential(rnn, nnx.relu, nnx.Linear(5, 2, rngs=rngs))
        >>> cell, params = jaxrnn.interop.nnx.load(module)
        >>> xs = jax.random.normal(jax.random.key(0), (7, 4, 3))
        >>> _, ys = jaxrnn.unroll(cell, params, xs)
        >>> print(ys.shape, bool(jnp.allclose(ys, module(xs), atol=1e-5)))
        (7, 4, 2) True
    """
    if type(module).__name__ in cells.READERS:
        return loaded(LOAD, *cells.read(module, "module"))
    return loaded(LOAD, *_layer(module, "module"))


def _layer(module: Any, where: str) -> Layer:
    from flax import nnx

    kinds = {
        nnx.RNN: _rnn,
        nnx.Bidirectional: _bidirectional,
        nnx.Sequential: _sequential,
        nnx.Linear: cells.read_linear,
        nnx.Embed: cells.read_embed,
        nnx.Dropout: _dropout,
    }
    if type(module) not in kinds:
        raise ValueError(
            f"{LOAD}: {where} is {type(module).__name__}, expected "
            f"{', '.join(kind.__name__ for kind in kinds)} or a recurrent cell of "
            "flax.nnx; load the layers of a module of your own one by one"
        )
    return kinds[type(module)](module, where)


def _rnn(module: Any, where: str) -> Layer:
    cell, params = cells.read(module.cell, f"{where}.cell")
    return turned(LOAD, where, module, cell), params


def _bidirectional(module: Any, where: str) -> Layer:
    from flax import nnx

    both = [
        (f"{where}.{name}", getattr(module, name))
        for name in ("forward_rnn", "backward_rnn")
    ]
    for inside, one in both:
        if type(one) is not nnx.RNN:
            raise ValueError(
                f"{LOAD}: {inside} is {type(one).__name__}, expected an RNN, as what is "
                "around it sets its direction"
            )
    check_apart(LOAD, both)
    check_apart(LOAD, [(f"{inside}.cell", one.cell) for inside, one in both])
    # What an RNN says of its direction, the Bidirectional overrules.
    read = [cells.read(one.cell, f"{inside}.cell") for inside, one in both]
    (forward, own), (backward, other) = read
    shapes = [(one.cell.hidden_features,) for _, one in both]
    merge = merged(
        LOAD,
        f"{where}.merge_fn",
        module.merge_fn,
        nnx.Bidirectional.merge_fn,
        shapes,
    )
    return Bidirectional(forward, backward, merge), (own, other)


def _dropout(module: Any, where: str) -> Layer:
    check_defaults(LOAD, where, module, {"broadcast_dims": ()})
    return Dropout(module.rate), ()


def _sequential(module: Any, where: str) -> Layer:
    from flax import nnx

    row = _flat(module, where)
    check_row(LOAD, row)
    check_apart(LOAD, [one for one in row if isinstance(one[1], nnx.Module)])
    found = [
        _layer(layer, inside)
        if isinstance(layer, nnx.Module)
        else (Activation(named(LOAD, inside, layer)), ())
        for inside, layer in _children(module, where)
    ]
    cell = Stack(tuple(cell for cell, _ in found))
    return cell, tuple(params for _, params in found)


def _children(module: Any, where: str) -> list[tuple[str, Any]]:
    layers = enumerate(module.layers)
    return [(f"{where}.layers[{index}]", layer) for index, layer in layers]


def _flat(module: Any, where: str) -> list[tuple[str, Any]]:
    from flax import nnx

    if type(module) is not nnx.Sequential:
        return [(where, module)]
    children = _children(module, where)
    return [one for inside, layer in children for one in _flat(layer, inside)]


def dump(cell: Cell, params: Any) -> Any:
    """The module that `load` takes: of flax.nnx, with the params in it.

        dump(cell, params)(xs) = unroll(cell, params, xs)[1]

    Every recurrent cell is an `RNN` with time in front, of an OptimizedLSTMCell, GRUCell
    or SimpleCell; a `Stack` is a Sequential, and Dropout is there, with
    deterministic=True. So `load(dump(cell, params))` is the same cell with the same
    params, but for initializers, which flax has of its own kind.

    What differs: flax's cells have biases, which are zeros where `use_bias=False`. An RNN
    and a Bidirectional take lengths; a Sequential hands them to its first layer alone.

    Args:
        cell: one of those that `load` gives, in any `Stack` of them.
        params: those of the cell; a GRU's recurrent_bias must be zero, for a flax whose
            GRUCell has none.

    Raises:
        ValueError: in one line, for a cell or an option of one that flax has not.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.nnx
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> module = jaxrnn.interop.nnx.dump(cell, params)
        >>> print(module(jnp.ones((7, 4, 3))).shape)
        (7, 4, 2)
        >>> print(jaxrnn.interop.nnx.load(module)[0] == cell)
        True
    """
    return _written(cell, jax.tree.map(jnp.asarray, check_params(DUMP, cell, params)))


def _written(cell: Any, params: Any) -> Any:
    from flax import nnx

    if type(cell) is Stack:
        pairs = zip(cell.cells, params, strict=True)
        return nnx.Sequential(*(_stacked(*pair) for pair in pairs))
    if type(cell) is Bidirectional:
        pairs = zip(cell.cells, params, strict=True)
        both = [nnx.RNN(cells.write(*pair), time_major=True) for pair in pairs]
        within: list[Any] = list(cell.cells)
        shapes = [(inner.hidden_size,) for inner in within]
        merge = merged(DUMP, f"merge of {cell}", cell.merge, None, shapes)
        if merge is Bidirectional.merge:
            merge = nnx.Bidirectional.merge_fn
        return nnx.Bidirectional(*both, merge_fn=merge, time_major=True)
    if type(cell) is Dense:
        return cells.write_dense(cell, params)
    if type(cell) is Embedding:
        return cells.write_embedding(cell, params)
    if type(cell) is Dropout:
        return nnx.Dropout(cell.rate, deterministic=True)
    back = type(cell) is Reversed
    inner = cells.write(cell.cell if back else cell, params)
    return nnx.RNN(inner, time_major=True, reverse=back, keep_order=back)


def _stacked(cell: Any, params: Any) -> Any:
    if type(cell) is Activation:
        return activation_of(cell.activation)
    return _written(cell, params)
