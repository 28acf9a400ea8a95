"""Products of data by parameters: found in any function, and given good derivatives."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.extend.core.primitives import custom_vjp_call_p
from jax.interpreters import ad, batching, mlir

from .forms import Form, Matrix, form_of
from .jaxprs import depend, evaluate, holds, is_variable, piece, trace
from .units import devices

product_p = Primitive("product")


def product(x: jax.Array, weight: jax.Array, form: Form | None = None) -> jax.Array:
    """x W, in a form: by default with x [..., n] and weight W [n, m].

    Its derivatives are products of the rows of all leading axes:

        dL/dx = dL/dy W^T
        dL/dW = x^T dL/dy

    JAX's own rule makes dL/dW as the transpose of (dL/dy)^T x, for which XLA transposes
    all of dL/dy in memory: up to 3 times slower.
    """
    return product_p.bind(x, weight, form=form or Matrix())


def _multiply(x: Any, weight: Any, *, form: Form) -> jax.Array:
    return form.multiply(x, weight)


def _transpose_x(dy: Any, x: Any, weight: Any, *, form: Form) -> jax.Array:
    return form.of_x(dy, weight)


def _transpose_weight(dy: Any, x: Any, weight: Any, *, form: Form) -> jax.Array:
    return form.of_weight(dy, x, weight.aval)


def _batch(args: Any, axes: Any, *, form: Form) -> tuple[Any, int]:
    (x, weight), (of_x, of_weight) = args, axes
    if of_weight is None:
        return product(jnp.moveaxis(x, of_x, 0), weight, form), 0
    return jax.vmap(form.multiply, (of_x, of_weight))(x, weight), 0


def _shape(*avals: Any, form: Form) -> Any:
    return jax.make_jaxpr(form.multiply)(*avals).out_avals[0]


product_p.def_impl(_multiply)
product_p.def_abstract_eval(_shape)
ad.defbilinear(product_p, _transpose_x, _transpose_weight)
batching.primitive_batchers[product_p] = _batch


def _lower(context: Any, x: Any, weight: Any, *, form: Form) -> Any:
    spread = devices(context) > 1
    multiply = lambda x, weight: form.multiply(x, weight, spread=spread)  # noqa: E731
    return mlir.lower_fun(multiply, multiple_results=False)(context, x, weight)


mlir.register_lowering(product_p, _lower)


class Exposed(NamedTuple):
    """A function f(consts, data), its products of data by constants laid open.

        f(consts, data) = apply(consts, weights(consts), data)

    `turned(weights)` is what the products by dL/dy read in place of them. `count` is the
    number of weights, and `of_params` has the constants that they are made
    of. `results` has the shapes of the outputs, `made` of all that is made of data on the
    way to them, and `same` for every output the number of the data that it is, or None.
    `effects` says whether f does anything else, such as printing, and `has_vjp` whether
    it has a `jax.custom_vjp` anywhere.
    """

    weights: Callable[[Sequence[Any]], list[Any]]
    apply: Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], list[Any]]
    turned: Callable[[Sequence[Any]], list[Any]]
    count: int
    of_params: set[int]
    results: list[Any]
    made: list[Any]
    same: list[int | None]
    effects: bool
    has_vjp: bool


def expose(function: Callable, consts: Sequence[Any], data: Sequence[Any]) -> Exposed:
    """Find the products in `function(consts, data)`, lists of arrays in and out."""
    num = len(consts)
    jaxpr = trace(lambda *a: function(a[:num], a[num:]), *consts, *data)
    of_data = depend(jaxpr, jaxpr.jaxpr.invars[num:])
    found: dict[Any, tuple[int, Form, int, int | None]] = {}
    wanted: list[tuple[Any, int | None, type]] = []
    forms: list[Form] = []
    for eqn in jaxpr.jaxpr.eqns:
        formed = form_of(eqn, of_data)
        if formed is None:
            continue
        form, side = formed
        axes = [None, None]
        if isinstance(form, Matrix):
            axes = [axis for (axis,) in eqn.params["dimension_numbers"][0]]
        key = eqn.invars[1 - side], axes[1 - side], type(form)
        if key not in wanted:
            wanted.append(key)
            forms.append(form)
        found[eqn.outvars[0]] = wanted.index(key), form, side, axes[side]

    def weights(consts: Sequence[Any]) -> list[Any]:
        lead = piece(jaxpr, [variable for variable, *_ in wanted], ())
        env = dict(zip(jaxpr.jaxpr.invars, consts, strict=False))
        read = lead(*[env[variable] for variable in lead.inputs])
        return [w.T if axis else w for w, (_, axis, _) in zip(read, wanted, strict=True)]

    def turned(weights: Sequence[Any]) -> list[Any]:
        return [form.turned(w) for form, w in zip(forms, weights, strict=True)]

    def apply(
        consts: Sequence[Any], weights: Sequence[Any], data: Sequence[Any]
    ) -> list[Any]:
        def at(eqn: Any, values: list) -> Any:
            if not found.keys() & set(eqn.outvars):
                return None
            index, form, side, axis = found[eqn.outvars[0]]
            if axis is None:
                return [product(values[side], weights[index], form)]
            x = jnp.moveaxis(values[side], axis, -1)
            y = product(x, weights[index], form)
            return [y if side == 0 else jnp.moveaxis(y, -1, 0)]

        return evaluate(jaxpr, [*consts, *data], at)

    place = {v: i for i, v in enumerate(jaxpr.jaxpr.invars[num:])}
    same = [place.get(v) if is_variable(v) else None for v in jaxpr.jaxpr.outvars]
    has_vjp = holds(jaxpr.jaxpr.eqns, custom_vjp_call_p)
    made_of = piece(jaxpr, [variable for variable, *_ in wanted], ()).inputs
    of_params = {i for i, v in enumerate(jaxpr.jaxpr.invars[:num]) if v in made_of}
    every = (v for eqn in jaxpr.jaxpr.eqns for v in eqn.outvars)
    made = [v.aval for v in every if v in of_data]
    about = len(wanted), of_params, jaxpr.out_avals, made, same
    return Exposed(weights, apply, turned, *about, bool(jaxpr.effects), has_vjp)
