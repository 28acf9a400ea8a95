"""The recurrence as a primitive of JAX.

With v the values of the taps (`recurrence.Tap`), the step is

    x_t     = pieces(carry_(t-1), drive_t, v_t)        operands of the products
    v_t     = x_t W + addends
    carry_t = last piece(carry_(t-1), drive_t, v_t)

Its derivative is a second primitive, `tangent.tangent_p`, which gets what is known before
its loop begins: the x_t and v_t of all steps, and

    epsilon_t = x_t dW + d addends                     one product over all steps

That is ordinary JAX outside of the primitives, and so is its transpose, the gradient of
W as one product over all steps. Both primitives have a rule for every transformation.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .products import product
from .recurrence import Recurrence, is_floating, pairs
from .tangent import residuals, tangent_p

recurrence_p = Primitive("recurrence")
recurrence_p.multiple_results = True


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
    for before, after, carries in zip(
        plan.carry, plan.known[-1].outputs, results[size:], strict=True
    ):
        env[before] = plan.before(env[before], carries)
        if after in plan.after:
            env[after] = carries
    env |= pairs([tap.value for tap in plan.taps][: len(saved)], saved)
    plan.replay(env)

    epsilons = []
    for tap in plan.taps:
        terms = [denv[v] for v in tap.addends if type(denv[v]) is not ad.Zero]
        if type(denv[tap.weight]) is not ad.Zero:
            terms.append(product(env[tap.x], denv[tap.weight], tap.precision))
        epsilons.append(sum(terms, jnp.zeros_like(env[tap.value])))
    moving = tuple(
        i
        for i, v in enumerate(plan.inputs)
        if is_floating(v)
        and (v in plan.carry or (v in plan.entering and type(denv[v]) is not ad.Zero))
    )
    dcarries = tangent_p.bind(
        *(env[v] for v in residuals(plan)),
        *(ad.instantiate_zeros(denv[plan.inputs[i]]) for i in moving),
        *epsilons,
        plan=plan,
        length=length,
        moving=moving,
    )
    given = iter(dcarries)
    dresults = [
        next(given) if is_floating(v) else ad.Zero(jax.typeof(result).to_tangent_aval())
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
        save_from=plan.save_from,
    )
    results = recurrence_p.bind(*moved, plan=wider, length=length, save=save)
    return results, [0] * nk + [1] * (len(results) - nk)


recurrence_p.def_impl(_run)
recurrence_p.def_abstract_eval(_run_shapes)
mlir.register_lowering(recurrence_p, mlir.lower_fun(_run))
ad.primitive_jvps[recurrence_p] = _run_jvp
batching.primitive_batchers[recurrence_p] = _run_batch
