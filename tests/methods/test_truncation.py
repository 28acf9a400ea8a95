"""`Scan(truncate=)`: separate calls, with the carry cut between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import (
    PLAIN,
    T,
    assert_close,
    example,
    floating,
    gradients,
    jvp,
    loss,
    over,
    weighted,
)
from marks import by_default

from jaxrnn import (
    GRU,
    LSTM,
    Elman,
    Scan,
    unroll,
)

# Truncation.


def in_pieces(cell, params, xs, carry, size, reverse):
    """A call for each piece, the carry cut between them."""
    starts = list(range(0, T, size))
    pieces = []
    for start in reversed(starts) if reverse else starts:
        carry, ys = unroll(
            cell, params, xs[start : start + size], carry, reverse=reverse, method=PLAIN
        )
        carry = jax.lax.stop_gradient(carry) if len(pieces) < len(starts) - 1 else carry
        pieces.append(ys)
    return carry, jnp.concatenate(pieces[::-1] if reverse else pieces)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("size", by_default([1, 3, 6, 9], 3))
@pytest.mark.parametrize("autodiff", over({"apart": False, "autodiff": True}, ["apart"]))
def test_truncation_is_separate_calls_with_the_carry_cut(size, reverse, autodiff):
    cell = LSTM(3, 4)
    args = example(cell)
    method = Scan(truncate=size, autodiff=autodiff)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, size, reverse))

    expected = jax.jit(jax.value_and_grad(pieces, (0, 1, 2)))(*args)
    actual = gradients(cell, method, args, reverse=reverse)
    assert_close(actual, [expected[0], *floating(expected[1])])
    if size == 3:
        truncated = loss(cell, method, reverse=reverse)
        assert_close(jvp(truncated)(*args)[1], jvp(pieces)(*args)[1])


@pytest.mark.parametrize(
    "reverse",
    [pytest.param(False, id="forwards", marks=pytest.mark.slow), True],
    ids=[None, "backwards"],
)
def test_truncation_cuts_second_derivatives_too(reverse):
    cell = Elman(3, 4)
    args = example(cell)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, 4, reverse))

    def squares(function):
        def total(*args):
            return sum(map(jnp.vdot, *[floating(jax.grad(function)(*args))] * 2))

        return total

    truncated = loss(cell, Scan(truncate=4, segment=2), reverse=reverse)
    for mode in (jax.grad, jvp):  # reverse and forward over reverse
        expected = jax.jit(mode(squares(pieces)))(*args)
        assert_close(jax.jit(mode(squares(truncated)))(*args), expected, 1e-11)


@pytest.mark.parametrize("method", [Scan(truncate=4, segment=2), Scan(truncate=4)])
def test_truncation_with_segments_within_and_with_remat(method):
    cell = GRU(3, 4)
    args = example(cell)

    def pieces(*args):
        return weighted(in_pieces(cell, *args, 4, False))

    value, expected = jax.jit(jax.value_and_grad(pieces, (0, 1, 2)))(*args)
    assert_close(gradients(cell, method, args), [value, *floating(expected)])
    remat = Scan(truncate=4, remat=True)
    assert_close(gradients(cell, remat, args), [value, *floating(expected)])


def test_no_gradient_crosses_a_multiple_of_truncate():
    cell = Elman(3, 4)
    params, xs, carry = example(cell)

    def last(xs):
        return unroll(cell, params, xs, carry, method=Scan(truncate=3))[1][5].sum()

    reached = jnp.abs(jax.grad(last)(xs)).sum((1, 2)) > 0
    np.testing.assert_array_equal(reached, [False, False, False, True, True, True, False])
