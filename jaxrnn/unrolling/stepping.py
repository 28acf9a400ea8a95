"""The single steps of a run, for what is measured step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.dtypes import promoted
from ..arguments.keys import Keys, keys_in_time, prepare_key, typed_key
from ..cell import Cell
from ..context import contexts
from .call import Call, evaluate, time_and_batch
from .meshes import whole
from .run import every_carry, repeat
from .streams import Gate, check_streams, streams_of, valid_steps, zeroed


class Steps(NamedTuple):
    """What a cell's step gets at every step of a run.

    Attributes:
        params: prepared.
        first: the carry before the first step, `(*batch, ...)`.
        before: the carry before every step, `(T, *batch, ...)`.
        xs: zeros at the steps that are not valid.
        keys: `Keys(sequence (*batch), step (T, *batch))` or None.
        valid: `(T, *batch)`, or None where every step counts.
        fresh: where a step does not start from the carry that came, or None.
    """

    params: Any
    first: Any
    before: Any
    xs: Any
    keys: Keys | None
    valid: jax.Array | None
    fresh: jax.Array | None


def steps_of(call: Call) -> Steps:
    """The steps of a call that runs forwards.

    Raises:
        TypeError: for a cell that exists over whole sequences only.
    """
    leading = T, *batch_shape = time_and_batch(call.name, call.cell, call.xs)
    streams = check_streams(call.name, call.lengths, call.mask, call.resets, leading)
    call = call._replace(lengths=streams[0], mask=streams[1], resets=streams[2])
    fields = "params", "xs", "carry", "lengths", "mask", "resets"
    call = call._replace(**whole({name: getattr(call, name) for name in fields}))
    if contexts(jax.eval_shape(call.cell.initial_carry, call.params)):
        raise TypeError(
            f"{call.name}: the carry of {call.cell} holds a Context, which is no state: "
            "measure the cell inside of it, or with carry_gradients and lag_profile"
        )
    carries, _ = evaluate(call, observe=every_carry)
    first = call.carry
    if first is None:
        first = repeat(call.cell.initial_carry(call.params), tuple(batch_shape))
    first = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), first, carries)
    valid = valid_steps(call.lengths, call.mask, T)
    resets = None if call.resets is None else jnp.asarray(call.resets)
    gate = streams_of(valid, resets).forward
    initial = call.cell.initial_carry(call.params)
    key = typed_key(call.name, call.key)
    keys = None
    if key is not None:
        keys = keys_in_time(key, jnp.arange(T), tuple(batch_shape))
    params = call.cell.prepare(call.params, prepare_key(key))
    check_steps(call, len(batch_shape))
    return Steps(
        params=params,
        first=first,
        before=carries_before(first, carries, gate, initial, reverse=False),
        xs=zeroed(valid, jax.tree.map(jnp.asarray, call.xs)),
        keys=keys,
        valid=valid,
        fresh=None if gate is None or resets is None else gate.fresh,
    )


def check_steps(call: Call, batch_ndim: int) -> None:
    """Raise unless the cell of a call can take a single step."""
    cell, params = call.cell, call.params
    if contexts(jax.eval_shape(cell.initial_carry, params)):
        return  # it steps, but from a carry that is given

    def one(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            jnp.shape(leaf)[1 + batch_ndim :], jnp.result_type(leaf)
        )

    def step(x: Any) -> Any:
        ready = cell.prepare(params)
        return cell.step(ready, cell.initial_carry(params), cell.project(ready, x))

    try:
        jax.eval_shape(step, jax.tree.map(one, call.xs))
    except TypeError as error:
        raise TypeError(f"{call.name}: {error}") from error


def carries_before(
    first: Any, carries: Any, gate: Gate | None, initial: Any, *, reverse: bool
) -> Any:
    """The carry from which every step starts, of the first one and those after steps."""

    def shifted(first: jax.Array, after: jax.Array, initial: Any) -> jax.Array:
        rows = [after[1:], first[None]] if reverse else [first[None], after[:-1]]
        before = jnp.concatenate(rows)[: len(after)]
        if gate is None:
            return before
        fresh = gate.fresh.reshape(gate.fresh.shape + (1,) * jnp.ndim(initial))
        return jnp.where(fresh, jnp.broadcast_to(initial, before.shape), before)

    return jax.tree.map(shifted, first, carries, initial)


def over_steps(
    function: Callable,
    batch_ndim: int,
    before: Any,
    xs: Any,
    keys: Keys | None,
    *of_example: Any,
) -> Any:
    """`function(carry, x, keys)` of one example at one step, over all at once.

    What is the same at every step of an example, `of_example`, comes after the keys.
    """
    for _ in range(batch_ndim):
        function = jax.vmap(function)
    of_keys: Any = (None, 0)
    axes = (0, 0, 0 if keys is None else Keys(*of_keys), *(None for _ in of_example))
    return jax.vmap(function, axes)(before, xs, keys, *of_example)


def flat(tree: Any) -> jax.Array:
    """The floating leaves of one carry as one real vector.

    In the order of `jax.tree.leaves`, each in C order: an LSTM's h, then its c; a stack's
    layers from below. Of a complex leaf all real parts, then all imaginary ones. Leaves
    of integers are left out.
    """
    parts = [
        jnp.ravel(part)
        for leaf in jax.tree.leaves(tree)
        if _moves(leaf)
        for part in ((leaf.real, leaf.imag) if _is_complex(leaf) else (leaf,))
    ]
    if not parts:
        return jnp.zeros(0)
    dtype = promoted(*(part.dtype for part in parts))
    return jnp.concatenate([part.astype(dtype) for part in parts])


def flat_step(
    cell: Cell, params: Any, carry: Any, x: Any, keys: Keys | None
) -> tuple[jax.Array, Callable[[jax.Array], tuple[jax.Array, Any]]]:
    """A carry as a vector, and the step from there: the new vector and the new carry."""
    leaves, tree = jax.tree.flatten(carry)

    def step(vector: jax.Array) -> tuple[jax.Array, Any]:
        every, at = list(leaves), 0

        def take(leaf: Any) -> jax.Array:
            nonlocal at
            part, at = vector[at : at + leaf.size], at + leaf.size
            return part.reshape(leaf.shape)

        for i, leaf in enumerate(leaves):
            if _is_complex(leaf):
                real, imaginary = take(leaf), take(leaf)
                every[i] = jax.lax.complex(real, imaginary).astype(leaf.dtype)
            elif _moves(leaf):
                every[i] = take(leaf).astype(leaf.dtype)
        start = jax.tree.unflatten(tree, every)
        new = cell.step(params, start, cell.project(params, x, keys))
        return flat(new), new

    return flat(carry), step


def _is_complex(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating)


def _moves(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
