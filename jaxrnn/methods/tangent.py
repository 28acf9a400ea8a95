"""The linear tangent of the recurrence; its transpose, back-propagation through time.

In the letters of `primitive`, where epsilon_t is known before the loop:

    dv_t     = dx_t W + epsilon_t
    dcarry_t = d piece/d carry dcarry_(t-1) + d piece/d drive ddrive_t + d piece/dv dv_t

The transpose runs backwards. All values are known, so its loop makes no product but the
one by W^T; with a bar for the gradient of the loss:

    vbar_t         = (d piece/dv)^T carrybar_t
    carrybar_(t-1) = (d piece/d carry)^T carrybar_t + (d x/d carry)^T vbar_t W^T
                     + the gradient of what reads carry_(t-1)

It gives epsilonbar_t = vbar_t, from which Wbar = sum_t x_t^T vbar_t follows outside.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive, unmapped_aval
from jax.interpreters import ad, batching, mlir

from .derivative import pull, push
from .jaxprs import Piece
from .products import product
from .recurrence import Recurrence, pairs

tangent_p = Primitive("recurrence_tangent")
tangent_p.multiple_results = True


def residuals(plan: Recurrence) -> list[Any]:
    """The variables whose values `tangent_p` gets, in its order."""
    weights = [v for tap in plan.taps for v in (tap.weight, tap.transposed)]
    names = [*plan.residuals, *weights]
    return list(dict.fromkeys(names))  # a weight of two products comes once


def _named(args: Sequence[Any], plan: Recurrence, moving: Sequence[int]) -> Any:
    """The arguments of `tangent_p` by variable: residuals and tangents."""
    names = residuals(plan)
    tangents = [*(plan.inputs[i] for i in moving), *(tap.value for tap in plan.taps)]
    return pairs(names, args[: len(names)]), pairs(tangents, args[len(names) :])


def _by_time(plan: Recurrence, variables: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Those that are the same at all steps, and those that are not."""
    fixed, timed = [], []
    for variable in variables:
        (fixed if variable in plan.consts else timed).append(variable)
    return fixed, timed


def _parts(
    plan: Recurrence, moving: Collection[Any]
) -> Iterator[tuple[Piece, Sequence[int], list[Any]]]:
    """The pieces, the outputs of each that have derivatives, and its inputs that move."""
    for part, outputs in zip(plan.known, plan.floats, strict=True):
        yield part, outputs, [v for v in part.inputs if v in moving]


def _blank(variable: Any) -> Any:
    return ad.instantiate_zeros(ad.Zero(variable.aval))


def _tangent(
    *args: Any, plan: Recurrence, length: int, moving: Sequence[int]
) -> list[Any]:
    env, denv = _named(args, plan, moving)
    fixed, timed = _by_time(plan, env)
    carry = [v for v in plan.carry if v in denv]
    dfixed, dtimed = _by_time(plan, (v for v in denv if v not in carry))

    pushes = [push(*part, plan.after) for part in _parts(plan, denv)]

    def advance(state: Any, inputs: Any) -> tuple[Any, Any]:
        now = {v: env[v] for v in fixed} | pairs(timed, inputs[0])
        dnow = (
            pairs(carry, state) | {v: denv[v] for v in dfixed} | pairs(dtimed, inputs[1])
        )
        for stage, through in zip(plan.stages, pushes, strict=False):
            dxs = through(now, [dnow[v] for v in through.moves])
            for tap, dx in zip(stage, dxs, strict=True):
                dnow[tap.value] += product(dx, env[tap.weight], tap.precision)
        new = pushes[-1](now, [dnow[v] for v in pushes[-1].moves])
        return new, new

    inputs = [env[v] for v in timed], [denv[v] for v in dtimed]
    final, stacked = jax.lax.scan(
        advance,
        [denv[v] for v in carry],
        inputs,
        length,
        reverse=plan.reverse,
        unroll=plan.unroll,
    )
    return [*final, *stacked]


def _tangent_shapes(
    *avals: Any, plan: Recurrence, length: int, moving: Sequence[int]
) -> Any:
    # By name and not by tracing: a piece may know its transpose only.
    _, denv = _named(avals, plan, moving)
    carry = [denv[v] for v in plan.carry if v in denv]
    return [*carry, *(unmapped_aval(length, 0, aval) for aval in carry)]


def _tangent_jvp(primals: Any, tangents: Any, **static: Any) -> tuple[Any, Any]:
    tangents = tuple(map(ad.instantiate_zeros, tangents))
    return jax.jvp(lambda *args: _tangent(*args, **static), tuple(primals), tangents)


def _tangent_batch(args: Any, axes: Any, **static: Any) -> tuple[Any, Any]:
    results = jax.vmap(lambda *args: _tangent(*args, **static), tuple(axes))(*args)
    return results, [0] * len(results)


def _tangent_transpose(
    cotangents: Sequence[Any],
    *args: Any,
    plan: Recurrence,
    length: int,
    moving: Sequence[int],
) -> list[Any]:
    env, denv = _named(args, plan, moving)
    fixed, timed = _by_time(plan, env)
    carry = [v for v in plan.carry if v in denv]
    dfixed, dtimed = _by_time(plan, (v for v in denv if v not in carry))
    final, stacked = cotangents[: len(carry)], cotangents[len(carry) :]
    seen = [v for v, ct in zip(carry, stacked, strict=True) if type(ct) is not ad.Zero]

    pulls = [pull(*part, plan.after) for part in _parts(plan, denv)]

    def back(state: Any, inputs: Any) -> tuple[Any, Any]:
        dcarry, dsums = state
        now = {v: env[v] for v in fixed} | pairs(timed, inputs[0])
        cts = pairs(carry, dcarry)
        for v, ct in zip(seen, inputs[1], strict=True):
            cts[v] = cts[v] + ct
        sums = pairs(pulls[-1].moves, pulls[-1](now, list(cts.values())))
        for stage, through in reversed(list(zip(plan.stages, pulls, strict=False))):
            xbars = [
                product(sums[tap.value], env[tap.transposed], tap.precision)
                for tap in stage
            ]
            for v, term in zip(through.moves, through(now, xbars), strict=True):
                sums[v] = sums[v] + term if v in sums else term
        sums = {v: _blank(v) for v in denv} | sums
        dsums = [a + sums[v] for a, v in zip(dsums, dfixed, strict=True)]
        return ([sums[v] for v in carry], dsums), [sums[v] for v in dtimed]

    state = [ad.instantiate_zeros(ct) for ct in final], [_blank(v) for v in dfixed]
    inputs = (
        [env[v] for v in timed],
        [ct for ct in stacked if type(ct) is not ad.Zero],
    )
    (dcarry, dsums), dstacked = jax.lax.scan(
        back, state, inputs, length, reverse=not plan.reverse, unroll=plan.unroll
    )
    gradients = pairs(carry, dcarry) | pairs(dfixed, dsums) | pairs(dtimed, dstacked)
    return [None] * len(env) + [gradients[v] for v in denv]


tangent_p.def_impl(_tangent)
tangent_p.def_abstract_eval(_tangent_shapes)
mlir.register_lowering(tangent_p, mlir.lower_fun(_tangent))
ad.primitive_jvps[tangent_p] = _tangent_jvp
batching.primitive_batchers[tangent_p] = _tangent_batch
ad.primitive_transposes[tangent_p] = _tangent_transpose
