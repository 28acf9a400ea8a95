"""dm-haiku: `hk.dynamic_unroll`, transformed; [x; h] is one input of its LSTM."""

from typing import Any

import haiku as hk
import jax.numpy as jnp

from ..cases import Case, Params
from ..jax_program import JaxProgram


def program(case: Case) -> JaxProgram:
    core = hk.LSTM if case.cell == "lstm" else hk.GRU

    @hk.transform
    def unrolled(xs: Any) -> Any:
        layer = core(case.H)
        return hk.dynamic_unroll(layer, xs, layer.initial_state(case.B))[0]

    def run(weights: Any, xs: Any, lengths: Any) -> Any:
        return unrolled.apply(weights, None, xs)

    def to_weights(params: Params) -> Any:
        ((leaves,),) = params
        return lstm_weights(leaves) if case.cell == "lstm" else gru_weights(leaves)

    return JaxProgram(case, run, to_weights)


def lstm_weights(params: dict[str, Any]) -> Any:
    """Blocks i, g, f, o; the cell adds one to f at every step."""

    def reordered(i: Any, f: Any, g: Any, o: Any) -> Any:
        return jnp.concatenate([i, g, f, o], axis=-1)

    kernels = jnp.concatenate([params["kernel"], params["recurrent_kernel"]])
    i, f, g, o = jnp.split(params["bias"], 4)
    w = reordered(*jnp.split(kernels, 4, axis=-1))
    return {"lstm/linear": {"w": w, "b": reordered(i, f - 1, g, o)}}


def gru_weights(params: dict[str, Any]) -> Any:
    """Blocks z, r, a; z writes where ours keeps."""

    def reordered(blocks: Any) -> Any:
        r, z, n = jnp.split(blocks, 3, axis=-1)
        return jnp.concatenate([-z, r, n], axis=-1)

    names = {"w_i": "kernel", "w_h": "recurrent_kernel", "b": "bias"}
    return {"gru": {theirs: reordered(params[ours]) for theirs, ours in names.items()}}
