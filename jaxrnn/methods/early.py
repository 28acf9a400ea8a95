"""What of a step need not be in the loop: it is made before it, once or for all steps."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core.primitives import (
    add_p,
    custom_vjp_call_p,
    div_p,
    max_p,
    min_p,
    mul_p,
    sub_p,
)

from .jaxprs import depend, holds, is_variable, piece, trace
from .products import product_p

ELEMENTWISE = (add_p, sub_p, mul_p, div_p, max_p, min_p)


def settled(
    step: Callable[[Any, Any, Any], list[Any]], consts: Any, carry: Any, drive: Any
) -> tuple[Callable[[Any], list[Any]], Callable[..., list[Any]]]:
    """What a step makes of constants alone, apart from it.

        step(consts, carry, drive) = rest([*consts, *fixed(consts)], carry, drive)

    A bias is then repeated for every example before the loop, whose gradient has a row
    for each: it is summed over the examples after the loop, once.
    """
    nc = len(consts)
    closed = _traced(step, consts, carry, drive)
    invars = closed.jaxpr.invars
    moving = depend(closed, invars[nc:])
    early = []
    for eqn in closed.jaxpr.eqns:
        if any(v in moving for v in eqn.outvars):
            early += [v for v in filter(is_variable, eqn.invars) if v not in moving]
    early = [v for v in dict.fromkeys(early) if v not in invars[:nc]]
    if not early or holds(piece(closed, early, ()).equations, custom_vjp_call_p):
        return lambda consts: [], step
    before, after = piece(closed, early, ()), piece(closed, closed.jaxpr.outvars, early)

    rows = [_rows(v, closed.jaxpr.eqns) for v in early]

    def fixed(consts: Any) -> list[Any]:
        env = dict(zip(invars[:nc], consts, strict=True))
        found = before(*(env[v] for v in before.inputs))
        return [*map(jnp.broadcast_to, found, rows)]

    def rest(consts: Any, carry: Any, drive: Any) -> list[Any]:
        env = dict(zip([*invars[:nc], *early], consts, strict=True))
        env |= dict(zip(invars[nc:], [*carry, *drive], strict=True))
        return after(*(env[v] for v in after.inputs))

    return fixed, rest


def _rows(variable: Any, equations: Sequence[Any]) -> tuple[int, ...]:
    """The shape in which all that reads it would repeat it, if there is one."""
    users = [eqn for eqn in equations if variable in filter(is_variable, eqn.invars)]
    shapes = {eqn.outvars[0].aval.shape for eqn in users}
    if len(shapes) == 1 and all(eqn.primitive in ELEMENTWISE for eqn in users):
        return shapes.pop()
    return variable.aval.shape


def led(
    step: Callable[[Any, Any, Any], list[Any]], consts: Any, carry: Any, drive: Any
) -> tuple[Callable[[Any, Any], list[Any]] | None, Callable[..., list[Any]]]:
    """The products of a step that ignore the carry, if any, apart from the step.

        step(consts, carry, drive) = rest(consts, carry, lead(consts, drive))

    A cell that has x W in its `step` is then as fast as one that has it in `project`.
    """
    nc, nk = len(consts), len(carry)
    closed = _traced(step, consts, carry, drive)
    invars = closed.jaxpr.invars
    fixed, moving, driving = invars[:nc], invars[nc : nc + nk], invars[nc + nk :]
    of_carry = depend(closed, moving)
    early = [
        eqn.outvars[0]
        for eqn in closed.jaxpr.eqns
        if eqn.primitive is product_p and eqn.invars[0] not in of_carry
    ]
    if not early or holds(piece(closed, early, ()).equations, custom_vjp_call_p):
        return None, step
    before, after = piece(closed, early, ()), piece(closed, closed.jaxpr.outvars, early)
    kept = [v for v in driving if v in after.inputs]

    def lead(consts: Any, drive: Any) -> list[Any]:
        env = dict(zip([*fixed, *driving], [*consts, *drive], strict=True))
        return [env[v] for v in kept] + before(*(env[v] for v in before.inputs))

    def rest(consts: Any, carry: Any, drive: Any) -> list[Any]:
        names = [*fixed, *moving, *kept, *early]
        env = dict(zip(names, [*consts, *carry, *drive], strict=True))
        return after(*(env[v] for v in after.inputs))

    return lead, rest


def _traced(step: Any, consts: Any, carry: Any, drive: Any) -> Any:
    nc, nk = len(consts), len(carry)
    return trace(
        lambda *args: step(
            list(args[:nc]), list(args[nc : nc + nk]), list(args[nc + nk :])
        ),
        *(*consts, *carry, *drive),
    )
