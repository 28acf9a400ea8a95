"""Products that are no matrix: convolutions, and a kernel for each head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import taps
from zoo import carry_of, inputs_of, loop, params_of

from jaxrnn import Cell, carry_gradients, unroll

SIZE, CHANNELS = 5, 2


class Convolved(Cell):
    """h' = tanh(x + K * h), with two kernels one after the other."""

    padding: str = "SAME"
    dilation: int = 1

    @property
    def input_shape(self):
        return (SIZE, CHANNELS)

    def init(self, key):
        first = jax.random.normal(key, (3, CHANNELS, 3))
        return {"first": first, "second": jax.random.normal(key, (3, 3, CHANNELS))}

    def initial_carry(self, params):
        return jnp.zeros(self.input_shape, params["first"].dtype)

    def step(self, params, carry, drive):
        def convolve(h, kernel):
            return jax.lax.conv_general_dilated(
                h[None],
                kernel,
                window_strides=(1,),
                padding=self.padding,
                rhs_dilation=(self.dilation,),
                dimension_numbers=("NHC", "HIO", "NHC"),
            )[0]

        hidden = jnp.tanh(convolve(carry, params["first"]))
        return jnp.tanh(drive + convolve(hidden, params["second"]))


class Heads(Cell):
    """Three heads of two units, with a kernel each."""

    input_size: int = 6
    equation: str = "hd,hde->he"

    def init(self, key):
        kernel = jax.random.normal(key, (3, 2, 2))
        return {"kernel": kernel if self.equation[3] == "h" else kernel.T}

    def initial_carry(self, params):
        return jnp.zeros(6, params["kernel"].dtype)

    def step(self, params, carry, drive):
        product = jnp.einsum(self.equation, carry.reshape(3, 2), params["kernel"])
        return jnp.tanh(drive + product.reshape(6))


class TwoForms(Convolved):
    """One kernel in two products, of which one has strides and is done as JAX does it."""

    def init(self, key):
        return {"first": jax.random.normal(key, (3, CHANNELS, CHANNELS))}

    def step(self, params, carry, drive):
        def convolve(strides, padding, dilation):
            return jax.lax.conv_general_dilated(
                carry[None],
                params["first"],
                window_strides=(strides,),
                padding=padding,
                lhs_dilation=(dilation,),
                dimension_numbers=("NHC", "HIO", "NHC"),
            )[0]

        return jnp.tanh(drive + convolve(1, "SAME", 1) + convolve(2, [(1, 1)], 2))


BY_DEFAULT = {"convolutions", "heads"}
CELLS = {
    "two_forms": (TwoForms(), 2),
    "convolutions": (Convolved(), 2),
    "dilated": (Convolved(dilation=2), 2),
    "heads": (Heads(), 1),
    "heads_last": (Heads(equation="hd,edh->he"), 1),
}
every_cell = pytest.mark.parametrize(
    ("cell", "count"),
    [
        pytest.param(*case, id=name, marks=() if name in BY_DEFAULT else pytest.mark.slow)
        for name, case in CELLS.items()
    ],
)


def close(a, b):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12), a, b
    )


def example(cell, batch_shape=(2,), steps=4):
    params = params_of(cell)
    xs, carry = (
        inputs_of(cell, (steps, *batch_shape)),
        carry_of(cell, params, batch_shape),
    )
    return params, xs, carry


def looped(cell, params, xs, carry):
    runs = [loop(cell, params, xs[:, b], carry[b])[2] for b in range(xs.shape[1])]
    return jnp.stack(runs, 1)


@every_cell
def test_they_are_found(cell, count):
    assert taps(cell) == count


@every_cell
def test_gradients_equal_those_of_a_loop_in_every_mode(cell, count):
    args = example(cell)
    weights = np.random.default_rng(5).normal(size=args[1].shape)

    def loss(run):
        return lambda *args: jnp.sum(run(cell, *args) * weights)

    ours, theirs = loss(lambda *args: unroll(*args)[1]), loss(looped)
    expected = jax.grad(theirs, (0, 1, 2))(*args)
    close(jax.grad(ours, (0, 1, 2))(*args), expected)
    apart = lambda cell, params, xs, carry: jax.vmap(  # noqa: E731
        lambda x, c: unroll(cell, params, x, c)[1], (1, 0), 1
    )(xs, carry)
    close(jax.grad(loss(apart), (0, 1, 2))(*args), expected)
    moved = jax.jvp(ours, args, example(cell))
    close(moved, jax.jvp(theirs, args, example(cell)))
    both = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), args[0])
    side = jax.vmap(jax.grad(ours), (0, None, None))(both, *args[1:])
    twice = jax.grad(theirs)(jax.tree.map(lambda a: 2 * a, args[0]), *args[1:])
    close(jax.tree.map(lambda a: a[1], side), twice)


@pytest.mark.slow
@every_cell
def test_second_derivatives_equal_those_of_a_loop(cell, count):
    params, xs, carry = example(cell, steps=3)

    def turned(run):
        gradient = jax.grad(lambda params: jnp.sum(run(cell, params, xs, carry) ** 2))
        return jax.jvp(gradient, (params,), (params,))[1]

    close(turned(lambda *args: unroll(*args)[1]), turned(looped))


@every_cell
def test_gradients_of_carries_are_those_of_the_inputs(cell, count):
    """The drive is added to what the tanh sees: one factor apart."""
    params, xs, carry = example(cell)
    loss = lambda ys: jnp.sum(ys**3)  # noqa: E731
    found = carry_gradients(loss, cell, params, xs, carry)
    of_xs = jax.grad(lambda xs: loss(unroll(cell, params, xs, carry)[1]))(xs)
    ys = unroll(cell, params, xs, carry)[1]
    close(found * (1 - ys**2), of_xs)
