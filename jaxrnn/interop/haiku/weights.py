"""Weights of dm-haiku, in and out."""

import collections
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.checks import check_params
from ...cell import Cell
from ...cells import GRU, LSTM, ConvLSTM, Dense, Elman, Embedding
from ...cells.elementwise import Activation
from ...combinators import DenseSkip, Stack
from ...wrappers import Dropout, TwoBiases, VariationalDropout
from ..layers import Layer, doubled, floats, in_a_row, loaded
from . import modules
from .modules import Weights

LOAD, DUMP = "interop.haiku.load", "interop.haiku.dump"

ROWS = Stack, DenseSkip
BARE = Dropout, VariationalDropout, Activation  # without params


def load(
    params: Weights,
    cell: Cell | None = None,
    *,
    names: str | Sequence[str] | None = None,
    split: bool = False,
) -> Layer:
    """The cell that modules of haiku are, by their names, and its params.

        "lstm/linear"                    LSTM: w is kernel above recurrent_kernel, blocks
                                         i, g, f, o sorted; 1 added to f's bias, which
                                         haiku adds in every step
        "gru"                            GRU(reset_after=False): blocks z, r, a sorted, z
                                         negated, as haiku's z writes and ours keeps
        "vanilla_rnn/linear", ".../linear_1"    Elman(activation="relu"), of the input and
                                         of h; the two biases added
        "conv2_dlstm/input_to_hidden", ".../hidden_to_hidden"    cells.ConvLSTM, as the
                                         LSTM; the two biases added
        "linear", "embed"                Dense, Embedding

    haiku is not needed: the params are a mapping of mappings of arrays. They tell of the
    modules their names and their shapes, no more. Give `names` where modules are of
    different kinds, as no mapping keeps their order; "lstm", "lstm_1" alone come in the
    order of their numbers, as layers of a DeepRNN. Give `cell` for what no params tell:
    modules with names of your own, the places of a ConvLSTM, functions between layers
    (`Activation`), a `DenseSkip`, which is hk.deep_rnn_with_skip_connections.

    haiku's LSTMState(hidden, cell) is `LSTMCarry(h, c)`. ResetCore and IdentityCore
    have no weights: `resets` of `unroll` are the former's should_reset.

    What differs: haiku trains two biases of a VanillaRNN and of a ConvLSTM, so that a
    step of SGD moves their sum by twice as much; with `split`, or a cell of `TwoBiases`,
    two are kept. Weight decay pulls the forget gate's bias to 1 in haiku, to 0 here.

    Args:
        params: what `transformed.init` returns.
        cell: one of those above, `Dropout` or `Activation`, or a `Stack` or `DenseSkip`
            of them, in any depth; None: it is found out.
        names: of the modules, in the order of the layers that have params: "net/~/lstm".
            None: those that haiku gives to modules without names, and all there are.
        split: keep two biases of a VanillaRNN, in `TwoBiases`; with `cell`, of all that
            have two.

    Raises:
        ValueError: in one line, for a module that is not there, or of no kind above, for
            one that is left over, for params that are not the cell's.
        TypeError: for params that are no mapping of mappings of arrays of floats.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn, jaxrnn.interop.haiku
        >>> linear = {"w": jnp.ones((3 + 5, 20)), "b": jnp.zeros(20)}
        >>> params = {"lstm/linear": linear, "linear": {"w": jnp.ones((5, 2))}}
        >>> cell, params = jaxrnn.interop.haiku.load(params, names=("lstm", "linear"))
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 4, 3)))
        >>> print(cell.cells[0], ys.shape)
        LSTM(input_size=3, hidden_size=5) (7, 4, 2)
    """
    params = {
        name: {leaf: _array(f"{name}/{leaf}", value) for leaf, value in own.items()}
        for name, own in _modules(params).items()
    }
    found = _found(params)
    given = [names] if isinstance(names, str) else names
    if cell is not None:
        cell = doubled(cell, modules.has_two) if split else cell
        order = _order(LOAD, cell, given)
        if given is None:
            _check_all_taken(found, order)
        return loaded(LOAD, cell, _read(cell, params, iter(order)))
    order = _in_order(found) if given is None else list(given)
    for name in order:
        if found.get(name, object) is object:
            raise ValueError(
                f"{LOAD}: {name!r} is no module of a kind that its name tells, among "
                f"{sorted(found)}; give names= of these, or cell= for what it is"
            )
    return loaded(LOAD, *in_a_row([_alone(params, n, found[n], split) for n in order]))


def _modules(params: Any) -> Mapping[str, Mapping[str, Any]]:
    """The params, if they are a mapping of mappings."""
    if not isinstance(params, Mapping):
        raise TypeError(
            f"{LOAD}: params is a {type(params).__name__}, expected a mapping: what "
            "transformed.init returns"
        )
    for name, own in params.items():
        if not isinstance(own, Mapping):
            raise TypeError(
                f"{LOAD}: params[{name!r}] is a {type(own).__name__}, expected a mapping "
                'of the arrays of one module, such as {"w": ..., "b": ...}'
            )
    return params


def _array(name: str, value: Any) -> jax.Array:
    return jnp.asarray(floats(LOAD, repr(name), value))


def _alone(params: Weights, name: str, kind: type, split: bool) -> Layer:
    """The cell of a module, and its params."""
    if kind is ConvLSTM:
        raise ValueError(
            f"{LOAD}: {name!r} is a ConvLSTM, whose weights do not tell the places of x: "
            "give cell=cells.ConvLSTM((*places, I), H, kernel_size=...)"
        )
    two = split and kind is Elman and "b" in params.get(f"{name}/linear_1", ())
    own = modules.read(LOAD, params, name, kind, two)
    if kind is Embedding:
        vocabulary, features = own["embedding"].shape
        return Embedding(vocabulary, features), own
    rows, columns = own["kernel"].shape
    if kind is Dense:
        return Dense(rows, columns, use_bias="bias" in own), own
    sizes = rows, own["recurrent_kernel"].shape[0]
    if kind is Elman:
        elman = Elman(*sizes, "relu")
        return TwoBiases(elman) if two else elman, own
    return LSTM(*sizes) if kind is LSTM else GRU(*sizes, reset_after=False), own


