"""Weights of keras: values, final states and gradients are those of its layers.

Gates are permuted, so that `dump` of our gradient is the gradient in keras' own arrays.
Sequences are batch-major there.
"""

import functools
import tempfile
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marks import by_default
from peer import peer
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Elman,
    Embedding,
    LearnedCarry,
    Stack,
    TwoBiases,
    VariationalDropout,
    cells,
    concatenate,
    initializers,
    last,
    unroll,
)
from jaxrnn.cells.activations import activation_of
from jaxrnn.interop.keras import dump, load

# The import reads both, once, and leaves a file in the home.
with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_BACKEND", "jax")
    patch.setenv("KERAS_HOME", home)
    keras = peer("keras")

STEPS, BATCH = 6, 3
LENGTHS = jnp.array([6, 2, 4])
VALID = jnp.arange(STEPS)[:, None] < LENGTHS[None]


@keras.saving.register_keras_serializable(package="interop")
def tanh(x):
    """That of JAX: that of keras computes in float32 on this backend."""
    return jnp.tanh(x)


layers = keras.layers
WIDE = {"dtype": "float64"}
ACT = {"activation": tanh, **WIDE}
SHOWN = {"return_sequences": True, "zero_output_for_mask": True}
ALL = {**SHOWN, "return_state": True}
ODD = {"activation": "softsign", "recurrent_activation": "hard_sigmoid", **WIDE}


def quiet(make):
    """keras adds vectors to batches."""

    @functools.wraps(make)
    def quietly(*args, **options):
        with jax.numpy_rank_promotion("allow"):
            return make(*args, **options)

    return quietly


@quiet
def sequential(*parts):
    return keras.Sequential(parts)


@quiet
def embedded():
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(7, 3, mask_zero=True, **WIDE),
            layers.Dropout(0.2, **WIDE),
            layers.Bidirectional(layers.GRU(4, **ACT, return_sequences=True), **WIDE),
            layers.LSTM(5, **ACT, **SHOWN, use_cudnn=False),
            layers.TimeDistributed(layers.Dense(4, activation="relu", **WIDE), **WIDE),
            layers.Dense(2, activation="softmax", **WIDE),
        ]
    )


@quiet
def functional():
    x = keras.Input((None, 3), dtype="float64")
    y = layers.GRU(5, **ACT, **SHOWN)(x)
    y = keras.Sequential([layers.Dense(4, **WIDE), layers.Activation("elu", **WIDE)])(y)
    return keras.Model(x, layers.SimpleRNN(2, **ACT, **SHOWN)(y))


def both(layer, **options):
    return layers.Bidirectional(layer, **WIDE, **options)


def stacked():
    inner = [layers.LSTMCell(5, **ACT), layers.GRUCell(4, **ACT)]
    inner.append(layers.SimpleRNNCell(2, **ACT))
    return layers.RNN(layers.StackedRNNCells(inner, **WIDE), **ALL, **WIDE)


def convolved(axes, **options):
    return getattr(layers, f"ConvLSTM{axes}D")(4, **options, **ALL, **ACT)


