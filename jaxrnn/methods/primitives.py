"""A run over all of time, as primitives that are planned when they are lowered.

    forward_p    the final carry, the outputs and, for a derivative, what it keeps
    tangent_p    the tangents of these, linear in those of params, carry and inputs
    gradient_p   its transpose: the gradients of params, carry and inputs

What a segment of time may hold depends on the shapes that are computed, and those are
known at last: `jax.vmap` adds axes to what was traced for one example. So the three stay
closed under every transformation and only note the axes (`levels.Level`). Their lowering
opens them (`opening`) and chooses the segments for all that there is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .levels import Level, Signature, batched, moved, place
from .opening import forward, gradient, opened, tangent
from .program import Program
from .units import devices, mesh_of
from .whole import (
    Whole,
    floating,
    forward_signature,
    gradient_signature,
    some,
    tangent_kinds,
    tangent_signature,
)


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


# Forwards.


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
    floats = floating(whole)
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


def _tangent_shapes(*avals: Any, whole: Whole, levels: Sequence[Level]) -> list[Any]:
    shapes = [aval.to_tangent_aval() for aval in some(whole.results, floating(whole))]
    return batched(shapes, some(whole.result_kinds, floating(whole)), levels)


def _tangent_batch(
    args: Any, axes: Any, *, whole: Whole, levels: Any
) -> tuple[list[Any], list[int]]:
    weights, first = whole.program.weighing, len(whole.avals) + len(whole.kept)
    derived = [first + at for at, i in enumerate(whole.moving) if i in weights]
    kinds = tangent_kinds(whole)
    args, level = moved(args, axes, kinds, weights=weights, derived=derived)
    results = tangent_p.bind(*args, whole=whole, levels=(*levels, level))
    kinds = some(whole.result_kinds, floating(whole))
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
        *args[:count], *some(given, seen), whole=whole, levels=levels, seen=seen
    )
    return [None] * count + gradients


# The gradient.


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
    of_results = some(some(whole.result_kinds, floating(whole)), seen)
    every = [*tangent_kinds(whole)[:count], *of_results]
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
    return [None] * count + some(found, seen)


# What they have in common.


def _through(primitive: Any, primals: Any, tangents: Any, static: Any) -> Any:
    """The derivative of what a primitive computes, as ordinary JAX."""
    tangents = tuple(map(ad.instantiate_zeros, tangents))
    function = lambda *args: primitive.impl(*args, **static)  # noqa: E731
    return jax.jvp(function, tuple(primals), tangents)


def _primitive(
    name: str,
    function: Callable[..., list[Any]],
    signature_of: Callable[..., Signature],
    shapes: Callable[..., list[Any]],
) -> Primitive:
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(opened(function, signature_of))
    primitive.def_abstract_eval(shapes)

    def lowering(platform: str) -> Callable[..., Any]:
        def rule(context: Any, *args: Any, **static: Any) -> Any:
            spread = devices(context)
            mesh = mesh_of(context.avals_in) if spread > 1 else None
            whole = opened(function, signature_of, platform, spread, mesh)
            return mlir.lower_fun(whole)(context, *args, **static)

        return rule

    mlir.register_lowering(primitive, lowering("any"))
    mlir.register_lowering(primitive, lowering("cpu"), platform="cpu")
    return primitive


forward_p = _primitive("recurrence", forward, forward_signature, _forward_shapes)
tangent_p = _primitive("recurrence_tangent", tangent, tangent_signature, _tangent_shapes)
gradient_p = _primitive(
    "recurrence_gradient", gradient, gradient_signature, _gradient_shapes
)
batching.primitive_batchers[forward_p] = _forward_batch
batching.primitive_batchers[tangent_p] = _tangent_batch
batching.primitive_batchers[gradient_p] = _gradient_batch
ad.primitive_jvps[forward_p] = _forward_jvp
ad.primitive_jvps[tangent_p] = _tangent_jvp
ad.primitive_jvps[gradient_p] = _gradient_jvp
ad.primitive_transposes[tangent_p] = _tangent_transpose
ad.primitive_transposes[gradient_p] = _gradient_transpose
