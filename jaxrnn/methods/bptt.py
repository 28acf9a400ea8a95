"""The run of a program over segments of time, and its derivative.

Forwards, a segment makes its drive, the carries step by step, and the outputs. For a
derivative all carries are kept, and where products are large, the values of the taps
(`recurrence.Tap`) too. It goes over the same segments and needs no step again. With v the
values of the taps, the step is

    x_t     = pieces(carry_(t-1), drive_t, v_t)        operands of the products
    v_t     = x_t W + addends
    carry_t = last piece(carry_(t-1), drive_t, v_t)

All carries of a segment are known, so all its x_t are, and all its v_t are one product.
Its tangent, `tangent.tangent_p`, gets them and

    epsilon_t = x_t dW + d addends                     one product over all steps

That is ordinary JAX around `tangent_p`, and so is its transpose, the gradient of W as one
product over all steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import jaxpr_as_fun, unmapped_aval
from jax.interpreters import ad

from .jaxprs import depend, is_variable, trace
from .products import product
from .program import Program
from .recurrence import is_floating, pairs
from .segments import detached, over_segments
from .store import store
from .tangent import residuals, tangent_p


class Passes(NamedTuple):
    """One run in segments of `length` steps, and its derivative; for lists of arrays.

    Tangents are None where they are zero by structure. No gradient crosses a multiple of
    `truncate` steps.
    """

    program: Program
    length: int
    truncate: int | None

    def differentiable(self, *, keeps: bool) -> Callable[[Any, Any, Any], Any]:
        """(operands, first, inputs) -> final carry, outputs; also what `forward` keeps.

        With `keeps` what is kept is an output with a tangent, so that the rule, which
        reads it, may itself be differentiated as ordinary JAX. All that reads it must
        then be cut wherever the function is cut.
        """

        def function(operands: Any, first: Any, inputs: Any) -> Any:
            return self.forward(operands, first, inputs, keeps=keeps)

        def rule(primals: Any, tangents: Any) -> tuple[Any, Any]:
            results = self.differentiable(keeps=True)(*primals)
            tangents = jax.tree.map(_none_for_zero, tangents)
            dresults = self.tangent(primals, tangents, results[2:], keeps=keeps)
            results = results[: len(dresults)]
            return results, jax.tree.map(_zero_for_none, results, dresults)

        function = jax.custom_jvp(function)
        function.defjvp(rule, symbolic_zeros=True)
        return function

    def forward(
        self, operands: Any, first: Any, inputs: Any, *, keeps: bool
    ) -> tuple[Any, ...]:
        """The final carry, the outputs, and with `keeps` all carries and values."""
        program, plan = self.program, self.program.plan
        consts = program.consts(operands)
        every = range(len(first))
        computed = None in program.shown  # outputs that are no leaves of the carry
        kept = every if keeps else sorted({i for i in program.shown if i is not None})

        def buffers(which: Any, steps: int) -> tuple[dict[int, Any], list[Any]]:
            carries = {
                i: jnp.broadcast_to(first[i], (steps, *first[i].shape)) for i in which
            }
            taps = plan.taps if keeps and plan.save else []
            return carries, [_rows(tap.value.aval, steps) for tap in taps]

        def segment(state: Any, timed: Any) -> tuple[Any, Any]:
            (carry, carries, values), (inputs, at) = state, timed
            drive, led = program.drives(operands, inputs)
            args = *consts, *carry, *led
            if not computed:
                return plan.run(args, carries, values, at), []
            # The outputs read all carries, but of this segment alone.
            empty = buffers(every, at.size)
            carry, rows, more = plan.run(args, *empty, at - at[0])
            made = program.made(operands, list(rows.values()), drive)
            carries = {i: store(carries[i], rows[i], at[0]) for i in carries}
            values = [store(a, b, at[0]) for a, b in zip(values, more, strict=True)]
            return (carry, carries, values), made

        steps = _steps(inputs)
        timed = inputs, jnp.arange(steps, dtype="uint32")
        state = first, *buffers(kept, steps)
        (final, carries, values), made = self._over(segment, state, timed)
        results = final, program.ys(made, carries)
        return (*results, list(carries.values()), values) if keeps else results

    def tangent(
        self, primals: Any, tangents: Any, kept: Any, *, keeps: bool
    ) -> tuple[Any, ...]:
        """The tangents of the results of `forward`, without those of what it keeps."""
        program = self.program
        (operands, first, inputs), (doperands, dfirst, dinputs) = primals, tangents

        def segment(state: Any, timed: Any) -> tuple[Any, Any]:
            (before, dbefore), (inputs, dinputs, carries, values) = state, timed
            (drive, led), (ddrive, dled) = _jvp(
                program.drives, (operands, inputs), (doperands, dinputs)
            )
            last, dlast, dcarries, dvalues = self._recurrence(
                [*program.consts(operands), *before, *led],
                [*program.consts(doperands), *dbefore, *dled],
                carries,
                values,
                keeps,
            )
            _, dmade = _jvp(
                program.made, (operands, carries, drive), (doperands, dcarries, ddrive)
            )
            results = [program.ys(dmade, dcarries)]
            if keeps:
                results += [dcarries, dvalues]
            return (last, dlast), results

        segment = jax.checkpoint(
            segment, prevent_cse=False, policy=jax.checkpoint_policies.nothing_saveable
        )
        dfirst = [
            _zeros(x) if dx is None and is_floating(v) else dx
            for v, x, dx in zip(program.plan.carry, first, dfirst, strict=True)
        ]
        (_, dfinal), results = self._over(
            segment, (first, dfirst), (inputs, dinputs, *kept), self.truncate
        )
        return dfinal, *results

    def _recurrence(
        self, args: Any, dargs: Any, carries: Any, values: Any, keeps: bool
    ) -> tuple[Any, Any, Any, Any]:
        """The last carry, its tangent, and those of the carries and the values kept."""
        plan = self.program.plan
        env, denv = plan.known_from(args, carries, values), pairs(plan.inputs, dargs)
        epsilons = []
        for tap in plan.taps:
            terms = [denv[v] for v in tap.addends if denv[v] is not None]
            if denv[tap.weight] is not None:
                terms.append(product(env[tap.x], denv[tap.weight], tap.precision))
            epsilons.append(sum(terms, jnp.zeros_like(env[tap.value])))
        moving = tuple(
            i
            for i, v in enumerate(plan.inputs)
            if denv[v] is not None and (v in plan.carry or v in plan.entering)
        )
        tangents = tangent_p.bind(
            *(env[v] for v in residuals(plan)),
            *(denv[plan.inputs[i]] for i in moving),
            *epsilons,
            plan=plan,
            length=_steps(carries),
            moving=moving,
            levels=(),
        )
        given = iter(tangents)
        spread = [next(given) if is_floating(v) else None for v in plan.carry * 2]
        dlast, dcarries = spread[: len(plan.carry)], spread[len(plan.carry) :]
        dvalues = []
        if keeps and values:

            def again(args: Any, carries: Any) -> Any:
                known = plan.known_from(args, carries, ())
                return [known[tap.value] for tap in plan.taps]

            _, dvalues = _jvp(again, (args, carries), (dargs, dcarries))
        last = [leaf[0 if plan.reverse else -1] for leaf in carries]
        return last, dlast, dcarries, dvalues

    def _over(
        self, segment: Any, carry: Any, inputs: Any, truncate: int | None = None
    ) -> tuple[Any, Any]:
        return over_segments(
            segment,
            carry,
            inputs,
            steps=_steps(inputs),
            length=self.length,
            reverse=self.program.plan.reverse,
            truncate=truncate,
            cut=_cut,
        )


def run(
    program: Program,
    params: Any,
    carry: Any,
    inputs: Any,
    *,
    length: int,
    truncate: int | None,
) -> tuple[Any, Any]:
    """The final carry and the outputs, in segments of `length` steps."""
    first, carry_tree = jax.tree.flatten(carry)
    function = Passes(program, length, truncate).differentiable(keeps=False)
    final, ys = function(program.operands(params), first, jax.tree.leaves(inputs))
    return carry_tree.unflatten(final), program.ys_tree.unflatten(ys)


def _jvp(function: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """As `jax.jvp`, with None for tangents that are zero by structure."""
    values, tree = jax.tree.flatten(primals)
    given = tree.flatten_up_to(tangents)
    moving = [i for i, tangent in enumerate(given) if tangent is not None]
    structure: Any = None

    def flat(*moved: Any) -> list[Any]:
        nonlocal structure
        every = list(values)
        for i, value in zip(moving, moved, strict=True):
            every[i] = value
        leaves, structure = jax.tree.flatten(function(*tree.unflatten(every)))
        return leaves

    here = [values[i] for i in moving]
    closed = trace(flat, *here)
    moved = depend(closed, closed.jaxpr.invars)
    function = jaxpr_as_fun(closed)
    results, dresults = jax.jvp(function, here, [given[i] for i in moving])
    dresults = [
        dresult if is_variable(atom) and atom in moved and is_floating(atom) else None
        for atom, dresult in zip(closed.jaxpr.outvars, dresults, strict=True)
    ]
    return structure.unflatten(results), structure.unflatten(dresults)


def _steps(inputs: Any) -> int:
    return jax.tree.leaves(inputs)[0].shape[0]


def _none_for_zero(tangent: Any) -> Any:
    return None if isinstance(tangent, SymbolicZero) else tangent


def _zero_for_none(primal: Any, tangent: Any) -> Any:
    aval = jax.typeof(primal).to_tangent_aval()
    return SymbolicZero(aval) if tangent is None else tangent


def _zeros(primal: Any) -> Any:
    return ad.instantiate_zeros(ad.Zero(jax.typeof(primal).to_tangent_aval()))


def _rows(aval: Any, steps: int) -> Any:
    return ad.instantiate_zeros(ad.Zero(unmapped_aval(steps, 0, aval)))


def _cut(state: Any, crossed: Any) -> Any:
    """No gradient of any order passes: the carry is a value, and its tangent zero."""
    before, dbefore = state
    return detached(before, crossed), jax.tree.map(
        lambda leaf: jnp.where(crossed, jnp.zeros_like(leaf), leaf), dbefore
    )
