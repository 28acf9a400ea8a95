"""The run of a program over segments of time, its tangent and its gradient.

Forwards, a segment makes its drive, the carries step by step, and the outputs. For a
derivative all carries are kept, and where products are large, the values of the taps
(`recurrence.Tap`) too. It goes over the same segments and needs no step again. With v the
values of the taps, the step is

    x_t     = pieces(carry_(t-1), drive_t, v_t)        operands of the products
    v_t     = x_t W + addends
    carry_t = last piece(carry_(t-1), drive_t, v_t)

All carries of a segment are known, so all its x_t are, and all its v_t are one product.
`tangent` has the loop over its steps, with

    epsilon_t = x_t dW + d addends                     one product over all steps

and the gradient, over the segments backwards, has Wbar = sum_t x_t^T epsilonbar_t as one
product over all steps too. How long segments are, `whole` decides.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .forward import forward
from .partial import Sums, jvp, plus, vjp
from .products import product
from .program import Program
from .recurrence import is_floating, pairs
from .segments import detached, over_segments
from .tangent import back, blank, tangent
from .units import Gather


class Passes(NamedTuple):
    """One run in segments of `length` steps, and its derivatives; for lists of arrays.

    Tangents and gradients are None where they are zero by structure, or not wanted. No
    gradient crosses a multiple of `truncate` steps. `gather` is for units that are spread
    over devices: see `units`.
    """

    program: Program
    length: int
    truncate: int | None
    gather: Gather | None

    def forward(
        self, params: Any, first: Any, inputs: Any, **how: bool
    ) -> tuple[Any, ...]:
        """The final carry, the outputs, and what is kept; see `forward` for `how`."""
        program, gather = self.program, self.gather
        operands = program.operands(params)
        consts, first = self._gathered(operands.consts, first)
        every = program, operands, consts, first, inputs, self._over
        return forward(*every, gather=gather, **how)

    def tangent(
        self, primals: Any, tangents: Any, kept: Any, *, keeps: bool
    ) -> tuple[Any, ...]:
        """The tangents of the results of `forward`, linear in `tangents`."""
        program, plan = self.program, self.program.plan
        (params, first, inputs), (dparams, dfirst, dinputs) = primals, tangents
        operands, doperands = jvp(program.operands, (params,), (dparams,))
        consts, first = self._gathered(operands.consts, first)

        def segment(state: Any, timed: Any) -> tuple[Any, Any]:
            (before, dbefore), (inputs, dinputs, carries, values) = state, timed
            (drive, led), (ddrive, dled) = jvp(
                program.drives, (operands, inputs), (doperands, dinputs)
            )
            args = [*consts, *before, *led]
            dargs = [*doperands.consts, *dbefore, *dled]
            env, denv = plan.known_from(args, carries, values), pairs(plan.inputs, dargs)
            epsilons = {}
            for tap in plan.taps:
                terms = [denv[v] for v in tap.addends if denv[v] is not None]
                if denv[tap.weight] is not None:
                    terms.append(product(env[tap.x], denv[tap.weight], tap.form))
                epsilons[tap.value] = sum(terms, jnp.zeros_like(env[tap.value]))
            entering = (*plan.carry, *plan.entering)
            moving = {v: t for v, t in denv.items() if t is not None and v in entering}
            results = tangent(plan, env, moving, epsilons, _steps(carries), self.gather)
            dlast, dcarries = (_spread(plan.carry, leaves) for leaves in results)
            _, dmade = jvp(
                program.made, (operands, carries, drive), (doperands, dcarries, ddrive)
            )
            found = [program.ys(dmade, dcarries)]
            if keeps:
                again = _again(plan)
                _, dvalues = jvp(again, (args, carries), (dargs, dcarries))
                found += [dcarries, dvalues if values else []]
            last = [leaf[0 if plan.reverse else -1] for leaf in carries]
            return (last, dlast), found

        dfirst = [
            blank(v.aval) if dx is None and is_floating(v) else dx
            for v, dx in zip(plan.carry, dfirst, strict=True)
        ]
        (_, dfinal), results = self._over(
            segment, (first, dfirst), (inputs, dinputs, *kept), cut=_cut_tangent
        )
        return dfinal, *results

    def gradient(self, primals: Any, kept: Any, gradients: Any) -> tuple[Any, Any, Any]:
        """Of params, the first carry and the inputs, by those of what `forward` gives.

        Args:
            gradients: of the final carry, the outputs, all carries and the values.
        """
        program, plan = self.program, self.program.plan
        (params, first, inputs), (carries, values) = primals, kept
        operands, of_operands = vjp(program.operands, (params,))
        consts, first = self._gathered(operands.consts, first)
        floats = [i for i, v in enumerate(plan.carry) if is_floating(v)]

        def segment(state: Any, timed: Any) -> tuple[Any, Any]:
            carrybar, sums = state
            at, inputs, carries, values, ysbar, keptbar, valuesbar = timed
            begin = at[-1] + 1 if plan.reverse else at[0] - 1
            edge = at[-1] == steps - 1 if plan.reverse else at[0] == 0
            before = [
                jnp.where(edge, a, jax.lax.dynamic_index_in_dim(rows, begin, 0, False))
                for a, rows in zip(first, kept[0], strict=True)
            ]
            if self.truncate is not None:  # nor does a derivative of this cross
                entry = at[-1] + 1 if plan.reverse else at[0]
                before = detached(before, (entry % self.truncate == 0) & ~edge)
            (drive, led), of_drives = vjp(program.drives, (operands, inputs))
            _, of_made = vjp(program.made, (operands, carries, drive))
            args = [*consts, *before, *led]
            env = plan.known_from(args, carries, values)
            bars = Sums()
            madebar = program.unshown(ysbar)
            operandsbar, everybar, drivebar = of_made(madebar)
            everybar = [
                plus(a, b)
                for a, b in zip(everybar, program.of_carries(ysbar), strict=True)
            ]
            everybar = [plus(a, b) for a, b in zip(everybar, keptbar, strict=True)]
            if any(bar is not None for bar in valuesbar):
                _, of_again = vjp(_again(plan), (args, carries))
                argsbar, more = of_again(valuesbar)
                for v, bar in zip(plan.inputs, argsbar, strict=True):
                    bars.add(v, bar)
                everybar = [plus(a, b) for a, b in zip(everybar, more, strict=True)]
            moving = [
                v
                for v in plan.inputs
                if v in plan.entering and v not in plan.carry and is_floating(v)
            ]
            given = [everybar[i] for i in floats]
            found, epsilonbars = back(
                plan, env, carrybar, given, moving, _steps(carries), self.gather
            )
            for v, bar in found.items():
                bars.add(v, bar)
            for tap in plan.taps:
                bar = epsilonbars[tap.value]
                for v in tap.addends:
                    bars.add(v, bar)
                x = env[tap.x]
                bars.add(tap.weight, tap.form.of_weight(bar, x, tap.weight.aval))
            for v in plan.drive:
                if v in epsilonbars:
                    bars.add(v, epsilonbars[v])
            ledbar = [bars.get(v) for v in plan.drive]
            of_project, inputsbar = of_drives((drivebar, ledbar))
            constsbar = program.as_operands([bars.get(v) for v in plan.consts])
            leaves = sums
            for part in (operandsbar, of_project, constsbar):
                leaves = [*map(plus, leaves, operands_tree.flatten_up_to(part))]
            sums = [
                leaf if used else None
                for leaf, used in zip(leaves, program.used, strict=True)
            ]
            return ([bars.get(plan.carry[i]) for i in floats], sums), inputsbar

        steps = _steps(inputs)
        finalbar, ysbar, keptbar, valuesbar = gradients
        start = [
            blank(plan.carry[i].aval) if finalbar[i] is None else finalbar[i]
            for i in floats
        ]
        leaves, operands_tree = jax.tree.flatten(operands)
        sums = [
            blank(jax.typeof(leaf)) if used else None
            for leaf, used in zip(leaves, program.used, strict=True)
        ]
        timed = jnp.arange(steps, dtype="int32"), inputs, carries, values
        timed = (*timed, ysbar, keptbar, valuesbar)
        (carrybar, sums), inputsbar = self._over(
            segment, (start, sums), timed, cut=_cut_gradient, backwards=True
        )
        firstbar = [None] * len(first)
        for i, bar in zip(floats, carrybar, strict=True):
            firstbar[i] = bar
        (paramsbar,) = of_operands(operands_tree.unflatten(sums))
        return paramsbar, firstbar, inputsbar

    def _gathered(self, consts: Any, first: Any) -> tuple[list[Any], list[Any]]:
        """What a step reads of parameters, but for its weights, and the first carry."""
        if self.gather is None:
            return consts, first
        program, gather = self.program, self.gather
        params, weights, fixed = program.parted(consts)
        params = [gather(x, leading=0) if x.ndim == 1 else x for x in params]
        return [*params, *weights, *map(gather, fixed)], [*map(gather, first)]

    def _over(
        self,
        segment: Any,
        carry: Any,
        inputs: Any,
        cut: Any = None,
        backwards: bool = False,
    ) -> tuple[Any, Any]:
        return over_segments(
            segment,
            carry,
            inputs,
            steps=_steps(inputs),
            length=self.length,
            reverse=self.program.plan.reverse != backwards,
            truncate=None if cut is None else self.truncate,
            cut=cut or detached,
        )


def _again(plan: Any) -> Any:
    """The values of the taps, as a function of what they are made from."""

    def again(args: Any, carries: Any) -> Any:
        known = plan.known_from(args, carries, ())
        return [known[tap.value] for tap in plan.taps]

    return again


def _spread(variables: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
    """The leaves in the places of the floating variables, None in the others."""
    given = iter(leaves)
    return [next(given) if is_floating(v) else None for v in variables]


def _steps(inputs: Any) -> Any:
    return jax.tree.leaves(inputs)[0].shape[0]


def _cut_tangent(state: Any, crossed: Any) -> Any:
    """No gradient of any order passes: the carry is a value, and its tangent zero."""
    before, dbefore = state
    return detached(before, crossed), _zeroed(dbefore, crossed)


def _cut_gradient(state: Any, crossed: Any) -> Any:
    carrybar, sums = state
    return _zeroed(carrybar, crossed), sums


def _zeroed(tree: Any, where: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.where(where, jnp.zeros_like(leaf), leaf), tree)
