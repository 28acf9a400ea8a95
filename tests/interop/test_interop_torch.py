"""Weights of torch.nn, in and out: values, final carries, gradients and training."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from parity.compare import assert_same, evaluate
from peer import peer
from zoo import inputs_of, params_of, random_like

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Elman,
    Embedding,
    LSTMCarry,
    Stack,
    TwoBiases,
    batched_carry,
    initializers,
    unroll,
)
from jaxrnn.interop.torch import dump, dump_carry, load, load_carry

torch = peer("torch")
nn = torch.nn

STEPS, BATCH = 6, 3


def both(cell):
    return Bidirectional(cell, cell)


CASES = {
    "tanh": (nn.RNN(3, 5), Elman(3, 5)),
    "relu": (
        nn.RNN(3, 5, 2, "relu", bias=False, dropout=0.3),
        Stack(
            (
                Elman(3, 5, "relu", use_bias=False),
                Dropout(0.3),
                Elman(5, 5, "relu", use_bias=False),
            )
        ),
    ),
    "lstm": (nn.LSTM(3, 5), LSTM(3, 5)),
    "lstm_both": (
        nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True),
        Stack((both(LSTM(3, 5)), both(LSTM(10, 5)))),
    ),
    "projected": (
        nn.LSTM(3, 5, 2, proj_size=4, bidirectional=True, dropout=0.2),
        Stack(
            (
                both(LSTM(3, 5, projection_size=4)),
                Dropout(0.2),
                both(LSTM(8, 5, projection_size=4)),
            )
        ),
    ),
    "lstm_unbiased": (nn.LSTM(3, 5, bias=False), LSTM(3, 5, use_bias=False)),
    "gru": (
        nn.GRU(3, 5, 3, dropout=0.5),
        Stack((GRU(3, 5), Dropout(0.5), GRU(5, 5), Dropout(0.5), GRU(5, 5))),
    ),
    "gru_both": (nn.GRU(3, 5, bidirectional=True), both(GRU(3, 5))),
    "gru_unbiased": (nn.GRU(3, 5, bias=False), GRU(3, 5, use_bias=False)),
}
SOME = "relu", "lstm_both", "projected", "gru_both"
MODULES = {name: module for name, (module, _) in CASES.items()}
LENGTHS = {"full": (6, 6, 6), "ragged": (4, 6, 1)}


def randomized(module):
    """The module in float64 with random weights, and those as arrays."""
    module = module.double().eval()
    weights = random_like(dict(module.state_dict()))
    module.load_state_dict(
        jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), weights)
    )
    return module, weights


def tensor(leaf):
    return torch.tensor(np.asarray(leaf), requires_grad=True)


def numbers(tree):
    return jax.tree.map(lambda leaf: leaf.detach().numpy(), tree)


def run_torch(module, cell, xs, carry, lengths):
    """Its final state and outputs, from tensors: `carry` is h_0 or (h_0, c_0)."""
    xs = xs.transpose(0, 1) if module.batch_first else xs
    rnn = nn.utils.rnn
    options = {"batch_first": module.batch_first}
    packed = rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False, **options)
    ys, state = module(packed, carry)
    ys, _ = rnn.pad_packed_sequence(ys, total_length=STEPS, **options)
    return state, ys.transpose(0, 1) if module.batch_first else ys


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", by_default(CASES, *SOME))
def test_values_final_carries_and_gradients(name, lengths):
    """The gradients are those in torch's own weights: ours go back through `load`."""
    module, weights = randomized(CASES[name][0])
    cell, params = load(module)
    xs = inputs_of(cell, (STEPS, BATCH))
    carry = random_like(batched_carry(cell, params, (BATCH,)), seed=1)

    def run(weights, xs, carry):
        _, params = load(weights, cell)
        return unroll(cell, params, xs, carry, lengths=jnp.array(lengths))

    outcome = jax.eval_shape(run, weights, xs, carry)
    loss_weights = random_like(outcome, seed=2)
    (last, ys), gradients = evaluate(run, weights, xs, carry, loss_weights)

    state, their_xs = jax.tree.map(tensor, (dump_carry(cell, carry), xs))
    their_last, their_ys = run_torch(module, cell, their_xs, state, lengths)
    products = jax.tree.map(
        lambda a, b: torch.sum(torch.tensor(np.asarray(a)) * b),
        (dump_carry(cell, loss_weights[0]), loss_weights[1]),
        (their_last, their_ys),
    )
    module.zero_grad()
    sum(jax.tree.leaves(products)).backward()
    of = {name: parameter.grad for name, parameter in module.named_parameters()}
    of_state = jax.tree.map(lambda leaf: leaf.grad, state)
    assert_same((last, ys), (load_carry(their_last, cell), numbers(their_ys)))
    theirs = numbers(of), numbers(their_xs.grad), load_carry(of_state, cell)
    assert_same(gradients, theirs)


