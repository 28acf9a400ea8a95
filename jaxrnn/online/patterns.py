"""Which entries of a Jacobian can be other than zero, read from the program.

The derivative of a function is traced, and every equation of it replaced by one that
only says where from a value comes: factors become ones, so that sums of products become
sums. What comes out has a Jacobian of zeros and positive numbers, positive wherever that
of the function may be anything but zero. Factors that are known, such as a mask that a
cell has, keep their zeros. What is not understood, such as a loop inside of a step, is
taken to depend on all that it reads.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives as p

from ..methods.jaxprs import apply, is_variable, piece, trace
from ..methods.structure import ALONG

ALIKE = {*ALONG}
ALIKE_BY_NAME = {"real", "imag", "complex", "conj", "clip_carry_gradient"}
MOVED = {"slice", "concatenate", "pad", "rev", "cumsum", "reshape", "transpose", "split"}
MOVED |= {"squeeze", "broadcast_in_dim", "reduce_sum", "reduce_window_sum", "expand_dims"}
PLACED = {"dynamic_slice", "gather", "dynamic_update_slice", "scatter", "scatter-add"}
ROWS = 64  # of a Jacobian, made at once


def reached(function: Callable[..., list[Any]], parts: Any, others: Any) -> list[Any]:
    """For every array in `parts`, which numbers of the results each entry can reach.

    Args:
        function: `function(parts, others)`, a list of real arrays.
        parts: shapes of real arrays, in which it is differentiated.
        others: shapes of all else.

    Returns:
        Booleans of NumPy `[n, size]` for each part: n numbers in all results.
    """
    rest, treedef = jax.tree.flatten(others)
    count = len(parts)

    def moved(*args: Any) -> list[Any]:
        tangents, given = list(args[:count]), list(args[count : 2 * count])
        others = treedef.unflatten(args[2 * count :])
        return jax.jvp(lambda parts: function(parts, others), (given,), (tangents,))[1]

    closed = trace(moved, *parts, *parts, *rest, checkpoints=True)
    outs = closed.jaxpr.outvars
    equations = piece(closed, outs, ()).equations
    tangents = closed.jaxpr.invars[:count]
    sizes = [int(np.prod(out.aval.shape)) for out in outs]
    with jax.ensure_compile_time_eval():
        known = _known(closed, equations)

        def spread(given: list[jax.Array]) -> jax.Array:
            env = dict(zip(tangents, given, strict=True))
            for eqn in equations:
                _spread(eqn, env, known)
            ends = [
                env[out] if is_variable(out) and out in env else jnp.zeros(out.aval.shape)
                for out in outs
            ]
            flat = [jnp.ravel(end).astype("float32") for end in ends]
            return jnp.concatenate(flat) if flat else jnp.zeros(0, "float32")

        zeros = [jnp.zeros(part.shape, "float32") for part in parts]

        @jax.jit
        def back(rows: jax.Array) -> list[jax.Array]:
            _, pull = jax.vjp(spread, zeros)
            return [part > 0 for part in jax.vmap(pull)(rows)[0]]

        eye = np.eye(sum(sizes), dtype="float32")
        found = [back(eye[i : i + ROWS]) for i in range(0, len(eye), ROWS)]
        found = [[np.asarray(part) for part in rows] for rows in found]
    return [
        np.concatenate([rows[i].reshape(len(rows[i]), -1) for rows in found])
        if found
        else np.zeros((0, int(np.prod(part.shape))), bool)
        for i, part in enumerate(parts)
    ]


def _known(closed: Any, equations: Sequence[Any]) -> dict[Any, Any]:
    """The values that depend on no argument."""
    known = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    known = {v: x for v, x in known.items() if not isinstance(x, jax.core.Tracer)}
    for eqn in equations:
        if all(not is_variable(a) or a in known for a in eqn.invars):
            values = [_value(a, known) for a in eqn.invars]
            known |= dict(zip(eqn.outvars, apply(eqn, values), strict=True))
    return known


def _value(atom: Any, known: dict[Any, Any]) -> Any:
    return known[atom] if is_variable(atom) else atom.val


def _spread(eqn: Any, env: dict[Any, Any], known: dict[Any, Any]) -> None:
    """The results of an equation, of where its arguments come from."""
    given = [env.get(a) if is_variable(a) else None for a in eqn.invars]
    if all(x is None for x in given):
        return
    results = _moved(eqn, given, known)
    if results is None:  # all of it depends on all
        total = sum(jnp.sum(x) for x in given if x is not None)
        results = [jnp.broadcast_to(total, out.aval.shape) for out in eqn.outvars]
    for out, result in zip(eqn.outvars, results, strict=True):
        if jnp.issubdtype(out.aval.dtype, jnp.inexact):
            env[out] = result


def _moved(eqn: Any, given: Sequence[Any], known: dict[Any, Any]) -> list[Any] | None:
    kind, name, ins = eqn.primitive, eqn.primitive.name, eqn.invars

    def factor(atom: Any) -> jax.Array:
        """Ones, or where something known is other than zero."""
        if is_variable(atom) and atom not in known:
            return jnp.ones(atom.aval.shape, "float32")
        return (jnp.asarray(_value(atom, known)) != 0).astype("float32")

    if kind in ALIKE or name in ALIKE_BY_NAME:
        if name == "clip_carry_gradient":
            zeros = [jnp.zeros(a.aval.shape, "float32") for a in ins]
            return [z if x is None else x for x, z in zip(given, zeros, strict=True)]
        shape = eqn.outvars[0].aval.shape
        total = sum(jnp.broadcast_to(x, shape) for x in given if x is not None)
        if kind is p.mul_p:
            for atom, x in zip(ins, given, strict=True):
                if x is None:
                    total = total * jnp.broadcast_to(factor(atom), shape)
        return [total]
    if kind in (p.dot_general_p, p.conv_general_dilated_p):
        if all(x is not None for x in given):
            return None
        values = [factor(a) if x is None else x for a, x in zip(ins, given, strict=True)]
        params = eqn.params | {"preferred_element_type": None}
        return [kind.bind(*values, **params)]
    if name in MOVED or name in PLACED:
        values = []
        for atom, x in zip(ins, given, strict=True):
            if x is not None:
                values.append(x)
            elif jnp.issubdtype(atom.aval.dtype, jnp.inexact):
                values.append(jnp.zeros(atom.aval.shape, "float32"))
            elif is_variable(atom) and atom not in known:
                return None  # where, is not known
            else:
                values.append(_value(atom, known))
        params = eqn.primitive.get_bind_params(eqn.params)
        results = kind.bind(*values, **params)
        return list(results) if kind.multiple_results else [results]
    return None
