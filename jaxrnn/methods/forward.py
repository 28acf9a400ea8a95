"""The run of a program forwards: its drive, the carries step by step, and the outputs.

What a step has of many numbers for few is made in the loop, where it stays in the cache:
the drive where `hoisting` says so, and outputs that are small beside the carry, such as
what is read from a matrix memory. All else is made of a segment at once.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import unmapped_aval
from jax.interpreters import ad

from .hoisting import in_loop
from .program import Operands, Program
from .store import store
from .units import Gather

Over = Callable[..., tuple[Any, Any]]


def forward(
    program: Program,
    operands: Operands,
    consts: list[Any],
    first: list[Any],
    inputs: Any,
    over: Over,
    *,
    gather: Gather | None,
    keeps: bool,
    hoists: bool,
    shows: bool,
) -> tuple[Any, ...]:
    """The final carry, the outputs, and with `keeps` all carries and values.

    Args:
        program, operands: and of these `consts`, with the first carry, gathered.
        over: goes over the segments, `over(segment, carry, inputs)`.
        hoists: each segment makes its drive before its loop, else the loop does.
        shows: the loop makes the outputs too, else a segment does after its loop.
    """
    plan, steps = program.plan, jax.tree.leaves(inputs)[0].shape[0]
    every, size = range(len(first)), len(plan.drive)
    computed = None in program.shown  # outputs that are no leaves of the carry
    inside = computed and shows and gather is None
    kept = every if keeps else sorted({i for i in program.shown if i is not None})
    run = functools.partial(plan.run, gather=gather)
    if not hoists:
        run = functools.partial(run, drive_of=in_loop(program, operands))
    elif inside:  # a row is what the loop gets of the drive, and the drive
        run = functools.partial(run, drive_of=lambda row: (row[:size], {}))

    def shown(carry: Any, row: Any) -> list[Any]:
        drive = row[size:] if hoists else program.drive(operands, row)[0]
        return program.made_once(operands, carry, drive)

    def buffers(which: Any, steps: int) -> tuple[dict[int, Any], list[Any]]:
        carries = {i: jnp.broadcast_to(first[i], (steps, *first[i].shape)) for i in which}
        taps = plan.taps if keeps and plan.save else []
        return carries, [_rows(tap.value.aval, steps) for tap in taps]

    def segment(state: Any, timed: Any) -> tuple[Any, Any]:
        (carry, carries, values), (inputs, at) = state, timed
        drive, led = program.drives(operands, inputs)
        args = *consts, *carry, *(led if hoists else inputs)
        if not computed:
            return run(args, carries, values, at)
        if inside:
            args = (*args, *drive) if hoists else args
            return run(args, carries, values, at, shown=shown)
        # The outputs read all carries, but of this segment alone.
        empty = buffers(every, at.size)
        (carry, rows, more), _ = run(args, *empty, at - at[0])
        made = program.made(operands, list(rows.values()), drive)
        carries = {i: store(carries[i], rows[i], at[0]) for i in carries}
        values = [store(a, b, at[0]) for a, b in zip(values, more, strict=True)]
        return (carry, carries, values), made

    timed = inputs, jnp.arange(steps, dtype="uint32")
    state = first, *buffers(kept, steps)
    if not hoists and (inside or not computed):  # there is nothing to do in segments
        (final, carries, values), made = segment(state, timed)
    else:
        (final, carries, values), made = over(segment, state, timed)
    results = final, program.ys(made, carries)
    return (*results, list(carries.values()), values) if keeps else results


def _rows(aval: Any, steps: int) -> Any:
    return ad.instantiate_zeros(ad.Zero(unmapped_aval(steps, 0, aval)))
