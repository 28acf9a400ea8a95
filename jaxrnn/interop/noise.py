"""Whether a cell makes anything of a key."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from ..arguments.checks import is_shape
from ..cell import Cell
from ..methods import Scan
from ..sequence import unroll


def draws(cell: Cell, params: Any, xs: Any, carry: Any, batch_ndim: int) -> bool:
    """Whether outputs and carry of `unroll` depend on its key.

    Found out from a trace of one step, once for equal cells and dtypes: a module then
    asks its framework for a key only where there is noise, and asks aloud.
    """
    shapes, treedef = jax.tree.flatten(cell.input_shape, is_leaf=is_shape)
    leaves = jax.tree.leaves(xs)
    xs = treedef.unflatten(
        jax.ShapeDtypeStruct((1, *shape), jnp.result_type(x))
        for x, shape in zip(leaves, shapes, strict=True)
    )
    params = jax.tree.map(lambda leaf: _of(leaf, 0), params)
    carry = jax.tree.map(lambda leaf: _of(leaf, batch_ndim), carry)
    arguments, treedef = jax.tree.flatten((params, xs, carry))
    return _draws(cell, treedef, tuple(arguments))


def _of(leaf: Any, axes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf)[axes:], jnp.result_type(leaf))


@functools.lru_cache(maxsize=1024)
def _draws(cell: Cell, treedef: Any, arguments: tuple) -> bool:
    plain = Scan(autodiff=True)  # others hide what their loops make of the key

    def trial(key: jax.Array, params: Any, xs: Any, carry: Any) -> Any:
        return unroll(cell, params, xs, carry, key=key, method=plain)

    key = jax.eval_shape(lambda: jax.random.key(0))
    jaxpr = jax.make_jaxpr(trial)(key, *treedef.unflatten(arguments)).jaxpr
    _, used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return used[0]