@pytest.mark.parametrize("name", CASES)
def test_the_cell_is_found_out(name):
    module, cell = CASES[name]
    assert load(module)[0] == cell
    without = cell
    if isinstance(cell, Stack):  # a state dict does not say that there is dropout
        without = Stack(tuple(c for c in cell.cells if not isinstance(c, Dropout)))
    if "Elman" not in str(cell):
        assert load(module.state_dict())[0] == without
    assert load(module.state_dict(), cell)[0] == cell


@pytest.mark.parametrize(
    "module",
    [nn.RNNCell(3, 5, nonlinearity="relu"), nn.LSTMCell(3, 5), nn.GRUCell(3, 5)],
    ids=lambda module: type(module).__name__,
)
def test_cells(module):
    module, _ = randomized(module)
    cell, params = load(module)
    x, carry = inputs_of(cell, (BATCH,)), batched_carry(cell, params, (BATCH,))
    carry = random_like(carry, seed=1)
    last, _ = jax.vmap(cell, (None, 0, 0))(params, carry, x)
    theirs = module(tensor(x), jax.tree.map(tensor, carry))
    theirs = LSTMCarry(*theirs) if isinstance(theirs, tuple) else theirs
    assert_same(last, numbers(theirs))
    if not isinstance(cell, Elman):
        assert load(module.state_dict())[0] == cell
    back = {name.removesuffix("_l0"): leaf for name, leaf in dump(cell, params).items()}
    assert back.keys() == module.state_dict().keys()


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    module, _ = randomized(nn.Linear(3, 5, bias=bias))
    cell, params = load(module)
    assert cell == Dense(3, 5, use_bias=bias)
    xs = inputs_of(cell, (STEPS,))
    assert_same(unroll(cell, params, xs)[1], numbers(module(tensor(xs))))
    assert_same(dump(cell, params), numbers(dict(module.state_dict())))
    assert load(module.state_dict(), cell)[0] == cell


def test_embedding():
    module, _ = randomized(nn.Embedding(7, 5))
    cell, params = load(module)
    assert cell == Embedding(7, 5)
    xs = inputs_of(cell, (STEPS,))
    theirs = module(torch.tensor(np.asarray(xs)))
    assert_same(unroll(cell, params, xs)[1], numbers(theirs))
    assert_same(dump(cell, params), numbers(dict(module.state_dict())))


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_with_both_biases(name):
    module, weights = randomized(CASES[name][0])
    cell, params = load(module, split=True)
    assert ("TwoBiases" in str(cell)) == module.bias
    assert load(module, cell)[0] == cell
    back = dump(cell, params)
    assert list(back) == list(module.state_dict())
    jax.tree.map(np.testing.assert_array_equal, back, dict(weights))


@pytest.mark.parametrize("name", CASES)
def test_ours_come_back(name):
    module, cell = CASES[name]
    params = params_of(cell)
    weights = dump(cell, params, prefix="encoder.rnn")
    tensors = {
        key.removeprefix("encoder.rnn."): torch.from_numpy(leaf)
        for key, leaf in weights.items()
    }
    module.double().load_state_dict(tensors)
    for source, prefix in (
        (module, ""),
        (weights, "encoder.rnn"),
        (weights, "encoder.rnn."),
    ):
        again, theirs = load(source, cell, prefix=prefix)
        assert again == cell
        jax.tree.map(np.testing.assert_array_equal, theirs, params)


