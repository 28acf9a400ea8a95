"""The gradient of a whole sequence: back through it, or forward with it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn

from .. import cases
from ..cases import TRAINING, Case
from ..jax_program import Compiled

METHODS: dict[str, Any] = {
    "rtrl": jaxrnn.RTRL(),
    "snap": jaxrnn.SnAp(1),
    "uoro": jaxrnn.UORO(),
    "one_step": jaxrnn.OneStep(),
}


def square(y: jax.Array, target: None) -> jax.Array:
    return jnp.sum(y**2)


def program(case: Case, how: str) -> Any:
    """A GRU, the loss of every step the squares of its outputs."""
    jax.clear_caches()
    cell = jaxrnn.GRU(case.I, case.H)
    ((params,),) = cases.weights(case)
    params = jax.tree.map(jnp.asarray, params)
    xs = jnp.asarray(cases.inputs(case))

    def backwards(params: Any, xs: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(jaxrnn.unroll(cell, p, xs)[1] ** 2))(params)

    def forwards(params: Any, xs: Any) -> Any:
        method, key = METHODS[how], jax.random.key(0)
        found = jaxrnn.online_gradients(
            square, cell, params, xs, None, method=method, method_key=key
        )
        return found.gradients

    class Gradient(Compiled):
        def results(self) -> dict[str, np.ndarray]:
            gradient = self.run(TRAINING)
            return {f"gradient of {name}": np.asarray(g) for name, g in gradient.items()}

    function = backwards if how == "bptt" else forwards
    return Gradient({TRAINING: function}, (params, xs))
