"""Weights of equinox, in and out."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.checks import check_params
from ...cell import Cell
from ...cells import GRU, LSTM, Dense, Embedding
from ...cells.activations import activation_of
from ...cells.elementwise import Activation
from ...combinators import Stack
from ...wrappers import Dropout
from ..layers import Layer, loaded
from ..options import check_cell, named

LOAD, DUMP = "interop.equinox.load", "interop.equinox.dump"


def load(module: Any) -> Layer:
    """The cell that a module of equinox is, and its params.

        LSTMCell, GRUCell      LSTM, GRU    weight_ih = kernel^T,
                                            weight_hh = recurrent_kernel^T,
                                            bias_n = recurrent_bias
        Linear, Embedding      Dense, Embedding
        Dropout                Dropout
        Lambda, Identity       Activation
        Sequential, a tuple    Stack

    Blocks are in our orders, and so is the state (h, c): `LSTMCarry(*state)`. equinox
    has no loop: `unroll` computes what `jax.lax.scan` over the cell does, and takes batch
    axes where equinox takes `jax.vmap`. Recurrent cells come in a tuple or a list, as a
    Sequential could not call them.

    What differs: an Embedding takes symbols outside 0..V-1 for others, and ours gives
    NaN. Dropout is on with a key, whatever `inference` says.

    Args:
        module: of `equinox.nn`, or a tuple or list of such, the first that reads x first.

    Raises:
        ValueError: in one line, for a module of another kind, a Linear of scalars, a
            function that is not of a module.

    Example:
        >>> import equinox as eqx, jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.equinox
        >>> keys = jax.random.split(jax.random.key(0))
        >>> modules = eqx.nn.GRUCell(3, 5, key=keys[0]), eqx.nn.Linear(5, 2, key=keys[1])
        >>> cell, params = jaxrnn.interop.equinox.load(modules)
        >>> xs = jax.random.normal(jax.random.key(1), (7, 3))
        >>> h, ys = jaxrnn.unroll(cell, params, xs)
        >>> def step(h, x):
        ...     h = modules[0](x, h)
        ...     return h, modules[1](h)
        >>> _, expected = jax.lax.scan(step, jnp.zeros(5), xs)
        >>> print(ys.shape, bool(jnp.allclose(ys, expected, atol=1e-5)))
        (7, 2) True
    """
    return loaded(LOAD, *_read(module, "module"))


def _read(module: Any, where: str) -> Layer:
    from equinox import nn

    if type(module) in (nn.Sequential, tuple, list):
        inside = f"{where}.layers" if type(module) is nn.Sequential else where
        layers = enumerate(getattr(module, "layers", module))
        found = [_read(layer, f"{inside}[{index}]") for index, layer in layers]
        if not found:
            raise ValueError(f"{LOAD}: {where} is empty, expected a layer at least")
        cell = Stack(tuple(cell for cell, _ in found))
        return cell, tuple(params for _, params in found)
    kinds = {
        nn.LSTMCell: _recurrent,
        nn.GRUCell: _recurrent,
        nn.Linear: _linear,
        nn.Embedding: _embedding,
        nn.Dropout: lambda module, where: (Dropout(float(module.p)), ()),
        nn.Lambda: _lambda,
        nn.Identity: lambda module, where: (Activation("identity"), ()),
    }
    if type(module) not in kinds:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"{LOAD}: {where} is {type(module).__name__}, expected a {names}, Sequential "
            "or tuple of equinox.nn; load the layers of a module of your own one by one"
        )
    return kinds[type(module)](module, where)


def _recurrent(module: Any, where: str) -> Layer:
    params = {
        "kernel": jnp.asarray(module.weight_ih).T,
        "recurrent_kernel": jnp.asarray(module.weight_hh).T,
    }
    names = {"bias": "bias", "recurrent_bias": "bias_n"}
    for ours, theirs in names.items():
        leaf = getattr(module, theirs, None)
        if leaf is not None:
            params[ours] = jnp.asarray(leaf)
    kind = LSTM if type(module).__name__ == "LSTMCell" else GRU
    sizes = module.input_size, module.hidden_size
    return kind(*sizes, use_bias=module.use_bias), params


def _linear(module: Any, where: str) -> Layer:
    sizes = {name: getattr(module, name) for name in ("in_features", "out_features")}
    for name, size in sizes.items():
        if size == "scalar":
            raise ValueError(
                f"{LOAD}: {where}.{name} is 'scalar', expected a number: a Dense reads "
                "and shows arrays [I] and [O]; build it with 1"
            )
    params = {"kernel": jnp.asarray(module.weight).T}
    if module.bias is not None:
        params["bias"] = jnp.asarray(module.bias)
    return Dense(*sizes.values(), use_bias="bias" in params), params


def _embedding(module: Any, where: str) -> Layer:
    embedding = jnp.asarray(module.weight)
    vocabulary, features = embedding.shape
    return Embedding(vocabulary, features), {"embedding": embedding}


def _lambda(module: Any, where: str) -> Layer:
    return Activation(named(LOAD, f"{where}.fn", module.fn)), ()


def dump(cell: Cell, params: Any) -> Any:
    """The module that `load` takes: of equinox, with the params in it.

    A cell is the module of its row in `load`; a `Stack` is a Sequential if it has no
    memory, and else the tuple of its modules, for a loop of yours. Dropout is there with
    inference=True. So `load(dump(cell, params))` is the same cell with the same params,
    but for initializers, which equinox has of its own kind.

    Args:
        cell: an `LSTM`, a `GRU` that resets after the product, `Dense`, `Embedding`,
            `Dropout` or `Activation`, or a `Stack` of these.
        params: those of the cell.

    Raises:
        ValueError: in one line, for a cell or an option of one that equinox has not.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.equinox
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> module = jaxrnn.interop.equinox.dump(cell, params)
        >>> h, c = module(jnp.ones(3), (jnp.zeros(5), jnp.zeros(5)))
        >>> print(module.weight_ih.shape, h.shape)
        (20, 3) (5,)
    """
    return _written(cell, jax.tree.map(jnp.asarray, check_params(DUMP, cell, params)))


def _written(cell: Any, params: Any) -> Any:
    from equinox import nn

    if type(cell) is Stack:
        pairs = zip(cell.cells, params, strict=True)
        modules = tuple(_written(*pair) for pair in pairs)
        memory = nn.LSTMCell, nn.GRUCell, tuple
        return modules if any(isinstance(m, memory) for m in modules) else _row(modules)
    if type(cell) is Dropout:
        return nn.Dropout(cell.rate, inference=True)
    if type(cell) is Activation:
        return nn.Lambda(activation_of(cell.activation))
    if type(cell) is Embedding:
        return nn.Embedding(weight=params["embedding"])
    bias = {"use_bias": "bias" in params}
    if type(cell) is Dense:
        sizes, leaves = (cell.input_size, cell.output_size), {"weight": "kernel"}
        return _made(nn.Linear, sizes, params, bias, leaves | {"bias": "bias"})
    leaves = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias": "bias"}
    if type(cell) is LSTM:
        check_cell(DUMP, cell, "LSTMCell of equinox", use_bias=...)
        sizes = cell.input_size, cell.hidden_size
        return _made(nn.LSTMCell, sizes, params, bias, leaves)
    if type(cell) is GRU:
        check_cell(DUMP, cell, "GRUCell of equinox", use_bias=...)
        sizes, leaves = (
            (cell.input_size, cell.hidden_size),
            leaves | {"bias_n": "recurrent_bias"},
        )
        return _made(nn.GRUCell, sizes, params, bias, leaves)
    raise ValueError(
        f"{DUMP}: {cell} has no counterpart in equinox.nn, expected an LSTM, GRU, Dense, "
        "Embedding, Dropout or Activation, or a Stack of these"
    )


def _row(modules: tuple) -> Any:
    from equinox import nn

    return nn.Sequential(modules)


def _made(kind: Any, sizes: Any, params: Any, options: Any, leaves: Any) -> Any:
    """A module with these leaves of params, kernels in rows."""
    import equinox

    key = jax.random.key(0)
    module = equinox.filter_eval_shape(kind, *sizes, **options, key=key)
    there = {theirs: ours for theirs, ours in leaves.items() if ours in params}
    return equinox.tree_at(
        lambda module: [getattr(module, name) for name in there],
        module,
        [params[ours].T for ours in there.values()],
    )
