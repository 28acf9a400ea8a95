"""Recurrent matrices that are made of a parameter, once in a run."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ..gated import Gated, Params


class Made(Gated[jax.Array], kw_only=True):
    """A cell that multiplies by what `matrix` makes of its recurrent kernel."""

    def matrix(self, kernel: jax.Array) -> jax.Array:
        raise NotImplementedError

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if isinstance(params["recurrent_kernel"], tuple):  # already
            return params
        made = self.matrix(params["recurrent_kernel"])
        return params | {"recurrent_kernel": (made,)}

    def made(self, params: Params) -> jax.Array:
        (matrix,) = self.prepare(params)["recurrent_kernel"]
        return matrix


def damped(matrix: jax.Array, gamma: float) -> jax.Array:
    """matrix - gamma I."""
    return matrix - gamma * jnp.eye(len(matrix), dtype=matrix.dtype)


def gaussian(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """N(0, 1/rows): the default recurrent kernel of those made antisymmetric."""
    return jax.random.normal(key, shape) * shape[0] ** -0.5
