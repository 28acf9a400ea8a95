"""What comes in at a public function, as the rest of the library has it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

PLAIN = (bool, int, float, complex, np.generic, jax.ShapeDtypeStruct)


def native(call: str, name: str, tree: Any) -> Any:
    """Every leaf an array or a number that JAX takes, NumPy's in the byte order here.

    Of another byte order, as data files have it, `jax.jit` itself makes wrong numbers.

    Raises:
        TypeError: for a leaf that is none, such as another library's array.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _native(call, name, path, leaf), tree
    )


def _native(call: str, name: str, path: Any, leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        return leaf
    if isinstance(leaf, np.ndarray) and not isinstance(leaf, np.ma.MaskedArray):
        if leaf.dtype.kind in "biufc" or leaf.dtype == jax.dtypes.float0:
            return (
                leaf if leaf.dtype.isnative else leaf.astype(leaf.dtype.newbyteorder("="))
            )
        if leaf.dtype.kind == "V" and leaf.dtype.fields is None:
            return leaf  # bfloat16 and its like
        got = f"dtype {leaf.dtype}, expected numbers"
        raise TypeError(f"{call}: {name}{jax.tree_util.keystr(path)} has {got}")
    if isinstance(leaf, PLAIN):
        return leaf
    kind = type(leaf)
    ways = "detach().numpy()", "numpy()", "to_numpy()"
    ways = [way for way in ways if hasattr(leaf, way.split("(")[0])]
    remedy = f": {name}{jax.tree_util.keystr(path)}.{ways[0]}" if ways else ""
    raise TypeError(
        f"{call}: {name}{jax.tree_util.keystr(path)} is a {kind.__module__}."
        f"{kind.__qualname__}, expected an array of JAX or NumPy{remedy}"
    )


def matched(expected: Any, got: Any) -> Any:
    """`got` with the containers of `expected`, where it has the same entries.

    Any mapping of the right keys stands for a dict, and any list, tuple or mapping of
    numbers for a tuple. What differs otherwise is left as it is, for a check to tell.
    """
    if isinstance(expected, dict) and isinstance(got, Mapping):
        if set(expected) == set(got):
            return {key: matched(one, got[key]) for key, one in expected.items()}
    elif isinstance(expected, tuple):
        if isinstance(got, Mapping) and set(got) == set(range(len(expected))):
            got = [got[index] for index in range(len(expected))]
        plain = type(got) in (tuple, list) or type(got) is type(expected)
        if plain and len(got) == len(expected):
            entries = [matched(*pair) for pair in zip(expected, got, strict=True)]
            named = hasattr(expected, "_fields")
            return type(expected)(*entries) if named else tuple(entries)
    elif hasattr(got, "__jax_array__") and not isinstance(got, jax.Array):
        return got.__jax_array__()  # a variable of another library, such as flax nnx
    return got


def as_array(call: str, name: str, value: Any) -> Any:
    """`value` as an array, of NumPy unless it is one of JAX or holds traced values."""
    if not isinstance(value, (list, tuple, *PLAIN)):
        return native(call, name, value)
    try:  # in NumPy: what jax makes of it under a trace has no value to look at
        return native(call, name, np.asarray(value))
    except jax.errors.TracerArrayConversionError:
        return jnp.asarray(value)
    except ValueError as error:
        raise TypeError(
            f"{call}: {name} is of type {type(value).__name__}, expected an array"
        ) from error


def has_values(array: Any) -> bool:
    """Whether its entries can be looked at: in NumPy, `jnp` would trace under a trace."""
    traced = isinstance(array, jax.core.Tracer)
    return not traced and getattr(array, "is_fully_addressable", True)


def flags(call: str, name: str, value: Any, meaning: str) -> Any:
    """Booleans, or numbers that are 0 or 1, as booleans.

    Environments answer such numbers. Of traced ones all but zero is true.
    """
    value = as_array(call, name, value)
    if value.dtype == bool:
        return value
    if not (
        jnp.issubdtype(value.dtype, jnp.integer)
        or jnp.issubdtype(value.dtype, jnp.floating)
    ):
        raise TypeError(
            f"{call}: {name} has dtype {value.dtype}, expected booleans, or numbers that "
            f"are 0 or 1: {meaning}"
        )
    if has_values(value):
        values = np.asarray(value)
        others = values[(values != 0) & (values != 1)]
        if others.size:
            raise ValueError(
                f"{call}: {name} has the entry {others[0]}, expected booleans, or "
                f"numbers that are 0 or 1: {meaning}"
            )
        return values != 0
    return value != 0
