"""keras: our names and layouts, i, f, c, o in the LSTM; in the GRU z, r, h.

The forget gate's one is stored in the bias, as ours. A GRU with `reset_after` has a
bias [2, 3H]: row 0 on the input side, row 1 on the recurrent side, with the candidate's
block inside the reset. Sequences are batch-major.
"""

import tempfile

import jax
import jax.numpy as jnp
import pytest
from compare import BATCH, STEPS, assert_parity, random_like
from peer import peer

from jaxrnn import GRU, LSTM, Dense, Elman, Embedding, LSTMCarry, cells

# The import reads both, once, and leaves a file in the home.
with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_BACKEND", "jax")
    patch.setenv("KERAS_HOME", home)
    keras = peer("keras")


def same(weights):
    return weights


def gru_params(weights):
    def reordered(blocks):
        z, r, h = jnp.split(blocks, 3, axis=-1)
        return jnp.concatenate([r, z, h], axis=-1)

    params = {name: reordered(leaf) for name, leaf in weights.items()}
    if params.get("bias", jnp.zeros(0)).ndim == 2:
        side_x, side_h = params["bias"]
        gates, params["recurrent_bias"] = jnp.split(side_h, [10])
        params["bias"] = side_x.at[:10].add(gates)
    return params


# On this backend the tanh of keras computes in float32, and so does its fused LSTM.
TANH = {"activation": jnp.tanh}
RECURRENT = {
    "simple_tanh": ("SimpleRNN", TANH, Elman, {}, same),
    "simple_relu": (
        "SimpleRNN",
        {"activation": "relu"},
        Elman,
        {"activation": "relu"},
        same,
    ),
    "lstm": ("LSTM", {**TANH, "use_cudnn": False}, LSTM, {}, same),
    "lstm_hard": (
        "LSTM",
        {
            "activation": "softsign",
            "recurrent_activation": "hard_sigmoid",
            "use_cudnn": False,
        },
        LSTM,
        {"activation": "soft_sign", "gate_activation": "hard_sigmoid"},
        same,
    ),
    "gru_hard": (
        "GRU",
        {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
        GRU,
        {"activation": "soft_sign", "gate_activation": "hard_sigmoid"},
        gru_params,
    ),
    "gru": ("GRU", TANH, GRU, {}, gru_params),
    "gru_reset_before": (
        "GRU",
        {**TANH, "reset_after": False},
        GRU,
        {"reset_after": False},
        gru_params,
    ),
}


def built(name, *args, shape=(3,), **options):
    """A layer, its random weights by name, and the layer as a function of weights."""
    layer = getattr(keras.layers, name)(*args, dtype="float64", **options)
    with jax.numpy_rank_promotion("allow"):
        layer.build((BATCH, STEPS, *shape))
    variables = layer.trainable_variables
    others = [variable.value for variable in layer.non_trainable_variables]

    def call(weights, *args, **kwargs):
        values = [weights[variable.name] for variable in variables]
        # keras adds vectors to batches.
        with jax.numpy_rank_promotion("allow"):
            return layer.stateless_call(values, others, *args, **kwargs)[0]

    return random_like({variable.name: variable.value for variable in variables}), call


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name, bias):
    layer, peer_options, cell_type, options, to_params = RECURRENT[name]
    weights, call = built(
        layer,
        5,
        use_bias=bias,
        return_sequences=True,
        return_state=True,
        **peer_options,
    )

    def run(weights, xs, carry):
        state = list(carry) if isinstance(carry, LSTMCarry) else [carry]
        ys, *state = call(weights, jnp.swapaxes(xs, 0, 1), initial_state=state)
        carry = LSTMCarry(*state) if isinstance(carry, LSTMCarry) else state[0]
        return carry, jnp.swapaxes(ys, 0, 1)

    assert_parity(cell_type(3, 5, use_bias=bias, **options), to_params, weights, run)


CONVOLVED = {
    1: ((4, 2), {"padding": "SAME", "kernel_size": 2}),
    2: ((4, 3, 2), {"padding": "VALID", "kernel_size": (3, 2), "use_bias": False}),
    3: ((2, 3, 2, 1), {"padding": "SAME", "kernel_size": 2, "dilation": 2}),
}


@pytest.mark.parametrize("axes", CONVOLVED)
def test_convolutional(axes):
    shape, options = CONVOLVED[axes]
    theirs = dict(options, padding=options["padding"].lower())
    theirs["dilation_rate"] = theirs.pop("dilation", 1)
    weights, call = built(
        f"ConvLSTM{axes}D",
        5,
        shape=shape,
        return_sequences=True,
        return_state=True,
        **TANH,
        **theirs,
    )

    def run(weights, xs, carry):
        ys, *state = call(weights, jnp.swapaxes(xs, 0, 1), initial_state=list(carry))
        return LSTMCarry(*state), jnp.swapaxes(ys, 0, 1)

    assert_parity(cells.ConvLSTM(shape, 5, **options), same, weights, run)


@pytest.mark.parametrize("bias", [True, False])
def test_dense(bias):
    """The same names and layout as ours."""
    weights, call = built("Dense", 5, use_bias=bias)

    def run(weights, xs, carry):
        return carry, call(weights, xs)

    assert_parity(Dense(3, 5, use_bias=bias), same, weights, run)


def test_embedding():
    """The rows are the symbols, as in ours."""
    weights, call = built("Embedding", 7, 5)

    def run(weights, xs, carry):
        return carry, call(weights, xs)

    def to_params(weights):
        return {"embedding": weights["embeddings"]}

    assert_parity(Embedding(7, 5), to_params, weights, run)
