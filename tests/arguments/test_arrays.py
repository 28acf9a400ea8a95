"""What comes in at public functions: byte orders, other libraries' arrays, mappings."""

import collections
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer import peer
from zoo import params_of, random_like

import jaxrnn
from jaxrnn import GRU, LSTM, BahdanauAttention, Dense, Dot, Embedding, Stack, unroll

CELL = Stack((LSTM(3, 4), Dense(4, 2)))
PARAMS = params_of(CELL)
T, B = 5, 2
XS = np.random.default_rng(0).normal(size=(T, B, 3)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 2, (T, B)).astype("int32")
SPEAKER = Stack((Embedding(2, 3), GRU(3, 4), Dense(4, 2)))
DECODER = BahdanauAttention(GRU(3 + 4, 4), 4, Dot())
MEMORY = np.random.default_rng(2).normal(size=(6, B, 4))


def swapped(leaf):
    leaf = np.asarray(leaf)
    return leaf.astype(leaf.dtype.newbyteorder())


def of_sequences(swap):
    """Every function of a sequence, with all that it takes swapped."""
    params, xs = jax.tree.map(swap, PARAMS), swap(XS)
    carry = jax.tree.map(swap, jaxrnn.batched_carry(CELL, PARAMS, (B,)))
    lengths, resets = swap(np.array([4, 2])), swap(LABELS)
    streams = {"lengths": lengths, "resets": resets}
    loss = lambda ys: jnp.sum(ys**2)  # noqa: E731
    steps = lambda ys: jnp.sum(ys**2, -1)  # noqa: E731
    args = CELL, params, xs, carry
    return (
        unroll(*args, **streams),
        jaxrnn.trajectory(*args, mask=swap(np.arange(T * B).reshape(T, B) % 2)),
        jaxrnn.gradient_norms(loss, *args, **streams),
        jaxrnn.input_gradients(loss, *args, **streams),
        jaxrnn.gradient_map(steps, *args, steps=swap(np.array([1, 3]))),
        jaxrnn.gate_activations(*args),
        jaxrnn.step_jacobians(*args)[..., 0],
        CELL(params, jax.tree.map(lambda leaf: leaf[0], carry), xs[0, 0]),
        jaxrnn.reset_carry(CELL, params, carry, swap(np.array([1.0, 0.0]))),
    )


def of_arrays(swap):
    """Functions of arrays."""
    ys, jacobians = swap(XS), swap(np.random.default_rng(3).normal(size=(4, 3, 3)))
    speaker, first = jax.tree.map(swap, params_of(SPEAKER)), swap(LABELS[0])
    memory = swap(MEMORY)
    attending = jax.tree.map(swap, params_of(DECODER))
    carry = DECODER.attend(attending, memory, lengths=swap(np.array([6, 3])))
    return (
        jaxrnn.last(ys, swap(np.array([4, 2]))),
        jaxrnn.cross_entropy(ys, swap(LABELS)),
        jaxrnn.mean_loss(ys),
        jaxrnn.ctc_loss(ys, swap(1 + LABELS[:2])),
        jaxrnn.resets_from_done(swap(LABELS)),
        jaxrnn.resets_from_segments(swap(LABELS)),
        jaxrnn.pack([ys[:3, 0], ys[:1, 1]], length=4),
        jaxrnn.product_singular_values(jacobians, 3),
        jaxrnn.spectral_radius(jacobians),
        jaxrnn.memory_horizon(np.abs(ys[:, 0])),
        jaxrnn.saturation(ys),
        jaxrnn.time_constants(np.abs(ys)),
        jaxrnn.decode(SPEAKER, speaker, swap(LABELS)),
        jaxrnn.generate(SPEAKER, speaker, None, first, jaxrnn.Greedy(), 3),
        jaxrnn.beam_search(SPEAKER, speaker, None, first, 2, 3),
        unroll(DECODER, attending, swap(np.array(XS, float)), carry)[1],
    )


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("functions", [of_sequences, of_arrays])
def test_the_byte_order_of_a_file_changes_no_number(functions):
    expected = functions(np.asarray)  # compiled for the other order, jit takes it as is
    jax.tree.map(np.testing.assert_array_equal, functions(swapped), expected)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("xs", lambda bad: unroll(CELL, PARAMS, bad)),
        ("xs", lambda bad: jaxrnn.step_jacobians(CELL, PARAMS, bad)),
        (r"params\[0\]\['bias'\]", lambda bad: unroll(CELL, with_bias(bad), XS)),
        (r"carry\[0\].h", lambda bad: unroll(CELL, PARAMS, XS, with_h(bad))),
        ("mask", lambda bad: unroll(CELL, PARAMS, XS, mask=bad)),
        ("lengths", lambda bad: unroll(CELL, PARAMS, XS, lengths=bad)),
        ("x", lambda bad: CELL(PARAMS, CELL.initial_carry(PARAMS), bad)),
        ("memory", lambda bad: DECODER.attend(params_of(DECODER), bad)),
        ("done", jaxrnn.resets_from_done),
        ("losses", jaxrnn.mean_loss),
        ("labels", lambda bad: jaxrnn.cross_entropy(XS, bad)),
        (r"sequences\[0\]", lambda bad: jaxrnn.pack([bad], 3)),
        ("jacobians", jaxrnn.spectral_radius),
    ],
)
def test_what_is_no_array_of_jax_or_numpy_is_refused_by_name(name, call):
    torch = peer("torch")
    remedy = name if name.startswith("seq") else name.split("\\")[0].split(".")[0]
    with pytest.raises(TypeError, match=f": {name} is a torch.Tensor, .*: {remedy}"):
        call(torch.ones(2))
    with pytest.raises(TypeError, match=rf": {name} has dtype object, expected numbers"):
        call(np.array([None, 1]))
    with pytest.raises(TypeError, match=rf": {name} has dtype <U1, expected numbers"):
        call(np.array(["a", "b"]))