def train(module, cell, params, rate, steps):
    """Losses and weights of both, by SGD on the squares of what differs from targets."""
    xs = inputs_of(cell, (STEPS, BATCH))
    targets = random_like(jax.eval_shape(unroll, cell, params, xs)[1], seed=4)

    @jax.jit
    def step(params):
        loss = lambda params: jnp.mean((unroll(cell, params, xs)[1] - targets) ** 2)  # noqa: E731
        value, gradient = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, g: p - rate * g, params, gradient)

    optimizer = torch.optim.SGD(module.parameters(), rate)
    theirs, ours = [], []
    for _ in range(steps):
        value, params = step(params)
        ours.append(float(value))
        optimizer.zero_grad()
        loss = torch.mean((module(tensor(xs))[0] - tensor(targets)) ** 2)
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    return ours, theirs, params


@pytest.mark.parametrize(
    "name", by_default(["tanh", "lstm", "gru_both", "gru"], "lstm", "gru_both")
)
def test_training_with_both_biases_is_theirs_step_for_step(name):
    module, before = randomized(CASES[name][0])
    cell, params = load(module, split=True)
    ours, theirs, params = train(module, cell, params, 0.3, 20)
    assert theirs[-1] < 0.95 * theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    after = numbers(dict(module.state_dict()))
    assert min(np.abs(after[key] - before[key]).max() for key in after) > 1e-3
    assert_same(dump(cell, params), after)


def test_a_single_bias_moves_by_half_of_what_the_sum_does():
    module, before = randomized(nn.LSTM(3, 5))
    cell, params = load(module)
    ours, theirs, trained = train(module, cell, params, 0.3, 1)
    after = numbers(dict(module.state_dict()))
    moved = sum(after[key] - before[key] for key in ("bias_ih_l0", "bias_hh_l0"))
    np.testing.assert_allclose(2 * (trained["bias"] - params["bias"]), moved, rtol=1e-9)
    np.testing.assert_allclose(trained["kernel"].T, after["weight_ih_l0"], rtol=1e-12)
    ours, theirs, _ = train(module, *load(module), 0.3, 5)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    assert abs(ours[-1] - theirs[-1]) > 1e-4


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 3)
        self.rnn = nn.GRU(3, 5, bidirectional=True)
        self.head = nn.Linear(10, 2)

    def forward(self, symbols):
        return self.head(self.rnn(self.embed(symbols))[0])


def test_a_model_of_several_modules_part_by_part():
    model, weights = randomized(Tagger())
    parts = [
        load(weights, Embedding(7, 3), prefix="embed."),
        load(weights, prefix="rnn."),
        load(weights, prefix="head."),
    ]
    cells, params = zip(*parts, strict=True)
    xs = inputs_of(Embedding(7, 3), (STEPS, BATCH))
    _, ys = unroll(Stack(cells), params, xs)
    assert_same(ys, numbers(model(torch.tensor(np.asarray(xs)))))


