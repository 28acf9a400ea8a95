"""Checks at trace time: which call, which argument, what came, what was expected."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from .doors import matched, native

if TYPE_CHECKING:
    from .cell import Cell


def names(dtypes: Sequence[Any]) -> str:
    """Dtypes, for a message."""
    return ", ".join(dtype.name for dtype in dtypes)


def shapes(tree: Any) -> Any:
    """The shape of every leaf; of a bare array, its shape."""
    return jax.tree.map(jnp.shape, tree)


def alike(a: Any, b: Any) -> bool:
    """Whether two trees have one structure, and their leaves the same shapes."""
    return jax.tree.structure(a) == jax.tree.structure(b) and shapes(a) == shapes(b)


def check_cell(call: str, cell: Any) -> None:
    """Raise unless `cell` is a value: a hashable instance of a frozen dataclass."""
    from .cell import Cell

    if isinstance(cell, type):
        raise TypeError(
            f"{call}: cell is the class {cell.__name__}, expected an instance of it: "
            f"{cell.__name__}(...)"
        )
    if not isinstance(cell, Cell):
        raise TypeError(
            f"{call}: cell is of type {type(cell).__name__}, expected a jaxrnn.Cell"
        )
    name = type(cell).__name__
    if not dataclasses.is_dataclass(cell) or not cell.__dataclass_params__.frozen:  # pyright: ignore
        raise TypeError(
            f"{call}: {name} is not a frozen dataclass; declare it as "
            "@jax.tree_util.register_static @dataclass(frozen=True)"
        )
    own_sequence = type(cell).sequence is not Cell.sequence
    if own_sequence and type(cell).prepare is Cell.prepare and _holds_cells(cell):
        raise TypeError(
            f"{call}: {name} defines sequence but not prepare, so that the cells inside "
            "it would never be prepared; derive it from jaxrnn.Combinator or "
            "jaxrnn.Wrapper, which do that"
        )
    try:
        hash(cell)
    except TypeError as error:
        raise TypeError(
            f"{call}: {name} cannot be hashed ({error}); a cell is a "
            "@dataclass(frozen=True) whose fields are numbers, strings, tuples, cells "
            "and module-level functions; arrays belong in its params"
        ) from error


def _holds_cells(cell: "Cell") -> bool:
    from .cell import Cell

    values = (getattr(cell, field.name) for field in dataclasses.fields(cell))  # pyright: ignore
    return any(isinstance(leaf, Cell) for value in values for leaf in _entries(value))


def _entries(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


@functools.lru_cache(maxsize=1024)
def _param_shapes(cell: "Cell") -> Any:
    return jax.eval_shape(cell.init, jax.eval_shape(lambda: jax.random.key(0)))


def check_params(call: str, cell: "Cell", params: Any) -> Any:
    """The params in the containers of `cell.init(key)`, of whose shapes they are.

    Any mapping will do. Raises where structure or shapes differ.
    """
    expected = _param_shapes(cell)
    params = native(call, "params", matched(expected, params))
    remedy = f"make them with {cell}.init(key)"
    _compare(call, "params", params, expected, (), cell, remedy)
    return params


def check_carry(
    call: str, cell: "Cell", params: Any, carry: Any, batch_shape: tuple[int, ...]
) -> Any:
    """The carry, which is `cell.initial_carry(params)` with `batch_shape` first."""
    from .context import contexts, emptied

    expected = jax.eval_shape(cell.initial_carry, params)
    if contexts(expected):
        remedy = (
            "make one with `attend`, in a tuple with an entry for each cell of a Stack"
        )
    elif batch_shape:
        remedy = f"make one with batched_carry(cell, params, {batch_shape})"
    else:
        remedy = "make one with cell.initial_carry(params)"
    carry = native(call, "carry", carry)
    _compare(call, "carry", emptied(carry), expected, batch_shape, cell, remedy)
    return carry


def check_contexts(
    call: str, cell: "Cell", carry: Any, batch_shape: tuple[int, ...]
) -> None:
    """Raise unless every context in `carry` is filled, with `batch_shape` first."""
    from .context import contexts

    for context in contexts(carry):
        leaves = jax.tree.leaves(context)
        if not leaves:
            raise ValueError(
                f"{call}: the carry of {cell} has an empty Context, expected one that "
                "says what the cell reads besides x: give a carry that holds it, such as "
                "`attend` makes"
            )
        for leaf in leaves:
            if jnp.shape(leaf)[: len(batch_shape)] != batch_shape:
                raise ValueError(
                    f"{call}: the Context in the carry has a leaf of shape "
                    f"{jnp.shape(leaf)}, expected {batch_shape} first: batch axes come "
                    "first in a carry"
                )


def _compare(
    call: str,
    name: str,
    got: Any,
    expected: Any,
    batch_shape: tuple[int, ...],
    cell: "Cell",
    remedy: str,
) -> None:
    if jax.tree.structure(got) != jax.tree.structure(expected):
        raise ValueError(
            f"{call}: {name} has the structure {structure(got)}, expected "
            f"{structure(expected)} for {cell}; {remedy}"
        )
    expected_leaves = jax.tree.leaves(expected)
    for (path, leaf), want in zip(
        jax.tree_util.tree_leaves_with_path(got), expected_leaves, strict=True
    ):
        if jnp.shape(leaf) != batch_shape + want.shape:
            raise ValueError(
                f"{call}: {name}{jax.tree_util.keystr(path)} has shape "
                f"{jnp.shape(leaf)}, expected {batch_shape + want.shape} for {cell}; "
                f"{remedy}"
            )


class _Leaf:
    def __repr__(self) -> str:
        return "*"


def structure(tree: Any) -> str:
    """The tree with a star for every leaf, cut where it grows long."""
    text = repr(jax.tree.map(lambda _: _Leaf(), tree))
    return text if len(text) <= 200 else f"{text[:200]}..."


def _is_shape(value: Any) -> bool:
    sizes = int, np.integer
    return isinstance(value, tuple) and all(isinstance(size, sizes) for size in value)


def leading_shape(
    call: str,
    name: str,
    cell: "Cell",
    xs: Any,
    axes: str = "",
    ndim: int | None = None,
) -> tuple[int, ...]:
    """The axes of `xs` before `cell.input_shape`, the same for every leaf of `xs`.

    `ndim` is their number, for a cell that takes an x of any shape.
    """
    if cell.input_shape is ...:
        if ndim is None:
            raise ValueError(
                f"{call}: {cell} takes an x of any shape, so that its batch axes cannot "
                "be told from its features; put it in a Stack with a cell that has an "
                "input_shape"
            )
        leading = {jnp.shape(x)[:ndim] for x in jax.tree.leaves(xs)}
        return leading.pop() if len(leading) == 1 else ()
    expected, treedef = jax.tree.flatten(cell.input_shape, is_leaf=_is_shape)
    if jax.tree.structure(xs) != treedef:
        raise ValueError(
            f"{call}: {name} has the structure {structure(xs)}, expected an array for "
            f"each of {cell.input_shape}, the input_shape of {cell}"
        )
    leading = set()
    for x, shape in zip(jax.tree.leaves(xs), expected, strict=True):
        split = jnp.ndim(x) - len(shape)
        if split < 0 or jnp.shape(x)[split:] != shape:
            want = ", ".join([axes] * bool(axes) + [str(size) for size in shape])
            raise ValueError(
                f"{call}: {name} has shape {jnp.shape(x)}, expected ({want}) for {cell}"
            )
        leading.add(jnp.shape(x)[:split])
    if len(leading) != 1:
        raise ValueError(
            f"{call}: the leaves of {name} have the shapes {shapes(xs)}: their axes "
            f"before the input_shape {cell.input_shape} of {cell} must agree"
        )
    return leading.pop()


def time_and_batch(call: str, cell: "Cell", xs: Any) -> tuple[int, ...]:
    """(T, *batch), of the inputs of a sequence."""
    check_cell(call, cell)
    leading = leading_shape(call, "xs", cell, xs, "T, *batch")
    if not leading:
        raise ValueError(
            f"{call}: xs has shape {shapes(xs)}, expected a time axis before "
            f"{cell.input_shape} for {cell}; for a single step call the cell itself"
        )
    return leading


def check_loss(call: str, name: str, loss: Any) -> None:
    """Raise unless `loss` is a function, and no cell in the place of one."""
    from .cell import Cell

    if isinstance(loss, Cell) or not callable(loss):
        raise TypeError(
            f"{call}: {name} is of type {type(loss).__name__}, expected a function of "
            f"the outputs: it comes first, then the cell"
        )


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy, and no boolean."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(call: str, name: str, value: Any) -> int:
    """The number as an int of Python; raises unless it is a whole one of at least 1."""
    if not is_whole(value) or value < 1:
        raise ValueError(f"{call}: {name} is {value!r}, expected a positive int")
    return int(value)


def check_rate(cell: "Cell", name: str, rate: Any) -> float:
    """The rate as a float of Python; raises unless it is at least 0 and less than 1."""
    if not is_number(rate) or not 0 <= rate < 1:
        raise ValueError(
            f"{type(cell).__name__}: {name} is {rate!r}, expected a number of at least 0 "
            "and less than 1"
        )
    return float(rate)
