"""State dicts of NumPy, such as a file of safetensors holds, where torch is missing."""

import sys

import jax
import numpy as np
import pytest
from zoo import params_of

from jaxrnn import GRU, LSTM, Bidirectional, Dense, Elman, Embedding, Stack
from jaxrnn.interop.torch import dump, load


@pytest.fixture(autouse=True)
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails


FOUND = {
    "lstm": Stack((LSTM(3, 5, projection_size=4), LSTM(4, 5, projection_size=4))),
    "gru": Bidirectional(GRU(3, 5), GRU(3, 5)),
    "dense": Dense(3, 5),
}
GIVEN = {
    "elman": Elman(3, 5, "relu"),
    "embedding": Embedding(7, 5),
    "unbiased": Dense(3, 5, use_bias=False),
}


@pytest.mark.parametrize("name", [*FOUND, *GIVEN])
def test_arrays_are_enough(name):
    cell = (FOUND | GIVEN)[name]
    params = params_of(cell)
    weights = dump(cell, params, prefix="a.b.") | {"a.c": np.ones(3)}
    assert {type(leaf) for leaf in weights.values()} == {np.ndarray}
    again, theirs = load(weights, GIVEN.get(name), prefix="a.b.")
    assert again == cell
    jax.tree.map(np.testing.assert_array_equal, theirs, params)


def test_another_source_is_refused():
    with pytest.raises(TypeError, match=r"^interop.torch.load: source is a builtins.str"):
        load("model.pt")