def test_a_cell_of_ones_own():
    """Initializers, dropout, and biases of one layer: none of it is in the weights."""
    module = nn.GRU(3, 5, 2)
    of_orthogonal = GRU(5, 5, kernel_init=initializers.orthogonal)
    cell = Stack((TwoBiases(GRU(3, 5)), Dropout(0.9), of_orthogonal))
    again, params = load(module, cell)
    assert again == cell
    assert params[0]["recurrent_bias"].shape == (15,)
    assert params[2]["recurrent_bias"].shape == (5,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_weights_stay_as_they_are(dtype):
    module = nn.GRU(3, 5, dtype=dtype)
    cell, params = load(module, split=True)
    assert params["kernel"].dtype.name == str(dtype).removeprefix("torch.")
    back = dump(cell, params)
    again = nn.GRU(3, 5, dtype=dtype)
    again.load_state_dict({name: torch.from_numpy(leaf) for name, leaf in back.items()})
    for name, leaf in module.state_dict().items():
        assert torch.equal(leaf, again.state_dict()[name])
    folded = load(module)[1]["bias"]
    assert folded.dtype == params["bias"].dtype


def test_memory_is_never_shared():
    for module, cell in ((nn.Embedding(64, 64), None), (nn.LSTM(64, 64), None)):
        cell, params = load(module, split=True)
        before = jax.tree.map(np.array, params)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1
        jax.tree.map(np.testing.assert_array_equal, params, before)
        weights = dump(cell, params)
        for leaf in weights.values():
            leaf += 1
        jax.tree.map(np.testing.assert_array_equal, params, before)


class Own(nn.LSTM):
    def forward(self, xs):
        return super().forward(2 * xs)


class Silent(nn.LSTM):
    pass


def state(module, **changed):
    return {**module.state_dict(), **changed}


LOAD = {
    "conv": (lambda: load(nn.Conv1d(3, 5, 1)), TypeError, "is a torch.*Conv1d"),
    "model": (lambda: load(Tagger()), TypeError, "one by one"),
    "sequential": (lambda: load(nn.Sequential(nn.Linear(3, 5))), TypeError, "one by one"),
    "own forward": (lambda: load(Own(3, 5)), TypeError, "Own, expected"),
    "list": (lambda: load([1]), TypeError, "builtins.list, expected"),
    "parametrized": (
        lambda: load(
            nn.utils.parametrizations.weight_norm(nn.LSTM(3, 5), "weight_hh_l0")
        ),
        ValueError,
        "'weight_hh_l0' missing, 'parametrizations.*' not understood",
    ),
    "lazy": (lambda: load(nn.LazyLinear(5)), TypeError, "LazyLinear, expected"),
    "meta": (lambda: load(nn.LSTM(3, 5, device="meta")), TypeError, "plain numbers"),
    "dropout": (
        lambda: load(nn.LSTM(3, 5, 2, dropout=1)),
        ValueError,
        "dropout of .* is 1",
    ),
    "padding": (lambda: load(nn.Embedding(7, 5, 0)), ValueError, "padding_idx .* is 0"),
    "norm": (lambda: load(nn.Embedding(7, 5, max_norm=1)), ValueError, "max_norm"),
    "freq": (
        lambda: load(nn.Embedding(7, 5, scale_grad_by_freq=True)),
        ValueError,
        "scale_grad_by_freq",
    ),
    "sparse": (lambda: load(nn.Embedding(7, 5, sparse=True)), ValueError, "sparse"),
    "prefix": (
        lambda: load(nn.LSTM(3, 5), prefix="a."),
        ValueError,
        "prefix is 'a.' for",
    ),
    "which rnn": (
        lambda: load(nn.RNN(3, 5, 2, bidirectional=True).state_dict()),
        ValueError,
        r"tanh or of relu: give cell=Stack.*Bidirectional.*Elman\(input_size=10",
    ),
    "which weight": (
        lambda: load(nn.Embedding(7, 5).state_dict()),
        ValueError,
        "nn.Embedding or of an nn.Linear",
    ),
    "no key": (
        lambda: load(Tagger().state_dict(), prefix="encoder"),
        ValueError,
        "of 11 keys none .* 'encoder.', expected one of 'embed.', 'head.', 'rnn.'",
    ),
    "nothing": (lambda: load({}), ValueError, "of 0 keys none"),
    "whole model": (
        lambda: load(Tagger().state_dict()),
        ValueError,
        "'rnn.bias_ih_l0' and 5 more, expected 'weight_ih_l0'",
    ),
    "other keys": (
        lambda: load(state(nn.LSTM(3, 5), peephole=torch.ones(5))),
        ValueError,
        "none missing, 'peephole' not understood",
    ),
    "gap": (
        lambda: load(
            {k: v for k, v in nn.GRU(3, 5, 3).state_dict().items() if "l1" not in k}
        ),
        ValueError,
        "missing, 'bias_hh_l2'",
    ),
    "norm layer": (
        lambda: load(nn.LayerNorm(5).state_dict()),
        ValueError,
        "are 'bias', ",
    ),
    "gates": (
        lambda: load({"weight_ih": np.ones((10, 3)), "weight_hh": np.ones((10, 5))}),
        ValueError,
        r"\(10, 3\), expected 1, 3 or 4 times 5 rows",
    ),
    "integers": (
        lambda: load({"weight": np.ones((5, 3), int), "bias": np.ones(5)}),
        TypeError,
        "'weight' has dtype int64, expected floats",
    ),
    "shape": (
        lambda: load(state(nn.LSTM(3, 5), bias_hh_l0=torch.ones(5)), prefix=""),
        ValueError,
        r"'bias_hh_l0' has shape \(5,\), expected \(20,\)",
    ),
    "other sizes": (
        lambda: load(nn.LSTM(3, 5), LSTM(4, 5)),
        ValueError,
        r"'weight_ih_l0' has shape \(20, 3\), expected \(20, 4\) for LSTM",
    ),
    "too few layers": (
        lambda: load(nn.LSTM(3, 5, 2), LSTM(3, 5)),
        ValueError,
        "'bias_hh_l1', .* not understood",
    ),
    "a stack of cells": (
        lambda: load(nn.GRUCell(5, 5), Stack((GRU(5, 5), GRU(5, 5)))),
        ValueError,
        "'weight_ih' not understood",
    ),
    "no bias": (
        lambda: load(nn.LSTM(3, 5), LSTM(3, 5, use_bias=False)),
        ValueError,
        "'bias_hh_l0', ",
    ),
    "other nonlinearity": (
        lambda: load(nn.RNN(3, 5), Elman(3, 5, "relu")),
        ValueError,
        "which is not what the module is: Elman",
    ),
    "other kind": (
        lambda: load(nn.LSTM(3, 5), Dense(3, 5)),
        ValueError,
        "'bias', 'weight' missing",
    ),
    "a checkpoint": (
        lambda: load({"state_dict": nn.LSTM(3, 5).state_dict(), "epoch": 3}),
        TypeError,
        r"'state_dict' is a OrderedDict, .*give that: source.'state_dict'.",
    ),
    "a prefix of a checkpoint": (
        lambda: load({"state_dict": nn.LSTM(3, 5).state_dict()}, prefix="rnn"),
        ValueError,
        "none begins with the prefix 'rnn.', but 'state_dict'",
    ),
    "a path": (lambda: load("model.pt"), TypeError, r"builtins.str, .*torch.load\(path"),
    "no cell": (
        lambda: load(nn.LSTM(3, 5).state_dict(), "LSTM"),
        TypeError,
        "of type str",
    ),
}


@pytest.mark.parametrize("call, error, message", LOAD.values(), ids=LOAD)
def test_load_refuses(call, error, message):
    with pytest.raises(error, match=f"^interop.torch.load: .*{message}") as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_subclass_that_computes_the_same_is_taken():
    assert load(Silent(3, 5))[0] == LSTM(3, 5)


LSTM_ADDED = Bidirectional(LSTM(3, 5), LSTM(3, 5), jnp.add)
REFUSED = {
    "activation": (
        Elman(3, 5, "sigmoid"),
        "activation of .* is 'sigmoid', expected 'tanh' or 'relu'",
    ),
    "lstm activation": (LSTM(3, 5, activation="relu"), "is 'relu', expected 'tanh':"),
    "gates": (
        GRU(3, 5, gate_activation="hard_sigmoid"),
        "gate_activation .* expected 'sigmoid'",
    ),
    "clip": (LSTM(3, 5, clip=1.0), "clip .* is 1.0, expected None"),
    "reset": (GRU(3, 5, reset_after=False), "reset_after .* is False, expected True"),
    "dropout on h": (TwoBiases(LSTM(3, 5, recurrent_dropout=0.1)), "recurrent_dropout"),
    "projection": (LSTM(3, 5, projection_size=5), "projection_size .* less than"),
    "merge": (LSTM_ADDED, "merge of .* expected jaxrnn.concatenate"),
    "sizes": (
        Stack((LSTM(3, 5), LSTM(5, 4))),
        r"LSTM\(input_size=5, hidden_size=4\) stands",
    ),
    "kinds": (Stack((LSTM(3, 5), GRU(5, 5))), "GRU.* stands where LSTM"),
    "directions": (Stack((both(GRU(3, 5)), GRU(10, 5))), "in both directions"),
    "one of the directions": (Bidirectional(GRU(3, 5), GRU(3, 4)), "in both directions"),
    "stacks inside": (both(Stack((GRU(3, 5), GRU(5, 5)))), "has no counterpart"),
    "last dropout": (Stack((GRU(3, 5), Dropout(0.1))), "expected between every two"),
    "some dropout": (
        Stack((GRU(3, 5), Dropout(0.1), GRU(5, 5), GRU(5, 5))),
        "expected between every two",
    ),
    "rates": (
        Stack((GRU(3, 5), Dropout(0.1), GRU(5, 5), Dropout(0.2), GRU(5, 5))),
        "at one rate",
    ),
    "only dropout": (Stack((Dropout(0.1),)), "expected between every two"),
    "readout": (Stack((GRU(3, 5), Dense(5, 2))), "Dense.* has no counterpart"),
}


@pytest.mark.parametrize("cell, message", REFUSED.values(), ids=REFUSED)
def test_cells_that_torch_lacks_are_refused(cell, message):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    for call, refused in {
        "dump": functools.partial(dump, cell, params),
        "load": functools.partial(load, nn.LSTM(3, 5).state_dict(), cell),
        "load_carry": functools.partial(load_carry, (), cell),
        "dump_carry": functools.partial(dump_carry, cell, ()),
    }.items():
        with pytest.raises(ValueError, match=f"^interop.torch.{call}: .*{message}"):
            refused()


def test_functions_that_have_the_names_are_taken():
    cell = Elman(3, 5, jax.nn.relu)
    params = params_of(cell)
    assert dump(cell, params).keys() == dump(Elman(3, 5), params).keys()


def test_params_of_another_cell_are_refused():
    with pytest.raises(ValueError, match=r"^interop.torch.dump: params.* \(3, 20\)"):
        dump(LSTM(4, 5), params_of(LSTM(3, 5)))


@pytest.mark.parametrize("name", ["lstm_both", "projected", "gru"])
def test_carries_have_a_row_for_each_layer_and_direction(name):
    module, cell = CASES[name]
    params = params_of(cell)
    for batch in ((), (BATCH,), (2, BATCH)):
        carry = random_like(batched_carry(cell, params, batch), seed=1)
        state = dump_carry(cell, carry)
        jax.tree.map(np.testing.assert_array_equal, load_carry(state, cell), carry)
    rows = jax.tree.leaves(state)[0]
    assert len(rows) == module.num_layers * (1 + module.bidirectional)
    np.testing.assert_array_equal(rows[0], jax.tree.leaves(carry)[0])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: load_carry(np.ones((1, 3, 5)), LSTM(3, 5)), ValueError, "has 1 parts"),
        (
            lambda: load_carry(np.ones((2, 3, 5)), GRU(3, 5)),
            ValueError,
            r"expected \(1, ",
        ),
        (lambda: load_carry(np.ones((3, 5), int), GRU(3, 5)), TypeError, "h_n has dtype"),
        (lambda: dump_carry(both(GRU(3, 5)), jnp.ones(5)), ValueError, "the structure"),
        (
            lambda: load_carry((np.ones((1, 2, 5)), np.ones((1, 3, 5))), LSTM(3, 5)),
            ValueError,
            r"h_n has shape \(1, 2, 5\) and c_n \(1, 3, 5\), expected the same batch",
        ),
        (
            lambda: dump_carry(LSTM(3, 5), LSTMCarry(np.ones((2, 4)), np.ones((2, 5)))),
            ValueError,
            r"a leaf of shape \(2, 4\), expected \(\*batch, 5\)",
        ),
        (
            lambda: dump_carry(LSTM(3, 5), LSTMCarry(np.ones((2, 5)), np.ones((3, 5)))),
            ValueError,
            "expected the same batch",
        ),
    ],
)
def test_other_carries_are_refused(call, error, message):
    with pytest.raises(error, match=f"^interop.torch.(load|dump)_carry: .*{message}"):
        call()


def test_every_order_of_directions_is_its_own():
    """Rows of one number each: a direction in the wrong place would be seen."""
    cell = CASES["gru"][1]
    state = np.arange(3.0)[:, None] * np.ones(5)
    layers = [row for row in load_carry(state, cell) if not isinstance(row, tuple)]
    assert [float(row[0]) for row in layers] == list(itertools.accumulate([0, 1, 1]))
