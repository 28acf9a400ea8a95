"""What is compared with plain autodiff through `lax.scan`, and how."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    Scan,
    unroll,
)

T, B = 7, 2
PLAIN = Scan(autodiff=True)


def over(table, core):
    slow = pytest.mark.slow
    return [
        pytest.param(value, id=name, marks=() if name in core else slow)
        for name, value in table.items()
    ]


def example(cell, dtype=None):
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    carry = jax.vmap(lambda _: cell.initial_carry(params))(jnp.arange(B))
    floats = random_like(carry, seed=3)
    carry = jax.tree.map(
        lambda a, b: b if jnp.issubdtype(a.dtype, jnp.floating) else a, carry, floats
    )
    if dtype is not None:
        cast = lambda leaf: leaf.astype(dtype) if leaf.dtype == float else leaf  # noqa: E731
        params, xs, carry = jax.tree.map(cast, (params, xs, carry))
    return params, xs, carry


def floating(tree):
    return [a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.inexact)]


def weighted(tree):
    leaves = floating(tree)
    weights = random_like(jax.tree.map(lambda a: jnp.zeros(a.shape), leaves), seed=9)
    return sum(
        jnp.vdot(w.astype(a.dtype), a) for w, a in zip(weights, leaves, strict=True)
    )


def loss(cell, method, **options):
    return lambda *args: weighted(unroll(cell, *args, method=method, **options))


def gradients(cell, method, args, **options):
    function = jax.value_and_grad(
        loss(cell, method, **options), (0, 1, 2), allow_int=True
    )
    value, found = jax.jit(function)(*args)
    return [value, *floating(found)]


def assert_close(actual, expected, tolerance=1e-12):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def jvp(function):
    return lambda *args: jax.jvp(function, args, random_like(args, seed=4))


# What it costs.


def temporaries(function, *args):
    analysis = jax.jit(function).lower(*args).compile().memory_analysis()
    return analysis.temp_size_in_bytes  # pyright: ignore
