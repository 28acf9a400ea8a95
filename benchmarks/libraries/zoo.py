"""A cell of the zoo, by `unroll` or by a plain `jax.lax.scan` of its single step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn

from ..cases import TRAINING, Case
from ..jax_program import Compiled
from .zoo_cells import CELLS


def names() -> list[str]:
    return list(CELLS)


def program(case: Case, scan: bool) -> "ZooProgram":
    return ZooProgram(case, scan)


class ZooProgram(Compiled):
    """A loss, the sum of squares of all outputs, with its gradients in params and xs."""

    def __init__(self, case: Case, scan: bool) -> None:
        jax.clear_caches()  # the programs of the case before
        cell = CELLS[case.cell](case.I, case.H)
        params = jax.jit(cell.init)(jax.random.key(0))

        def scanned(params: Any, xs: Any) -> Any:
            carry = jaxrnn.batched_carry(cell, params, (case.B,))
            every = jax.vmap(cell, (None, 0, 0))
            return jax.lax.scan(lambda carry, x: every(params, carry, x), carry, xs)[1]

        def loss(params: Any, xs: Any) -> Any:
            run = scanned if scan else lambda *args: jaxrnn.unroll(cell, *args)[1]
            return sum(jnp.sum(y**2) for y in jax.tree.leaves(run(params, xs)))

        training = jax.value_and_grad(loss, (0, 1), allow_int=True)
        super().__init__({TRAINING: training}, (params, inputs(cell, case)))

    def results(self) -> dict[str, np.ndarray]:
        loss, (params, xs) = self.run(TRAINING)
        gradients = jax.tree.leaves_with_path({"params": params, "xs": xs})
        named = {
            f"gradient of {jax.tree_util.keystr(path)}": np.asarray(leaf)
            for path, leaf in gradients
            if leaf.dtype != jax.dtypes.float0 and np.any(leaf)
        }
        return {"loss": np.asarray(loss)} | named


def inputs(cell: jaxrnn.Cell, case: Case) -> Any:
    """Standard normal, whatever the cell takes them for."""
    random = np.random.default_rng(1)

    def draw(shape: tuple[int, ...]) -> jax.Array:
        shape = (case.T, case.B, *shape)
        return jnp.asarray(random.standard_normal(shape, np.float32))

    def is_shape(leaf: Any) -> bool:
        return isinstance(leaf, tuple) and not hasattr(leaf, "_fields")

    return jax.tree.map(draw, cell.input_shape, is_leaf=is_shape)
