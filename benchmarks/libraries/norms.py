"""jaxrnn's `gradient_norms`, and beside it the gradient of the same loss in params."""

from typing import Any

import jax
import jax.numpy as jnp

import jaxrnn

from .. import cases
from ..cases import TRAINING, Case
from ..jax_program import Compiled
from .jaxrnn import cell_of


def program(case: Case, norms: bool) -> Compiled:
    """The norms of the gradient in every carry, or the loss with its gradient."""
    jax.clear_caches()  # the programs of the case before
    cell = cell_of(case)
    params = jax.tree.map(jnp.asarray, cases.weights(case)[0][0])

    def loss(ys: Any) -> jax.Array:
        return jnp.sum(ys**2)

    def loss_of(params: Any, xs: Any) -> jax.Array:
        return loss(jaxrnn.unroll(cell, params, xs)[1])

    def norms_of(params: Any, xs: Any) -> Any:
        return jaxrnn.gradient_norms(loss, cell, params, xs)

    function = norms_of if norms else jax.value_and_grad(loss_of)
    return Compiled({TRAINING: function}, (params, jnp.asarray(cases.inputs(case))))
