"""The functions of a cell, batched, as one program for a segment of time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from .convolutions import Convolution
from .early import led, settled
from .jaxprs import piece, shapes_of, trace
from .products import expose
from .recurrence import NoGradient, Recurrence, is_floating

# The value of a tap is made again by 2 n operations, or saved and read back: what is read
# back costs memory, and what is made again costs time as n, the size of the operand.
SAVE_FROM = 384


class Functions(NamedTuple):
    """project, step and output of one cell, with batch axes, and what they are given."""

    project: Callable[[Any, Any], Any]
    step: Callable[[Any, Any, Any], Any]
    output: Callable[[Any, Any, Any], Any]
    params: Any
    reverse: bool
    unroll: int

    def segment(self, carry: Any, inputs: Any) -> tuple[Any, Any]:
        """Many steps by `jax.lax.scan`, whose derivative is JAX's own."""
        params = self.params
        drive = jax.vmap(self.project, (None, 0))(params, inputs)

        def advance(carry: Any, drive: Any) -> tuple[Any, Any]:
            carry = self.step(params, carry, drive)
            return carry, carry

        if jax.tree.leaves(carry):
            carry, carries = jax.lax.scan(
                advance, carry, drive, reverse=self.reverse, unroll=self.unroll
            )
        else:  # a cell without memory needs no loop
            carries = carry
        return carry, jax.vmap(self.output, (None, 0, 0))(params, carries, drive)


class Operands(NamedTuple):
    """What all steps share.

    Attributes:
        consts: of the plan: the parameters, the weights of the step's products, these
            transposed, and what else is made of parameters alone.
        project, output: the weights of the products of these.
    """

    consts: list[Any]
    project: list[Any]
    output: list[Any]


