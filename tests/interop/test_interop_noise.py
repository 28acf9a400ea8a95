"""Which cells make anything of a key is found out, for every cell."""

import jax
import jax.numpy as jnp
import pytest
from marks import by_default
from zoo import ZOO, inputs_of, params_of

from jaxrnn import GRU, Cell, Dropout, General, LuongAttention, Stack, unroll
from jaxrnn.interop.noise import draws


@pytest.mark.parametrize(
    "name", by_default(ZOO, "gru", "dropouts", "zoneout", "bidirectional", "multiscale")
)
def test_a_cell_draws_if_a_key_changes_what_it_gives(name):
    cell = ZOO[name]
    params, xs = params_of(cell), inputs_of(cell, (4, 3))
    plain = unroll(cell, params, xs)
    keyed = unroll(cell, params, xs, key=jax.random.key(1))
    pairs = zip(jax.tree.leaves(plain), jax.tree.leaves(keyed), strict=True)
    changed = any(bool(jnp.any(a != b)) for a, b in pairs)
    assert draws(cell, params, xs, None, 1) == changed


class Noisy(Cell):
    """Noise of a kind that the library does not know."""

    input_size: int

    def init(self, key):
        return {"scale": jnp.ones(self.input_size)}

    def initial_carry(self, params):
        return jnp.zeros_like(params["scale"])

    def project(self, params, x, keys=None):
        noise = 0 if keys is None else jax.random.normal(keys.step, x.shape, x.dtype)
        return x + noise

    def step(self, params, carry, drive):
        return params["scale"] * jnp.tanh(carry + drive)


def test_cells_of_ones_own_and_decoders_with_their_source():
    xs = jnp.ones((4, 2, 3))
    assert draws(Noisy(3), params_of(Noisy(3)), xs, None, 1)
    for rate in 0.0, 0.5:
        cell = Stack((Dropout(rate), LuongAttention(GRU(3, 5), 4, General(), 2)))
        params = params_of(cell)
        memory = jnp.ones((7, 2, 4))
        carry = (), cell.cells[1].attend(params[1], memory)
        assert draws(cell, params, xs, carry, 1) == (rate > 0)
