"""Traced functions, equation by equation."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p, remat_p
from jax.extend.source_info_util import current_name_stack, user_context


def is_variable(atom: Any) -> bool:
    return not isinstance(atom, Literal)


def read(env: dict[Any, Any], atom: Any) -> Any:
    return env[atom] if is_variable(atom) else atom.val


def apply(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """The results of one equation."""
    source = eqn.source_info
    names = current_name_stack() + source.name_stack
    with user_context(source.traceback, name_stack=names), eqn.ctx.manager:
        results = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return results if eqn.primitive.multiple_results else [results]


class Closed(NamedTuple):
    """A jaxpr with its consts."""

    jaxpr: Any
    consts: Sequence[Any] = ()


def evaluate(
    closed: Any,
    args: Sequence[Any],
    at: Callable[[Any, list[Any]], Any],
    *,
    checkpoints: bool = False,
) -> list[Any]:
    """The results of a jaxpr, with the calls of jitted functions opened.

    `at(equation, values)` may give the results of an equation, a list; None: as written.
    With `checkpoints`, what stands in `jax.checkpoint` is opened too, and so no longer
    kept from being stored.
    """
    env = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(closed.jaxpr.invars, args, strict=True))
    for eqn in closed.jaxpr.eqns:
        values = [read(env, atom) for atom in eqn.invars]
        results = at(eqn, values)
        if results is None and eqn.primitive is jit_p:
            results = evaluate(eqn.params["jaxpr"], values, at, checkpoints=checkpoints)
        elif results is None and checkpoints and eqn.primitive is remat_p:
            inner = Closed(eqn.params["jaxpr"], ())
            results = evaluate(inner, values, at, checkpoints=checkpoints)
        elif results is None:
            results = apply(eqn, values)
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(env, atom) for atom in closed.jaxpr.outvars]


def trace(
    function: Callable[..., list[Any]], *args: Any, checkpoints: bool = False
) -> Any:
    """The jaxpr of a function of arrays, with that opened which `evaluate` opens."""
    closed = jax.make_jaxpr(function)(*args)

    def opened(*args: Any) -> list[Any]:
        return evaluate(closed, args, lambda *_: None, checkpoints=checkpoints)

    return jax.make_jaxpr(opened)(*args)


def shapes_of(function: Callable[..., Any], *args: Any) -> Any:
    """As `jax.eval_shape`, but the mesh of the results, and how they vary, is kept."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    return jax.tree.unflatten(jax.tree.structure(shapes), closed.out_avals)


def depend(closed: Any, variables: Iterable[Any]) -> set[Any]:
    """The variables that depend on some of these, and these."""
    found = set(variables)
    for eqn in closed.jaxpr.eqns:
        if any(is_variable(atom) and atom in found for atom in eqn.invars):
            found |= set(eqn.outvars)
    return found


def holds(equations: Iterable[Any], primitive: Any) -> bool:
    """Whether one is of this primitive, or of this name, at any depth."""
    for eqn in equations:
        inner = [getattr(x, "jaxpr", x) for x in jax.tree.leaves([*eqn.params.values()])]
        if primitive in (eqn.primitive, eqn.primitive.name):
            return True
        if any(hasattr(x, "eqns") and holds(x.eqns, primitive) for x in inner):
            return True
    return False


class Piece(NamedTuple):
    """The equations that lead from some variables to some others."""

    equations: tuple[Any, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    consts: dict[Any, Any]

    def __call__(self, *args: Any) -> list[Any]:
        env = dict(self.consts)
        env.update(zip(self.inputs, args, strict=True))
        for eqn in self.equations:
            results = apply(eqn, [read(env, atom) for atom in eqn.invars])
            env.update(zip(eqn.outvars, results, strict=True))
        return [read(env, atom) for atom in self.outputs]


def piece(closed: Any, outputs: Sequence[Any], given: Iterable[Any]) -> Piece:
    """From the variables `given`, and the arguments, to `outputs`; what it takes."""
    given = {*given, *closed.jaxpr.invars}
    needed = {atom for atom in outputs if is_variable(atom)}
    equations = []
    for eqn in reversed(closed.jaxpr.eqns):
        if any(variable in needed and variable not in given for variable in eqn.outvars):
            equations.append(eqn)
            needed |= {atom for atom in eqn.invars if is_variable(atom)}
    consts = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    order = [*closed.jaxpr.invars]
    order += [v for eqn in closed.jaxpr.eqns for v in eqn.outvars]
    inputs = tuple(v for v in order if v in needed and v in given)
    return Piece(tuple(reversed(equations)), inputs, tuple(outputs), consts)
