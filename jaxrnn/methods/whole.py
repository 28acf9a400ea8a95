"""The run over all of time, as primitives that are planned when they are lowered.

    forward_p    the final carry, the outputs and, for a derivative, what it keeps
    tangent_p    the tangents of these, linear in those of params, carry and inputs
    gradient_p   its transpose: the gradients of params, carry and inputs

What a segment of time may hold depends on the shapes that are computed, and those are
known at last: `jax.vmap` adds axes to what was traced for one example. So the three stay
closed under every transformation and only note the axes (`levels.Level`). Their lowering
opens them, with all axes of data in one batch, and chooses the segments for it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, jaxpr_as_fun, unmapped_aval
from jax.interpreters import ad, batching, mlir, partial_eval

from .bptt import Passes
from .levels import (
    TURNS_FROM,
    Level,
    Signature,
    axis_of,
    batched,
    copies,
    moved,
    over_models,
    place,
    with_axis,
)
from .program import Program
from .segments import near, within
from .tangent import blank


class Whole(NamedTuple):
    """A run over all of time.

    Args:
        program: of the cell.
        segment: steps in a segment; None chooses.
        truncate: no gradient crosses a multiple of so many steps.
        avals: of the arguments: params, carry, inputs.
        keeps: whether what the derivative reads is among the results.
        moving: the numbers of the arguments that have tangents.
        copies: how many models are computed side by side.
        devices: over how many of them the compiler spreads the program, on its own.
    """

    program: Program
    segment: int | None
    truncate: int | None
    avals: tuple[Any, ...]
    keeps: bool = False
    moving: tuple[int, ...] = ()
    copies: int = 1
    devices: int = 1

    @property
    def kinds(self) -> list[str]:
        """Of the arguments: the same at all steps, in the loop, or stacked over time."""
        params, carry = len(self.program.of_params), self.program.size
        timed = len(self.avals) - params - carry
        return ["fixed"] * params + ["carry"] * carry + ["timed"] * timed

    @property
    def steps(self) -> Any:
        return self.avals[-1].shape[0]

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """What belongs to the arguments, as params, carry and inputs."""
        params = len(self.program.of_params)
        carry = params + self.program.size
        return list(args[:params]), list(args[params:carry]), list(args[carry:])

    @property
    def kept(self) -> list[Any]:
        """Shapes of what the derivative reads: all carries, and the taps' values."""
        plan = self.program.plan
        taps = [tap.value for tap in plan.taps] if plan.save else []
        return [self._over_time(v.aval) for v in (*plan.carry, *taps)]

    @property
    def results(self) -> list[Any]:
        """Shapes of the final carry, of the outputs and of what is kept."""
        final = [v.aval for v in self.program.plan.carry]
        ys = [self._over_time(aval) for aval in self.program.of_ys]
        return final + ys + (self.kept if self.keeps else [])

    @property
    def result_kinds(self) -> list[str]:
        size = self.program.size
        return ["carry"] * size + ["timed"] * (len(self.results) - size)

    def _over_time(self, aval: Any) -> Any:
        return unmapped_aval(self.steps, 0, aval)

    def shared_axis(self) -> int | None:
        """The batch axis of which each device may have a part: the largest that fits."""
        sizes = self.avals[-1].shape[1 : 1 + self.program.batch_ndim]
        if self.devices == 1 or not all(isinstance(size, int) for size in sizes):
            return None
        fits = [i for i, size in enumerate(sizes) if size and size % self.devices == 0]
        return max(fits, key=lambda i: sizes[i], default=None)

    def passes(self) -> Passes:
        """With segments that suit the shapes."""
        if self.segment is not None:
            length = self.segment
        else:
            wanted, steps = self.program.segment_length(self.copies), self.steps
            if self.truncate is None:
                length = near(steps, wanted)
            else:
                known = isinstance(steps, int) and wanted is not None
                length = within(self.truncate, min(wanted, steps) if known else wanted)
        return Passes(self.program, length, self.truncate)


