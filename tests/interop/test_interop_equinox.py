"""Weights of equinox: the same values, carries and gradients, in and out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from parity.compare import BATCH, STEPS, assert_parity
from peer import peer
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Dense,
    Dropout,
    Elman,
    Embedding,
    LSTMCarry,
    Stack,
    unroll,
)

eqx = peer("equinox")
interop = peer("jaxrnn.interop.equinox")

KINDS = {"lstm": (eqx.nn.LSTMCell, LSTM), "gru": (eqx.nn.GRUCell, GRU)}


def random_module(kind, *sizes, **options):
    """A module is the pytree of its weights."""
    made = eqx.filter_eval_shape(kind, *sizes, key=jax.random.key(0), **options)
    return random_like(made)


CASES = ["lstm", "gru", "lstm without a bias", "gru without a bias"]


@pytest.mark.parametrize("case", by_default(CASES, *CASES[:2]))
def test_a_recurrent_cell(case):
    name, bias = case.split()[0], case in KINDS
    peer_kind, kind = KINDS[name]
    cell = kind(3, 5, use_bias=bias)

    def run(weights, xs, carry):
        def step(state, x):
            new = jax.vmap(weights)(x, state)
            return new, new[0] if name == "lstm" else new

        state, ys = jax.lax.scan(step, tuple(carry) if name == "lstm" else carry, xs)
        return LSTMCarry(*state) if name == "lstm" else state, ys

    weights = random_module(peer_kind, 3, 5, use_bias=bias)
    assert interop.load(weights)[0] == cell
    assert_parity(cell, lambda weights: interop.load(weights)[1], weights, run)


def test_a_network_without_memory():
    module = eqx.nn.Sequential(
        [
            random_module(eqx.nn.Embedding, 7, 3),
            eqx.nn.Dropout(0.5, inference=True),
            random_module(eqx.nn.Linear, 3, 4),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Sequential([eqx.nn.Identity()]),
            random_module(eqx.nn.Linear, 4, 2, use_bias=False),
        ]
    )
    cell, params = interop.load(module)
    assert cell == Stack(
        (
            Embedding(7, 3),
            Dropout(0.5),
            Dense(3, 4),
            Activation("relu"),
            Stack((Activation("identity"),)),
            Dense(4, 2, use_bias=False),
        )
    )
    symbols = inputs_of(cell, (STEPS, BATCH))
    expected = jax.vmap(jax.vmap(module))(symbols)
    np.testing.assert_allclose(unroll(cell, params, symbols)[1], expected, rtol=1e-12)


GOES_OUT = [
    LSTM(3, 5),
    LSTM(3, 5, use_bias=False, activation=jnp.tanh),
    GRU(3, 5),
    Dense(3, 5, use_bias=False),
    Stack((Embedding(7, 3), Dropout(0.5), Activation("relu"), Dense(3, 2))),
    Stack((Embedding(7, 3), GRU(3, 4, use_bias=False), Stack((LSTM(4, 2), Dense(2, 2))))),
]


@pytest.mark.parametrize("index", range(len(GOES_OUT)))
def test_out_and_in_again(index):
    cell = GOES_OUT[index]
    params = params_of(cell)
    module = interop.dump(cell, params)
    again, same = interop.load(module)
    assert again == (LSTM(3, 5, use_bias=False) if index == 1 else cell)
    assert jax.tree.structure(params) == jax.tree.structure(same)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    if isinstance(cell, Stack):
        assert type(module) is (eqx.nn.Sequential if index == 4 else tuple)


BAD = {
    "a module of ours": (eqx.nn.PReLU(), r"module is PReLU, expected a LSTMCell, .*Seq"),
    "a scalar": (
        [eqx.nn.Linear(3, "scalar", key=jax.random.key(0))],
        r"module\[0\].out_features is 'scalar', expected a number.*build it with 1",
    ),
    "lambda": (
        eqx.nn.Sequential([eqx.nn.Lambda(lambda x: x)]),
        r"module.layers\[0\].fn is .*write it as a function",
    ),
    "nothing": ((), "module is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_no_cell_can_be(name):
    module, message = BAD[name]
    with pytest.raises(ValueError, match=f"^interop.equinox.load: {message}") as caught:
        interop.load(module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (LSTM(3, 5, activation="relu"), "activation is 'relu'.*LSTMCell.* has 'tanh'"),
        (LSTM(3, 5, projection_size=2), "projection_size is 2"),
        (GRU(3, 5, reset_after=False), "reset_after is False .*has True alone"),
        (Elman(3, 5), r"Elman\(.*has no counterpart in equinox.nn"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_equinox_has_not(cell, message):
    with pytest.raises(ValueError, match=f"^interop.equinox.dump: .*{message}"):
        interop.dump(cell, params_of(cell))
