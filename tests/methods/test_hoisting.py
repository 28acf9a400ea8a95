"""Where a forward pass makes its drive: numbers, and in which programs."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
from zoo import carry_of, inputs_of, loop, params_of, random_like

from jaxrnn import GRU, LSTM, Cell, Elman, Residual, Scan, Stack, unroll


class Sums(Cell):
    """Sums of products as users write them: which of them one product may take in.

    `kind`: "step" has x W in the step; "shared" adds it to two products; "again" reads it
    once more; "moving" adds something else of x to it; "scaled" a multiple of it; "twice"
    has two of it.
    """

    kind: str
    input_shape: Any = (3,)

    def init(self, key):
        names = {"W": (3, 4), "U": (4, 4), "V": (4, 4), "b": (4,), "w": (3,)}
        return random_like({name: jnp.zeros(shape) for name, shape in names.items()})

    def initial_carry(self, params):
        return jnp.zeros(4)

    def project(self, params, x, keys=None):
        if self.kind == "step":
            return x
        drive = x @ params["W"]
        if self.kind == "moving":
            return drive + jnp.sum(x * params["w"])
        if self.kind == "twice":
            return drive, drive
        return 2 * drive if self.kind == "scaled" else params["b"] + drive

    def step(self, params, carry, drive):
        if self.kind == "step":
            return jnp.tanh(drive @ params["W"] + carry @ params["U"] + params["b"])
        if self.kind == "twice":
            other = jnp.cos(drive[1] + carry @ params["V"])
            return jnp.tanh(drive[0] + carry @ params["U"]) * other
        z = drive + carry @ params["U"]
        if self.kind == "shared":
            return jnp.tanh(z) * jnp.cos(carry @ params["V"] + drive)
        return jnp.tanh(z) + (drive if self.kind == "again" else 0)


KINDS = ("step", "shared", "again", "moving", "scaled", "twice")
CELLS = {
    "lstm": LSTM(3, 4),
    "plain": LSTM(3, 4, use_bias=False),
    "elman": Elman(3, 4),
    "residual": Residual(Elman(3, 3)),
    **{kind: Sums(kind) for kind in KINDS},
}


def products(cell, batch, method=None, platform="cpu"):
    """How many the program of a forward pass has; one for x W before the loop."""
    params, xs = params_of(cell), inputs_of(cell, (24, *batch))
    run = jax.jit(lambda p, x: unroll(cell, p, x, method=method or Scan())[1])
    lowered = run.trace(params, xs).lower(lowering_platforms=(platform,))
    return lowered.as_text().count("stablehlo.dot_general")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_numbers_are_a_loops_in_float64(name, reverse):
    cell = CELLS[name]
    params, xs = params_of(cell), inputs_of(cell, (24, 2))
    carry = carry_of(cell, params, (2,))
    found = unroll(cell, params, xs, carry, reverse=reverse)
    one = lambda x, c: loop(cell, params, x, c, reverse=reverse)[::2]  # noqa: E731
    expected = jax.vmap(one, (1, 0), (0, 1))(xs, carry)
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["lstm", "step", "residual"])
def test_derivatives_are_a_loops_in_float64(name):
    """In both modes, and of models by `jax.vmap` over params."""
    cell = CELLS[name]
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    carry = carry_of(cell, params, (2,))

    def by_loop(params, xs, carry):
        one = lambda x, c: loop(cell, params, x, c)[2]  # noqa: E731
        return jnp.sum(jnp.sin(jax.vmap(one, (1, 0), 1)(xs, carry)))

    def by_scan(params, xs, carry):
        return jnp.sum(jnp.sin(unroll(cell, params, xs, carry)[1]))

    def derivatives(function):
        args = params, xs, carry
        gradient = jax.grad(function, (0, 1, 2))
        forward = jax.jvp(function, args, args)[1]
        models = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
        return (
            gradient(*args),
            forward,
            jax.vmap(gradient, (0, None, None))(models, xs, carry),
        )

    found, expected = (jax.jit(lambda f=f: derivatives(f))() for f in (by_scan, by_loop))
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (LSTM(3, 4), 1),
        (LSTM(3, 4, use_bias=False), 1),
        (Elman(3, 4), 1),
        (Stack((LSTM(3, 4), Elman(4, 4))), 2),
        # one batch of 8 examples, 8 features each
        (LSTM(64, 4), 1),
        # and one feature too many
        (LSTM(65, 4), 2),
        # two products in the loop would be slower than one
        (GRU(3, 4), 2),
        (Sums("step"), 1),
        (Sums("shared"), 3),
        (Sums("again"), 2),
        (Sums("moving"), 2),
        (Sums("scaled"), 2),
        (Sums("twice"), 3),
        # too large beside U
        (LSTM(32, 300), 2),
    ],
)
def test_one_product_is_in_the_loop_where_that_is_faster(cell, count):
    assert products(cell, (2, 4)) == count


def test_accelerators_and_given_segments_make_the_drive_before_the_loop():
    assert products(LSTM(3, 4), (8,), platform="cuda") == 2
    assert products(LSTM(3, 4), (8,), method=Scan(segment=12)) == 2


def test_it_is_decided_for_the_batch_that_vmap_makes():
    cell = LSTM(9, 4)
    params, xs = params_of(cell), inputs_of(cell, (24, 8))

    def text(run):
        return jax.jit(run).lower(params, xs).as_text()

    one = lambda params, xs: unroll(cell, params, xs)[1]  # noqa: E731
    over = jax.vmap(one, (None, 1), 1)
    assert text(over).count("stablehlo.dot_general") == 1
    alone = jax.jit(one).lower(params, xs[:, 0]).as_text()
    assert alone.count("stablehlo.dot_general") == 2
