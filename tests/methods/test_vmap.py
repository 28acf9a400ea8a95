"""A run under `jax.vmap`: planned for all that is computed, of data and of models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import PLAIN, floating, temporaries
from zoo import carry_of, inputs_of, params_of

from jaxrnn import GRU, LSTM, Scan, unroll
from jaxrnn.methods import opening

CELL = LSTM(2, 3)
BIAS = "bias"


def several(tree, *factors):
    return jax.tree.map(lambda leaf: jnp.stack([f * leaf for f in factors]), tree)


PARAMS, XS, CARRY = (
    params_of(CELL),
    inputs_of(CELL, (5, 2)),
    carry_of(CELL, params_of(CELL), (2,)),
)
MODELS = several(PARAMS, 1.0, 1.3, 0.7)
MANY, CARRIES = several(XS, 1.0, 2.0, -1.0, 0.5), several(CARRY, 1.0, 2.0, -1.0, 3.0)
over = jax.vmap


def summed(function, *axes):
    """Of a scalar, over new axes: `axes` from the outside in."""
    for own in reversed(axes):
        function = over(function, own)
    return lambda *args: jnp.sum(function(*args))


def cases(f):
    """Of a scalar function of params, inputs and a carry, by name."""
    data, models, of_all = (None, 0, None), (0, None, None), (0, 1, 2)
    return {
        "data": lambda: jax.grad(summed(f, data), of_all)(PARAMS, MANY, CARRY),
        "carries_alone": lambda: jax.grad(summed(f, (None, None, 0)), of_all)(
            PARAMS, XS, CARRIES
        ),
        "last_axis": lambda: jax.grad(summed(f, (None, 2, None)), 1)(
            PARAMS, jnp.moveaxis(MANY, 0, 2), CARRY
        ),
        "each_example": lambda: over(jax.grad(f, of_all), (None, 0, 0))(
            PARAMS, MANY, CARRIES
        ),
        "models": lambda: jax.grad(summed(f, models), of_all)(MODELS, XS, CARRY),
        "each_model": lambda: over(jax.grad(f, of_all), models)(MODELS, XS, CARRY),
        "models_of_data": lambda: jax.grad(summed(f, models, data), of_all)(
            MODELS, MANY, CARRY
        ),
        "data_of_models": lambda: jax.grad(summed(f, data, models), of_all)(
            MODELS, MANY, CARRY
        ),
        "each_of_each": lambda: over(over(jax.grad(f, (0, 1)), data), models)(
            MODELS, MANY, CARRY
        ),
        "one_by_one": lambda: jax.grad(summed(f, (0, 0, 0)), of_all)(
            MODELS, MANY[:3], jax.tree.map(lambda leaf: leaf[:3], CARRIES)
        ),
        "biases": lambda: over(
            lambda b: jax.grad(f, (0, 1))({**PARAMS, BIAS: b}, XS, CARRY)
        )(MODELS[BIAS]),
        "forward": lambda: jax.jvp(
            summed(f, models, data),
            (MODELS, MANY, CARRY),
            (several(PARAMS, 0.5, 1.0, 2.0), MANY**2, CARRY),
        ),
        "forward_over_reverse": lambda: jax.jvp(
            lambda p: jax.grad(summed(f, data))(p, MANY, CARRY), (PARAMS,), (PARAMS,)
        ),
        "reverse_over_reverse": lambda: jax.grad(
            lambda xs: jnp.sum(over(jax.grad(f, 1), data)(PARAMS, xs, CARRY) ** 2)
        )(MANY),
        "hessians": lambda: over(
            jax.hessian(lambda b, xs: f({**PARAMS, BIAS: b}, xs, CARRY)), (None, 0)
        )(PARAMS[BIAS], MANY),
        "jacobians": lambda: jax.jacrev(lambda p: over(f, data)(p, MANY, CARRY))(PARAMS),
    }


def scalar(method):
    def f(params, xs, carry):
        return sum(
            jnp.sum(jnp.sin(leaf))
            for leaf in floating(unroll(CELL, params, xs, carry, method=method))
        )

    return f


NAMES = list(cases(None))
OF_MODELS = [name for name in NAMES if "model" in name] + ["each_of_each", "one_by_one"]
SOME = [(name, False) for name in ("data", "carries_alone", "each_example", "biases")]
SOME += [("data_of_models", True)]


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        pytest.param(name, turns, marks=() if (name, turns) in SOME else pytest.mark.slow)
        for turns, names in ((False, NAMES), (True, OF_MODELS))
        for name in names
    ],
)
def test_values_and_gradients_are_those_of_plain_autodiff(name, turns, monkeypatch):
    if turns:  # however small the products
        monkeypatch.setattr(opening, "TURNS_FROM", 0)
    actual = jax.jit(cases(scalar(Scan(segment=2)))[name])()
    expected = jax.jit(cases(scalar(PLAIN))[name])()
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())


def loss_of(cell):
    return lambda params, xs: jnp.sum(unroll(cell, params, xs)[1] ** 2)


@pytest.mark.parametrize(
    ("cell", "steps"), [(LSTM(32, 32), 200), (GRU(64, 64), 128)], ids=["lstm", "gru"]
)
def test_examples_by_vmap_take_the_memory_of_batch_axes(cell, steps):
    params, xs = params_of(cell), jnp.ones((steps, 64, cell.input_size))
    one = loss_of(cell)

    def by_vmap(params, xs):
        return jnp.sum(jax.vmap(one, (None, 1))(params, xs))

    expected = temporaries(jax.grad(one, (0, 1)), params, xs)
    assert temporaries(jax.grad(by_vmap, (0, 1)), params, xs) <= 1.15 * expected


@pytest.mark.parametrize("width", [16, 128], ids=["side_by_side", "in_turn"])
def test_eight_models_take_no_more_memory_than_eight_calls(width):
    cell = GRU(16, width)
    params, xs = params_of(cell), jnp.ones((50, 16, 16))
    models, gradient = several(params, *range(1, 9)), jax.grad(loss_of(cell))
    together = temporaries(jax.vmap(gradient, (0, None)), models, xs)
    assert together <= 8 * temporaries(gradient, params, xs)


def test_a_program_does_not_grow_with_the_examples():
    cell = LSTM(3, 4)
    params, one = params_of(cell), loss_of(cell)

    def size(batch):
        by_vmap = lambda p, xs: jnp.sum(jax.vmap(one, (None, 1))(p, xs))  # noqa: E731
        lowered = jax.jit(jax.grad(by_vmap)).lower(params, jnp.ones((20, batch, 3)))
        return len(lowered.as_text().splitlines())

    by_axes = jax.jit(jax.grad(one)).lower(params, jnp.ones((20, 64, 3)))
    assert size(64) == size(2) <= 1.1 * len(by_axes.as_text().splitlines())
