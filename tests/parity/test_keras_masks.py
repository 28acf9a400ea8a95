"""keras with a `mask` of any pattern and `zero_output_for_mask`.

A masked step keeps the state and, unless told otherwise, repeats the last output; told
otherwise it has zeros, as ours. `go_backwards` reads the steps from the last to the
first, masked ones included, and returns outputs in the order read: flipped here. A
`Bidirectional` runs both, flips the outputs of the second itself, and sets
`zero_output_for_mask` in its layers. Compared are outputs, final states, and gradients
in the weights, in the inputs and in the state that is given. Masked inputs are finite:
keras computes with them, and has NaN for its gradients where they are NaN.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare_streams import BATCH, STEPS, Comparison
from test_keras import RECURRENT, built, keras
from zoo import random_like

from jaxrnn import Bidirectional

# Examples in rows, steps in columns.
MASKS = {
    "all": ("1111111", "1111111", "1111111", "1111111"),
    "padded_behind": ("1111111", "1110000", "1000000", "1111110"),
    "padded_before": ("0000001", "0111111", "1111111", "0001111"),
    "holes": ("1011011", "0101010", "1000001", "0011100"),
    "nothing": ("0000000", "1101101", "0000000", "0100010"),
}
OPTIONS = {
    "return_sequences": True,
    "return_state": True,
    "zero_output_for_mask": True,
}


@keras.saving.register_keras_serializable()
def tanh(x):
    """That of JAX, under a name by which `Bidirectional` can copy its layer."""
    return jnp.tanh(x)


def peer_run(call, backwards=False):
    """`call` with our carry, our mask and our order of axes."""

    def run(weights, xs, carry, mask):
        states, structure = jax.tree.flatten(carry)
        ys, *states = call(
            weights,
            jnp.swapaxes(xs, 0, 1),
            initial_state=states,
            mask=jnp.swapaxes(mask, 0, 1),
        )
        ys = jnp.swapaxes(jnp.flip(ys, axis=1) if backwards else ys, 0, 1)
        return jax.tree.unflatten(structure, states), ys

    return run


@functools.cache
def comparison(name, reverse):
    layer, peer_options, cell_type, options, to_params = RECURRENT[name]
    weights, call = built(layer, 5, go_backwards=reverse, **OPTIONS, **peer_options)
    cell = cell_type(3, 5, **options)
    run = peer_run(call, backwards=reverse)
    return Comparison(cell, to_params, weights, run, reverse=reverse)


@functools.cache
def bidirectional(name):
    kind, peer_options, cell_type, options, to_params = RECURRENT[name]
    peer_options = {**OPTIONS, **peer_options, "activation": tanh, "dtype": "float64"}
    layer = getattr(keras.layers, kind)(5, **peer_options)
    layer = keras.layers.Bidirectional(layer, dtype="float64")
    with jax.numpy_rank_promotion("allow"):
        layer.build((BATCH, STEPS, 3))
    variables = layer.trainable_variables
    others = [variable.value for variable in layer.non_trainable_variables]
    names = [variable.name for variable in variables]
    half = len(names) // 2

    def call(weights, *args, **kwargs):
        with jax.numpy_rank_promotion("allow"):
            return layer.stateless_call(weights, others, *args, **kwargs)[0]

    def both_params(weights):
        pairs = list(zip(names, weights, strict=True))
        return to_params(dict(pairs[:half])), to_params(dict(pairs[half:]))

    cell = cell_type(3, 5, **options)
    return Comparison(
        Bidirectional(cell, cell),
        both_params,
        random_like([variable.value for variable in variables]),
        peer_run(call),
    )


def mask_of(rows):
    return np.array([[step == "1" for step in row] for row in rows]).T


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(
    "reverse",
    [
        pytest.param(False, id="forth"),
        pytest.param(True, id="back", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ["simple_tanh", "lstm", "gru"])
def test_masks(name, reverse, rows):
    comparison(name, reverse).assert_parity(mask=mask_of(rows))


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_bidirectional(name, rows):
    bidirectional(name).assert_parity(mask=mask_of(rows))
