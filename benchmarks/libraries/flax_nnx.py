"""flax.nnx: `nnx.RNN` time-major, split into graph and state outside `jax.jit`."""

from typing import Any

import jax
from flax import nnx

from ..cases import Case, Params
from ..jax_program import JaxProgram

CELLS = {"elman": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}


def program(case: Case) -> JaxProgram:
    cell = CELLS[case.cell](case.I, case.H, rngs=nnx.Rngs(0))
    graph, state, rest = nnx.split(cell, nnx.Param, ...)
    names = nnx.to_pure_dict(state)

    def run(weights: Any, xs: Any, lengths: Any) -> Any:
        new = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(new, weights)
        rnn = nnx.RNN(nnx.merge(graph, new, rest), time_major=True, rngs=nnx.Rngs(0))
        return rnn(xs)

    def to_weights(params: Params) -> Any:
        ((leaves,),) = params
        weights = {
            "dense_i": {"kernel": leaves["kernel"]},
            "dense_h": {"kernel": leaves["recurrent_kernel"]},
        }
        weights["dense_h" if case.cell == "lstm" else "dense_i"]["bias"] = leaves["bias"]
        if "hn_bias" in names:
            weights["hn_bias"] = leaves["recurrent_bias"]
        return weights

    # Its GRU has no bias inside the reset, in the releases that do not call one so.
    lacks = () if "hn_bias" in names else ("recurrent_bias",)
    return JaxProgram(case, run, to_weights, lacks=lacks)
