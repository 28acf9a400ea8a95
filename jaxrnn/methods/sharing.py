"""Pieces of a step that hand on what they made, instead of making it again."""

from collections.abc import Sequence
from typing import Any

from jax.extend.core import primitives as p

from .jaxprs import Piece, is_variable, piece

# What only moves numbers is made again: to hand it on would copy them.
MOVING = {
    *(p.broadcast_in_dim_p, p.reshape_p, p.slice_p, p.squeeze_p, p.transpose_p),
    *(p.convert_element_type_p, p.iota_p, p.rev_p),
}


def sharing(
    closed: Any, wanted: Sequence[Sequence[Any]], products: Sequence[Sequence[Any]]
) -> list[Piece]:
    """Piece k makes `wanted[k]`, then what it hands on to later pieces.

    It is given the arguments of the jaxpr, and what comes before it: the products of
    stages, and what pieces hand on. Of two layers in one step, the gates of the first
    make the operand of a product, and the new carry: they are made once.

    Args:
        closed: the jaxpr of a step.
        wanted: the operands of the products of each stage, then the results.
        products: of each stage.
    """
    level = {v: k + 1 for k, stage in enumerate(products) for v in stage}
    made: list[list[Any]] = [[] for _ in wanted]
    for eqn in closed.jaxpr.eqns:
        before = [level.get(v, 0) for v in eqn.invars if is_variable(v)]
        for v in eqn.outvars:
            own = level.setdefault(v, max(before, default=0))
            moving = eqn.primitive in MOVING or eqn.primitive.name == "split"
            if not moving and not any(v in of for of in products):
                made[own].append(v)
    later: set[Any] = set()  # what the pieces behind read
    pieces: list[Piece] = []
    for k in reversed(range(len(wanted))):
        given = [v for some in (*products[:k], *made[:k]) for v in some]
        handed = [v for v in made[k] if v in later and v not in wanted[k]]
        part = piece(closed, [*wanted[k], *handed], given)
        later |= {*part.inputs}
        pieces.insert(0, part)
    return pieces
