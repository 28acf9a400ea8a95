"""An LSTM as a user of jaxrnn writes it: the equations, and nothing for speed."""

from typing import Any

import jax
import jax.numpy as jnp

import jaxrnn

from ..cases import Case, Params
from ..jax_program import JaxProgram


class UserCell(jaxrnn.Cell):
    input_size: int
    hidden_size: int

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        return jaxrnn.LSTM(self.input_size, self.hidden_size).init(key)

    def initial_carry(self, params: Any) -> tuple[jax.Array, jax.Array]:
        return jnp.zeros(self.hidden_size), jnp.zeros(self.hidden_size)

    def output(self, params: Any, carry: Any, drive: Any) -> jax.Array:
        return carry[0]


class StepAlone(UserCell):
    """Everything in the step, x W + b too."""

    input_size: int
    hidden_size: int

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        h, c = carry
        z = drive @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"]
        i, f, g, o = jnp.split(z, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c


class WithProject(UserCell):
    """x W + b where it ignores the carry."""

    input_size: int
    hidden_size: int

    def project(self, params: Any, x: Any, keys: Any = None) -> jax.Array:
        return x @ params["kernel"] + params["bias"]

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(drive + h @ params["recurrent_kernel"], 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c


def program(case: Case, project: bool) -> JaxProgram:
    cell = (WithProject if project else StepAlone)(case.I, case.H)

    def run(params: Any, xs: Any, lengths: Any) -> Any:
        return jaxrnn.unroll(cell, params, xs)[1]

    def to_weights(params: Params) -> Any:
        return params[0][0]

    return JaxProgram(case, run, to_weights)
