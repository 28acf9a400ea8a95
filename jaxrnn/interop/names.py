"""Params and carries under readable names: nested dicts, and back."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from ..cell import Cell
from ..combinators.combinator import Combinator
from ..wrappers.wrapper import Wrapper

Path = tuple[str, ...]


def named(cell: Cell, tree: Any, alone: str) -> dict[str, Any]:
    """The leaves of params or of a carry in nested dicts.

    Entries of dicts and of named tuples have their own names, those of a combinator the
    names of its fields: "forward", "backward"; "layers_0", "layers_1", ... of `cells`.
    A tree that is one leaf is the entry `alone`.
    """
    nested: dict[str, Any] = {}
    for path, leaf in zip(paths(cell, tree, alone), jax.tree.leaves(tree), strict=True):
        place = nested
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = leaf
    return nested


def unnamed(cell: Cell, names: Mapping[str, Any], like: Any, alone: str) -> Any:
    """What `named` gave, in the containers of `like`."""
    leaves = [functools.reduce(_entry, path, names) for path in paths(cell, like, alone)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def renamed(names: Mapping[str, Any], function: Callable[[str, Any], Any]) -> dict:
    """`function(path, leaf)` in place of every leaf, the path as "layers_0/kernel"."""

    def within(place: Any, path: Path) -> Any:
        if not isinstance(place, Mapping):
            return function("/".join(path), place)
        return {name: within(inner, (*path, name)) for name, inner in place.items()}

    return within(names, ())


def _entry(place: Any, name: str) -> Any:
    return place[name]


def paths(cell: Cell, tree: Any, alone: str) -> list[Path]:
    """The names that lead to every leaf, of which no two are the same."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [_path(cell, path) or (alone,) for path, _ in leaves]


def _path(cell: Cell | None, path: tuple) -> Path:
    names = []
    for entry in path:
        inner = _members(cell)
        if isinstance(entry, jax.tree_util.SequenceKey) and inner:
            name, cell = inner[entry.idx]
        else:
            name = jax.tree_util.keystr((entry,), simple=True)
            # As `LearnedCarry` has it: params of the cell inside beside its own.
            cell = getattr(cell, "cell", None) if name == "cell" else None
        names.append(name)
    return tuple(names)


def _members(cell: Cell | None) -> list[tuple[str, Cell]]:
    """The cells of a combinator, in or out of wrappers, with their names."""
    while isinstance(cell, Wrapper):
        cell = cell.cell
    if not isinstance(cell, Combinator):
        return []
    found: list[tuple[str, Cell]] = []
    for field in dataclasses.fields(cell):  # pyright: ignore[reportArgumentType]
        value = getattr(cell, field.name)
        if isinstance(value, Cell):
            found.append((field.name, value))
        elif isinstance(value, tuple):
            word = "layers" if field.name == "cells" else field.name
            inner = [entry for entry in value if isinstance(entry, Cell)]
            found += [(f"{word}_{index}", entry) for index, entry in enumerate(inner)]
    if tuple(entry for _, entry in found) == cell.cells:
        return found
    return [(f"layers_{index}", entry) for index, entry in enumerate(cell.cells)]


@functools.lru_cache(maxsize=1024)
def params_like(cell: Cell) -> Any:
    """The shapes of `cell.init(key)`, in its containers."""
    return jax.eval_shape(cell.init, jax.eval_shape(lambda: jax.random.key(0)))