def run(
    program: Program,
    params: Any,
    carry: Any,
    inputs: Any,
    *,
    segment: int | None,
    truncate: int | None,
) -> tuple[Any, Any]:
    """The final carry and the outputs."""
    args = jax.tree.leaves((params, carry, inputs))
    whole = Whole(program, segment, truncate, tuple(map(jax.typeof, args)))
    results = forward_p.bind(*args, whole=whole, levels=())
    final, ys = results[: program.size], results[program.size :]
    return program.carry_tree.unflatten(final), program.ys_tree.unflatten(ys)


def _floating(whole: Whole) -> list[bool]:
    return [jnp.issubdtype(aval.dtype, jnp.inexact) for aval in whole.results]


def _some(values: Sequence[Any], which: Sequence[bool]) -> list[Any]:
    return [value for value, one in zip(values, which, strict=True) if one]


# Forwards.


def _forward(whole: Whole, args: Sequence[Any]) -> list[Any]:
    parts = whole.split(args)
    return jax.tree.leaves(whole.passes().forward(*parts, keeps=whole.keeps))


def _forward_shapes(*avals: Any, whole: Whole, levels: Sequence[Level]) -> list[Any]:
    return batched(whole.results, whole.result_kinds, levels)


def _forward_batch(
    args: Any, axes: Any, *, whole: Whole, levels: Any
) -> tuple[list[Any], list[int]]:
    args, level = moved(args, axes, whole.kinds, weights=whole.program.weighing)
    results = forward_p.bind(*args, whole=whole, levels=(*levels, level))
    return results, [place(kind) for kind in whole.result_kinds]


def _forward_jvp(
    primals: Any, tangents: Any, *, whole: Whole, levels: Any
) -> tuple[list[Any], list[Any]]:
    keeping = whole._replace(keeps=True)
    every = forward_p.bind(*primals, whole=keeping, levels=levels)
    shown = len(every) if whole.keeps else len(every) - len(whole.kept)
    results, kept = every[:shown], every[len(every) - len(whole.kept) :]
    moving = tuple(i for i, t in enumerate(tangents) if type(t) is not ad.Zero)
    whole = whole._replace(moving=moving)
    floats = _floating(whole)
    zeros = [ad.Zero(jax.typeof(result).to_tangent_aval()) for result in results]
    if not moving or not any(floats):
        return results, zeros
    levels = tuple(
        level.extended([True] * len(kept) + [level.flags[i] for i in moving])
        for level in levels
    )
    found = iter(
        tangent_p.bind(
            *primals, *kept, *(tangents[i] for i in moving), whole=whole, levels=levels
        )
    )
    return results, [
        next(found) if floating else zero
        for zero, floating in zip(zeros, floats, strict=True)
    ]


# The tangent.


def _tangent_kinds(whole: Whole) -> list[str]:
    kept = whole._replace(keeps=True).result_kinds[-len(whole.kept) :]
    return [*whole.kinds, *kept, *(whole.kinds[i] for i in whole.moving)]


def _parts(whole: Whole, args: Sequence[Any]) -> tuple[Any, Any, Sequence[Any]]:
    """The primals, what is kept, and what else there is."""
    count, size = len(whole.avals), whole.program.size
    kept, rest = args[count:][: len(whole.kept)], args[count + len(whole.kept) :]
    return whole.split(args[:count]), (list(kept[:size]), list(kept[size:])), rest


def _tangent(whole: Whole, args: Sequence[Any]) -> list[Any]:
    primals, kept, tangents = _parts(whole, args)
    given: list[Any] = [None] * len(whole.avals)
    for i, one in zip(whole.moving, tangents, strict=True):
        given[i] = one
    found = whole.passes().tangent(primals, whole.split(given), kept, keeps=whole.keeps)
    leaves = jax.tree.leaves(found, is_leaf=lambda leaf: leaf is None)
    leaves = [
        blank(aval) if leaf is None else leaf
        for leaf, aval in zip(leaves, whole.results, strict=True)
    ]
    return _some(leaves, _floating(whole))


def _tangent_shapes(*avals: Any, whole: Whole, levels: Sequence[Level]) -> list[Any]:
    shapes = [aval.to_tangent_aval() for aval in _some(whole.results, _floating(whole))]
    return batched(shapes, _some(whole.result_kinds, _floating(whole)), levels)