def _found(params: Weights) -> dict[str, type]:
    """Every module by its name, with the kind of its cell."""
    found: dict[str, type] = {}
    for name, own in params.items():
        outer, _, last = name.rpartition("/")
        base = re.sub(r"_\d+$", "", outer.rpartition("/")[2])
        if last in ("input_to_hidden", "hidden_to_hidden"):
            found[outer] = ConvLSTM
        elif base == "lstm" and last == "linear":
            found[outer] = LSTM
        elif base == "vanilla_rnn" and last in ("linear", "linear_1"):
            found[outer] = Elman
        elif set(own) == {"w_i", "w_h", "b"}:
            found[name] = GRU
        elif set(own) == {"embeddings"}:
            found[name] = Embedding
        elif set(own) - {"b"} == {"w"} and own["w"].ndim == 2:
            found[name] = Dense
        else:
            found[name] = object
    return found


def _in_order(found: dict[str, type]) -> list[str]:
    """All modules, if their order is known: "lstm", "lstm_1", ..."""

    def numbered(name: str) -> tuple[str, int]:
        base, _, last = name.rpartition("_")
        return (base, int(last)) if base and last.isdigit() else (name, 0)

    bases = {numbered(name)[0] for name in found}
    if len(bases) != 1:
        raise ValueError(
            f"{LOAD}: the params hold the modules {sorted(found)} in no order; give "
            "names=, in the order of the layers"
        )
    return sorted(found, key=numbered)


def _layers(cell: Cell) -> list[Cell]:
    """Those that have params."""
    if isinstance(cell, ROWS):
        return [layer for inner in cell.cells for layer in _layers(inner)]
    return [] if type(cell) in BARE else [cell]


def _order(call: str, cell: Cell, given: Sequence[str] | None) -> list[str]:
    """The names of the modules of the layers: those given, or haiku's own."""
    layers, counts, order = _layers(cell), collections.Counter(), []
    free = {"recurrent_dropout": ...} if call == LOAD else {}  # in training alone
    for layer in layers:
        modules.check(call, layer, **free)
        name = modules.name_of(layer)
        order.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    if given is None:
        return order
    if len(given) != len(order):
        raise ValueError(
            f"{call}: there are {len(given)} names for {cell}, expected {len(order)}, "
            "one for each layer that has params"
        )
    return list(given)


def _check_all_taken(found: dict[str, type], order: list[str]) -> None:
    left = sorted(set(found) - set(order))
    if left:
        raise ValueError(
            f"{LOAD}: the params hold {left}, and the layers of cell are called {order} "
            "by haiku; give names= of the modules to take"
        )


def _read(cell: Any, params: Weights, names: Iterator[str]) -> Any:
    if isinstance(cell, ROWS):
        return tuple(_read(inner, params, names) for inner in cell.cells)
    if type(cell) in BARE:
        return ()
    plain = modules.inner(cell)
    return modules.read(LOAD, params, next(names), type(plain), plain is not cell)


def dump(
    cell: Cell, params: Any, *, names: str | Sequence[str] | None = None
) -> dict[str, dict[str, jax.Array]]:
    """The params that haiku's modules take: the inverse of `load`.

        LSTM                            hk.LSTM(H)
        GRU(reset_after=False)          hk.GRU(H)
        Elman(activation="relu")        hk.VanillaRNN(H, double_bias=False)
        TwoBiases(Elman(...))           hk.VanillaRNN(H)
        cells.ConvLSTM                  hk.Conv1DLSTM, Conv2DLSTM, Conv3DLSTM
        Dense, Embedding                hk.Linear, hk.Embed
        Stack, DenseSkip                hk.DeepRNN, hk.deep_rnn_with_skip_connections

    `load(dump(cell, params), cell)` gives the same params: exactly, but for a forget
    gate's bias, from which 1 is taken. haiku's cells have biases, which are zeros where
    `use_bias=False`.

    Args:
        cell: one of those above, or in a `Stack` or `DenseSkip` of them, with `Dropout`
            and `Activation`, which have no params.
        params: those of the cell.
        names: of the modules, in the order of the layers that have params; None: those
            that haiku gives to modules without names, "lstm", "lstm_1".

    Raises:
        ValueError: in one line, for a cell or an option of one that haiku has not.

    Example:
        >>> import jax, jaxrnn, jaxrnn.interop.haiku
        >>> cell = jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2)))
        >>> params = cell.init(jax.random.key(0))
        >>> theirs = jaxrnn.interop.haiku.dump(cell, params)
        >>> print({name: leaves["w"].shape for name, leaves in theirs.items()})
        {'lstm/linear': (8, 20), 'linear': (5, 2)}
    """
    params = jax.tree.map(jnp.asarray, check_params(DUMP, cell, params))
    order = _order(DUMP, cell, [names] if isinstance(names, str) else names)
    taken = iter(order)
    written: dict[str, dict[str, jax.Array]] = {}
    for layer, own in _with_params(cell, params):
        written |= modules.written(layer, own, next(taken))
    return written


def _with_params(cell: Any, params: Any) -> list[Layer]:
    if isinstance(cell, ROWS):
        pairs = zip(cell.cells, params, strict=True)
        return [layer for pair in pairs for layer in _with_params(*pair)]
    return [] if type(cell) in BARE else [(cell, params)]