# What is loaded, and the shape of one x.
SOURCES = {
    "simple": (lambda: layers.SimpleRNN(5, **ALL, **ACT), (3,)),
    "simple_odd": (
        lambda: layers.SimpleRNN(5, **ALL, **WIDE, activation="gelu", use_bias=False),
        (3,),
    ),
    "lstm": (lambda: layers.LSTM(5, **ALL, **ACT, use_cudnn=False), (3,)),
    "lstm_odd": (
        lambda: layers.LSTM(5, **ALL, **ODD, use_cudnn=False, use_bias=False),
        (3,),
    ),
    "gru": (lambda: layers.GRU(5, **ALL, **ACT), (3,)),
    "gru_odd": (lambda: layers.GRU(5, **ALL, **ODD, use_bias=False, unroll=False), (3,)),
    "gru_before": (lambda: layers.GRU(5, **ALL, **ACT, reset_after=False), (3,)),
    "cell": (lambda: layers.RNN(layers.LSTMCell(5, **ACT), **ALL, **WIDE), (3,)),
    "stacked_cells": (stacked, (3,)),
    "concat": (lambda: both(layers.GRU(5, **ALL, **ACT)), (3,)),
    "sum": (lambda: both(layers.SimpleRNN(5, **ALL, **ACT), merge_mode="sum"), (3,)),
    "mul": (lambda: both(layers.GRU(5, **ALL, **ACT), merge_mode="mul"), (3,)),
    "ave": (lambda: both(layers.LSTM(5, **ALL, **ACT), merge_mode="ave"), (3,)),
    "two_kinds": (
        lambda: both(
            layers.SimpleRNN(5, **SHOWN, **ACT),
            backward_layer=layers.GRU(2, go_backwards=True, **SHOWN, **ACT),
        ),
        (3,),
    ),
    "conv_1": (lambda: convolved(1, kernel_size=2, strides=2), (5, 3)),
    "conv_2": (
        lambda: convolved(2, kernel_size=(3, 2), padding="same", dilation_rate=(1, 2)),
        (4, 3, 2),
    ),
    "conv_3": (lambda: convolved(3, kernel_size=2, use_bias=False), (3, 2, 3, 2)),
    "dense": (lambda: layers.Dense(5, activation="leaky_relu", **WIDE), (3,)),
    "embedding": (lambda: layers.Embedding(7, 3, **WIDE), ()),
    "sequential": (embedded, ()),
    "functional": (functional, (3,)),
}


def arrays_of(source):
    """Its `get_weights()`, at which NumPy warns of what keras does."""
    return [keras.ops.convert_to_numpy(variable.value) for variable in source.weights]


@quiet
def built(make, shape):
    """With random weights."""
    source = make()
    if not source.built:
        source.build((BATCH, STEPS, *shape))
    weights = [jnp.asarray(array) for array in arrays_of(source)]
    source.set_weights([np.asarray(array) for array in random_like(weights)])
    return source


def peer_of(source, **options):
    """The source as a function of its weights and of time-major inputs."""
    others = [variable.value for variable in source.non_trainable_variables]

    def run(weights, xs, mask=None):
        masks = {} if mask is None else {"mask": jnp.swapaxes(mask, 0, 1)}
        # keras adds vectors to batches.
        with jax.numpy_rank_promotion("allow"):
            outcome = source.stateless_call(
                weights, others, jnp.swapaxes(xs, 0, 1), **masks, **options
            )[0]
        ys, *states = outcome if isinstance(outcome, tuple | list) else [outcome]
        return jnp.swapaxes(ys, 0, 1), states

    return run


def with_gradients(run, weights, xs, valid, compared):
    """Outcome, and the gradients of a loss of it; `compared` cuts out what both have."""

    def loss(weights, xs):
        outcome = compared(run(weights, xs))
        ys = jnp.where(
            jnp.expand_dims(valid, (*range(2, outcome[0].ndim),)), outcome[0], 0.0
        )
        outcome = [ys, *outcome[1:]]
        products = jax.tree.map(jnp.vdot, random_like(outcome, seed=2), outcome)
        return sum(products), outcome

    argnums = (0, 1) if jnp.issubdtype(xs.dtype, jnp.floating) else (0,)
    differentiate = jax.value_and_grad(loss, argnums, has_aux=True)
    (_, outcome), gradients = jax.jit(differentiate)(weights, xs)
    return outcome, gradients


def assert_equal(ours, theirs, tolerance=1e-12):
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert our.dtype == their.dtype == np.float64
        assert np.any(our), "zero everywhere: nothing is compared"
        np.testing.assert_allclose(their, our, rtol=tolerance, atol=tolerance)