def _tangent_batch(
    args: Any, axes: Any, *, whole: Whole, levels: Any
) -> tuple[list[Any], list[int]]:
    weights, first = whole.program.weighing, len(whole.avals) + len(whole.kept)
    derived = [first + at for at, i in enumerate(whole.moving) if i in weights]
    kinds = _tangent_kinds(whole)
    args, level = moved(args, axes, kinds, weights=weights, derived=derived)
    results = tangent_p.bind(*args, whole=whole, levels=(*levels, level))
    kinds = _some(whole.result_kinds, _floating(whole))
    return results, [place(kind) for kind in kinds]


def _tangent_jvp(primals: Any, tangents: Any, **static: Any) -> tuple[Any, Any]:
    """Linear in the tangents; in all else it is ordinary JAX."""
    count = len(primals) - len(static["whole"].moving)
    if all(type(t) is ad.Zero for t in tangents[:count]):
        moved = map(ad.instantiate_zeros, tangents[count:])
        results = tangent_p.bind(*primals, **static)
        return results, tangent_p.bind(*primals[:count], *moved, **static)
    return _through(tangent_p, primals, tangents, static)


def _tangent_transpose(
    cotangents: Sequence[Any], *args: Any, whole: Whole, levels: Any
) -> list[Any]:
    count = len(args) - len(whole.moving)
    shapes = _tangent_shapes(whole=whole, levels=levels)
    given = [
        jnp.zeros(aval.shape, aval.dtype) if type(ct) is ad.Zero else ct
        for ct, aval in zip(cotangents, shapes, strict=True)
    ]
    seen = tuple(type(ct) is not ad.Zero for ct in cotangents)
    gradients = gradient_p.bind(
        *args[:count], *_some(given, seen), whole=whole, levels=levels, seen=seen
    )
    return [None] * count + gradients


# The gradient.


def _gradient(whole: Whole, args: Sequence[Any], *, seen: Sequence[bool]) -> list[Any]:
    axis = whole.shared_axis()
    if axis is not None:
        return _in_groups(whole, args, seen, axis)
    primals, kept, bars = _parts(whole, args)
    given, rest = iter(bars), iter(seen)
    every = [
        next(given) if floating and next(rest) else None for floating in _floating(whole)
    ]
    size, count = whole.program.size, whole.program.size + len(whole.program.of_ys)
    carries = every[count : count + size] or [None] * size
    values = every[count + size :] or [None] * len(kept[1])
    gradients = every[:size], every[size:count], carries, values
    found = whole.passes().gradient(primals, kept, gradients)
    leaves = [leaf for part in found for leaf in part]
    return [
        blank(whole.avals[i]) if leaves[i] is None else leaves[i] for i in whole.moving
    ]


