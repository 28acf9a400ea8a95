"""Fast cells that take turns, and a slow one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import equals_paper, taps
from zoo import inputs_of, params_of

from jaxrnn import GRU, Dense, Elman, FastSlow, FastSlowCarry, Zoneout, unroll


def elman(params, h, x):
    product = x @ params["kernel"] + h @ params["recurrent_kernel"]
    return np.tanh(product + params["bias"])


def fast_slow(cell, params, carry, x):
    *fast, slow = params
    h = elman(fast[0], carry.fast, x)
    c = elman(slow, carry.slow, h)
    h = elman(fast[1], h, c)
    for own in fast[2:]:
        h = elman(own, h, np.zeros(1))
    return FastSlowCarry(h, c, h), h, {}


@pytest.mark.parametrize("layers", [2, 4])
def test_a_run_is_the_papers(layers):
    fast = Elman(3, 5), Elman(2, 5), *[Elman(1, 5)] * (layers - 2)
    equals_paper(FastSlow(fast, Elman(5, 2)), fast_slow)


def test_every_product_of_a_step_is_found():
    """x W of the slow cell and of the second fast one are in the step too."""
    assert taps(FastSlow((GRU(3, 4), GRU(2, 4), GRU(1, 4)), GRU(4, 2))) == 4 + 2


def test_the_output_that_is_kept_is_no_state():
    cell = FastSlow((Elman(3, 5), Elman(2, 5)), Elman(5, 2))
    params, xs = params_of(cell), inputs_of(cell, (4,))
    noisy = Zoneout(cell, 0.5)
    (fast, _, y), ys = unroll(noisy, params, xs, key=jax.random.key(0))
    assert jnp.any(fast != y) and jnp.all(y == ys[-1])


def test_a_list_of_cells_is_a_tuple_of_them_and_noise_is_that_of_single_steps():
    noisy = GRU(3, 4, recurrent_dropout=0.5), GRU(2, 4, recurrent_dropout=0.5)
    cell = FastSlow([*noisy], Zoneout(Elman(4, 2), 0.5))
    assert cell == FastSlow(noisy, Zoneout(Elman(4, 2), 0.5))
    params, xs, key = params_of(cell), inputs_of(cell, (4,)), jax.random.key(1)
    carry, ys = cell.initial_carry(params), []
    for t, x in enumerate(xs):
        carry, y = cell(params, carry, x, key, t)
        ys.append(y)
    final, found = unroll(cell, params, xs, key=key)
    np.testing.assert_allclose(found, jnp.stack(ys), rtol=1e-12)
    assert jnp.any(found != unroll(cell, params, xs)[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), final, carry)


@pytest.mark.parametrize(
    ("fast", "slow", "message"),
    [
        ((GRU(3, 5),), GRU(5, 2), "expected a tuple of at least two cells"),
        ((GRU(3, 5), GRU(2, 4)), GRU(5, 2), "the carry of fast[1] has the shapes"),
        ((Dense(3, 5), Dense(2, 5)), GRU(5, 2), "which carries nothing, expected a cell"),
    ],
)
def test_errors(fast, slow, message):
    with pytest.raises(ValueError) as error:
        FastSlow(fast, slow)
    assert str(error.value).startswith("FastSlow: ") and message in str(error.value)
