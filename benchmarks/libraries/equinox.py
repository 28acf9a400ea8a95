"""equinox: a cell of one example, under `jax.vmap`, in a `jax.lax.scan` of the user's."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..cases import Case, Params
from ..jax_program import JaxProgram

CELLS = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}


def program(case: Case) -> JaxProgram:
    new, key = CELLS[case.cell], jax.random.key(0)
    skeleton = eqx.filter_eval_shape(new, case.I, case.H, key=key)

    def run(cell: Any, xs: Any, lengths: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            state = jax.vmap(cell)(x, state)
            return state, state[0] if case.cell == "lstm" else state

        zeros = jnp.zeros((case.B, case.H), xs.dtype)
        start = (zeros, zeros) if case.cell == "lstm" else zeros
        return jax.lax.scan(step, start, xs)[1]

    def to_weights(params: Params) -> Any:
        ((leaves,),) = params
        values = [leaves["kernel"].T, leaves["recurrent_kernel"].T, leaves["bias"]]
        if case.cell == "gru":
            values.append(leaves["recurrent_bias"])

        def where(cell: Any) -> list:
            common = [cell.weight_ih, cell.weight_hh, cell.bias]
            return [*common, cell.bias_n] if case.cell == "gru" else common

        return eqx.tree_at(where, skeleton, values)

    return JaxProgram(case, run, to_weights)
