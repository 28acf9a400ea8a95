"""`Scan` under every transformation of JAX, against plain autodiff."""

import jax
import jax.numpy as jnp
import pytest
from against_autodiff import PLAIN, assert_close, example, jvp, loss, weighted
from marks import by_default
from steps import CELLS, HalfInputGradient, HalfOutputGradient
from zoo import random_like

from jaxrnn import (
    GRU,
    LSTM,
    Elman,
    Scan,
    unroll,
)

TRANSFORMATIONS = {
    "jvp": jvp,
    "jacfwd": lambda f: jax.jacfwd(f, argnums=(0, 1)),
    "hessian": lambda f: jax.hessian(f, argnums=0),
    "reverse_over_reverse": lambda f: jax.jacrev(jax.grad(f, 0), 1),
    "reverse_over_forward": lambda f: jax.grad(lambda *a: jvp(f)(*a)[1], (0, 1)),
    "forward_over_reverse": lambda f: jvp(jax.grad(f, (0, 1, 2))),
    "linearize": lambda f: lambda *a: jax.linearize(f, *a)[1](*random_like(a, seed=4)),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f), (0, 1)),
    "vmap_params": lambda f: (
        lambda p, x, c: jax.vmap(f, (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "gradients_of_vmap_params": lambda f: (
        lambda p, x, c: jax.grad(lambda p: jax.vmap(f, (0, None, None))(p, x, c).sum())(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p)
        )
    ),
    "per_model_gradients": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f, (0, 1)), (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "gradients_of_nested_vmap": lambda f: (
        lambda p, x, c: jax.grad(
            lambda p, x: jax.vmap(
                lambda p: jax.vmap(f, (None, 0, None))(p, jnp.stack([x, 2 * x]), c)
            )(jax.tree.map(lambda leaf: jnp.stack([leaf, 3 * leaf]), p)).sum(),
            (0, 1),
        )(p, x)
    ),
    "gradients_of_vmap_data": lambda f: jax.grad(
        lambda p, x, c: jax.vmap(f, (None, 0, None))(p, jnp.stack([x, 2 * x]), c).sum()
    ),
    "per_example_gradients": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (None, 0, 0))(
            p, jnp.stack([x, 2 * x]), jax.tree.map(lambda a: jnp.stack([a, 2 * a]), c)
        )
    ),
    "inside_a_scan": lambda f: jax.grad(
        lambda p, x, c: jax.lax.scan(
            lambda s, k: (s + f(p, k * x, c), None), 0.0, jnp.arange(3.0)
        )[0]
    ),
}

QUICK = ("jvp", "hessian", "reverse_over_reverse", "forward_over_reverse", "checkpoint")
QUICK += ("gradients_of_vmap_params", "per_example_gradients", "inside_a_scan")


@pytest.mark.parametrize(
    ("cell", "method"),
    [
        pytest.param(LSTM(2, 2), Scan(segment=3), id="lstm"),
        pytest.param(
            GRU(2, 2, reset_after=False),
            Scan(remat=True),
            id="gru_reset_before",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.parametrize("name", by_default(TRANSFORMATIONS, *QUICK))
def test_transformations_are_those_of_plain_autodiff(cell, method, name):
    transformation = TRANSFORMATIONS[name]
    args = example(cell)
    expected = jax.jit(transformation(loss(cell, PLAIN)))(*args)
    assert_close(jax.jit(transformation(loss(cell, method)))(*args), expected, 1e-11)


@pytest.mark.parametrize(
    "cell", [HalfInputGradient(3, 4), HalfOutputGradient(3, 4)], ids=["input", "output"]
)
def test_a_custom_vjp_outside_of_the_step_may_be_batched(cell):
    params, xs, carry = example(cell)
    factor = {HalfInputGradient: 1 / 2, HalfOutputGradient: 3 / 2}[type(cell)]

    def found(cell, method):
        single = lambda xs: unroll(cell, params, xs, carry, method=method)[1]  # noqa: E731
        return jax.jit(
            jax.grad(lambda xs: weighted(jax.vmap(single)(jnp.stack([xs, 2 * xs]))))
        )(xs)

    expected = factor * found(Elman(3, 4), PLAIN)
    assert_close(found(cell, Scan()), expected)
    assert_close(found(cell, PLAIN), expected)


@pytest.mark.parametrize(
    "name", by_default(("inner", "delay", "written", "idle"), "inner", "written")
)
@pytest.mark.parametrize("transformation", ["jvp", "forward_over_reverse"])
def test_forward_mode_of_all_kinds_of_cells(name, transformation):
    cell = CELLS[name]
    params, xs, carry = example(cell)

    def transformed(method):
        function = lambda *args: loss(cell, method)(*args, carry)  # noqa: E731
        if transformation == "jvp":
            return jvp(function)
        return jvp(jax.grad(function, (0, 1)))

    expected = jax.jit(transformed(PLAIN))(params, xs)
    actual = jax.jit(transformed(Scan(segment=3)))(params, xs)
    assert_close(actual, expected, 1e-11)


def test_a_gradient_is_linear_and_its_transpose_is_the_tangent():
    cell = LSTM(3, 4)
    params, xs, carry = example(cell)
    function = lambda xs: unroll(cell, params, xs, carry)[1]  # noqa: E731
    ys, back = jax.vjp(function, xs)
    v = random_like(xs, seed=4)
    (twice,) = jax.linear_transpose(lambda ct: back(ct)[0], ys)(v)
    assert_close(twice, jax.jvp(function, (xs,), (v,))[1])
