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

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.interpreters import ad

from .derivative import pull, push
from .jaxprs import Piece
from .products import product
from .recurrence import Recurrence, Values, is_floating, pairs
from .units import Gather, as_it_is


def _known(plan: Recurrence, values: Values, gather: Gather) -> tuple[Values, Values]:
    """What the derivatives read: the same at all steps, and stacked over time."""
    weights = [v for tap in plan.taps for v in (tap.weight, tap.transposed)]
    names = dict.fromkeys([*plan.residuals, *weights])
    fixed = {v: values[v] for v in names if v in plan.consts}
    rows = [v for v in names if v not in fixed]
    leading = 1 + plan.batch_ndim
    return fixed, {v: gather(values[v], leading=leading) for v in rows}


def _parts(
    plan: Recurrence, moving: Collection[Any]
) -> Iterator[tuple[Piece, Sequence[int], list[Any]]]:
    """The pieces, the outputs of each that have derivatives, and its inputs that move."""
    for part, outputs in zip(plan.known, plan.floats, strict=True):
        yield part, outputs, [v for v in part.inputs if v in moving]


def _length(steps: Any) -> int | None:
    """For a scan, which takes a symbolic length from what it scans alone."""
    return steps if isinstance(steps, int) else None


def blank(aval: Any) -> Any:
    return ad.instantiate_zeros(ad.Zero(aval.to_tangent_aval()))


def tangent(
    plan: Recurrence,
    values: Values,
    moving: Mapping[Any, Any],
    epsilons: Mapping[Any, Any],
    steps: Any,
    gather: Gather | None,
) -> tuple[list[Any], list[Any]]:
    """The tangents of the last carry and of every carry, of its floating leaves.

    Args:
        values: of all that the derivatives read, by variable.
        moving: the tangents of consts, of the carry and of the drive, by variable.
        epsilons: by the value of each tap, at every step.
        gather: see `units`.
    """
    gather = gather or as_it_is
    fixed, timed = _known(plan, values, gather)
    dfixed = {v: t for v, t in moving.items() if v in plan.consts}
    dtimed = {v: t for v, t in moving.items() if v in plan.drive} | {**epsilons}
    floats = [v for v in plan.carry if is_floating(v)]
    pushes = [push(*part, plan.after) for part in _parts(plan, {*moving, *epsilons})]

    def body(dcarry: Any, inputs: Any) -> tuple[Any, Any]:
        now = fixed | pairs([*timed], [*map(gather, inputs[0])])
        dnow = dfixed | pairs([*dtimed], inputs[1])
        dnow |= pairs(floats, [*map(gather, dcarry)])
        for stage, through in zip(plan.stages, pushes, strict=False):
            dxs = through(now, [dnow[v] for v in through.moves])
            for tap, dx in zip(stage, dxs, strict=True):
                dz = product(dx, now[tap.weight], tap.form)
                dnow[tap.value] = gather(dnow[tap.value] + dz)
        new = [*map(gather, pushes[-1](now, [dnow[v] for v in pushes[-1].moves]))]
        return new, new

    first = [moving[v] for v in floats]
    return jax.lax.scan(
        body,
        first,
        ([*timed.values()], [*dtimed.values()]),
        _length(steps),
        reverse=plan.reverse,
        unroll=plan.unroll,
    )


def back(
    plan: Recurrence,
    values: Values,
    last: Sequence[Any],
    every: Sequence[Any],
    moving: Collection[Any],
    steps: Any,
    gather: Gather | None,
) -> tuple[Values, Values]:
    """The gradients of what moves, by variable, and of every epsilon, by tap's value.

    Args:
        values: as in `tangent`.
        last: the gradients of the floating leaves of the last carry.
        every: those of every carry, from what reads it outside of the loop, or None.
        moving: the consts and the drive that a gradient is wanted of.
        gather: see `units`.
    """
    gather = gather or as_it_is
    fixed, timed = _known(plan, values, gather)
    floats = [v for v in plan.carry if is_floating(v)]
    leading = 1 + plan.batch_ndim
    targets = [*moving, *floats, *(tap.value for tap in plan.taps)]
    pulls = [pull(*part, plan.after) for part in _parts(plan, targets)]
    summed = [v for v in moving if v in plan.consts]
    shown = [v for v in moving if v in plan.drive] + [tap.value for tap in plan.taps]
    seen = [bars is not None for bars in every]

    def body(state: Any, inputs: Any) -> tuple[Any, Any]:
        carrybar, sums = state
        now = fixed | pairs([*timed], [*map(gather, inputs[0])])
        given = iter(map(gather, inputs[1]))
        carrybar = [
            gather(bar + next(given) if is_seen else bar)
            for bar, is_seen in zip(carrybar, seen, strict=True)
        ]
        found = map(gather, pulls[-1](now, carrybar))
        bars: Values = pairs(pulls[-1].moves, [*found])
        for stage, through in reversed(list(zip(plan.stages, pulls, strict=False))):
            xbars = [
                gather(product(bars[tap.value], now[tap.transposed], tap.form.back))
                for tap in stage
            ]
            terms = map(gather, through(now, xbars))
            for v, term in zip(through.moves, terms, strict=True):
                bars[v] = bars[v] + term if v in bars else term
        made = {v: bars[v] if v in bars else blank(v.aval) for v in targets}
        sums = [total + made[v] for v, total in zip(summed, sums, strict=True)]
        return ([made[v] for v in floats], sums), [gather(made[v]) for v in shown]

    state = [*map(gather, last)], [blank(v.aval) for v in summed]
    given = [gather(bars, leading=leading) for bars in every if bars is not None]
    inputs = [*timed.values()], given
    (first, sums), stacked = jax.lax.scan(
        body,
        state,
        inputs,
        _length(steps),
        reverse=not plan.reverse,
        unroll=plan.unroll,
    )
    return pairs([*floats, *summed], [*first, *sums]), pairs(shown, stacked)
