"""One call of a public function: its arguments checked, then one compiled run."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.keys import keys_in_time, prepare_key, typed_key
from ..cell import Cell, as_input, check_cell
from ..context import emptied
from ..methods import Started
from .meshes import over_explicit_axes
from .run import Observer, Run, every_carry, repeat
from .streams import check_streams, streams_of, valid_steps, zeroed


class Call(NamedTuple):
    """The arguments of a public function, and its name."""

    name: str
    cell: Cell
    params: Any
    xs: Any
    carry: Any
    lengths: Any
    mask: Any
    resets: Any
    reverse: bool
    key: Any
    method: Any


def call_of(name: str, cell: Cell, params: Any, xs: Any, *others: Any) -> Call:
    """A call, of arguments as they come in: checked, and with native arrays."""
    check_cell(name, cell)
    xs = native(name, "xs", xs)
    return Call(name, cell, checks.check_params(name, cell, params), xs, *others)


def evaluate(
    call: Call, *, observe: Observer | None = None, perturbation: Any = None
) -> tuple[Any, Any]:
    """What every public function calls: the streams and the carry checked, the rest
    compiled.

    What `observe` makes of every cell takes the place of its final carry, and there are
    no outputs. `perturbation`, a trajectory, is added to the carries between step and
    output.
    """
    name, cell, params, xs, carry = call[:5]
    started = isinstance(call.method, Started)
    if isinstance(call.method, type) or not (started or callable(call.method)):
        raise TypeError(f"{name}: method is {call.method!r}, expected one like Scan()")
    if not isinstance(call.reverse, bool):
        raise TypeError(
            f"{name}: reverse is {call.reverse!r}, expected True or False: it is part of "
            "the program, so under jax.jit name it in static_argnames"
        )
    leading = time_and_batch(name, cell, xs)
    batch_shape = leading[1:]
    if carry is None:
        carry = repeat(cell.initial_carry(params), batch_shape)
    else:
        carry = checks.check_carry(name, cell, params, carry, batch_shape)
    checks.check_contexts(name, cell, carry, batch_shape)
    streams = check_streams(name, call.lengths, call.mask, call.resets, leading)
    method, guess = call.method, None
    if isinstance(method, Started):
        method, guess = method.method, _guess(call, leading)
    static = name, cell, method, call.reverse, observe
    key = typed_key(name, call.key)
    args = params, xs, carry, streams, key, perturbation, guess
    return over_explicit_axes(
        name,
        functools.partial(_evaluate, *static),
        *args,
        batch_ndim=len(batch_shape),
        timed=observe is not None,
        time_axis=getattr(method, "time_axis", None),
    )


@functools.partial(
    jax.jit, static_argnames=("call", "cell", "method", "reverse", "observe")
)
def _evaluate(
    call: str,
    cell: Cell,
    method: Any,
    reverse: bool,
    observe: Observer | None,
    params: Any,
    xs: Any,
    carry: Any,
    streams: tuple[Any, Any, Any],
    key: jax.Array | None,
    perturbation: Any,
    guess: Any,
) -> tuple[Any, Any]:
    T, *batch_shape = checks.leading_shape(call, "xs", cell, xs)
    lengths, mask, resets = streams
    valid = valid_steps(lengths, mask, T)
    run = Run(
        call=call,
        method=method,
        reverse=reverse,
        batch_ndim=len(batch_shape),
        streams=streams_of(valid, None if resets is None else jnp.asarray(resets)),
        keys=None
        if key is None
        else keys_in_time(key, jnp.arange(T), tuple(batch_shape)),
        initial=cell.initial_carry(params),
        observe=observe,
        perturbation=perturbation,
        guess=guess,
    )
    xs = zeroed(valid, xs)
    outcome = cell.sequence(cell.prepare(params, prepare_key(key)), carry, xs, run)
    if not isinstance(outcome, tuple) or len(outcome) != 2:
        raise TypeError(
            f"{call}: {cell}.sequence gave {checks.structure(outcome)}, expected "
            "(carry, ys)"
        )
    leading = tuple(batch_shape) if observe is None else (T, *batch_shape)
    expected = jax.eval_shape(lambda: repeat(run.initial, leading))
    kept = observe is None or observe is every_carry
    if kept and not checks.alike(emptied(outcome[0]), expected):
        raise TypeError(
            f"{call}: {cell}.sequence gave for its carry the shapes "
            f"{checks.shapes(outcome[0])}, expected {checks.shapes(expected)}: what the "
            "inner cells return, put together as the carry is"
        )
    carry, ys = outcome
    return carry, as_input(zeroed(valid, ys), xs) if observe is None else None


def _guess(call: Call, leading: tuple[int, ...]) -> Any:
    """The trajectory from which a method starts."""
    guess = native(call.name, "the guess of method", call.method.guess)
    one = jax.eval_shape(call.cell.initial_carry, call.params)
    expected = jax.eval_shape(lambda: repeat(jax.tree.map(_zeros, one), leading))
    if not checks.alike(guess, expected):
        raise ValueError(
            f"{call.name}: the guess of method has the shapes {checks.shapes(guess)}, "
            f"expected {checks.shapes(expected)}: those of trajectory(cell, params, xs)"
        )
    return guess


def _zeros(leaf: Any) -> jax.Array:
    return jnp.zeros(leaf.shape, leaf.dtype)


def time_and_batch(call: str, cell: Cell, xs: Any) -> tuple[int, ...]:
    """(T, *batch), of the inputs of a sequence."""
    check_cell(call, cell)
    leading = checks.leading_shape(call, "xs", cell, xs, "T, *batch")
    if not leading:
        raise ValueError(
            f"{call}: xs has shape {checks.shapes(xs)}, expected a time axis before "
            f"{cell.input_shape} for {cell}; for a single step call the cell itself"
        )
    return leading
