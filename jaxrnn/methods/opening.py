"""A run, opened: axes of data in one batch, models in turn, devices each with a part."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun
from jax.interpreters import partial_eval

from .levels import (
    TURNS_FROM,
    Level,
    Signature,
    axis_of,
    copies,
    over_models,
    with_axis,
)
from .tangent import blank
from .whole import Whole, floating, gradient_signature, parts, some


def forward(whole: Whole, args: Sequence[Any]) -> list[Any]:
    parts = whole.split(args)
    options = dict(keeps=whole.keeps, hoists=whole.hoists(), shows=whole.shows())
    return jax.tree.leaves(whole.passes().forward(*parts, **options))


def tangent(whole: Whole, args: Sequence[Any]) -> list[Any]:
    primals, kept, tangents = parts(whole, args)
    given: list[Any] = [None] * len(whole.avals)
    for i, one in zip(whole.moving, tangents, strict=True):
        given[i] = one
    found = whole.passes().tangent(primals, whole.split(given), kept, keeps=whole.keeps)
    leaves = jax.tree.leaves(found, is_leaf=lambda leaf: leaf is None)
    leaves = [
        blank(aval) if leaf is None else leaf
        for leaf, aval in zip(leaves, whole.results, strict=True)
    ]
    return some(leaves, floating(whole))


def gradient(whole: Whole, args: Sequence[Any], *, seen: Sequence[bool]) -> list[Any]:
    axis = whole.shared_axis()
    if axis is not None:
        return _in_groups(whole, args, seen, axis)
    primals, kept, bars = parts(whole, args)
    given, rest = iter(bars), iter(seen)
    every = [
        next(given) if floating and next(rest) else None for floating in floating(whole)
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
    kinds = gradient_signature(whole, seen=seen).kinds
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
        return gradient(alone, args, seen=seen)

    results = jax.vmap(one, axes, [at or 0 for at in out])(*map(parted, args, axes))
    return [*map(joined, results, out)]


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
    folded = whole._replace(program=program, avals=avals)
    if any(
        flag and one
        for own in flags
        for flag, one in zip(own, program.weights, strict=False)
    ):
        folded = folded._replace(devices=1)  # no group of examples shares its params
    results = function(folded, args)
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


def opened(
    function: Callable[..., list[Any]],
    signature_of: Callable[..., Signature],
    platform: str = "any",
    devices: int = 1,
    mesh: Any = None,
) -> Callable[..., list[Any]]:
    def implementation(
        *args: Any, whole: Whole, levels: Sequence[Level], **static: Any
    ) -> list[Any]:
        signature = signature_of(whole, **static)
        processor = platform == "cpu"
        turns = processor and whole.program.multiplications() >= TURNS_FROM
        whole = whole._replace(
            copies=copies(levels, turns),
            devices=devices,
            mesh=mesh if whole.program.plan.taps else None,
            processor=processor,
        )

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
        return jaxpr_as_fun(closed.replace(jaxpr=jaxpr))(*some(args, used))

    return implementation
