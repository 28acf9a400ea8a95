"""Weights of flax.linen, in and out."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.arrays import native
from ...arguments.checks import check_params
from ...cell import Cell
from ...cells.activations import activation_of
from ...cells.elementwise import Activation
from ...combinators import Bidirectional, Stack
from ...wrappers import Reversed
from ..layers import Layer, loaded
from ..options import check_apart, check_row, merged, named, turned
from . import cells, memoryless
from .reading import LOAD, Given, Source, refuse

DUMP = "interop.linen.dump"


def load(
    module: Any, variables: Any, *, places: Any = None, split: bool = False
) -> Layer:
    """The cell that a module of flax.linen is, and its params.

        OptimizedLSTMCell, LSTMCell    LSTM; kernels of i*, recurrent ones and bias of h*
        GRUCell                        GRU; hn's bias is recurrent_bias
        SimpleCell                     Elman; residual=True: recurrent_kernel + identity
        MGUCell                        cells.MGU(reset_after=True), whose i is 1 - f: the
                                       gate is negated; reset_gate=False: cells.UGRNN
        ConvLSTMCell                   cells.ConvLSTM; blocks i, g, f, o sorted, the two
                                       biases added, and 1 to f's, which flax adds in
                                       every step
        RNN                            its cell; Reversed, with reverse and keep_order
        Bidirectional                  Bidirectional, merge_fn its merge
        Dense, Embed                   Dense, Embedding
        Sequential                     Stack; functions are Activation, Dropout is Dropout

    The module is one of these, a cell alone too, whose fields are read; initializers and
    `param_dtype` are not, as the weights are there. `unroll` computes what `apply` does
    with time in front; flax's carry (c, h) is `LSTMCarry(h=h, c=c)`. How a sequence
    comes in is a matter of the call: time_major, return_carry and unroll are left alone.

    What differs: outputs past the lengths are zeros here, an Embed counts negative
    symbols from the end, and Dropout is on with a key, whatever `deterministic` says. Of
    a ConvLSTMCell flax trains two biases, so that a step of SGD moves their sum by twice
    as much; with `split` two are kept. Weight decay pulls a parameter that flax adds
    something to, b_f or the residual's kernel, elsewhere.

    Args:
        module: of flax.linen.
        variables: what `module.init` returns, or its "params" alone.
        places: those of an x of a ConvLSTMCell, (28, 28), which no weight tells.
        split: keep both biases of a ConvLSTMCell, in `TwoBiases`.

    Raises:
        ValueError: in one line, for what no cell can be: a module of another kind, a
            `dtype` other than the weights', a `carry_init` that is not zeros, strides,
            functions that are not of a module, weights that are not the module's.
        TypeError: for variables that are no mapping of arrays.

    Example:
        >>> import jax, jax.numpy as jnp, flax.linen as nn, jaxrnn, jaxrnn.interop.linen
        >>> module = nn.Sequential([nn.RNN(nn.GRUCell(5)), nn.Dense(2)])
        >>> xs = jax.random.normal(jax.random.key(0), (4, 7, 3))  # (batch, T, features)
        >>> variables = module.init(jax.random.key(1), xs)
        >>> cell, params = jaxrnn.interop.linen.load(module, variables)
        >>> print(cell == jaxrnn.Stack((jaxrnn.GRU(3, 5), jaxrnn.Dense(5, 2))))
        True
        >>> _, ys = jaxrnn.unroll(cell, params, xs.swapaxes(0, 1))
        >>> theirs = module.apply(variables, xs)
        >>> print(bool(jnp.allclose(ys.swapaxes(0, 1), theirs, atol=1e-5)))
        True
    """
    from flax import linen as nn

    if not isinstance(variables, Mapping):
        raise TypeError(
            f"{LOAD}: variables is a {type(variables).__name__}, expected a mapping: "
            "what module.init returns"
        )
    params = variables["params"] if "params" in variables else variables
    params = native(LOAD, "variables", nn.meta.unbox(params))
    source = Source(module, params, "module")
    given = Given(places, split)
    name = type(module).__name__
    if getattr(nn, name, None) is type(module) and name in cells.READERS:
        return loaded(LOAD, *cells.read(source, given))
    return loaded(LOAD, *_layer(source, given))


def _layer(source: Source, given: Given) -> Layer:
    from flax import linen as nn

    module = source.module
    kinds = {
        nn.RNN: _rnn,
        nn.Bidirectional: _bidirectional,
        nn.Sequential: _sequential,
        nn.Dense: memoryless.read_dense,
        nn.Embed: memoryless.read_embed,
        nn.Dropout: memoryless.read_dropout,
    }
    if type(module) not in kinds:
        refuse(
            source, f"{', '.join(kind.__name__ for kind in kinds)} or a recurrent cell"
        )
    return kinds[type(module)](source, given)


def _rnn(source: Source, given: Given) -> Layer:
    cell, params = cells.read(source.alone("cell"), given)
    return turned(LOAD, source.where, source.module, cell), params


def _bidirectional(source: Source, given: Given) -> Layer:
    from flax import linen as nn

    names = "forward_rnn", "backward_rnn"
    both = [source.child(name) for name in names]
    for one in both:
        if type(one.module) is not nn.RNN:
            refuse(one, "an RNN, as what is around it sets its direction")
    check_apart(LOAD, [(one.where, one.module) for one in both])
    source.expect(*(one.name for one in both))
    # What an RNN says of its direction, the Bidirectional overrules.
    read = [cells.read(one.alone("cell"), given) for one in both]
    shapes = [cells.shown(cell) for cell, _ in read]
    merge = source.module.merge_fn, nn.Bidirectional.merge_fn, shapes
    (forward, own), (backward, other) = read
    cell = Bidirectional(
        forward, backward, merged(LOAD, f"{source.where}.merge_fn", *merge)
    )
    return cell, (own, other)


def _sequential(source: Source, given: Given) -> Layer:
    row = _flat(source)
    check_row(LOAD, [(one.where, one.module) for one in row])
    check_apart(LOAD, [(one.where, one.module) for one in row if one.is_module])
    within = [_child(source, index) for index in range(len(source.module.layers))]
    source.expect(*(one.name for one in within if one.params))
    found = [_one(one, given) for one in within]
    cell = Stack(tuple(cell for cell, _ in found))
    return cell, tuple(params for _, params in found)


def _one(source: Source, given: Given) -> Layer:
    if source.is_module:
        return _layer(source, given)
    return Activation(named(LOAD, source.where, source.module)), ()


def _child(source: Source, index: int) -> Source:
    layer, where = source.module.layers[index], f"{source.where}.layers[{index}]"
    return source.inner(layer, f"layers_{index}", where)


def _flat(source: Source) -> list[Source]:
    from flax import linen as nn

    if type(source.module) is not nn.Sequential:
        return [source]
    within = [_child(source, index) for index in range(len(source.module.layers))]
    return [one for inner in within for one in _flat(inner)]


def dump(cell: Cell, params: Any) -> tuple[Any, dict[str, Any]]:
    """The pair `(module, variables)` that `load` takes: of flax.linen.

        module.apply(variables, xs) = unroll(cell, params, xs)[1]

    Every recurrent cell is an `RNN` with time in front, of an OptimizedLSTMCell, GRUCell,
    SimpleCell, MGUCell or ConvLSTMCell, as `load` says; a `Stack` is a Sequential, and
    Dropout is there, with deterministic=True. So `load(*dump(cell, params))` is the same
    cell with the same params, but for initializers, which flax has of its own kind.

    What differs: flax's cells have biases, which are zeros where `use_bias=False`. An RNN
    and a Bidirectional take lengths; a Sequential hands them to its first layer alone.

    Args:
        cell: one of those that `load` gives, in any `Stack` of them.
        params: those of the cell.

    Raises:
        ValueError: in one line, for a cell or an option of one that flax has not.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.linen
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> module, variables = jaxrnn.interop.linen.dump(cell, params)
        >>> print(module.apply(variables, jnp.ones((7, 4, 3))).shape)
        (7, 4, 2)
        >>> print(jaxrnn.interop.linen.load(module, variables)[0] == cell)
        True
    """
    params = jax.tree.map(jnp.asarray, check_params(DUMP, cell, params))
    module, tree = _written(cell, params)
    return module, {"params": tree}


def _written(cell: Any, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    if type(cell) is Stack:
        within = [_stacked(*pair) for pair in zip(cell.cells, params, strict=True)]
        trees = {f"layers_{index}": tree for index, (_, tree) in enumerate(within)}
        module = nn.Sequential([layer for layer, _ in within])
        return module, {name: tree for name, tree in trees.items() if tree}
    if type(cell) is Bidirectional:
        forward, backward = (
            cells.write(DUMP, inner, own)
            for inner, own in zip(cell.cells, params, strict=True)
        )
        shapes = [cells.shown(inner) for inner in cell.cells]
        merge = merged(DUMP, f"merge of {cell}", cell.merge, None, shapes)
        options = {} if merge is Bidirectional.merge else {"merge_fn": merge}
        module = nn.Bidirectional(
            nn.RNN(forward[0], time_major=True),
            nn.RNN(backward[0], time_major=True),
            time_major=True,
            **options,
        )
        both = {"forward_rnn": forward[1], "backward_rnn": backward[1]}
        return module, {name: {"cell": tree} for name, tree in both.items()}
    if type(cell) in memoryless.WRITERS:
        return memoryless.WRITERS[type(cell)](cell, params)
    back = type(cell) is Reversed
    inner, tree = cells.write(DUMP, cell.cell if back else cell, params)
    module = nn.RNN(inner, time_major=True, reverse=back, keep_order=back)
    return module, {"cell": tree}


def _stacked(cell: Any, params: Any) -> tuple[Any, dict[str, Any]]:
    if type(cell) is Activation:
        return activation_of(cell.activation), {}
    return _written(cell, params)