def _in_groups(
    whole: Whole, args: Sequence[Any], seen: Sequence[bool], axis: int
) -> list[Any]:
    """The gradients of a group of examples for each device, summed up after the loops.

    In the loops they would be summed over all devices at every segment.
    """
    groups, count = whole.devices, len(whole.avals)
    own = [not weight for weight in whole.program.weights]  # of the examples
    places = {"fixed": axis, "carry": axis, "timed": axis + 1}
    kinds = _gradient_signature(whole, seen=seen).kinds
    axes = [
        places[kind] if kind != "fixed" or own[i] else None
        for i, kind in enumerate(kinds)
    ]
    out = [axes[i] for i in whole.moving]

    def parted(arg: Any, at: int | None) -> Any:
        if at is None:
            return arg
        shape = jnp.shape(arg)
        shape = (*shape[:at], groups, shape[at] // groups, *shape[at + 1 :])
        return jnp.reshape(arg, shape)

    def joined(result: Any, at: int | None) -> Any:
        if at is None:
            return result.sum(0)
        shape = jnp.shape(result)
        return jnp.reshape(result, (*shape[:at], -1, *shape[at + 2 :]))

    def one(*args: Any) -> list[Any]:
        program = whole.program.batched([], *whole.split(args[:count]))
        avals = tuple(map(jax.typeof, args[:count]))
        alone = whole._replace(program=program, avals=avals, devices=1)
        return _gradient(alone, args, seen=seen)

    results = jax.vmap(one, axes, [at or 0 for at in out])(*map(parted, args, axes))
    return [*map(joined, results, out)]


def _gradient_shapes(
    *avals: Any, whole: Whole, levels: Sequence[Level], seen: Any
) -> list[Any]:
    shapes = [whole.avals[i].to_tangent_aval() for i in whole.moving]
    kinds = [whole.kinds[i] for i in whole.moving]
    return batched(shapes, kinds, levels, of=slice(-len(kinds), None))


def _gradient_batch(
    args: Any, axes: Any, *, whole: Whole, levels: Any, seen: Any
) -> tuple[list[Any], list[int]]:
    count = len(whole.avals) + len(whole.kept)
    kinds = [whole.kinds[i] for i in whole.moving]
    of_results = _some(_some(whole.result_kinds, _floating(whole)), seen)
    every = [*_tangent_kinds(whole)[:count], *of_results]
    # All results have the axis, so that weights with a gradient have one for each entry.
    weights, given = whole.program.weighing, range(count, len(args))
    derived = given if any(i in weights for i in whole.moving) else ()
    args, level = moved(args, axes, every, weights=weights, derived=derived, full=given)
    level = level._replace(flags=(*level.flags[:count], *(True for _ in kinds)))
    static = dict(whole=whole, levels=(*levels, level), seen=seen)
    return gradient_p.bind(*args, **static), [place(kind) for kind in kinds]


def _gradient_jvp(primals: Any, tangents: Any, **static: Any) -> tuple[Any, Any]:
    count = len(static["whole"].avals) + len(static["whole"].kept)
    if all(type(t) is ad.Zero for t in tangents[:count]):
        moved = map(ad.instantiate_zeros, tangents[count:])
        results = gradient_p.bind(*primals, **static)
        return results, gradient_p.bind(*primals[:count], *moved, **static)
    return _through(gradient_p, primals, tangents, static)


def _gradient_transpose(
    cotangents: Sequence[Any], *args: Any, whole: Whole, levels: Any, seen: Any
) -> list[Any]:
    count = len(whole.avals) + len(whole.kept)
    found = tangent_p.bind(
        *args[:count],
        *map(ad.instantiate_zeros, cotangents),
        whole=whole,
        levels=levels,
    )
    return [None] * count + _some(found, seen)


# What they have in common.


def _through(primitive: Any, primals: Any, tangents: Any, static: Any) -> Any:
    """The derivative of what a primitive computes, as ordinary JAX."""
    tangents = tuple(map(ad.instantiate_zeros, tangents))
    function = lambda *args: primitive.impl(*args, **static)  # noqa: E731
    return jax.jvp(function, tuple(primals), tangents)


def _folded(
    function: Callable[[Whole, Sequence[Any]], list[Any]],
    whole: Whole,
    args: Sequence[Any],
    levels: Sequence[Level],
    signature: Signature,
) -> list[Any]:
    """The function, with axes of data as batch axes of the program.

    What is no parameter gets all of them; a parameter, those that it or its tangent has.
    """
    if not levels:
        return function(whole, args)
    args, kinds = list(args), signature.kinds
    flags = [list(signature.flags(level)) for level in levels]
    wanted = [list(signature.result_flags(level)) for level in levels]
    first, tangents = len(whole.avals) + len(whole.kept), signature.tangents
    for number, (own, of_results) in enumerate(zip(flags, wanted, strict=True)):
        needed = [flag or kind != "fixed" for flag, kind in zip(own, kinds, strict=True)]
        for at, i in enumerate(whole.moving):
            if tangents:
                needed[i] = needed[first + at] = needed[i] or needed[first + at]
            elif signature.gradients:
                needed[i] = needed[i] or of_results[at]
        for i, (flag, need) in enumerate(zip(own, needed, strict=True)):
            if need and not flag:
                own[i] = True
                axis = axis_of(kinds[i], [every[i] for every in flags], number)
                args[i] = with_axis(args[i], axis, levels[number].size)
    params, carry, inputs = whole.split(args[: len(whole.avals)])
    program = whole.program.batched(
        [own[: len(params)] for own in flags], params, carry, inputs
    )
    avals = tuple(map(jax.typeof, args[: len(whole.avals)]))
    results = function(whole._replace(program=program, avals=avals), args)
    if not signature.gradients:
        return results
    summed = []
    for at, (i, result) in enumerate(zip(whole.moving, results, strict=True)):
        here = [own[i] for own in flags]
        axes = [
            axis_of(kinds[i], here, number)
            for number, of_results in enumerate(wanted)
            if here[number] and not of_results[at]
        ]
        summed.append(result.sum(axes) if axes else result)
    return summed


def _opened(
    function: Callable[..., list[Any]],
    signature_of: Callable[..., Signature],
    platform: str = "any",
    devices: int = 1,
) -> Callable[..., list[Any]]:
    def opened(
        *args: Any, whole: Whole, levels: Sequence[Level], **static: Any
    ) -> list[Any]:
        signature = signature_of(whole, **static)
        turns = platform == "cpu" and whole.program.multiplications() >= TURNS_FROM
        whole = whole._replace(copies=copies(levels, turns), devices=devices)

        def of_data(args: Sequence[Any], levels: Sequence[Level]) -> list[Any]:
            return _folded(
                lambda whole, args: function(whole, args, **static),
                whole,
                args,
                levels,
                signature,
            )

        # Traced, so that what nobody reads is left out, inside of loops too.
        closed = jax.make_jaxpr(
            lambda *args: over_models(of_data, args, levels, signature, turns)
        )(*args)
        wanted = [True] * len(closed.jaxpr.outvars)
        jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, wanted)
        args = _some(args, used)
        return jaxpr_as_fun(closed.replace(jaxpr=jaxpr))(*args)

    return opened


