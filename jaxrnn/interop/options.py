"""What layers of JAX's other libraries are told, as a cell has it, or refused."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cell import Cell
from ..cells.activations import Activation
from ..combinators.merges import concatenate
from ..wrappers.reversed import Reversed

# They make params, and change none that are there.
INITIALIZERS = "kernel_init", "recurrent_init", "bias_init", "embedding_init"


def named(call: str, where: str, function: Any) -> Activation:
    """A function by its name in `jax.nn`, or itself if it is one of a module."""
    name = getattr(function, "__name__", "")
    if name and getattr(jax.nn, name, None) is function:
        return name
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if not name or getattr(module, name, None) is not function:
        raise ValueError(
            f"{call}: {where} is {function!r}, expected a function of jax.nn or of a "
            "module: a cell keeps no lambda or partial; write it as a function"
        )
    return function


def merged(call: str, where: str, function: Any, default: Any, shapes: Any) -> Any:
    """The merge of one step's outputs, for one that a library calls with all of them.

    Args:
        default: the function of the library that is our `concatenate`.
        shapes: those of one step's outputs, forward and backward.
    """
    if function is default or function is concatenate:
        return concatenate
    named(call, where, function)
    rng = np.random.default_rng(0)
    with jax.ensure_compile_time_eval():
        both = [jnp.asarray(rng.normal(size=(2, 3, *shape))) for shape in shapes]
        try:
            whole, single = function(*both), jax.vmap(jax.vmap(function))(*both)
            alone = whole.shape == single.shape and bool(jnp.allclose(whole, single))
        except (TypeError, ValueError):
            alone = False
    if not alone:
        raise ValueError(
            f"{call}: {where} is {function!r}, which looks beyond one step of one "
            "example, expected one such as jnp.add"
        )
    return function


def check_starts_at_zeros(call: str, where: str, carry_init: Any) -> None:
    """Raise unless an initializer of carries makes zeros."""
    if carry_init is None:
        return
    with jax.ensure_compile_time_eval():
        carry = carry_init(jax.random.key(0), (3,), jnp.float32)
        zeros = not bool(jnp.any(carry))
    if not zeros:
        raise ValueError(
            f"{call}: {where}.carry_init is {carry_init!r}, and a cell starts at zeros; "
            "load it with zeros, and give unroll the carry"
        )


def check_dtype(call: str, where: str, dtype: Any, *weights: Any) -> None:
    """Raise where a layer computes in another dtype than that of its weights."""
    others = [w.dtype for w in weights if w is not None]
    if dtype is not None and any(jnp.dtype(dtype) != other for other in others):
        raise ValueError(
            f"{call}: {where}.dtype is {jnp.dtype(dtype).name}, and the weights are "
            f"{others[0].name}: a cell computes in the dtype of its params and inputs; "
            "cast the weights, and load with dtype=None"
        )


def check_defaults(call: str, where: str, layer: Any, defaults: dict[str, Any]) -> None:
    """Raise where an option of a layer that no cell has is not its default."""
    for name, default in defaults.items():
        value = getattr(layer, name)
        if value is not default and value != default:
            remedy = (
                "use jax.default_matmul_precision around the call"
                if name == "precision"
                else f"build the layer with {name}={default!r}"
            )
            raise ValueError(
                f"{call}: {where}.{name} is {value!r}, which no cell has; {remedy}"
            )


def check_apart(call: str, modules: Sequence[tuple[str, Any]]) -> None:
    """Raise where a module stands twice: it has its weights once."""
    seen: dict[int, str] = {}
    for where, module in modules:
        if id(module) in seen:
            raise ValueError(
                f"{call}: {where} is {seen[id(module)]} again, and cells share no "
                "weights; make two modules"
            )
        seen[id(module)] = where


def check_row(call: str, layers: Sequence[tuple[str, Any]]) -> None:
    """Raise where layers of flax are in a row what they are not alone.

    A carry that is returned would be read by the next layer, and all layers must find
    time at the same axis.
    """
    for where, layer in layers[:-1]:
        if getattr(layer, "return_carry", False):
            raise ValueError(
                f"{call}: {where}.return_carry is True, so that the next layer reads the "
                "carry too; build it with False: unroll returns every carry"
            )
    axes = [f"{w}.time_major={x.time_major}" for w, x in layers if _timed(x)]
    if len({axis.rpartition("=")[2] for axis in axes}) > 1:
        raise ValueError(
            f"{call}: {', '.join(axes)}: the layers of a Stack find time at one axis; "
            "build all of them with the same"
        )


def _timed(layer: Any) -> bool:
    return hasattr(layer, "time_major")


def turned(call: str, where: str, rnn: Any, cell: Cell) -> Cell:
    """The cell of an `RNN` of flax, `Reversed` if it reads from the end."""
    if not rnn.reverse:
        return cell
    if not rnn.keep_order:
        raise ValueError(
            f"{call}: {where}.reverse is True without keep_order, so that outputs are in "
            "the order they were made in; build it with keep_order=True, or with "
            "reverse=False for unroll(..., reverse=True)"
        )
    return Reversed(cell)


def _function(value: Any) -> Any:
    """What "tanh" names, to be compared; anything else as it is."""
    there = isinstance(value, str) and hasattr(jax.nn, value)
    return getattr(jax.nn, value) if there else value


def check_cell(call: str, cell: Cell, target: str, **has: Any) -> None:
    """Raise where a cell has an option that a library's layer has not.

    Args:
        has: what the layer has for a field, in place of the field's default; `...` for
            any value.
    """
    for field in dataclasses.fields(cell):  # pyright: ignore[reportArgumentType]
        expected, value = has.get(field.name, field.default), getattr(cell, field.name)
        free = field.name in INITIALIZERS or expected is dataclasses.MISSING
        if free or expected is ... or _function(value) == _function(expected):
            continue
        remedy = ""
        if field.name == "recurrent_dropout":
            remedy = "; dataclasses.replace(cell, recurrent_dropout=0.0) leaves it out"
        raise ValueError(
            f"{call}: {field.name} is {value!r} in {cell}, and {target} has "
            f"{expected!r} alone{remedy}"
        )
