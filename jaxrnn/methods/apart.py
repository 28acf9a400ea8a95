"""A function that the compiler leaves in one piece."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.extend.core import primitives as p
from jax.interpreters import ad, batching, mlir

from .jaxprs import Piece, evaluate

apart_p = Primitive("apart")
apart_p.multiple_results = True

# What is vectorized even with the slicing of the loop's inputs in it.
ARITHMETIC = {
    *(p.add_p, p.sub_p, p.mul_p, p.neg_p, p.add_jaxvals_p, p.integer_pow_p, p.square_p),
    *(p.max_p, p.min_p, p.select_n_p, p.eq_p, p.ne_p, p.convert_element_type_p, p.copy_p),
    *(p.broadcast_in_dim_p, p.reshape_p, p.squeeze_p),
}


def apart(function: Callable[..., list[Any]], *args: Any) -> list[Any]:
    """`function(*args)`, arrays in and a list of arrays out, left in one piece on CPU.

    Inside of a loop, XLA's CPU compiler merges the slicing of the loop's inputs into the
    arithmetic that uses them, which then is not vectorized: an LSTM's gates took twice as
    long. A call that is not inlined keeps the two apart. It also groups the operations of
    a loop's body, of which XLA runs at most eight in a plain sequence; more are handed to
    a pool of threads one by one.

    On other platforms nothing is changed.
    """
    return apart_p.bind(*args, jaxpr=jax.make_jaxpr(function)(*args))


def in_one_piece(part: Piece, args: Sequence[Any]) -> list[Any]:
    """A piece left whole, but for one of plain arithmetic: no call is worth it there.

    A step of a cell that is affine in its carry then takes 0.5 to 0.9 of the time, where
    it is small.
    """
    plain = all(eqn.primitive in ARITHMETIC for eqn in part.equations)
    return part(*args) if plain else apart(part, *args)


def _plain(*args: Any, jaxpr: Any) -> list[Any]:
    return jaxpr_as_fun(jaxpr)(*args)


def _called(*args: Any, jaxpr: Any) -> list[Any]:
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda *args: _opened(args, jaxpr))(*args)


def _opened(args: Sequence[Any], jaxpr: Any) -> list[Any]:
    """All in one function: a call inside would be left in one piece as well."""

    def at(eqn: Any, values: list[Any]) -> Any:
        if eqn.primitive is p.custom_jvp_call_p or eqn.primitive is p.custom_vjp_call_p:
            return evaluate(eqn.params["call_jaxpr"], values, at)
        return None

    return evaluate(jaxpr, args, at)


def _jvp(primals: Any, tangents: Any, *, jaxpr: Any) -> tuple[Any, Any]:
    tangents = tuple(map(ad.instantiate_zeros, tangents))
    return jax.jvp(jaxpr_as_fun(jaxpr), tuple(primals), tangents)


def _batch(args: Any, axes: Any, *, jaxpr: Any) -> tuple[Any, Any]:
    results = apart(jax.vmap(jaxpr_as_fun(jaxpr), tuple(axes)), *args)
    return results, [0] * len(results)


def _transpose(cotangents: Any, *args: Any, jaxpr: Any) -> list[Any]:
    linear = [ad.is_undefined_primal(arg) for arg in args]
    avals = [arg.aval for arg in args if ad.is_undefined_primal(arg)]

    def restricted(*moving: Any) -> list[Any]:
        given = iter(moving)
        every = [
            next(given) if moves else arg for arg, moves in zip(args, linear, strict=True)
        ]
        return jaxpr_as_fun(jaxpr)(*every)

    gradients = iter(
        jax.linear_transpose(restricted, *avals)(
            list(map(ad.instantiate_zeros, cotangents))
        )
    )
    return [next(gradients) if moves else None for moves in linear]


apart_p.def_impl(_plain)
apart_p.def_abstract_eval(lambda *_, jaxpr: jaxpr.out_avals)
ad.primitive_jvps[apart_p] = _jvp
ad.primitive_transposes[apart_p] = _transpose
batching.primitive_batchers[apart_p] = _batch
mlir.register_lowering(apart_p, mlir.lower_fun(_plain))
mlir.register_lowering(apart_p, mlir.lower_fun(_called), platform="cpu")