CASES = [(name, False) for name in SOURCES]
# Not of places, which keras cannot mask on this backend, nor of a model inside a model,
# which loses masks there.
CASES += [(name, True) for name in SOURCES if not name.startswith(("conv", "functional"))]
MASKED = ("lstm", "gru", "concat", "sequential", "stacked_cells")
WHOLE = ("simple_odd", "lstm_odd", "gru_odd", "gru_before", "cell", "two_kinds", "sum")
WHOLE += ("ave", "conv_1", "conv_2", "dense", "embedding", "functional")
SOME = [(name, True) for name in MASKED] + [(name, False) for name in WHOLE]


@pytest.mark.parametrize("case", by_default(CASES, *SOME), ids=str)
def test_values_states_and_gradients(case):
    name, masked = case
    make, shape = SOURCES[name]
    lengths = LENGTHS if masked else None
    source = built(make, shape)
    cell, params = load(source, split=True)
    xs = inputs_of(cell, (STEPS, BATCH))
    valid = jnp.ones_like(VALID) if lengths is None else VALID
    mask, options = None, {} if lengths is None else {"lengths": lengths}
    if name == "sequential":  # whose mask is that of the symbol 0
        xs = jnp.where(valid, jnp.maximum(xs, 1), 0)
    elif lengths is not None and name not in ("dense", "embedding"):
        mask = valid
    shown = getattr(source, "return_state", False)

    def run(params, xs):
        carry, ys = unroll(cell, params, xs, **options)
        return ys, jax.tree.leaves(carry) if shown else []

    compared = lambda outcome: [outcome[0], *jax.tree.leaves(outcome[1])]  # noqa: E731
    theirs = functools.partial(peer_of(source), mask=mask)
    weights = [variable.value for variable in source.trainable_variables]
    ours, gradients = with_gradients(run, params, xs, valid, compared)
    expected, wanted = with_gradients(theirs, weights, xs, valid, compared)
    assert_equal(ours, expected)
    assert_equal((dump(cell, gradients[0]), *gradients[1:]), wanted)


ROUND = "gru_before", "two_kinds", "conv_1", "stacked_cells", "sequential"


@pytest.mark.parametrize("name", by_default(SOURCES, *ROUND))
def test_round_trips_are_exact(name):
    source = built(*SOURCES[name])
    weights = arrays_of(source)
    cell, params = load(source, split=True)
    assert all(map(np.array_equal, dump(cell, params), weights))
    again, same = load(dump(cell, params), cell)
    assert again == cell
    jax.tree.map(np.testing.assert_array_equal, params, same)
    source.set_weights(dump(cell, params))


def test_folded_biases_give_the_same():
    source = built(*SOURCES["gru"])
    cell, params = load(source)
    assert cell == GRU(3, 5, activation=tanh)
    apart, both = load(source, split=True)
    assert apart == TwoBiases(cell)
    xs = inputs_of(cell, (STEPS, BATCH))
    assert_equal(unroll(cell, params, xs), unroll(apart, both, xs), 1e-14)
    row, other = dump(cell, params)[2]
    assert not other[:10].any() and np.array_equal(
        other[10:], both["recurrent_bias"][10:]
    )
    np.testing.assert_allclose(row, arrays_of(source)[2].sum(0) - other, rtol=1e-14)
    jax.tree.map(np.testing.assert_array_equal, load(dump(cell, params), cell)[1], params)


def test_both_biases_of_a_given_cell_are_kept_too():
    weights = arrays_of(built(*SOURCES["concat"]))
    cell, params = load(weights, Bidirectional(GRU(3, 5), GRU(3, 5)), split=True)
    assert cell == Bidirectional(TwoBiases(GRU(3, 5)), TwoBiases(GRU(3, 5)))
    assert all(map(np.array_equal, dump(cell, params), weights))
    single = Stack((LSTM(3, 5), GRU(5, 5, reset_after=False), GRU(5, 5, use_bias=False)))
    assert load(dump(single, params_of(single)), single, split=True)[0] == single


