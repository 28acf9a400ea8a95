"""Which noise belongs to which key, step and cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import Noisy

from jaxrnn import (
    Combinator,
    Dense,
    Keys,
    Scan,
    Stack,
    unroll,
)

# Keys.


def noise(key, T=4, batch_shape=(2, 3), cell=Noisy(), **options):  # noqa: B008
    xs = jnp.zeros((T, *batch_shape, 1))
    return np.asarray(unroll(cell, cell.init(None), xs, key=key, **options)[1])


def test_noise_is_new_where_it_should_be_and_kept_where_it_should_be(key):
    ys = noise(key)
    call, sequence, step = np.moveaxis(ys, -1, 0)
    assert len(np.unique(call)) == 1
    assert len(np.unique(sequence)) == 2 * 3
    np.testing.assert_array_equal(sequence, np.broadcast_to(sequence[0], (4, 2, 3)))
    assert len(np.unique(step)) == 4 * 2 * 3
    assert len(np.unique(ys)) == 1 + 6 + 24


def test_noise_belongs_to_the_key_and_to_the_step_in_input_order(key):
    ys = noise(key)
    np.testing.assert_array_equal(noise(key), ys)
    np.testing.assert_array_equal(noise(key, reverse=True), ys)
    np.testing.assert_array_equal(noise(key, method=Scan(unroll=2)), ys)
    np.testing.assert_array_equal(noise(key, T=2), ys[:2])
    np.testing.assert_array_equal(noise(jax.random.PRNGKey(0)), ys)
    assert not np.isin(noise(jax.random.key(1)), ys).any()
    np.testing.assert_array_equal(noise(None), 0)


def test_a_call_is_a_sequence_of_one_step(key):
    cell = Noisy()
    _, y = cell(jnp.zeros(()), jnp.zeros(()), jnp.zeros(1), key)
    np.testing.assert_array_equal(y, noise(key, T=1, batch_shape=())[0])


class _Splits(Noisy):
    """Splits what it gets, as a cell with two masks does: three inputs, four draws."""

    input_size: int = 3

    def project(self, params, x, keys: Keys | None = None):
        assert keys is not None
        drawn = [*jax.random.split(keys.sequence, 3), *jax.random.split(keys.step, 3)]
        drawn += [keys.sequence, keys.step]
        return jnp.stack([jax.random.normal(key) for key in drawn])

    def output(self, params, carry, drive):
        return drive


class _Beside(Combinator):
    """Two cells side by side, to see the noise of both."""

    cells: tuple

    def sequence(self, params, carry, xs, run):
        pairs = enumerate(self.cells)
        out = [c.sequence(params[i], carry[i], xs, run[i]) for i, c in pairs]
        return tuple(carry for carry, _ in out), jnp.concatenate([y for _, y in out], -1)


@pytest.mark.slow
def test_no_two_draws_meet_whatever_a_cell_splits_and_however_deep(key):
    cell = _Beside((_Splits(), _Beside((_Splits(), _Splits()))))
    xs = jnp.zeros((5, 2, 3))
    ys = np.asarray(unroll(cell, cell.init(key), xs, key=key)[1]).reshape(5, 2, 3, 8)
    per_sequence, per_step = ys[..., [0, 1, 2, 6]], ys[..., [3, 4, 5, 7]]
    np.testing.assert_array_equal(per_sequence, per_sequence[:1].repeat(5, axis=0))
    draws = np.concatenate([per_sequence[0].ravel(), per_step.ravel()])
    assert len(np.unique(draws)) == draws.size == 4 * 2 * 3 + 4 * 5 * 2 * 3


def test_a_call_of_a_stack_is_a_sequence_of_one_step_with_noise(key):
    cell = Stack((Stack((Noisy(3), Dense(3, 3))), Stack((Noisy(3), Noisy(3)))))
    params, xs = cell.init(key), jnp.zeros((1, 3))
    carry, ys = unroll(cell, params, xs, key=key)
    stepped, y = cell(params, cell.initial_carry(params), xs[0], key)
    np.testing.assert_array_equal(y, ys[0])
    assert jax.tree.structure(stepped) == jax.tree.structure(carry)
