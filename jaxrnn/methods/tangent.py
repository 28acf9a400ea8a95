"""The linear tangent of the recurrence; its transpose, back-propagation through time.

In the letters of `bptt`, where epsilon_t is known before the loop:

    dv_t     = dx_t W + epsilon_t
    dcarry_t = d piece/d carry dcarry_(t-1) + d piece/d drive ddrive_t + d piece/dv dv_t

The transpose runs backwards. All values are known, so its loop makes no product but the
one by W^T; with a bar for the gradient of the loss:

    vbar_t         = (d piece/dv)^T carrybar_t
    carrybar_(t-1) = (d piece/d carry)^T carrybar_t + (d x/d carry)^T vbar_t W^T
                     + the gradient of what reads carry_(t-1)

It gives epsilonbar_t = vbar_t, from which Wbar = sum_t x_t^T vbar_t follows outside.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, unmapped_aval
from jax.interpreters import ad, batching, mlir

from .derivative import pull, push
from .jaxprs import Piece
from .products import product
from .recurrence import Recurrence, Values, pairs

tangent_p = Primitive("recurrence_tangent")
tangent_p.multiple_results = True

# Of every `jax.vmap` around the primitive, from the inside out: which arguments have its
# axis, in front or, of what is stacked over time, after the axis of time.
Levels = tuple[tuple[bool, ...], ...]


def residuals(plan: Recurrence) -> list[Any]:
    """The variables whose values `tangent_p` gets, in its order."""
    weights = [v for tap in plan.taps for v in (tap.weight, tap.transposed)]
    names = [*plan.residuals, *weights]
    return list(dict.fromkeys(names))  # a weight of two products comes once


def _tangents(plan: Recurrence, moving: Sequence[int]) -> list[Any]:
    """The variables whose tangents follow."""
    return [*(plan.inputs[i] for i in moving), *(tap.value for tap in plan.taps)]


def _kinds(plan: Recurrence, moving: Sequence[int]) -> list[str]:
    """Of every argument: the same at all steps, stacked over time, or in the loop."""
    known = ["fixed" if v in plan.consts else "timed" for v in residuals(plan)]
    return known + [
        "fixed" if v in plan.consts else "carry" if v in plan.carry else "timed"
        for v in _tangents(plan, moving)
    ]


def _of(kind: str, kinds: Sequence[str], args: Sequence[Any]) -> list[Any]:
    return [arg for arg, other in zip(args, kinds, strict=True) if other == kind]


def _merged(kinds: Sequence[str], **given: Sequence[Any]) -> list[Any]:
    rest = {kind: iter(values) for kind, values in given.items()}
    return [next(rest[kind]) for kind in kinds]


def _parts(
    plan: Recurrence, moving: Collection[Any]
) -> Iterator[tuple[Piece, Sequence[int], list[Any]]]:
    """The pieces, the outputs of each that have derivatives, and its inputs that move."""
    for part, outputs in zip(plan.known, plan.floats, strict=True):
        yield part, outputs, [v for v in part.inputs if v in moving]


def _known(length: Any) -> int | None:
    """For a scan, which takes a symbolic length from what it scans alone."""
    return length if isinstance(length, int) else None


def _blank(aval: Any) -> Any:
    return ad.instantiate_zeros(ad.Zero(aval))


def _tangent(
    *args: Any, plan: Recurrence, length: int, moving: Sequence[int], levels: Levels
) -> list[Any]:
    names, tangents = residuals(plan), _tangents(plan, moving)
    kinds = _kinds(plan, moving)
    pushes = [push(*part, plan.after) for part in _parts(plan, tangents)]

    def advance(*args: Any) -> list[Any]:
        now, dnow = pairs(names, args[: len(names)]), pairs(tangents, args[len(names) :])
        for stage, through in zip(plan.stages, pushes, strict=False):
            dxs = through(now, [dnow[v] for v in through.moves])
            for tap, dx in zip(stage, dxs, strict=True):
                dnow[tap.value] += product(dx, now[tap.weight], tap.precision)
        return pushes[-1](now, [dnow[v] for v in pushes[-1].moves])

    for level in levels:
        advance = jax.vmap(advance, [0 if flag else None for flag in level])
    fixed = _of("fixed", kinds, args)

    def body(carry: Any, timed: Any) -> tuple[Any, Any]:
        new = advance(*_merged(kinds, fixed=fixed, carry=carry, timed=timed))
        return new, new

    first, timed = _of("carry", kinds, args), _of("timed", kinds, args)
    final, stacked = jax.lax.scan(
        body, first, timed, _known(length), reverse=plan.reverse, unroll=plan.unroll
    )
    return [*final, *stacked]


def _tangent_shapes(
    *avals: Any, plan: Recurrence, length: int, moving: Sequence[int], levels: Levels
) -> Any:
    # By name and not by tracing: a piece may know its transpose only.
    carry = _of("carry", _kinds(plan, moving), avals)
    return [*carry, *(unmapped_aval(length, 0, aval) for aval in carry)]


def _tangent_jvp(primals: Any, tangents: Any, **static: Any) -> tuple[Any, Any]:
    tangents = tuple(map(ad.instantiate_zeros, tangents))
    return jax.jvp(lambda *args: _tangent(*args, **static), tuple(primals), tangents)


def _tangent_batch(
    args: Any,
    axes: Any,
    *,
    plan: Recurrence,
    length: int,
    moving: Sequence[int],
    levels: Levels,
) -> tuple[Any, Any]:
    sizes = [arg.shape[i] for arg, i in zip(args, axes, strict=True) if i is not None]
    kinds, moved, level = _kinds(plan, moving), [], []
    for arg, axis, kind in zip(args, axes, kinds, strict=True):
        if axis is not None:
            arg = jnp.moveaxis(arg, axis, 1 if kind == "timed" else 0)
        elif kind == "carry":
            arg = jnp.broadcast_to(arg, (sizes[0], *arg.shape))
        moved.append(arg)
        level.append(axis is not None or kind == "carry")
    levels = *levels, tuple(level)
    static = dict(plan=plan, length=length, moving=moving, levels=levels)
    results = tangent_p.bind(*moved, **static)
    count = kinds.count("carry")
    return results, [0] * count + [1] * count


def _tangent_transpose(
    cotangents: Sequence[Any],
    *args: Any,
    plan: Recurrence,
    length: int,
    moving: Sequence[int],
    levels: Levels,
) -> list[Any]:
    names, tangents = residuals(plan), _tangents(plan, moving)
    kinds, count = _kinds(plan, moving), len(names)
    of_known, of_tangents = kinds[:count], kinds[count:]
    carry = _of("carry", of_tangents, tangents)
    pulls = [pull(*part, plan.after) for part in _parts(plan, tangents)]

    def back(*args: Any) -> list[Any]:
        """The gradients of all tangents at one step, of those of the new carry."""
        now = pairs(names, args[:count])
        sums: Values = pairs(pulls[-1].moves, pulls[-1](now, list(args[count:])))
        for stage, through in reversed(list(zip(plan.stages, pulls, strict=False))):
            xbars = [
                product(sums[tap.value], now[tap.transposed], tap.precision)
                for tap in stage
            ]
            for v, term in zip(through.moves, through(now, xbars), strict=True):
                sums[v] = sums[v] + term if v in sums else term
        return [sums[v] if v in sums else _blank(v.aval) for v in tangents]

    for level in levels:
        flags = [*level[:count], *(True for _ in carry)]
        back = _summed(jax.vmap(back, [0 if f else None for f in flags]), level[count:])

    final, stacked = cotangents[: len(carry)], cotangents[len(carry) :]
    seen = [type(ct) is not ad.Zero for ct in stacked]
    fixed = _of("fixed", of_known, args[:count])

    def body(state: Any, inputs: Any) -> tuple[Any, Any]:
        dcarry, dsums = state
        timed, given = inputs[0], iter(inputs[1])
        known = _merged(of_known, fixed=fixed, timed=timed)
        cts = [
            dleaf + next(given) if is_seen else dleaf
            for dleaf, is_seen in zip(dcarry, seen, strict=True)
        ]
        sums = back(*known, *cts)
        dsums = [
            a + b for a, b in zip(dsums, _of("fixed", of_tangents, sums), strict=True)
        ]
        dcarry, dtimed = (_of(kind, of_tangents, sums) for kind in ("carry", "timed"))
        return (dcarry, dsums), dtimed

    linear = args[count:]
    state = (
        [ad.instantiate_zeros(ct) for ct in final],
        [_blank(arg.aval) for arg in _of("fixed", of_tangents, linear)],
    )
    inputs = (
        _of("timed", of_known, args[:count]),
        [ct for ct in stacked if type(ct) is not ad.Zero],
    )
    (dcarry, dsums), dtimed = jax.lax.scan(
        body, state, inputs, _known(length), reverse=not plan.reverse, unroll=plan.unroll
    )
    gradients = _merged(of_tangents, fixed=dsums, carry=dcarry, timed=dtimed)
    return [None] * count + gradients


def _summed(function: Callable, batched: Sequence[bool]) -> Callable:
    """A sum over the new axis in the gradient of what does not have it."""

    def total(*args: Any) -> list[Any]:
        results = function(*args)
        return [
            result if flag else result.sum(0)
            for result, flag in zip(results, batched, strict=True)
        ]

    return total


tangent_p.def_impl(_tangent)
tangent_p.def_abstract_eval(_tangent_shapes)
mlir.register_lowering(tangent_p, mlir.lower_fun(_tangent))
ad.primitive_jvps[tangent_p] = _tangent_jvp
batching.primitive_batchers[tangent_p] = _tangent_batch
ad.primitive_transposes[tangent_p] = _tangent_transpose
