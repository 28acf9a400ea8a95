"""The recurrence as a primitive of JAX, with its own derivative.

With v the values of the taps (`recurrence.Tap`), the step is

    x_t     = pieces(carry_(t-1), drive_t, v_t)        operands of the products
    v_t     = x_t W + addends
    carry_t = last piece(carry_(t-1), drive_t, v_t)

Its tangent is linear and runs forward in time. With epsilon_t = x_t dW + d addends, which
is one product over all steps, before the loop:

    dv_t     = dx_t W + epsilon_t
    dcarry_t = d piece/d carry dcarry_(t-1) + d piece/d drive ddrive_t + d piece/dv dv_t

Its transpose is back-propagation through time. All values are known, so the loop makes no
product but the one by W^T; with a bar for the gradient of the loss:

    vbar_t         = (d piece/dv)^T carrybar_t
    carrybar_(t-1) = (d piece/d carry)^T carrybar_t + (d x/d carry)^T vbar_t W^T
                     + the gradient of what reads carry_(t-1)

The loop gives epsilonbar_t = vbar_t, and Wbar = sum_t x_t^T vbar_t is again one product
over all steps. Both are ordinary JAX operations outside of the primitives, so every
transformation of JAX finds its rule.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, unmapped_aval
from jax.interpreters import ad, batching, mlir

from .apart import apart
from .jaxprs import Piece, is_variable
from .products import product
from .recurrence import Recurrence, Values, pairs

recurrence_p = Primitive("recurrence")
recurrence_p.multiple_results = True
tangent_p = Primitive("recurrence_tangent")
tangent_p.multiple_results = True


def recurrence(
    plan: Recurrence,
    consts: Sequence[Any],
    carry: Sequence[Any],
    drive: Sequence[Any],
    length: int,
) -> tuple[list[Any], list[Any]]:
    """The final carry and all carries, of `length` steps; drive has an axis of time."""
    args = *consts, *carry, *drive
    results = recurrence_p.bind(*args, plan=plan, length=length, save=False)
    return results[: len(carry)], results[len(carry) :]


def _run(*args: Any, plan: Recurrence, length: int, save: bool) -> list[Any]:
    return plan.run(args, length, save)


def _run_shapes(*avals: Any, **static: Any) -> Any:
    return jax.make_jaxpr(lambda *args: _run(*args, **static))(*avals).out_avals


def _moves(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.inexact)


def _run_jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    plan: Recurrence,
    length: int,
    save: bool,
) -> tuple[Any, Any]:
    if save:  # a derivative of the derivative: JAX's own
        instantiated = tuple(map(ad.instantiate_zeros, tangents))
        return jax.jvp(
            lambda *args: plan.run(args, length, save), tuple(primals), instantiated
        )
    env, denv = pairs(plan.inputs, primals), pairs(plan.inputs, tangents)
    size = len(plan.carry)
    results = recurrence_p.bind(*primals, plan=plan, length=length, save=plan.save)
    results, saved = results[: 2 * size], results[2 * size :]
    for variable, carries in zip(plan.carry, results[size:], strict=True):
        env[variable] = plan.before(env[variable], carries)
    env |= pairs([tap.value for tap in plan.taps][: len(saved)], saved)
    plan.replay(env)

    epsilons = []
    for tap in plan.taps:
        terms = [denv[v] for v in tap.addends if type(denv[v]) is not ad.Zero]
        if type(denv[tap.weight]) is not ad.Zero:
            terms.append(product(env[tap.x], denv[tap.weight]))
        epsilons.append(sum(terms, jnp.zeros_like(env[tap.value])))
    moving = tuple(
        i
        for i, v in enumerate(plan.inputs)
        if _moves(v)
        and (v in plan.carry or (v in plan.residuals and type(denv[v]) is not ad.Zero))
    )
    dcarries = tangent_p.bind(
        *(env[v] for v in _residuals(plan)),
        *(ad.instantiate_zeros(denv[plan.inputs[i]]) for i in moving),
        *epsilons,
        plan=plan,
        length=length,
        moving=moving,
    )
    given = iter(dcarries)
    dresults = [
        next(given) if _moves(v) else ad.Zero(jax.typeof(result).to_tangent_aval())
        for v, result in zip([*plan.carry, *plan.carry], results, strict=True)
    ]
    return results, dresults


def _run_batch(
    args: Sequence[Any],
    axes: Sequence[Any],
    *,
    plan: Recurrence,
    length: int,
    save: bool,
) -> tuple[Any, Any]:
    """A new axis in front of the batch axes, of the data, the constants, or both."""
    if save:  # the values of these taps: with constants in a batch there are others
        run = jax.vmap(lambda *args: plan.run(args, length, save), tuple(axes))
        results = run(*args)
        return results, [0] * len(results)
    (size,) = {
        arg.shape[axis] for arg, axis in zip(args, axes, strict=True) if axis is not None
    }
    moved, within = [], []
    for variable, arg, axis in zip(plan.inputs, args, axes, strict=True):
        front = 1 if variable in plan.drive else 0
        if axis is not None:
            arg = jnp.moveaxis(arg, axis, front)
        elif variable in plan.carry:
            arg, axis = jnp.broadcast_to(arg, (size, *arg.shape)), 0
        moved.append(arg)
        within.append(None if axis is None else 0)
    nc, nk = len(plan.consts), len(plan.carry)
    step = jax.vmap(plan.step, (within[:nc], within[nc : nc + nk], within[nc + nk :]))
    wider = Recurrence(
        step,
        moved[:nc],
        moved[nc : nc + nk],
        [jax.eval_shape(lambda leaf: leaf[0], arg) for arg in moved[nc + nk :]],
        transposes=plan.transposes,
        reverse=plan.reverse,
        unroll=plan.unroll,
        save=plan.save,
    )
    results = recurrence_p.bind(*moved, plan=wider, length=length, save=save)
    return results, [0] * nk + [1] * (len(results) - nk)


def _residuals(plan: Recurrence) -> list[Any]:
    weights = [v for tap in plan.taps for v in (tap.weight, tap.transposed)]
    return [*plan.residuals, *weights, *(tap.value for tap in plan.taps)]


def _named(args: Sequence[Any], plan: Recurrence, moving: Sequence[int]) -> Any:
    """The arguments of `tangent_p` by variable: residuals and tangents."""
    names = _residuals(plan)
    tangents = [*(plan.inputs[i] for i in moving), *(tap.value for tap in plan.taps)]
    return pairs(names, args[: len(names)]), pairs(tangents, args[len(names) :])


def _by_time(plan: Recurrence, values: Values) -> tuple[list[Any], list[Any]]:
    """Variables that are the same at all steps, and that are not."""
    same = {*plan.consts}
    return [v for v in values if v in same], [v for v in values if v not in same]


def _blank(variable: Any) -> Any:
    """For an input whose value does not matter: only its tangent is asked for."""
    return jnp.zeros(variable.aval.shape, variable.aval.dtype)


def _tangent(
    *args: Any, plan: Recurrence, length: int, moving: Sequence[int]
) -> list[Any]:
    env, denv = _named(args, plan, moving)
    fixed, timed = _by_time(plan, env)
    carry = [v for v in plan.carry if v in denv]
    dfixed, dtimed = _by_time(plan, {v: None for v in denv if v not in carry})

    def push(part: Piece, now: Values, dnow: Values) -> list[Any]:
        primals = [now[v] if v in now else _blank(v) for v in part.inputs]
        tangents = [
            dnow[v]
            if v in dnow
            else ad.instantiate_zeros(ad.Zero(v.aval.to_tangent_aval()))
            for v in part.inputs
        ]
        return jax.jvp(part, tuple(primals), tuple(tangents))[1]

    def advance(state: Any, inputs: Any) -> tuple[Any, Any]:
        now = {v: env[v] for v in fixed} | pairs(timed, inputs[0])
        dnow = (
            pairs(carry, state) | {v: denv[v] for v in dfixed} | pairs(dtimed, inputs[1])
        )
        for stage, part in zip(plan.stages, plan.known, strict=False):
            for tap, dx in zip(stage, push(part, now, dnow), strict=True):
                dnow[tap.value] += product(dx, env[tap.weight])
        new = push(plan.known[-1], now, dnow)
        new = [d for v, d in zip(plan.carry, new, strict=True) if v in denv]
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
    dfixed, dtimed = _by_time(plan, {v: None for v in denv if v not in carry})
    final, stacked = cotangents[: len(carry)], cotangents[len(carry) :]
    seen = [v for v, ct in zip(carry, stacked, strict=True) if type(ct) is not ad.Zero]

    def pull(part: Piece, outputs: Sequence[int], now: Values, cts: list[Any]) -> Values:
        """The gradients of what moves among the inputs of a piece."""
        moves = [v for v in part.inputs if v in denv]
        rest = [v for v in part.inputs if v not in denv]

        def transposed(values: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
            here = pairs([*moves, *rest], values)

            def restricted(*moving: Any) -> list[Any]:
                every = here | pairs(moves, moving)
                results = part(*(every[v] for v in part.inputs))
                return [results[i] for i in outputs]

            _, vjp = jax.vjp(restricted, *(here[v] for v in moves))
            return list(vjp(list(cts)))

        if not part.equations:
            sums: Values = {}
            for i, ct in zip(outputs, cts, strict=True):
                if is_variable(part.outputs[i]) and part.outputs[i] in moves:
                    _add(sums, part.outputs[i], ct)
            return sums
        values = [now[v] if v in now else _blank(v) for v in [*moves, *rest]]
        n = len(values)
        gradients = apart(lambda *a: transposed(a[:n], a[n:]), *values, *cts)
        return pairs(moves, gradients)

    def back(state: Any, inputs: Any) -> tuple[Any, Any]:
        dcarry, dsums = state
        now = {v: env[v] for v in fixed} | pairs(timed, inputs[0])
        cts = pairs(carry, dcarry)
        for v, ct in zip(seen, inputs[1], strict=True):
            cts[v] = cts[v] + ct
        outputs = [i for i, v in enumerate(plan.carry) if v in denv]
        sums = pull(plan.known[-1], outputs, now, list(cts.values()))
        for stage, part in reversed(list(zip(plan.stages, plan.known, strict=False))):
            xbars = [product(sums[tap.value], env[tap.transposed]) for tap in stage]
            for v, ct in pull(part, range(len(stage)), now, xbars).items():
                _add(sums, v, ct)
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


def _add(sums: Values, variable: Any, term: Any) -> None:
    sums[variable] = sums[variable] + term if variable in sums else term


for primitive, function, shapes, jvp, batch in (
    (recurrence_p, _run, _run_shapes, _run_jvp, _run_batch),
    (tangent_p, _tangent, _tangent_shapes, _tangent_jvp, _tangent_batch),
):
    primitive.def_impl(function)
    primitive.def_abstract_eval(shapes)
    mlir.register_lowering(primitive, mlir.lower_fun(function))
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batch
ad.primitive_transposes[tangent_p] = _tangent_transpose