def _every(flags: Sequence[Any]) -> Callable[[Level], Sequence[bool]]:
    return lambda level: [True] * len(flags)


def _forward_signature(whole: Whole) -> Signature:
    kinds = whole.result_kinds
    return Signature(whole.kinds, kinds, lambda level: level.flags, _every(kinds))


def _tangent_signature(whole: Whole) -> Signature:
    kinds = _some(whole.result_kinds, _floating(whole))
    flags = lambda level: level.flags  # noqa: E731
    return Signature(_tangent_kinds(whole), kinds, flags, _every(kinds), tangents=True)


def _gradient_signature(whole: Whole, *, seen: Sequence[bool]) -> Signature:
    count = len(whole.avals) + len(whole.kept)
    given = _some(_some(whole.result_kinds, _floating(whole)), seen)
    return Signature(
        [*_tangent_kinds(whole)[:count], *given],
        [whole.kinds[i] for i in whole.moving],
        lambda level: [*level.flags[:count], *(True for _ in given)],
        lambda level: level.flags[count:],
        gradients=True,
    )


def _primitive(
    name: str,
    function: Callable[..., list[Any]],
    signature_of: Callable[..., Signature],
    shapes: Callable[..., list[Any]],
) -> Primitive:
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(_opened(function, signature_of))
    primitive.def_abstract_eval(shapes)

    def lowering(platform: str) -> Callable[..., Any]:
        def rule(context: Any, *args: Any, **static: Any) -> Any:
            opened = _opened(function, signature_of, platform, _devices(context))
            return mlir.lower_fun(opened)(context, *args, **static)

        return rule

    mlir.register_lowering(primitive, lowering("any"))
    mlir.register_lowering(primitive, lowering("cpu"), platform="cpu")
    return primitive


def _devices(context: Any) -> int:
    """How many devices the compiler spreads a program over, on its own."""
    axes = context.module_context.axis_context
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return getattr(axes, "num_devices", 1)
    sizes = mesh.shape.items()
    return math.prod(size for name, size in sizes if name not in axes.manual_axes)


forward_p = _primitive("recurrence", _forward, _forward_signature, _forward_shapes)
tangent_p = _primitive(
    "recurrence_tangent", _tangent, _tangent_signature, _tangent_shapes
)
gradient_p = _primitive(
    "recurrence_gradient", _gradient, _gradient_signature, _gradient_shapes
)
batching.primitive_batchers[forward_p] = _forward_batch
batching.primitive_batchers[tangent_p] = _tangent_batch
batching.primitive_batchers[gradient_p] = _gradient_batch
ad.primitive_jvps[forward_p] = _forward_jvp
ad.primitive_jvps[tangent_p] = _tangent_jvp
ad.primitive_jvps[gradient_p] = _gradient_jvp
ad.primitive_transposes[tangent_p] = _tangent_transpose
ad.primitive_transposes[gradient_p] = _gradient_transpose
