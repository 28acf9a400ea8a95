"""Params and carries under readable names, and back, for every cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO, params_of

from jaxrnn import GRU, LSTM, Combinator, Dense, FastSlow, LearnedCarry, Stack, Zoneout
from jaxrnn.interop.names import named, renamed, unnamed


@pytest.mark.parametrize("name", ZOO)
def test_names_lead_back(name):
    cell = ZOO[name]
    params = params_of(cell)
    for tree in params, cell.initial_carry(params):
        names = named(cell, tree, "alone")
        again = unnamed(cell, names, tree, "alone")
        assert jax.tree.structure(again) == jax.tree.structure(tree)
        jax.tree.map(np.testing.assert_array_equal, again, tree)
        assert len(jax.tree.leaves(names)) == len(jax.tree.leaves(tree))


class Sum(Combinator):
    first: LSTM
    second: GRU

    @property
    def cells(self):
        return self.second, self.first  # in an order of its own


def paths(cell):
    found = []
    params = jax.eval_shape(cell.init, jax.random.key(0))
    renamed(named(cell, params, "weight"), lambda path, _: found.append(path))
    return found


def test_names_of_layers_are_those_of_fields():
    inner = Stack((Dense(3, 4), LearnedCarry(Zoneout(GRU(4, 4), 0.1))))
    assert paths(Stack((inner, Dense(4, 2)))) == [
        "layers_0/layers_0/bias",
        "layers_0/layers_0/kernel",
        "layers_0/layers_1/carry",
        "layers_0/layers_1/cell/bias",
        "layers_0/layers_1/cell/kernel",
        "layers_0/layers_1/cell/recurrent_bias",
        "layers_0/layers_1/cell/recurrent_kernel",
        "layers_1/bias",
        "layers_1/kernel",
    ]
    cell = FastSlow((LSTM(3, 5), LSTM(4, 5)), LSTM(5, 4))
    tops = {path.split("/")[0] for path in paths(cell)}
    assert tops == {"fast_0", "fast_1", "slow"}
    tops = {path.split("/")[0] for path in paths(Sum(LSTM(3, 5), GRU(3, 5)))}
    assert tops == {"layers_0", "layers_1"}


def test_a_tree_of_one_leaf_is_the_entry_alone():
    cell, carry = GRU(3, 5), jnp.ones(5)
    names = named(cell, carry, "h")
    assert list(names) == ["h"] and unnamed(cell, names, carry, "h") is carry