def test_arrays_of_another_byte_order():
    cell = Stack((LSTM(3, 5), GRU(5, 4)))
    weights = dump(cell, params_of(cell))
    _, params = load([array.astype(">f8") for array in weights], cell)
    jax.tree.map(np.testing.assert_array_equal, params, load(weights, cell)[1])


def test_what_cells_there_are():
    assert load(built(embedded, ()))[0] == Stack(
        (
            Embedding(7, 3),
            Dropout(0.2),
            Bidirectional(GRU(3, 4, activation=tanh), GRU(3, 4, activation=tanh)),
            LSTM(8, 5, activation=tanh),
            Dense(5, 4),
            Activation("relu"),
            Dense(4, 2),
            Activation("softmax"),
        )
    )
    layer = layers.LSTM(5, dropout=0.25, stateful=True, kernel_regularizer="l2")
    ready(layer)
    cell, params = load(layer)
    assert cell == Stack((VariationalDropout(0.25), LSTM(3, 5)))
    assert params[0] == () and len(params[1]) == 3
    layer = layers.SimpleRNN(5, recurrent_dropout=0.5)
    ready(layer)
    assert load(layer)[0] == Elman(3, 5, recurrent_dropout=0.5)
    assert load(layers.Activation("linear"))[0] == Activation("identity")
    assert load(layers.SpatialDropout1D(0.5))[0] == VariationalDropout(0.5)


def test_a_classifier_that_shows_the_last_step():
    source = sequential(
        keras.Input((None,), dtype="int32"),
        layers.Embedding(7, 3, mask_zero=True, **WIDE),
        layers.GRU(5, **ACT),
        layers.Dense(2, **WIDE),
    )
    cell, params = load(source)
    tokens = jnp.where(VALID, jnp.maximum(inputs_of(cell, (STEPS, BATCH)), 1), 0)
    _, ys = unroll(cell, params, tokens, mask=tokens != 0)
    with jax.numpy_rank_promotion("allow"):
        expected = source(tokens.T)
    np.testing.assert_allclose(last(ys, LENGTHS), expected, rtol=1e-12)


def test_both_directions_of_one_step_are_the_final_carries():
    source = built(lambda: both(layers.LSTM(5, **ACT)), (3,))
    lstm = LSTM(3, 5, activation=tanh)
    cell, params = load(source, Bidirectional(lstm, lstm))
    xs = inputs_of(cell, (STEPS, BATCH))
    (forward, backward), _ = unroll(cell, params, xs, lengths=LENGTHS)
    with jax.numpy_rank_promotion("allow"):
        expected = source(jnp.swapaxes(xs, 0, 1), mask=VALID.T)
    np.testing.assert_allclose(concatenate(forward.h, backward.h), expected, rtol=1e-12)


