"""What `Scan` costs: bytes, products, lengths of segments."""

import jax
import jax.numpy as jnp
import pytest
from against_autodiff import PLAIN, example, temporaries
from zoo import params_of

from jaxrnn import (
    GRU,
    LSTM,
    Elman,
    Scan,
    unroll,
)
from jaxrnn.cells import LRU, LTC, MLSTM, S4D, DeltaNet
from jaxrnn.methods.segments import near, within


def test_lengths_of_segments():
    """What the options promise of them, primes included."""
    assert near(1000, 130) == 125 and near(1009, 130) == 130 and near(5, 130) == 5
    assert within(100, 30) == 25 and within(101, 30) == 101 and within(7, 30) == 7
    assert within(6, 1) == 1


def gradient_temporaries(cell, method, steps, batch):
    params, xs = params_of(cell), jnp.ones((steps, batch, cell.input_size))

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs, method=method)[0].h)

    return temporaries(jax.grad(total), params, xs)


def test_remat_takes_memory_as_the_root_of_the_steps():
    cell = LSTM(8, 16)
    short, long = (
        gradient_temporaries(cell, Scan(remat=True), n, 4) for n in (100, 10000)
    )
    assert long < 12 * short
    assert 20 * long < gradient_temporaries(cell, PLAIN, 10000, 4)


def test_segments_take_less_memory_than_plain_autodiff():
    cell = LSTM(16, 16)
    segments = gradient_temporaries(cell, Scan(segment=20), 400, 8)
    assert 3 * segments < gradient_temporaries(cell, PLAIN, 400, 8)


def test_steps_that_fill_no_segments_are_not_copied():
    """The parts of a prime number of steps, and of one that has many divisors."""
    cell = LSTM(64, 64)

    def of_gradient(steps):
        params, xs = params_of(cell), jnp.ones((steps, 32, 64))
        total = lambda p, xs: jnp.sum(unroll(cell, p, xs)[1])  # noqa: E731
        return temporaries(jax.grad(total, (0, 1)), params, xs)

    assert of_gradient(509) < 1.25 * of_gradient(512)


def of_outputs(cell, method):
    """Temporaries of the gradient of all outputs, of 200 steps of 16 examples."""
    params, xs = params_of(cell), jnp.ones((200, 16, cell.input_size))
    total = lambda p, xs: jnp.sum(unroll(cell, p, xs, method=method)[1])  # noqa: E731
    return temporaries(jax.grad(total), params, xs)


def test_large_carries_make_short_segments():
    """A matrix memory: its drive is small, its carries and their gradients are not."""
    cell = MLSTM(3, 32)
    whole = of_outputs(cell, Scan(segment=200))
    assert of_outputs(cell, Scan()) < 0.7 * whole


@pytest.mark.parametrize(
    "cell",
    [MLSTM(32, 32), DeltaNet(32, 32), S4D(32, 32)],
    ids=lambda cell: type(cell).__name__,
)
def test_what_is_read_from_a_large_carry_is_made_beside_it(cell):
    """Forwards, no carry but the present one is in memory: of S4D, no drive either."""
    params, xs = params_of(cell), jnp.ones((200, 16, 32))
    taken = temporaries(lambda p, xs: unroll(cell, p, xs)[1], params, xs)
    carry = 16 * sum(leaf.nbytes for leaf in jax.tree.leaves(cell.initial_carry(params)))
    assert taken < 4 * carry + xs.nbytes


def test_a_segment_has_room_for_what_its_drive_is_made_of():
    """The drive of an LTC is small, but made of a sigmoid for each pair of units."""
    cell = LTC(32, 32)
    whole = of_outputs(cell, Scan(segment=200))
    assert of_outputs(cell, Scan()) < 0.5 * whole


def test_a_batch_by_vmap_has_no_weight_gradient_for_each_example():
    cell, examples = LSTM(32, 32), 64
    params, xs = params_of(cell), jnp.ones((20, examples, 32))

    def by_axes(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1])

    def by_vmap(params, xs):
        one = lambda xs: jnp.sum(unroll(cell, params, xs)[1])  # noqa: E731
        return jnp.sum(jax.vmap(one, 1)(xs))

    copies = examples * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    extra = temporaries(jax.grad(by_vmap), params, xs) - temporaries(
        jax.grad(by_axes), params, xs
    )
    assert extra < copies / 10


def products(cell):
    """Products in a gradient's program; those in its loops run many times."""
    params, xs, _ = example(cell)

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1])

    program = jax.jit(jax.grad(total, (0, 1))).lower(params, xs)
    return program.as_text().count("stablehlo.dot_general")


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        # [x, h] [W; U], then x W and h U; dz U^T; and the gradients of W, of U and of x
        (LSTM(3, 4), 7),
        # of tanh(z) = h the gradient 1 - h^2 needs h, which is kept: none again
        (Elman(3, 4), 5),
        (GRU(3, 4), 8),
        # h U_rz and (r h) U_n for h U: three more twice, and for their gradients
        (GRU(3, 4, reset_after=False), 12),
    ],
)
def test_the_gradient_makes_each_product_once_for_all_steps(cell, count):
    assert products(cell) == count


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_products_of_a_precision_are_made_once_too_and_keep_it(precision):
    cell = LSTM(3, 4)
    with jax.default_matmul_precision(precision):
        assert products(cell) == 7
        params, xs, _ = example(cell)
        total = lambda p, x: jnp.sum(unroll(cell, p, x)[1])  # noqa: E731
        program = jax.jit(jax.grad(total, (0, 1))).lower(params, xs).as_text()
    of_that = program.count(f"precision = [{precision.upper()}, {precision.upper()}]")
    assert of_that == 7


def test_a_forward_pass_keeps_no_carries_that_nobody_sees():
    """Outputs of a masked run are computed from the carries, a segment at a time."""
    cell = LSTM(8, 16)

    def bytes_of(T):
        xs, lengths = jnp.ones((T, 4, 8)), jnp.full(4, T)
        return temporaries(
            lambda params, xs: unroll(
                cell, params, xs, lengths=lengths, method=Scan(segment=10)
            )[1],
            params_of(cell),
            xs,
        )

    carries = 2 * 4 * 16 * 8  # bytes of one step's h and c
    inputs = 4 * (8 + 16) * 8  # xs and ys, which the compiler may copy
    assert bytes_of(2000) - bytes_of(1000) < 1000 * (carries / 4 + inputs)


@pytest.mark.parametrize("cell, calls", [(LRU(3, 4), False), (LSTM(3, 4), True)])
def test_plain_arithmetic_is_no_call_in_the_loop(cell, calls):
    """Gates are one, which XLA is told not to inline."""
    params, xs = params_of(cell), jnp.ones((9, 2, 3))
    lowered = jax.jit(lambda params: unroll(cell, params, xs)[1]).lower(params)
    assert ("inlineable" in lowered.as_text()) == calls
