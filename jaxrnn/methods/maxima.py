"""Steps that take maxima: max(c + a, b), affine in an algebra of its own."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import primitives as p

from .jaxprs import apply, piece, read


class NotAffine(Exception):
    """Of a step that is not affine in its carry."""


class Pair(NamedTuple):
    """max(c + a, b), of a leaf c."""

    a: Any
    b: Any


def maximum(closed: Any, index: int, args: Sequence[Any]) -> Pair:
    """Argument `index` of the jaxpr, c, becomes max(c + a, b): a and b.

    Raises:
        NotAffine: if it does not.
    """
    jaxpr = closed.jaxpr
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env |= dict(zip(jaxpr.invars, args, strict=True))
    leaf = env[jaxpr.invars[index]]
    lowest = jnp.full(leaf.shape, -math.inf, leaf.dtype)
    env[jaxpr.invars[index]] = Pair(jnp.zeros_like(leaf), lowest)
    for eqn in piece(closed, [jaxpr.outvars[index]], ()).equations:
        values = [read(env, atom) for atom in eqn.invars]
        if any(isinstance(value, Pair) for value in values):
            env[eqn.outvars[0]] = _paired(eqn, values)
        else:
            env.update(zip(eqn.outvars, apply(eqn, values), strict=True))
    return _pair(read(env, jaxpr.outvars[index]), lowest)


def is_maximum(closed: Any, index: int) -> bool:
    if not jnp.issubdtype(closed.jaxpr.invars[index].aval.dtype, jnp.floating):
        return False  # there is nothing below all integers
    avals = [
        jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.invars
    ]
    try:
        jax.eval_shape(lambda *args: maximum(closed, index, args), *avals)
    except NotAffine:
        return False
    return True


def _pair(value: Any, lowest: Any) -> Pair:
    return value if isinstance(value, Pair) else Pair(lowest, value)


def _paired(eqn: Any, values: Sequence[Any]) -> Pair:
    kind, shape = eqn.primitive, eqn.outvars[0].aval.shape
    pairs = [value for value in values if isinstance(value, Pair)]
    lowest = jnp.full(shape, -math.inf, pairs[0].a.dtype)
    if any(pair.a.shape != shape for pair in pairs):
        raise NotAffine(kind.name)
    on = lambda f: Pair(f(pairs[0].a), f(pairs[0].b))  # noqa: E731
    if kind is p.add_p and len(pairs) == 1:
        (other,) = (value for value in values if not isinstance(value, Pair))
        return on(lambda x: x + other)
    if kind is p.sub_p and isinstance(values[0], Pair) and len(pairs) == 1:
        return on(lambda x: x - values[1])
    floating = jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating)
    if kind is p.convert_element_type_p and floating:
        return on(lambda x: apply(eqn, [x])[0])
    if kind is p.max_p:
        both = [_pair(value, lowest) for value in values]
        return Pair(*map(jnp.maximum, *both))
    if kind is p.select_n_p and not isinstance(values[0], Pair):
        cases = [_pair(value, lowest) for value in values[1:]]
        select: Callable[..., Any] = jax.lax.select_n
        return Pair(*(select(values[0], *same) for same in zip(*cases, strict=True)))
    raise NotAffine(kind.name)
