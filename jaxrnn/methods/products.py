"""Products of data by parameters: found in any function, and given good derivatives."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.extend.core.primitives import custom_vjp_call_p, dot_general_p
from jax.interpreters import ad, batching, mlir

from .jaxprs import depend, evaluate, holds, is_variable, piece, trace

product_p = Primitive("product")


def product(x: jax.Array, weight: jax.Array, precision: Any = None) -> jax.Array:
    """x W, with x [..., n] and weight W [n, m]; precision as in `jax.lax.dot_general`.

    Its derivatives are products of the rows of all leading axes:

        dL/dx = dL/dy W^T
        dL/dW = x^T dL/dy

    JAX's own rule makes dL/dW as the transpose of (dL/dy)^T x, for which XLA transposes
    all of dL/dy in memory: up to 3 times slower.
    """
    return product_p.bind(x, weight, precision=precision)


def _multiply(x: Any, weight: Any, *, precision: Any) -> jax.Array:
    contract = ((x.ndim - 1,), (0,))
    return jax.lax.dot_general(x, weight, (contract, ((), ())), precision)


def _transpose_x(dy: Any, x: Any, weight: Any, *, precision: Any) -> jax.Array:
    contract = ((dy.ndim - 1,), (1,))
    return jax.lax.dot_general(dy, weight, (contract, ((), ())), precision)


def _transpose_weight(dy: Any, x: Any, weight: Any, *, precision: Any) -> jax.Array:
    return weight_gradient(dy, x, precision)


def weight_gradient(dy: Any, x: Any, precision: Any) -> jax.Array:
    """x^T dy, the sum over the rows of all leading axes."""
    rows = tuple(range(x.ndim - 1))
    return jax.lax.dot_general(x, dy, ((rows, rows), ((), ())), precision)


def _batch(args: Any, axes: Any, *, precision: Any) -> tuple[Any, int]:
    (x, weight), (of_x, of_weight) = args, axes
    if of_weight is None:
        return product(jnp.moveaxis(x, of_x, 0), weight, precision), 0
    multiply = functools.partial(_multiply, precision=precision)
    return jax.vmap(multiply, (of_x, of_weight))(x, weight), 0


def _shape(*avals: Any, precision: Any) -> Any:
    multiply = functools.partial(_multiply, precision=precision)
    return jax.make_jaxpr(multiply)(*avals).out_avals[0]


product_p.def_impl(_multiply)
product_p.def_abstract_eval(_shape)
ad.defbilinear(product_p, _transpose_x, _transpose_weight)
batching.primitive_batchers[product_p] = _batch
mlir.register_lowering(product_p, mlir.lower_fun(_multiply, multiple_results=False))


class Exposed(NamedTuple):
    """A function f(consts, data), its products of data by constants laid open.

        f(consts, data) = apply(consts, weights(consts), data)

    `count` is the number of weights, and `of_params` has the constants that they are made
    of. `results` has the shapes of the outputs, and `same` for every output the number of
    the data that it is, or None.
    `effects` says whether f does anything else, such as printing, and `has_vjp` whether
    it has a `jax.custom_vjp` anywhere.
    """

    weights: Callable[[Sequence[Any]], list[Any]]
    apply: Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], list[Any]]
    count: int
    of_params: set[int]
    results: list[Any]
    same: list[int | None]
    effects: bool
    has_vjp: bool


def expose(function: Callable, consts: Sequence[Any], data: Sequence[Any]) -> Exposed:
    """Find the products in `function(consts, data)`, lists of arrays in and out."""
    num = len(consts)
    jaxpr = trace(lambda *a: function(a[:num], a[num:]), *consts, *data)
    of_data = depend(jaxpr, jaxpr.jaxpr.invars[num:])
    found: dict[Any, tuple[int, int, int]] = {}
    wanted: list[tuple[Any, int]] = []
    for eqn in jaxpr.jaxpr.eqns:
        side = _data_side(eqn, of_data)
        if side is None:
            continue
        (contract, _) = eqn.params["dimension_numbers"]
        key = eqn.invars[1 - side], contract[1 - side][0]
        if key not in wanted:
            wanted.append(key)
        found[eqn.outvars[0]] = wanted.index(key), side, contract[side][0]

    def weights(consts: Sequence[Any]) -> list[Any]:
        lead = piece(jaxpr, [variable for variable, _ in wanted], ())
        env = dict(zip(jaxpr.jaxpr.invars, consts, strict=False))
        read = lead(*[env[variable] for variable in lead.inputs])
        return [w.T if axis else w for w, (_, axis) in zip(read, wanted, strict=True)]

    def apply(
        consts: Sequence[Any], weights: Sequence[Any], data: Sequence[Any]
    ) -> list[Any]:
        def at(eqn: Any, values: list) -> Any:
            if not found.keys() & set(eqn.outvars):
                return None
            index, side, axis = found[eqn.outvars[0]]
            x = jnp.moveaxis(values[side], axis, -1)
            y = product(x, weights[index], eqn.params["precision"])
            return [y if side == 0 else jnp.moveaxis(y, -1, 0)]

        return evaluate(jaxpr, [*consts, *data], at)

    place = {v: i for i, v in enumerate(jaxpr.jaxpr.invars[num:])}
    same = [place.get(v) if is_variable(v) else None for v in jaxpr.jaxpr.outvars]
    has_vjp = holds(jaxpr.jaxpr.eqns, custom_vjp_call_p)
    made_of = piece(jaxpr, [variable for variable, _ in wanted], ()).inputs
    of_params = {i for i, v in enumerate(jaxpr.jaxpr.invars[:num]) if v in made_of}
    about = len(wanted), of_params, jaxpr.out_avals, same, bool(jaxpr.effects), has_vjp
    return Exposed(weights, apply, *about)


def _data_side(eqn: Any, of_data: set[Any]) -> int | None:
    """Which operand of a product by a matrix of constants holds data; None: no such."""
    if eqn.primitive is not dot_general_p or eqn.params["out_sharding"] is not None:
        return None
    contract, batch = eqn.params["dimension_numbers"]
    dtypes = {variable.aval.dtype for variable in (*eqn.invars, *eqn.outvars)}
    if any(batch) or len(contract[0]) != 1 or len(dtypes) != 1:
        return None
    if not jnp.issubdtype(dtypes.pop(), jnp.inexact):
        return None
    sides = [is_variable(atom) and atom in of_data for atom in eqn.invars]
    if sides[0] == sides[1]:
        return None
    side = sides.index(True)
    return side if eqn.invars[1 - side].aval.ndim == 2 else None
