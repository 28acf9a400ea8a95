"""THE table of every cell and combinator; test_laws.py runs each law over all of it."""

import jax
import jax.numpy as jnp

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, Stack, initializers

ZOO = {
    "elman": Elman(3, 5),
    "elman_relu_identity": Elman(
        3, 5, activation="relu", recurrent_init=initializers.identity
    ),
    "elman_linear_no_bias": Elman(3, 4, activation="identity", use_bias=False),
    "lstm": LSTM(3, 5),
    "lstm_no_bias": LSTM(3, 4, use_bias=False),
    "gru": GRU(3, 5),
    "gru_no_bias": GRU(3, 4, use_bias=False),
    "gru_reset_before": GRU(3, 5, reset_after=False),
    "dense": Dense(3, 4),
    "embedding": Embedding(vocabulary=7, features=3),
    "stack_mixed": Stack((LSTM(3, 4), GRU(4, 5))),
    "stack_nested": Stack((Stack((Elman(3, 4), Elman(4, 4))), Dense(4, 3))),
    "stack_language_model": Stack((Embedding(7, 3), Elman(3, 5), Dense(5, 7))),
}


def params_of(cell, seed=0):
    """Random parameters, none of them zero, of no symmetry: Jacobians do not commute."""
    leaves, structure = jax.tree.flatten(cell.init(jax.random.key(seed)))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return jax.tree.unflatten(
        structure,
        [
            leaf + 0.4 * jax.random.normal(key, leaf.shape, leaf.dtype)
            for leaf, key in zip(leaves, keys, strict=True)
        ],
    )


def inputs_of(cell, leading, seed=2):
    """Inputs `(*leading, *input_shape)`: floats, or symbols for an embedding."""
    key = jax.random.key(seed)
    if cell.input_shape == ():
        return jax.random.randint(key, leading, 0, 7)
    return jax.random.normal(key, (*leading, *cell.input_shape))


def carry_of(cell, params, batch_shape=(), seed=3):
    """A random carry, batch axes first."""
    leaves, structure = jax.tree.flatten(cell.initial_carry(params))
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    return jax.tree.unflatten(
        structure,
        [
            0.5 * jax.random.normal(key, batch_shape + leaf.shape, leaf.dtype)
            for leaf, key in zip(leaves, keys, strict=False)
        ],
    )


def loop(cell, params, xs, carry, reverse=False):
    """The obvious Python loop over the steps of one example: (carries, ys) in order."""
    steps = range(len(xs))
    carries, ys = {}, {}
    for t in reversed(steps) if reverse else steps:
        carry, ys[t] = cell(params, carry, xs[t])
        carries[t] = carry

    def in_order(values):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(values.get, steps))

    return carry, in_order(carries), in_order(ys)
