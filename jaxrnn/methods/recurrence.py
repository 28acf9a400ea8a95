"""A step taken apart at its products by parameters, and run over time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core.primitives import add_p

from .apart import in_one_piece
from .derivative import pull
from .forms import Form
from .jaxprs import depend, is_variable, piece, trace
from .products import product, product_p
from .sharing import sharing
from .store import store
from .units import Gather, as_it_is

Values = dict[Any, Any]  # of variables


class Tap(NamedTuple):
    """A product inside the step: value = x weight + addends.

    x depends on the carry; weight and addends do not, so that the value's derivative is
    dx weight + epsilon, with an epsilon that is known before the loop.
    """

    x: Any
    weight: Any
    transposed: Any
    form: Form
    product: Any
    addends: tuple[Any, ...]
    value: Any

    @property
    def depth(self) -> Any:
        """How many products one entry of the value is the sum of."""
        return self.form.depth(self.weight.aval)


class NoGradient(Exception):
    """Of a step without a derivative in reverse mode, as of `jax.lax.while_loop`."""


class Recurrence:
    """carry_t = step(consts, carry_(t-1), drive_t) for lists of arrays, taken apart.

    Between the products are pieces. Piece k makes the operands x of the products of stage
    k out of the carry, the drive, the constants and the products of the stages before;
    the last piece makes the new carry:

        piece 0 -> x -> products -> piece 1 -> x -> products -> ... -> carry_t

    An LSTM has one stage, whose x is h itself, and one piece, its gates. All that is slow
    is in the products and can be done for many steps at once in the backward pass; the
    pieces are cheap and are differentiated by JAX.

    Args:
        step: batched, with its products laid open by `expose`.
        consts, carry, drive: examples of one step's arguments.
        transposes: the number of W^T among the constants by the number of W.
        batch_ndim: the number of axes of examples.
        reverse: from the last step to the first.
        unroll: steps in one iteration.
        save_from: the depth of a tap from which on the values of all taps are saved for
            the backward pass, which otherwise makes them again.

    Raises:
        NoGradient: if the step has none.
    """

    def __init__(
        self,
        step: Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], list[Any]],
        consts: Sequence[Any],
        carry: Sequence[Any],
        drive: Sequence[Any],
        *,
        transposes: Mapping[int, int],
        batch_ndim: int,
        reverse: bool,
        unroll: int,
        save_from: int,
    ) -> None:
        self.batch_ndim, self.reverse, self.unroll = batch_ndim, reverse, unroll
        nc, nk = len(consts), len(carry)
        closed = trace(
            lambda *args: step(
                list(args[:nc]), list(args[nc : nc + nk]), list(args[nc + nk :])
            ),
            *(*consts, *carry, *drive),
        )
        self.inputs = invars = closed.jaxpr.invars
        self.consts, self.carry = invars[:nc], invars[nc : nc + nk]
        self.drive = invars[nc + nk :]
        transposed = {self.consts[i]: self.consts[j] for i, j in transposes.items()}
        self.stages = _stages(closed, transposed, self.carry, self.drive)
        self.taps = [tap for stage in self.stages for tap in stage]
        values = [tap.value for tap in self.taps]
        products = [[tap.product for tap in stage] for stage in self.stages]
        outs = list(closed.jaxpr.outvars)
        wanted = [[tap.x for tap in stage] for stage in self.stages]
        self.pieces = sharing(closed, [*wanted, outs], products)
        self.saving = sharing(closed, [*wanted, outs + values], products)
        # The same pieces, each by itself, for when the values of the taps are known.
        self.known = [piece(closed, atoms, values) for atoms in [*wanted, outs]]
        self.entering = {v for part in self.known for v in part.inputs}
        floats = [i for i, v in enumerate(self.carry) if is_floating(v)]
        self.floats = [range(len(stage)) for stage in self.stages] + [floats]
        try:
            self.after, read = self._needs()
        except (ValueError, TypeError, NotImplementedError) as error:
            raise NoGradient from error
        order = [*invars, *values, *self.after]
        self.residuals = [v for v in order if v in read]
        self.save = any(tap.value in read and tap.depth >= save_from for tap in self.taps)

    def _needs(self) -> tuple[list[Any], set[Any]]:
        """The variables of carry_t that the derivatives read, and all that they read.

        They read carry_t where they then read no more than else: it is saved, but the
        values of the taps cost memory or time.
        """

        def reads(number: int, known: Sequence[Any]) -> list[Any]:
            part = self.known[number]
            moving = [v for v in part.inputs if is_floating(v)]
            return pull(part, self.floats[number], moving, known).reads

        made = [v for v in self.known[-1].outputs if is_variable(v)]
        made = [v for v in dict.fromkeys(made) if v not in self.inputs]
        last = len(self.stages)
        needs = {v for number in range(last) for v in reads(number, ())}
        plain, after = reads(last, ()), reads(last, made)
        if len(after) > len(plain):
            return [], needs | {*plain}
        return [v for v in made if v in after], needs | {*after}

    def run(
        self,
        args: Sequence[Any],
        carries: Mapping[int, Any],
        values: Sequence[Any],
        at: Any,
        drive_of: Callable[[Any], tuple[Sequence[Any], Values]] = lambda row: (row, {}),
        gather: Gather | None = None,
        shown: Callable[[Sequence[Any], Sequence[Any]], list[Any]] = lambda *_: [],
    ) -> tuple[tuple[list[Any], dict[int, Any], list[Any]], list[Any]]:
        """The final carry and the buffers, with a row for every step; what is shown.

        Args:
            args: consts, carry, and the drive of every step, or what it is made of.
            carries: buffers for leaves of the new carry, by number.
            values: a buffer for the values of each tap, or nothing.
            at: the row of every step.
            drive_of: what makes the drive of a step, and by the product of a tap an x and
                a weight, if its operands are [x, its x] and that weight: see `hoisting`.
            gather: see `units`.
            shown: of the new carry and what the drive is made of, for every step.
        """
        nc, size = len(self.consts), len(self.carry)
        consts = pairs(self.consts, args[:nc])
        first, rows = list(args[nc : nc + size]), list(args[nc + size :])
        spread, gather = gather is not None, gather or as_it_is
        # What is spread is gathered once, as a sum: the pieces then are given the values.
        parts = self.saving if values else self.pieces
        parts = self.known if spread else parts

        def advance(state: Any, timed: Any) -> tuple[Any, list[Any]]:
            carry, carries, values = state
            row, at = timed
            drive, beside = drive_of(row)
            now = consts | pairs(self.carry, [*map(gather, carry)])
            now |= pairs(self.drive, drive)
            for stage, part in zip(self.stages, parts, strict=False):
                xs = in_one_piece(part, [now[v] for v in part.inputs])
                now |= pairs(part.outputs, xs)
                for tap, x in zip(stage, xs, strict=False):
                    weight = now[tap.weight]
                    if tap.product in beside:
                        early, weight = beside[tap.product]
                        x = jnp.concatenate([early, x], -1)
                    now[tap.product] = product(x, weight, tap.form)
                    if spread:
                        now[tap.value] = gather(_summed(tap, now[tap.product], now))
            made = in_one_piece(parts[-1], [now[v] for v in parts[-1].inputs])
            new, made = [*map(gather, made[:size])], made[size:]
            if values and spread:
                made = [now[tap.value] for tap in self.taps]
            carries = {
                i: store(buffer, new[i][None], at) for i, buffer in carries.items()
            }
            values = [
                store(buffer, value[None], at)
                for buffer, value in zip(values, made, strict=True)
            ]
            return (new, carries, values), shown(new, row)

        if spread:
            summed = {v for tap in self.taps for v in tap.addends}
            rows = [
                row if v in summed else gather(row, leading=1 + self.batch_ndim)
                for v, row in zip(self.drive, rows, strict=True)
            ]
        return jax.lax.scan(
            advance,
            (first, dict(carries), list(values)),
            (rows, at),
            reverse=self.reverse,
            unroll=self.unroll,
        )

    def known_from(
        self, args: Sequence[Any], carries: Sequence[Any], values: Sequence[Any]
    ) -> Values:
        """All that the derivatives read, at all steps at once, by variable.

        Args:
            args: those of `run`.
            carries: after every step.
            values: of the taps, or nothing: then they are made again.
        """
        env = pairs(self.inputs, args)
        for before, after, known in zip(
            self.carry, self.known[-1].outputs, carries, strict=True
        ):
            first = env[before][None]
            rows = [known[1:], first] if self.reverse else [first, known[:-1]]
            env[before] = jnp.concatenate(rows)
            if after in self.after:
                env[after] = known
        env |= pairs([tap.value for tap in self.taps][: len(values)], values)
        for stage, part in zip(self.stages, self.known, strict=False):
            axes = [None if v in self.consts else 0 for v in part.inputs]
            args = [env[v] for v in part.inputs]
            xs = jax.vmap(part, axes)(*args) if part.equations else part(*args)
            for tap, x in zip(stage, xs, strict=True):
                env[tap.x] = x
                if tap.value not in env:
                    made = product(x, env[tap.weight], tap.form)
                    env[tap.value] = _summed(tap, made, env)
        return env


def _summed(tap: Tap, made: Any, values: Values) -> Any:
    return sum((values[v] for v in tap.addends), made)


def is_floating(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.inexact)


def pairs(variables: Sequence[Any], values: Sequence[Any]) -> Values:
    return dict(zip(variables, values, strict=True))


def _stages(
    closed: Any, weights: Values, carry: Sequence[Any], drive: Sequence[Any]
) -> list[list[Tap]]:
    """The taps by `weights`, with their transposes, in the order of computation.

    A tap takes in the additions of the drive that follow the product, where nothing else
    sees the sums in between.
    """
    of_carry = depend(closed, carry)
    live = piece(closed, closed.jaxpr.outvars, ()).equations
    uses: dict[Any, list[Any]] = {}
    for eqn in live:
        for atom in filter(is_variable, eqn.invars):
            uses.setdefault(atom, []).append(eqn)
    shown = {atom for atom in closed.jaxpr.outvars if is_variable(atom)}
    depth: dict[Any, int] = {}  # the products on the way to a variable
    stages: list[list[Tap]] = []
    for eqn in live:
        deepest = max(
            (depth.get(v, 0) for v in filter(is_variable, eqn.invars)), default=0
        )
        depth.update(dict.fromkeys(eqn.outvars, deepest))
        if eqn.primitive is not product_p:
            continue
        x, weight = eqn.invars
        if x not in of_carry or weight not in weights:
            continue
        (value,) = eqn.outvars
        depth[value] = deepest + 1
        addends = []
        while value not in shown and len(uses.get(value, ())) == 1:
            (use,) = uses[value]
            others = [v for v in use.invars if v is not value]
            if use.primitive is not add_p or len(others) != 1:
                break
            if others[0] not in drive or others[0].aval.shape != value.aval.shape:
                break
            addends.append(others[0])
            (value,) = use.outvars
        (made,) = eqn.outvars
        form = eqn.params["form"]
        tap = Tap(x, weight, weights[weight], form, made, tuple(addends), value)
        stages += [[] for _ in range(deepest + 1 - len(stages))]
        stages[deepest].append(tap)
    return stages
