"""Axes that `jax.vmap` adds to a run: of data, or of models that differ in their weights.

Axes of data become batch axes of one program. Models are computed side by side, or one
after another on a processor where their products are large: a product with an axis of
weights takes longer there than as many products.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import unmapped_aval

# From this many multiplications in the products of a step on, models take turns on CPU.
# Of eight GRUs, in turn against side by side: 1.7 times as long at 3,000, even at 12,000
# and 49,000, 0.89 at 200,000, 0.73 at three million (two cores of an Intel Xeon).
TURNS_FROM = 2**17


class Level(NamedTuple):
    """An axis of so many entries, the first of an argument that has it but for time.

    Args:
        size: of the axis.
        flags: which arguments have it.
        of_models: whether weights have it, or their tangents or gradients.
        weights: whether weights have it.
    """

    size: int
    flags: tuple[bool, ...]
    of_models: bool
    weights: bool

    def extended(self, flags: Sequence[bool]) -> "Level":
        return self._replace(flags=(*self.flags, *flags))


def place(kind: str) -> int:
    """Where a new axis is put: in front, but after the axis of time."""
    return 1 if kind == "timed" else 0


def moved(
    args: Sequence[Any],
    axes: Sequence[Any],
    kinds: Sequence[str],
    *,
    weights: Collection[int],
    derived: Collection[int] = (),
    full: Collection[int] = (),
) -> tuple[list[Any], Level]:
    """Arguments with a new axis in its place, and the level that it makes.

    Args:
        weights: the numbers of the arguments that are weights.
        derived: of those that are their tangents, or gradients.
        full: those that get the axis if they do not have it.
    """
    given = zip(args, axes, strict=True)
    size = next(arg.shape[axis] for arg, axis in given if axis is not None)
    flags = [axis is not None or i in full for i, axis in enumerate(axes)]
    of_weights = any(axes[i] is not None for i in weights)
    of_models = of_weights or any(flags[i] for i in derived)
    level = Level(size, tuple(flags), of_models, of_weights)

    def put(arg: Any, axis: int | None, kind: str, flag: bool) -> Any:
        if axis is None:
            return with_axis(arg, place(kind), size) if flag else arg
        return jnp.moveaxis(arg, axis, place(kind))

    return [*map(put, args, axes, kinds, flags)], level


def batched(
    avals: Sequence[Any],
    kinds: Sequence[str],
    levels: Sequence[Level],
    of: slice | None = None,
) -> list[Any]:
    """Shapes with the axes of all levels, or of those whose flags `of` says."""
    for level in levels:
        flags = [True] * len(kinds) if of is None else level.flags[of]
        avals = [
            unmapped_aval(level.size, place(kind), aval) if flag else aval
            for aval, kind, flag in zip(avals, kinds, flags, strict=True)
        ]
    return list(avals)


class Signature(NamedTuple):
    """Of a function of lists: the kinds of arguments and of results, and their flags.

    `tangents`: the last arguments are those of arguments that move; `gradients`: the
    results are.
    """

    kinds: Sequence[str]
    result_kinds: Sequence[str]
    flags: Callable[[Level], Sequence[bool]]
    result_flags: Callable[[Level], Sequence[bool]]
    tangents: bool = False
    gradients: bool = False


def axis_of(kind: str, flags: Sequence[bool], number: int) -> int:
    """Where the axis of a level is: behind those of the levels around it."""
    return place(kind) + sum(flags[number + 1 :])


def copies(levels: Sequence[Level], take_turns: bool) -> int:
    """How many models are computed side by side."""
    count = 1
    for level in levels:
        if level.of_models and not (take_turns and level.weights):
            count *= level.size
    return count


def with_axis(arg: Any, axis: int, size: int) -> Any:
    shape = [*arg.shape[:axis], size, *arg.shape[axis:]]
    return jnp.broadcast_to(jnp.expand_dims(arg, axis), shape)


def over_models(
    function: Callable[[Sequence[Any], Sequence[Level]], list[Any]],
    args: Sequence[Any],
    levels: Sequence[Level],
    signature: Signature,
    take_turns: bool,
) -> list[Any]:
    """`function(args, levels of data)`, over all models."""
    number = max((i for i, level in enumerate(levels) if level.of_models), default=None)
    if number is None:
        return function(args, levels)
    level, rest = levels[number], [*levels[:number], *levels[number + 1 :]]
    every, result_every = (
        list(zip(*map(flags, levels), strict=True))
        for flags in (signature.flags, signature.result_flags)
    )
    axes = [
        axis_of(kind, flags, number) if flags[number] else None
        for kind, flags in zip(signature.kinds, every, strict=True)
    ]
    out = [
        axis_of(kind, flags, number) if flags[number] else None
        for kind, flags in zip(signature.result_kinds, result_every, strict=True)
    ]

    def inner(*args: Any) -> list[Any]:
        return over_models(function, args, rest, signature, take_turns)

    if not (take_turns and level.weights):
        results = jax.vmap(inner, axes, [axis or 0 for axis in out])(*args)
        return [
            result.sum(0) if axis is None else result
            for result, axis in zip(results, out, strict=True)
        ]
    own = [
        jnp.moveaxis(arg, axis, 0)
        for arg, axis in zip(args, axes, strict=True)
        if axis is not None
    ]

    def body(sums: Any, own: Any) -> tuple[Any, Any]:
        given = iter(own)
        results = inner(
            *(
                arg if axis is None else next(given)
                for arg, axis in zip(args, axes, strict=True)
            )
        )
        parted = list(zip(results, out, strict=True))
        terms = [result for result, axis in parted if axis is None]
        sums = terms if sums is None else [*map(jnp.add, sums, terms)]
        return sums, [result for result, axis in parted if axis is not None]

    of_one, _ = jax.eval_shape(
        lambda own: body(None, own), [jax.tree.map(lambda x: x[0], x) for x in own]
    )
    start = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in of_one]
    sums, stacked = jax.lax.scan(body, start, own)
    summed, stacked = iter(sums), iter(stacked)
    return [
        next(summed) if axis is None else jnp.moveaxis(next(stacked), 0, axis)
        for axis in out
    ]
