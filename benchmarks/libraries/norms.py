"""jaxrnn's `gradient_norms` and `gradient_log`, and beside them an ordinary gradient."""

from typing import Any

import jax
import jax.numpy as jnp

import jaxrnn

from .. import cases
from ..cases import TRAINING, Case
from ..jax_program import Compiled
from .jaxrnn import cell_of


def program(case: Case, how: str) -> Compiled:
    """The loss with its gradient in params, or what is measured of the same loss."""
    jax.clear_caches()  # the programs of the case before
    cell = cell_of(case)
    params = jax.tree.map(jnp.asarray, cases.weights(case)[0][0])

    def loss(ys: Any) -> jax.Array:
        return jnp.sum(ys**2)

    def gradient(params: Any, xs: Any) -> Any:
        total = lambda params: loss(jaxrnn.unroll(cell, params, xs)[1])  # noqa: E731
        return jax.value_and_grad(total)(params)

    def norms(params: Any, xs: Any) -> Any:
        return jaxrnn.gradient_norms(loss, cell, params, xs)

    def log(params: Any, xs: Any) -> Any:
        key, of_steps = jax.random.key(0), lambda ys: jnp.sum(ys**2, -1)
        return jaxrnn.gradient_log(of_steps, cell, params, xs, sample_key=key)

    function = {"gradient": gradient, "norms": norms, "log": log}[how]
    return Compiled({TRAINING: function}, (params, jnp.asarray(cases.inputs(case))))
