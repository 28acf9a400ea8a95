"""Where a forward pass makes its drive: before the loop, a segment at once, or in it.

Made before, it is a large product, but B G H values a step are written and read again (of
B examples and G gates of H units). Made in the loop, it is one product with the recurrent
one where a step adds the two, [x, h] [W; U], and nothing is read back, but the I G H
weights are read at every step. So the loop makes it if that is so, if I is no more than a
few B, and if the weights are so few that the recurrent ones keep their place in the cache
beside them. Without a product, it makes it of x where the drive is many times as large.

Forward, x W in the loop against before it, milliseconds, jax 0.10.2, two cores. On the
Xeon, with AVX-512 and 2 MiB of L2 a core, a plain scan with one product against version
0.5 of this; on the EPYC, with AVX2 and 512 KiB, both forms, medians of turns in one
process, 2026-11-27:

    T, B, I, H                          Intel Xeon                 AMD EPYC
    LSTM   1024, 16, 64, 64             12.2    16.2              27.7    25.2  *
    LSTM   300, 12, 40, 200             17.9    21.0              24.0    24.2  *
    LSTM   784, 100, 1, 128             143     141               239     287   *
    LSTM   2000, 4, 32, 256             81      88                131     115   *
    LSTM   128, 32, 256, 256            66      60                55.6    51.5
    LSTM   512, 1, 128, 128                                       6.1     3.6
    Elman  1024, 16, 64, 64                                       9.1     8.7   *
    Elman  300, 12, 40, 200                                       8.0     9.1   *
    Elman  784, 100, 1, 128                                       78.8    85.7  *

The marked ones are made in the loop: at 1024, 16, 64, 64 that is a quarter faster on one
and up to a tenth slower on the other, where it is as fast as flax still. A GRU, whose
gates have two products then, loses by up to 12%: 20.8 against 18.7 at 1024, 16, 64, 64,
and is even at 300, 12, 40, 200. At 2000, 4, 32, 256 the EPYC says otherwise in one
process; but flax in one of its own, with x W in its loop, was ahead of the other form by
a tenth there.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core.primitives import (
    add_p,
    broadcast_in_dim_p,
    concatenate_p,
    convert_element_type_p,
    neg_p,
    reshape_p,
    select_n_p,
    slice_p,
    squeeze_p,
    transpose_p,
)

from .early import ELEMENTWISE
from .forms import Matrix
from .jaxprs import Piece, depend, is_variable, piece, shapes_of, trace
from .products import product_p
from .program import Operands, Program
from .recurrence import Recurrence
from .segments import bytes_of
from .sizes import CACHE, widens

# What costs next to nothing where its result is used: arithmetic, and views. A drive of
# anything else, such as random numbers or a lookup, is better made for all steps at once.
CHEAP = (
    *ELEMENTWISE,
    broadcast_in_dim_p,
    concatenate_p,
    convert_element_type_p,
    neg_p,
    product_p,
    reshape_p,
    select_n_p,
    slice_p,
    squeeze_p,
    transpose_p,
)

# Features, by examples: I G H weights read a step, against 2 B G H values written and
# read. The table has 0.01 to 8 of them where the loop is as fast or faster, and 128 where
# it is not; nothing between was measured.
WIDEST = 8

# The part of the cache that W may take: 128 KiB, a quarter of the smaller second level.
SHARE = 16

Made = tuple[list[Any], dict[Any, tuple[Any, Any]]]


def is_cheap(program: Program) -> bool:
    """Whether a step had better make its drive itself."""
    operands = shapes_of(program.operands, program.of_params)
    closed = _traced(program, operands)
    equations = closed.jaxpr.eqns
    products = [eqn for eqn in equations if eqn.primitive is product_p]
    joints = _joints(program, closed)
    if len(joints) != len(products):
        return False
    if not all(eqn.primitive in CHEAP for eqn in equations):
        return False
    if not products:
        return widens(program)
    weights = [joint.weight.aval for joint in joints]
    examples = [joint.x.aval.size // joint.x.aval.shape[-1] for joint in joints]
    if not all(isinstance(size, int) for size in (*examples, bytes_of(weights))):
        return False
    narrow = all(
        weight.shape[0] <= WIDEST * few
        for weight, few in zip(weights, examples, strict=True)
    )
    return narrow and SHARE * bytes_of(weights) <= CACHE


def in_loop(program: Program, operands: Operands) -> Callable[[Sequence[Any]], Made]:
    """What makes a step's drive of its inputs, for `Recurrence.run`.

    With it come, by the product of a tap, the x and the [W; U] that make x W + h U of it;
    x W is left out of the drive then.
    """
    plan, size = program.plan, len(program.of_inputs)
    closed = _traced(program, operands)
    fixed, given = closed.jaxpr.invars[:-size], closed.jaxpr.invars[-size:]
    consts = dict(zip(fixed, jax.tree.leaves(operands), strict=True))
    of_plan = dict(zip(plan.consts, operands.consts, strict=True))
    joints = _joints(program, closed)
    weights, rests = {}, {}
    for joint in joints:
        W, *rest = _evaluate(piece(closed, [joint.weight, *joint.rest], ()), consts)
        weights[joint.tap.product] = jnp.concatenate([W, of_plan[joint.tap.weight]])
        bias = rest[0] if rest else jnp.zeros((), W.dtype)
        rests[joint.drive] = jnp.broadcast_to(bias, joint.drive.aval.shape)
    made = zip(plan.drive, closed.jaxpr.outvars, strict=True)
    kept = [atom for v, atom in made if v not in rests]
    wanted = piece(closed, [*kept, *(joint.x for joint in joints)], ())

    def step(row: Sequence[Any]) -> Made:
        results = iter(_evaluate(wanted, consts | dict(zip(given, row, strict=True))))
        drive = [rests[v] if v in rests else next(results) for v in plan.drive]
        return drive, {name: (next(results), W) for name, W in weights.items()}

    return step


class Joint(NamedTuple):
    """An x W (+ rest) that is all of a leaf of the drive, which a tap adds to its own."""

    tap: Any
    drive: Any
    x: Any
    weight: Any
    rest: list[Any]  # of one, or none; the same at all steps


def _joints(program: Program, closed: Any) -> list[Joint]:
    """One for each tap at most; x, weight and rest are of the drive's jaxpr."""
    plan = program.plan
    of_row = depend(closed, closed.jaxpr.invars[-len(program.of_inputs) :])
    made = dict(zip(plan.drive, closed.jaxpr.outvars, strict=True))
    found = []
    for tap in plan.taps:
        for v in tap.addends:
            joint = _joint(closed, made[v], tap, v, of_row)
            if joint is not None and _uses(plan, v) == 1:
                found.append(joint)
                break
    return found


