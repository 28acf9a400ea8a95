"""Derivatives with None for what is zero by structure, of functions of pytrees."""

from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from .jaxprs import depend, is_variable, piece, trace
from .recurrence import is_floating, pairs


def plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + b


class Sums:
    """Sums by variable; of nothing, None."""

    def __init__(self) -> None:
        self._of: dict[Any, Any] = {}

    def add(self, variable: Any, term: Any) -> None:
        self._of[variable] = plus(self._of.get(variable), term)

    def get(self, variable: Any) -> Any:
        return self._of.get(variable)


def jvp(function: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """As `jax.jvp`, with None for tangents that are zero by structure."""
    values, tree = jax.tree.flatten(primals)
    given = tree.flatten_up_to(tangents)
    moving = [i for i, tangent in enumerate(given) if tangent is not None]
    structure: Any = None

    def flat(*moved: Any) -> list[Any]:
        nonlocal structure
        every = list(values)
        for i, value in zip(moving, moved, strict=True):
            every[i] = value
        leaves, structure = jax.tree.flatten(function(*tree.unflatten(every)))
        return leaves

    here = [values[i] for i in moving]
    closed = trace(flat, *here)
    moved = depend(closed, closed.jaxpr.invars)
    function = jaxpr_as_fun(closed)
    results, dresults = jax.jvp(function, here, [given[i] for i in moving])
    dresults = [
        dresult if is_variable(atom) and atom in moved and is_floating(atom) else None
        for atom, dresult in zip(closed.jaxpr.outvars, dresults, strict=True)
    ]
    return structure.unflatten(results), structure.unflatten(dresults)


def vjp(function: Any, primals: Any) -> tuple[Any, Any]:
    """As `jax.vjp`, with None for gradients that are zero by structure, both ways."""
    values, tree = jax.tree.flatten(primals)
    structure: Any = None

    def flat(*values: Any) -> list[Any]:
        nonlocal structure
        leaves, structure = jax.tree.flatten(function(*tree.unflatten(values)))
        return leaves

    closed = trace(flat, *values)
    outvars, invars = closed.jaxpr.outvars, closed.jaxpr.invars

    def pull(bars: Any) -> Any:
        of = Sums()
        for v, bar in zip(outvars, structure.flatten_up_to(bars), strict=True):
            if is_variable(v):
                of.add(v, bar)
        shown = [v for v in dict.fromkeys(filter(is_variable, outvars))]
        shown = [v for v in shown if of.get(v) is not None and is_floating(v)]
        part = piece(closed, shown, ())
        moving = [v for v in part.inputs if is_floating(v)]
        env = pairs(invars, values)

        def moved(*given: Any) -> list[Any]:
            every = env | pairs(moving, given)
            return part(*(every[v] for v in part.inputs))

        def gradients(*args: Any) -> list[Any]:
            _, back = jax.vjp(moved, *args[: len(moving)])
            return list(back(list(args[len(moving) :])))

        # Traced, so that what is made on the way and not read is left out.
        args = [*(env[v] for v in moving), *(of.get(v) for v in shown)]
        derived = trace(gradients, *args)
        found = piece(derived, derived.jaxpr.outvars, ())
        given = pairs(derived.jaxpr.invars, args)
        found = pairs(moving, found(*(given[v] for v in found.inputs)))
        return tree.unflatten([found.get(v) for v in invars])

    return structure.unflatten(jaxpr_as_fun(closed)(*values)), pull