def test_a_layer_that_goes_backwards_is_unrolled_in_reverse():
    make = lambda: layers.GRU(5, **ALL, **ACT, go_backwards=True)  # noqa: E731
    source = built(make, (3,))
    cell, params = load(source, GRU(3, 5, activation=tanh))
    xs = inputs_of(cell, (STEPS, BATCH))
    h, ys = unroll(cell, params, xs, reverse=True)
    expected, states = peer_of(source)([v.value for v in source.trainable_variables], xs)
    assert_equal((ys, h), (jnp.flip(expected, 0), states[0]))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_files_and_float32(tmp_path):
    source = sequential(
        keras.Input((None, 3)),
        layers.LSTM(5, return_sequences=True),
        layers.Bidirectional(layers.GRU(4, return_sequences=True)),
        layers.Dense(2),
    )
    path = tmp_path / "model.keras"
    source.save(path)
    assert zipfile.is_zipfile(path)
    cell, params = quiet(load)(path)
    both = Bidirectional(GRU(5, 4), GRU(5, 4))
    assert cell == load(source)[0] == quiet(load)(str(path))[0]
    assert cell == Stack((LSTM(3, 5), both, Dense(8, 2)))
    xs = inputs_of(cell, (STEPS, BATCH)).astype(jnp.float32)
    _, ys = unroll(cell, params, xs)
    with jax.numpy_rank_promotion("allow"):
        expected = jnp.swapaxes(source(jnp.swapaxes(xs, 0, 1)), 0, 1)
    assert ys.dtype == np.float32
    np.testing.assert_allclose(ys, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@quiet
def test_functional_files_have_masks_of_symbols(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    y = layers.Embedding(7, 3, mask_zero=True)(tokens)
    y = layers.GRU(4, return_sequences=True)(y)
    model = keras.Model(tokens, layers.TimeDistributed(layers.Dense(2))(y))
    model.save(tmp_path / "model.keras")
    expected = Stack((Embedding(7, 3), GRU(3, 4), Dense(4, 2)))
    assert load(model)[0] == load(tmp_path / "model.keras")[0] == expected


NONLINEAR = [
    *("celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "sparse_plus"),
    *("sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "hard_shrink"),
    *("soft_shrink", "sparsemax"),
]


@pytest.mark.parametrize("name", NONLINEAR)
def test_activations(name, promotion):
    xs = jnp.linspace(-4, 4, 24, dtype=jnp.float32).reshape(4, 6)
    with jax.numpy_rank_promotion("allow"):
        cell, _ = load(layers.Activation(name))
        expected = keras.activations.get(name)(xs)
        ys = activation_of(cell.activation)(xs)
    np.testing.assert_allclose(ys, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_dropout_of_inputs_is_variational(kind):
    """Our mask, given to keras, gives our outputs."""
    make = lambda: getattr(layers, kind)(5, **SHOWN, **ACT, dropout=0.4)  # noqa: E731
    source = built(make, (3,))
    cell, params = load(source)
    xs, key = inputs_of(cell, (STEPS, BATCH)), jax.random.key(3)
    _, ys = unroll(cell, params, xs, key=key)
    shows = Stack((cell.cells[0], Dense(3, 3, use_bias=False)))
    _, mask = unroll(shows, ((), {"kernel": jnp.eye(3)}), jnp.ones_like(xs), key=key)
    assert 0 < np.count_nonzero(mask[0]) < mask[0].size
    source.cell.get_dropout_mask = lambda step: mask[0]
    weights = [variable.value for variable in source.trainable_variables]
    assert_equal(ys, peer_of(source, training=True)(weights, xs)[0])


def test_dropout_of_the_state_is_that_of_elman():
    make = lambda: layers.SimpleRNN(5, **SHOWN, **ACT, recurrent_dropout=0.4)  # noqa: E731
    source = built(make, (3,))
    cell, params = load(source)
    xs, key = inputs_of(cell, (STEPS, BATCH)), jax.random.key(3)
    _, ys = unroll(cell, params, xs, key=key)
    shows = Elman(3, 5, "identity", recurrent_dropout=0.4, use_bias=False)
    kernels = {"kernel": jnp.zeros((3, 5)), "recurrent_kernel": jnp.eye(5)}
    mask, _ = unroll(shows, kernels, xs[:1], jnp.ones((BATCH, 5)), key=key)
    assert 0 < np.count_nonzero(mask) < mask.size
    source.cell.get_recurrent_dropout_mask = lambda step: mask
    weights = [variable.value for variable in source.trainable_variables]
    assert_equal(ys, peer_of(source, training=True)(weights, xs)[0])


# Training.


def tagger():
    return keras.Sequential(
        [
            keras.Input((None, 3), dtype="float64"),
            layers.LSTM(4, **ACT, return_sequences=True, use_cudnn=False),
            layers.GRU(5, **ACT, return_sequences=True),
            layers.Dense(2, **WIDE),
        ]
    )


def trained(run, weights, xs, optimizer, steps=20):
    """Losses and weights of training on a fixed target."""
    targets = jnp.sin(3 * jnp.cumsum(xs, 0))[..., :2]
    loss = lambda weights: jnp.mean((run(weights, xs) - targets) ** 2)  # noqa: E731

    @jax.jit
    def step(weights, state):
        value, gradient = jax.value_and_grad(loss)(weights)
        updates, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), state, value

    state, losses = optimizer.init(weights), []
    for _ in range(steps):
        weights, state, value = step(weights, state)
        losses.append(value)
    return jnp.stack(losses), weights


def trained_by_keras(source, xs, optimizer, steps=20):
    """The same, by an optimizer of keras."""
    run = peer_of(source)
    targets = jnp.sin(3 * jnp.cumsum(xs, 0))[..., :2]
    loss = lambda weights: jnp.mean((run(weights, xs)[0] - targets) ** 2)  # noqa: E731
    optimizer.build(source.trainable_variables)

    @jax.jit
    def step(weights, state):
        value, gradient = jax.value_and_grad(loss)(weights)
        with jax.numpy_dtype_promotion("standard"):
            weights, state = optimizer.stateless_apply(state, gradient, weights)
        return weights, state, value

    weights = [variable.value for variable in source.trainable_variables]
    state, losses = [variable.value for variable in optimizer.variables], []
    for _ in range(steps):
        weights, state, value = step(weights, state)
        losses.append(value)
    return jnp.stack(losses), weights


def test_training_is_equal_step_for_step_where_biases_are_kept():
    source = built(tagger, (3,))
    cell, params = load(source, split=True)
    xs = inputs_of(cell, (STEPS, BATCH))
    losses, weights = trained_by_keras(source, xs, keras.optimizers.SGD(0.5))
    run = lambda params, xs: unroll(cell, params, xs)[1]  # noqa: E731
    ours, params = trained(run, params, xs, optax.sgd(0.5))
    assert losses[-1] < 0.7 * losses[0]
    assert_equal((ours, dump(cell, params)), (losses, weights), 1e-10)

    folded, params = load(source)
    run = lambda params, xs: unroll(folded, params, xs)[1]  # noqa: E731
    other, _ = trained(run, params, xs, optax.sgd(0.5))
    np.testing.assert_allclose(other[0], losses[0], rtol=1e-12)
    assert abs(other[-1] - losses[-1]) > 1e-4


def test_the_epsilon_of_adam_stands_elsewhere(promotion):
    source = built(lambda: layers.LSTM(2, **ACT, return_sequences=True), (3,))
    cell, params = load(source)
    xs = inputs_of(cell, (STEPS, BATCH))
    rate, epsilon = 2**-5, 1e-2
    adam = keras.optimizers.Adam(rate, epsilon=epsilon)
    losses, weights = trained_by_keras(source, xs, adam)
    run = lambda params, xs: unroll(cell, params, xs)[1]  # noqa: E731
    eps = lambda count: epsilon / jnp.sqrt(1 - 0.999 ** (count + 1))  # noqa: E731
    falling = optax.inject_hyperparams(optax.adam)(rate, eps=eps)
    ours, trained_params = trained(run, params, xs, falling)
    assert_equal((ours, dump(cell, trained_params)), (losses, weights), 1e-6)
    other, _ = trained(run, params, xs, optax.adam(rate, eps=epsilon))
    assert abs(other[-1] - losses[-1]) > 1e-4


# What is refused.


def model_of(*steps, shape=(None, 3)):
    """A functional model, from the functions that make one tensor of another."""
    x = y = keras.Input(shape)
    for step in steps:
        y = step(y)
    return keras.Model(x, y)


def shared():
    dense = layers.Dense(3)
    return model_of(dense, dense)


def with_state():
    x = keras.Input((None, 3))
    _, state = layers.GRU(4, return_state=True)(x)
    return keras.Model(x, layers.Dense(2)(state))


def with_initial_state():
    x = keras.Input((None, 3))
    y = layers.GRU(3, return_sequences=True)(x)
    return keras.Model(x, layers.GRU(3)(y, initial_state=y[:, 0]))


def with_mask():
    x = keras.Input((None, 3))
    return keras.Model(x, layers.GRU(4)(x, mask=keras.ops.not_equal(x[..., 0], 0)))


class Ours(keras.Model):
    def call(self, x):
        return x


class Sub(layers.LSTM):
    pass


@quiet
def ready(layer, shape=(BATCH, STEPS, 3)):
    layer.build(shape)
    return layer


def lora():
    layer = ready(layers.Dense(4))
    layer.enable_lora(2)
    return layer


IMAGES = (BATCH, STEPS, 4, 4, 2)
REFUSED = {
    "LSTM 'a'.*is not built": lambda: layers.LSTM(4, name="a"),
    "Conv1D .*no layer that a cell is known for": lambda: ready(layers.Conv1D(4, 2)),
    "Sub .*no layer that a cell is known for": lambda: ready(Sub(4)),
    "recurrent_dropout=0.5, with a mask for each gate": lambda: ready(
        layers.GRU(4, recurrent_dropout=0.5)
    ),
    "LSTM .*recurrent_dropout=0.5": lambda: ready(layers.LSTM(4, recurrent_dropout=0.5)),
    "dropout=0.5 with a mask for each gate": lambda: ready(
        layers.RNN(layers.GRUCell(4, dropout=0.5, implementation=1))
    ),
    "ConvLSTM2D .*dropout=0.5 with a mask": lambda: ready(
        layers.ConvLSTM2D(4, 2, dropout=0.5), IMAGES
    ),
    "ConvLSTM2D .*recurrent_dropout=0.5": lambda: ready(
        layers.ConvLSTM2D(4, 2, recurrent_dropout=0.5), IMAGES
    ),
    "has dropout=1": lambda: ready(layers.LSTM(4, dropout=1)),
    "has rate=1": lambda: layers.Dropout(1),
    "noise_shape": lambda: layers.Dropout(0.5, noise_shape=(None, 1, None)),
    "go_backwards=True.*reverse=True": lambda: ready(layers.GRU(4, go_backwards=True)),
    "GRU .*go_backwards": lambda: ready(
        layers.Bidirectional(
            layers.GRU(4, return_sequences=True, go_backwards=True),
            backward_layer=layers.GRU(4, return_sequences=True),
        )
    ),
    "zero_output_for_mask=True and return_sequences=False": lambda: ready(
        layers.GRU(4, zero_output_for_mask=True)
    ),
    "Bidirectional .*return_sequences=False": lambda: ready(
        layers.Bidirectional(layers.GRU(4))
    ),
    "merge_mode=None": lambda: ready(
        layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode=None)
    ),
    "data_format='channels_first'": lambda: ready(
        layers.ConvLSTM2D(4, 2, data_format="channels_first"), IMAGES
    ),
    "Dense .*in a row with a ConvLSTM": lambda: keras.Sequential(
        [
            keras.Input(IMAGES[1:]),
            layers.ConvLSTM2D(4, 2, return_sequences=True),
            layers.Dense(2),
        ]
    ),
    "TimeDistributed .*has a Dropout inside": lambda: ready(
        layers.TimeDistributed(layers.Dropout(0.5))
    ),
    "activation=<function glu": lambda: layers.Activation("glu"),
    "activation=<function .*<lambda>": lambda: layers.Activation(lambda x: x),
    "activation=<LeakyReLU": lambda: ready(
        layers.Dense(4, activation=layers.LeakyReLU())
    ),
    "computes in float16 with weights in float32": lambda: ready(
        layers.Dense(4, dtype="mixed_float16")
    ),
    "computes in float64, a layer before in float32": lambda: model_of(
        layers.Dense(4), layers.Dense(4, dtype="float64")
    ),
    "LoRA": lora,
    "is there twice": shared,
    "its output 1 is read": with_state,
    "reads 2 tensors": with_initial_state,
    "a mask of its own": with_mask,
    "Add .*an operation between layers": lambda: model_of(
        layers.Dense(4), lambda y: y + 1
    ),
    "called with training=True": lambda: model_of(
        lambda x: layers.GRU(4, dropout=0.5)(x, training=True)
    ),
    "1 inputs and 2 outputs": lambda: model_of(lambda x: [x + 1, x + 2]),
    "in its own `call`": Ours,
    "has no layers": lambda: keras.Sequential([keras.Input((3,))]),
    "has cell=<StackedRNNCells|has cell=<MyCell": lambda: ready(layers.RNN(MyCell())),
}


class MyCell(layers.Layer):
    state_size = 3

    def call(self, x, states):
        return x, states


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(
        ValueError, match=r"^interop\.keras\.load: .*" + message
    ) as caught:
        with jax.numpy_rank_promotion("allow"):
            source = REFUSED[message]()
        load(source)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # and then the remedy


def test_arrays_are_checked():
    weights = [np.ones((3, 15)), np.ones((5, 15)), np.ones((2, 15))]
    with pytest.raises(ValueError, match=r"list of 3 arrays.*give cell="):
        load(weights)
    with pytest.raises(ValueError, match=r"3 arrays, expected 2"):
        load(weights, GRU(3, 5, use_bias=False))
    with pytest.raises(
        ValueError, match=r"the bias in source .*\(2, 15\), expected \(15,\)"
    ):
        load(weights, GRU(3, 5, reset_after=False))
    with pytest.raises(TypeError, match="the kernel in source has dtype int"):
        load([np.asarray(array, int) for array in weights], GRU(3, 5))
    with pytest.raises(TypeError, match="cell is 3"):
        load(weights, 3)
    with pytest.raises(TypeError, match="source is 3"):
        load(3)


@pytest.mark.parametrize(
    "cell",
    [
        LSTM(3, 5, clip=1.0),
        LSTM(3, 5, projection_size=2),
        Stack((GRU(3, 5), LearnedCarry(GRU(5, 5)))),
        TwoBiases(LSTM(3, 5)),
        cells.MGU(3, 5),
        cells.ConvLSTM((4, 2), 5, peephole_init=initializers.zeros),
        cells.ConvLSTM((4, 2), 5, recurrent_dilation=2),
    ],
    ids=repr,
)
def test_cells_that_keras_has_no_layer_for(cell):
    with pytest.raises(ValueError, match=r"interop\.keras\.dump: keras has no layer for"):
        dump(cell, cell.init(jax.random.key(0)))
    with pytest.raises(ValueError, match=r"interop\.keras\.load: keras has no layer for"):
        load([], cell)


def test_dump_checks_its_arguments():
    with pytest.raises(TypeError, match=r"interop\.keras\.dump: cell is 3"):
        dump(3, {})
    with pytest.raises(ValueError, match=r"interop\.keras\.dump: params\['bias'\]"):
        cell = Dense(3, 5)
        dump(cell, cell.init(jax.random.key(0)) | {"bias": jnp.zeros(4)})


def test_kernels_drawn_over_all_gates_begin_as_in_keras():
    """The bound of the kernel, and the rows of the recurrent kernel."""
    of_kernel = initializers.PerKernel(jax.nn.initializers.glorot_uniform)
    of_state = initializers.PerKernel(jax.nn.initializers.orthogonal)
    cell = LSTM(30, 20, kernel_init=of_kernel, recurrent_init=of_state)
    layer = ready(layers.LSTM(20), (BATCH, STEPS, 30))
    for kernel, recurrent, bias in (
        arrays_of(layer),
        dump(cell, cell.init(jax.random.key(0))),
    ):
        bound = np.sqrt(6 / (30 + 80))
        assert 0.95 * bound < np.abs(kernel).max() <= bound
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(20), atol=1e-5)
        np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 20))


def test_arrays_need_no_keras(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    cell = Stack((Embedding(7, 3), TwoBiases(GRU(3, 5)), Dense(5, 2)))
    params = cell.init(jax.random.key(0))
    again, same = load(dump(cell, params), cell)
    assert again == cell
    jax.tree.map(np.testing.assert_array_equal, same, params)