def _joint(closed: Any, atom: Any, tap: Any, v: Any, of_row: set[Any]) -> Joint | None:
    makers = {out: eqn for eqn in closed.jaxpr.eqns for out in eqn.outvars}
    read = [atom for eqn in closed.jaxpr.eqns for atom in eqn.invars]
    read += closed.jaxpr.outvars

    def once(atom: Any) -> bool:
        return sum(one is atom for one in read) == 1

    if not is_variable(atom) or not once(atom):
        return None
    eqn, rest = makers.get(atom), []
    if eqn is not None and eqn.primitive is add_p:
        sides = [makers.get(v) if is_variable(v) else None for v in eqn.invars]
        products = [side is not None and side.primitive is product_p for side in sides]
        if sum(products) != 1:
            return None
        at = products.index(True)
        eqn, rest = sides[at], [eqn.invars[1 - at]]
    if eqn is None or eqn.primitive is not product_p:
        return None
    (x, weight), (result,) = eqn.invars, eqn.outvars
    alike = (
        once(result)
        and result.aval == tap.product.aval
        and x.aval.shape[:-1] == tap.x.aval.shape[:-1]
        and eqn.params["form"] == tap.form
        and isinstance(tap.form, Matrix)
        and not any(is_variable(atom) and atom in of_row for atom in rest)
    )
    return Joint(tap, v, x, weight, rest) if alike else None


def _uses(plan: Recurrence, variable: Any) -> int:
    """How many operands of a step, and results, it is."""
    every = {id(eqn): eqn for part in plan.pieces for eqn in part.equations}
    atoms = [atom for eqn in every.values() for atom in eqn.invars]
    atoms += [atom for part in plan.pieces for atom in part.outputs]
    return sum(atom is variable for atom in atoms)


def _evaluate(part: Piece, values: dict[Any, Any]) -> list[Any]:
    return part(*(values[v] for v in part.inputs))


def _traced(program: Program, operands: Operands) -> Any:
    """The drive of one step, by operands and inputs."""
    leaves, tree = jax.tree.flatten((operands, program.of_inputs))
    one = lambda *args: [*program.drive(*tree.unflatten(args))[1]]  # noqa: E731
    return trace(one, *leaves)