def with_bias(bias):
    return {**PARAMS[0], "bias": bias}, PARAMS[1]


def with_h(h):
    carry = jaxrnn.batched_carry(CELL, PARAMS, (B,))
    return (carry[0]._replace(h=h), *carry[1:])


MAPPINGS = {
    "FrozenDict": lambda: peer("flax.core").FrozenDict,
    "OrderedDict": lambda: collections.OrderedDict,
    "MappingProxyType": lambda: types.MappingProxyType,
    "State": lambda: peer("flax.nnx").State,
}


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("kind", MAPPINGS)
def test_any_mapping_of_the_right_keys_is_params(kind):
    mapping = MAPPINGS[kind]()
    layers = tuple(map(mapping, PARAMS))
    expected = unroll(CELL, PARAMS, XS)
    for params in (layers, list(layers)):
        jax.tree.map(np.testing.assert_array_equal, unroll(CELL, params, XS), expected)
    if kind == "MappingProxyType":
        return  # no pytree, so that jax cannot differentiate it
    loss = lambda p: jnp.sum(unroll(CELL, p, XS)[1] ** 2)  # noqa: E731
    slope = jax.grad(loss)(layers)
    assert isinstance(slope[0], mapping)
    for own, layer in zip(slope, jax.grad(loss)(PARAMS), strict=True):
        for name, leaf in layer.items():
            np.testing.assert_allclose(own[name], leaf, rtol=1e-12)


@pytest.mark.usefixtures("promotion")
def test_the_state_of_an_nnx_module_is_params():
    """Variables for leaves, and numbers for the places in a tuple."""
    nnx = peer("flax.nnx")
    state = nnx.State(dict(enumerate(jax.tree.map(nnx.Param, PARAMS))))
    expected = unroll(CELL, PARAMS, XS)
    jax.tree.map(np.testing.assert_array_equal, unroll(CELL, state, XS), expected)


def test_params_of_other_keys_are_refused():
    with pytest.raises(ValueError, match=r"the structure OrderedDict.*'kernl'"):
        unroll(GRU(3, 4), collections.OrderedDict({"kernl": 1.0}), XS)


