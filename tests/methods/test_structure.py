"""What is seen of a step: which leaves depend on which, and along what."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxrnn.methods.jaxprs import trace
from jaxrnn.methods.maxima import NotAffine
from jaxrnn.methods.structure import groups_of


def zeros(*shape, dtype: Any = float):
    return jnp.zeros(shape, dtype)


def seen(step, carry, drive):
    """For every group: its leaves, its kind, the axes it mixes and the uniform ones."""
    leaves, tree = jax.tree.flatten((carry, drive))
    count = len(jax.tree.leaves(carry))

    def flat(*leaves):
        return jax.tree.leaves(step(*tree.unflatten(leaves)))

    groups = groups_of(trace(flat, *leaves), count, affine=False)
    return [tuple(group) for group in groups]


def delta(c, k):
    return c - k[:, None] * (k @ c)[None]


def rotated(c, u):
    return c[0] * u - c[1], c[1] * u + c[0]


def stabilised(c, u):
    m = jnp.maximum(c[0] + u, 0.1)
    return m, jnp.exp(c[0] - m) * c[1] + u


v, m, i, z = zeros(3), zeros(3, 4), zeros(3, dtype=int), zeros(3, dtype=complex)
flag, square = jnp.array(True), zeros(3, 3)
one = lambda kind, mixed=(), uniform=(): [((0,), kind, mixed, uniform)]  # noqa: E731

STEPS = {
    # name: (step, carry, drive, groups)
    "entry_by_entry": (lambda c, u: c * u - u / 2, v, v, one("elementwise")),
    "halved": (lambda c, u: (c + u) / 2, v, v, one("elementwise")),
    "of_no_axes": (lambda c, u: c * u, zeros(), zeros(), one("elementwise")),
    "complex": (lambda c, u: c * u, z, z, one("elementwise")),
    "counter": (lambda c, u: c + 1, i, v, one("elementwise")),
    "held": (lambda c, u: jnp.where(u, c, 0), v, flag, one("elementwise")),
    "turned_twice": (lambda c, u: (c.T * u).T, m, zeros(4, 3), one("elementwise")),
    "not_of_itself": (lambda c, u: u, v, v, one("none")),
    "cast": (
        *(lambda c, u: (c.astype("float32") * u).astype(float), v, v.astype("float32")),
        one("elementwise"),
    ),
    "product": (lambda c, u: c @ u, v, square, one("mixed", (0,))),
    "product_of_columns": (lambda c, u: u @ c, m, square, one("mixed", (0,), (1,))),
    "product_of_rows": (
        *(lambda c, u: c @ u, m, zeros(4, 4)),
        one("mixed", (1,), (0,)),
    ),
    "delta_rule": (delta, m, v, one("mixed", (0,), (1,))),
    "delta_rule_reset": (
        *(lambda c, u: delta(jnp.where(u[0], u[1], c), u[2]), m, (flag, m, v)),
        one("mixed", (0,), (1,)),
    ),
    "columns_apart": (
        *(lambda c, u: (u[0] @ c) * u[1], m, (square, m)),
        one("mixed", (0,)),
    ),
    "both_sides": (lambda c, u: u @ c @ u, square, square, one("mixed", (0, 1))),
    "turned": (lambda c, u: c.T, square, v, one("mixed", (0, 1))),
    "rolled": (lambda c, u: jnp.roll(c, 1) * u, v, v, one("mixed", (0,))),
    "less_its_mean": (
        *(lambda c, u: c - jnp.mean(c, 1, keepdims=True), m, v),
        one("mixed", (1,), (0,)),
    ),
    "and_its_sum": (lambda c, u: c + c.sum(), v, v, one("mixed", (0,))),
    "written_at": (lambda c, u: c.at[1].set(u), v, zeros(), one("mixed", (0,))),
    "maximum": (lambda c, u: jnp.maximum(c + u, 1), v, v, one("maximum")),
    "rotation": (rotated, (v, v), v, [((0, 1), "elementwise", (), ())]),
    "of_two_shapes": (
        *(lambda c, u: (c[0] * u + c[1].sum(), c[1] + c[0][0]), (v, zeros(2)), v),
        [((0, 1), "dense", (), ())],
    ),
    "mixed_leaves": (
        *(lambda c, u: (u @ c[1], c[0]), (v, v), square),
        [((0, 1), "dense", (), ())],
    ),
    "one_after_the_other": (
        *(lambda c, u: (c[0] + jnp.tanh(c[1]) * u, c[1] * u), (v, v), v),
        [((1,), "elementwise", (), ()), ((0,), "elementwise", (), ())],
    ),
    "delay": (
        *(lambda c, u: (u, c[0], c[1]), (v, v, v), v),
        [((0,), "none", (), ()), ((1,), "none", (), ()), ((2,), "none", (), ())],
    ),
    "ring": (
        *(
            lambda c, u: (
                c[0] + 1,
                jax.lax.dynamic_update_slice(c[1], u[None], (c[0] % 3,)),
            ),
            *((zeros(dtype=int), v), zeros()),
        ),
        [((0,), "elementwise", (), ()), ((1,), "mixed", (0,), ())],
    ),
    "stabilised": (
        *(stabilised, (v, v), v),
        [((0,), "maximum", (), ()), ((1,), "elementwise", (), ())],
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_structure_is_seen(name):
    step, carry, drive, expected = STEPS[name]
    assert seen(step, carry, drive) == expected


@pytest.mark.parametrize(
    ("step", "carry", "message"),
    [
        (lambda c, u: jnp.tanh(c), v, r"tanh of float64\[3\], which depends on it"),
        (lambda c, u: c * c, v, r"a product of float64\[3\] and float64\[3\], which dep"),
        (lambda c, u: (c[0] * c[1], c[0]), (v, v), r"a product of float64\[3\] and"),
        (lambda c, u: u / c, v, r"div of float64\[3\]"),
        (lambda c, u: c / c, v, r"a quotient of float64\[3\] and"),
        (lambda c, u: jnp.where(c > 0, c, u), v, r"gt of float64\[3\]"),
        (lambda c, u: jnp.minimum(c, u), v, r"min of float64\[3\]"),
        (lambda c, u: jax.nn.relu(c + u), v, r"relu of float64\[3\]"),
        (lambda c, u: c.astype(int).astype(float), v, r"convert_element_type of float"),
        (lambda c, u: jax.lax.div(c, 2 * jnp.ones_like(c)), i, r"div of int64\[3\]"),
        (lambda c, u: c % 3, i, r"rem of int64\[3\]"),
        (lambda c, u: jnp.maximum(c, 1), i, r"max of int64\[3\]"),
        (lambda c, u: jnp.conj(c), z, r"conj of complex128\[3\]"),
        (lambda c, u: jax.lax.stop_gradient(c), v, r"stop_gradient of float64\[3\]"),
        (lambda c, u: jnp.sort(c), v, r"sort of float64\[3\]"),
        (lambda c, u: c[jnp.argmax(c)] * c, v, r"argmax of float64\[3\]"),
        (lambda c, u: ~c, flag, r"a leaf of bool\[\], which is no number"),
        (
            lambda c, u: (jax.random.split(c[0])[0], u),
            (jax.random.key(0), v),
            r"a leaf of key<fry>\[\], which is no number",
        ),
    ],
)
def test_what_is_not_affine_is_refused_by_its_operation(step, carry, message):
    with pytest.raises(NotAffine, match=message):
        seen(step, carry, v)


def test_a_refusal_names_the_line():
    def step(c, u):
        return jnp.exp(c)  # here

    with pytest.raises(NotAffine, match=r"test_structure\.py:\d+"):
        seen(step, v, v)


def test_what_is_known_to_be_affine_and_not_understood_is_dense():
    closed = trace(lambda c: [jnp.sort(c)], v)
    assert [tuple(g) for g in groups_of(closed, 1, affine=True)] == one("mixed", (0,))