class Program:
    """The same functions with their products laid open, and a plan of the loop.

    Args:
        functions: of the cell.
        carry: `(*batch, ...)`.
        inputs: the shapes of those of one step, `(*batch, ...)`.
        batch_ndim: how many axes that is.
        save: the values of the taps even where they are small.
        weights: which leaves of the params may be weights; None: all.

    Raises:
        NoGradient: if the step has none in reverse mode, or the cell has effects, or a
            `jax.custom_vjp` outside of its step.
    """

    def __init__(
        self,
        functions: Functions,
        carry: Any,
        inputs: Any,
        *,
        batch_ndim: int,
        save: bool,
        weights: Sequence[bool] | None = None,
    ) -> None:
        params, self.params_tree = jax.tree.flatten(functions.params)
        first, self.carry_tree = jax.tree.flatten(carry)
        inputs, self.inputs_tree = jax.tree.flatten(inputs)
        self.batch_ndim, self.save = batch_ndim, save
        self.drive_tree: Any = None
        self.fixed: Callable[[Sequence[Any]], list[Any]] = lambda consts: []
        self.ys_tree: Any = None
        self.functions = functions._replace(params=None)  # a rule keeps the program
        self.size = len(first)

        self.project = expose(self._project, params, inputs)
        drive = shapes_of(
            lambda params, inputs: self.project.apply(
                params, self.project.weights(params), inputs
            ),
            params,
            inputs,
        )
        self.step = expose(self._step, params, [*first, *drive])
        self.output = expose(self._output, params, [*first, *drive])
        self.of_ys = self.output.results
        self.shown = [
            i if i is not None and i < len(first) else None for i in self.output.same
        ]
        if any(part.effects for part in (self.project, self.step, self.output)):
            raise NoGradient
        if self.project.has_vjp or self.output.has_vjp:
            raise NoGradient  # `jax.vmap` refuses its tangent, which `bptt` takes
        self.weights = weights or [True] * len(params)
        parts = self.project, self.step, self.output
        self.weighing = sorted(
            i for i in set().union(*(p.of_params for p in parts)) if self.weights[i]
        )
        operands = self.operands(params)
        first_weight, count = len(params), self.step.count
        self.of_params = [*map(jax.typeof, params)]
        self.of_inputs = inputs
        apply = self.step.apply

        def whole(consts: Any, carry: Any, drive: Any) -> list[Any]:
            of_step = consts[first_weight : first_weight + count]
            return apply(consts[:first_weight], of_step, [*carry, *drive])

        self.fixed, whole = settled(whole, operands.consts, first, drive)
        operands = self.operands(params)
        consts = operands.consts
        self.used = self._used(whole, operands, first, inputs, drive)
        self.lead, step = led(whole, consts, first, drive)
        self.plan = Recurrence(
            step,
            consts,
            first,
            shapes_of(self.lead, consts, drive) if self.lead else drive,
            transposes={first_weight + i: first_weight + count + i for i in range(count)},
            batch_ndim=batch_ndim,
            reverse=functions.reverse,
            unroll=functions.unroll,
            save_from=0 if save else SAVE_FROM,
        )

    def _project(self, params: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        drive = self.functions.project(
            jax.tree.unflatten(self.params_tree, params),
            jax.tree.unflatten(self.inputs_tree, inputs),
        )
        leaves, self.drive_tree = jax.tree.flatten(drive)
        return leaves

    def _split(self, params: Sequence[Any], data: Sequence[Any]) -> tuple[Any, Any, Any]:
        return (
            jax.tree.unflatten(self.params_tree, params),
            jax.tree.unflatten(self.carry_tree, data[: self.size]),
            jax.tree.unflatten(self.drive_tree, data[self.size :]),
        )

    def _step(self, params: Sequence[Any], data: Sequence[Any]) -> list[Any]:
        return jax.tree.leaves(self.functions.step(*self._split(params, data)))

    def _output(self, params: Sequence[Any], data: Sequence[Any]) -> list[Any]:
        ys = self.functions.output(*self._split(params, data))
        leaves, self.ys_tree = jax.tree.flatten(ys)
        return leaves

    def _used(
        self, step: Any, operands: Any, first: Any, inputs: Any, drive: Any
    ) -> list[bool]:
        """Which of the operands have gradients: floating ones that something reads."""
        leaves, tree = jax.tree.flatten(operands)

        def every(*args: Any) -> list[Any]:
            given = iter(args)
            operands = tree.unflatten([next(given) for _ in leaves])
            inputs = [next(given) for _ in range(self.inputs_tree.num_leaves)]
            carry, drive = [next(given) for _ in range(self.size)], list(given)
            params = operands.consts[: len(self.of_params)]
            return [
                *self.project.apply(params, operands.project, inputs),
                *step(operands.consts, carry, drive),
                *self.output.apply(params, operands.output, [*carry, *drive]),
            ]

        closed = trace(every, *leaves, *inputs, *first, *drive)
        read = piece(closed, closed.jaxpr.outvars, ()).inputs
        return [is_floating(v) and v in read for v in closed.jaxpr.invars[: len(leaves)]]

    def batched(
        self,
        flags: Sequence[Sequence[bool]],
        params: Sequence[Any],
        carry: Sequence[Any],
        inputs: Sequence[Any],
    ) -> "Program":
        """The same with more batch axes, from the inside out.

        Args:
            flags: of every axis, which of the params have it.
            params, carry: with these axes in front.
            inputs: with these after the axis of time.
        """
        functions = self.functions
        for own in flags:
            axes = self.params_tree.unflatten([0 if flag else None for flag in own])
            functions = functions._replace(
                project=jax.vmap(functions.project, (axes, 0)),
                step=jax.vmap(functions.step, (axes, 0, 0)),
                output=jax.vmap(functions.output, (axes, 0, 0)),
            )
        one = shapes_of(lambda: [leaf[0] for leaf in inputs])
        return Program(
            functions._replace(params=self.params_tree.unflatten(params)),
            self.carry_tree.unflatten(carry),
            self.inputs_tree.unflatten(one),
            batch_ndim=self.batch_ndim + len(flags),
            save=self.save,
            weights=self.weights,
        )

    @property
    def convolves(self) -> bool:
        """Whether a product of a step is a convolution."""
        return any(isinstance(tap.form, Convolution) for tap in self.plan.taps)

    def multiplications(self) -> int:
        """In the products of a step."""
        sizes = [tap.product.aval.size * tap.depth for tap in self.plan.taps]
        return sum(size for size in sizes if isinstance(size, int))

    def operands(self, params: Sequence[Any]) -> "Operands":
        weights = self.step.weights(params)
        # The transposes are made here, once, and not in every segment.
        consts = [*params, *weights, *self.step.turned(weights)]
        return Operands(
            [*consts, *self.fixed(consts)],
            self.project.weights(params),
            self.output.weights(params),
        )

    def parted(self, consts: Sequence[Any]) -> tuple[Any, Any, Any]:
        """The plan's constants: params, weights with transposes, what else is fixed."""
        params, weights = len(self.of_params), 2 * self.step.count
        return (
            consts[:params],
            consts[params : params + weights],
            consts[params + weights :],
        )

    def as_operands(self, consts: Sequence[Any]) -> "Operands":
        """Gradients of the plan's constants, in the places of the operands."""
        others = ([None] * part.count for part in (self.project, self.output))
        return Operands([*consts], *others)

    def drives(self, operands: "Operands", inputs: Sequence[Any]) -> tuple[Any, Any]:
        """The drive of many steps at once, and what the plan gets of it."""
        return jax.vmap(self.drive, (None, 0))(operands, inputs)

    def drive(self, operands: "Operands", row: Sequence[Any]) -> tuple[Any, Any]:
        """The same of one step."""
        params = operands.consts[: len(self.of_params)]
        drive = self.project.apply(params, operands.project, row)
        return drive, drive if self.lead is None else self.lead(operands.consts, drive)

    def made(self, operands: "Operands", carries: Any, drive: Any) -> list[Any]:
        """The outputs of many steps at once, but for those that are leaves of carries."""
        if None not in self.shown:
            return []
        return jax.vmap(self.made_once, (None, 0, 0))(operands, carries, drive)

    def made_once(self, operands: "Operands", carry: Any, drive: Any) -> list[Any]:
        """The same of one step."""
        params, weights = operands.consts[: len(self.of_params)], operands.output
        return self.unshown(self.output.apply(params, weights, [*carry, *drive]))

    def unshown(self, of_ys: Sequence[Any]) -> list[Any]:
        """Of what belongs to all outputs, that of those that are `made`."""
        return [y for y, i in zip(of_ys, self.shown, strict=True) if i is None]

    def of_carries(self, of_ys: Sequence[Any]) -> list[Any]:
        """The gradients of the leaves of the carry that outputs are, or None."""
        sums: list[Any] = [None] * self.size
        for y, i in zip(of_ys, self.shown, strict=True):
            if i is not None and y is not None:
                sums[i] = y if sums[i] is None else sums[i] + y
        return sums

    def ys(self, made: Sequence[Any], carries: Any) -> list[Any]:
        """All outputs, of those that are `made` and the carries."""
        given = iter(made)
        return [next(given) if i is None else carries[i] for i in self.shown]
