"""keras on JAX: a layer through `stateless_call`; it is given batch-major sequences."""

import os
import tempfile
from typing import Any

import jax.numpy as jnp

from ..cases import Case, Params
from ..jax_program import JaxProgram

# The import reads both, once, and leaves a file in the home.
with tempfile.TemporaryDirectory() as home:
    os.environ.update(KERAS_BACKEND="jax", KERAS_HOME=home)
    import keras


def program(case: Case) -> JaxProgram:
    layer = new_layer(case)
    layer.build((case.B, case.T, case.I))
    order = [variable.name for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def run(weights: Any, xs: Any, lengths: Any) -> Any:
        return layer.stateless_call([weights[name] for name in order], others, xs)[0]

    def to_weights(params: Params) -> Any:
        ((leaves,),) = params
        return leaves if case.cell in ("elman", "lstm") else gru_weights(leaves)

    return JaxProgram(case, run, to_weights, time_axis=1)


def new_layer(case: Case) -> Any:
    if case.cell == "elman":
        return keras.layers.SimpleRNN(case.H, return_sequences=True)
    if case.cell == "lstm":
        return keras.layers.LSTM(case.H, return_sequences=True)
    after = case.cell == "gru"
    return keras.layers.GRU(case.H, return_sequences=True, reset_after=after)


def gru_weights(params: dict[str, Any]) -> dict[str, Any]:
    """Blocks z, r, h; with the reset after the product a second row of biases."""

    def reordered(blocks: Any) -> Any:
        r, z, n = jnp.split(blocks, 3, axis=-1)
        return jnp.concatenate([z, r, n], axis=-1)

    names = ("kernel", "recurrent_kernel", "bias")
    weights = {name: reordered(params[name]) for name in names}
    if "recurrent_bias" in params:
        inside = params["recurrent_bias"]
        gates = jnp.zeros(2 * inside.size, inside.dtype)
        rows = [weights["bias"], jnp.concatenate([gates, inside])]
        weights["bias"] = jnp.stack(rows)
    return weights