def test_a_carry_of_another_dtype_and_one_that_starts_anew():
    cell = Stack((LSTM(3, 4), jaxrnn.LearnedCarry(GRU(4, 2))))
    params = params_of(cell)
    carry = jaxrnn.batched_carry(cell, params, 3, dtype="bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(carry)} == {"bfloat16"}
    with pytest.raises(TypeError, match="dtype is 'int32', expected a floating one"):
        jaxrnn.batched_carry(cell, params, 3, dtype="int32")

    carry = random_like(jaxrnn.batched_carry(cell, params, (3,)))
    done = np.array([False, True, False])
    new = jaxrnn.reset_carry(cell, params, carry, done)
    initial = cell.initial_carry(params)
    for b in range(3):
        expected = initial if done[b] else jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        own = jax.tree.map(lambda leaf, b=b: leaf[b], new)
        jax.tree.map(np.testing.assert_array_equal, own, expected)
    for numbers in (done.astype("float32"), done.astype(int)):
        same = jax.jit(lambda d: jaxrnn.reset_carry(cell, params, carry, d))(numbers)
        jax.tree.map(np.testing.assert_array_equal, same, new)
    with pytest.raises(ValueError, match="done has the entry 2"):
        jaxrnn.reset_carry(cell, params, carry, np.array([0, 2, 1]))
    with pytest.raises(
        ValueError, match=r"carry.* has shape \(3, 4\), expected \(2, 4\)"
    ):
        jaxrnn.reset_carry(cell, params, carry, done[:2])

    # What is dropped may be NaN; the learned start has the gradient of who starts anew.
    broken = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), carry)

    def loss(params, carry):
        return sum(
            map(jnp.sum, jax.tree.leaves(jaxrnn.reset_carry(cell, params, carry, done)))
        )

    of_params, of_carry = jax.grad(loss, (0, 1))(params, broken)
    np.testing.assert_array_equal(of_params[1]["carry"], np.ones(2))
    np.testing.assert_array_equal(of_carry[1], ~done[:, None] * np.ones((3, 2)))


def test_a_context_stays_when_a_carry_starts_anew():
    params = params_of(DECODER)
    carry = DECODER.attend(params, MEMORY)
    carry = carry._replace(cell=carry.cell + 1, read=carry.read + 1)
    new = jaxrnn.reset_carry(DECODER, params, carry, np.array([True, False]))
    np.testing.assert_array_equal(new.cell[:, 0], [0, 1])
    np.testing.assert_array_equal(new.read[:, 0], [0, 1])
    jax.tree.map(np.testing.assert_array_equal, new.source, carry.source)


def test_done_resets_and_masks_have_one_rule():
    done = np.array([0.0, 1.0, 0.0, 1.0, 0.0], "float32")
    resets = jaxrnn.resets_from_done(done)
    np.testing.assert_array_equal(resets, [False, False, True, False, True])
    cell = GRU(3, 4)
    params, xs = params_of(cell), jnp.asarray(XS[:, 0], float)
    expected = unroll(cell, params, xs, resets=resets, mask=done == 0)
    numbers = resets.astype(float), jnp.asarray(1 - done).astype(int)
    run = lambda r, m: unroll(cell, params, xs, resets=r, mask=m)  # noqa: E731
    for call in (run, jax.jit(run)):
        jax.tree.map(np.testing.assert_array_equal, call(*numbers), expected)
    with pytest.raises(ValueError, match="done has the entry 2"):
        jaxrnn.resets_from_done(np.array([0, 2]))


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_padding_of_nan_is_no_invalid_value_on_the_way(array):
    """`jax.debug_nans` looks at what every call gives."""
    lengths = np.array([6, 0])
    there = np.arange(6)[:, None] < lengths
    clean = np.where(there[..., None], MEMORY, 0.0)
    padded = array(np.where(there[..., None], MEMORY, np.nan))
    losses = array(np.where(there, MEMORY[..., 0], np.nan))
    labels, params = np.zeros((6, B), int), params_of(DECODER)

    def results(memory, losses):
        carry = DECODER.attend(params, memory, lengths=lengths)
        return (
            carry,
            unroll(DECODER, params, jnp.ones((3, B, 3)), carry)[1],
            jaxrnn.last(memory, lengths),
            jaxrnn.cross_entropy(memory, labels, lengths=lengths),
            jaxrnn.ctc_loss(memory, 1 + labels[:2], lengths=np.array([6, 0])),
            jaxrnn.mean_loss(losses, lengths=lengths),
        )

    expected = results(clean, np.where(there, MEMORY[..., 0], 0.0))
    with jax.debug_nans(True):
        actual = results(padded, losses)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
