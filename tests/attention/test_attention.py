"""Attention against loops in NumPy, and what it costs in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of, random_like

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Additive,
    BahdanauAttention,
    Context,
    Dense,
    Dot,
    Embedding,
    General,
    Greedy,
    LuongAttention,
    Scan,
    Stack,
    unroll,
)

T, B, S, M, I, H, O = 6, 3, 5, 4, 3, 4, 2
LENGTHS = np.array([S, 2, 0])
MEMORY = jnp.asarray(np.random.default_rng(1).normal(size=(S, B, M)))
DECODERS = {
    "bahdanau": BahdanauAttention(GRU(I + M, H), M, Additive(6)),
    "bahdanau_dot": BahdanauAttention(LSTM(I + M, H), M, Dot()),
    "luong_dot": LuongAttention(LSTM(I, H), M, Dot(), O),
    "luong_general": LuongAttention(GRU(I, H), M, General(), O),
    "luong_additive": LuongAttention(GRU(I, H), M, Additive(6), O),
    "luong_fed": LuongAttention(LSTM(I + O, H), M, General(), O, input_feeding=True),
}
RUNS = {"bahdanau": (), "luong_fed": pytest.mark.slow, "luong_general": pytest.mark.slow}
every_decoder = pytest.mark.parametrize(
    "decoder",
    [
        pytest.param(decoder, id=name, marks=RUNS.get(name, pytest.mark.slow))
        for name, decoder in DECODERS.items()
    ],
)


def scores(score, params, query, memory):
    """Of one source place after the other."""
    found = []
    for place in memory:
        if isinstance(score, Dot):
            found.append(query @ place)
        elif isinstance(score, General):
            found.append(place @ params["kernel"] @ query)
        else:
            z = query @ params["query_kernel"] + place @ params["memory_kernel"]
            found.append(jnp.tanh(z + params["bias"]) @ params["v"])
    return jnp.stack(found)


def read(decoder, params, query, memory):
    """What is read, and the weights, of the places that there are."""
    if not len(memory):
        return jnp.zeros(M), jnp.zeros(0)
    e = jnp.exp(scores(decoder.score, params["score"], query, memory))
    return (e / e.sum()) @ memory, e / e.sum()


def loop(decoder, params, xs, memory, lengths, carry):
    """One example after the other, one step after the other."""
    inner, ys, weights = decoder.cell, [], []
    for b in range(B):
        there = memory[: int(LENGTHS[b]), b]
        state = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        h_of = lambda state: state.h if isinstance(inner, LSTM) else state  # noqa: E731
        y = jnp.zeros(O)
        for t in range(len(xs)):
            if isinstance(decoder, BahdanauAttention):
                c, a = read(decoder, params, h_of(state), there)
                state, h = inner(params["cell"], state, jnp.concatenate([xs[t, b], c]))
                y = jnp.concatenate([h, c])
            else:
                x = xs[t, b]
                if decoder.input_feeding:
                    x = jnp.concatenate([x, y])
                state, h = inner(params["cell"], state, x)
                c, a = read(decoder, params, h, there)
                y = jnp.tanh(jnp.concatenate([c, h]) @ params["kernel"])
            ys.append(y)
            weights.append(jnp.concatenate([a, jnp.zeros(S - len(a))]))
    stacked = jnp.stack(ys), jnp.stack(weights)
    stacked = tuple(leaf.reshape(B, len(xs), -1) for leaf in stacked)
    return tuple(jnp.swapaxes(leaf, 0, 1) for leaf in stacked)


def example(decoder):
    params, xs = params_of(decoder), inputs_of(decoder, (T, B))
    inner = jaxrnn.batched_carry(decoder.cell, params["cell"], (B,))
    return params, xs, random_like(inner, seed=4)


@every_decoder
def test_values_weights_and_gradients_are_those_of_the_loop(decoder):
    params, xs, inner = example(decoder)
    xs = xs[:3]

    def ours(params, xs, memory, inner):
        carry = decoder.attend(params, memory, lengths=LENGTHS, carry=inner)
        return unroll(decoder, params, xs, carry)[1]

    def theirs(params, xs, memory, inner):
        return loop(decoder, params, xs, memory, LENGTHS, inner)[0]

    args = params, xs, MEMORY, inner
    np.testing.assert_allclose(ours(*args), theirs(*args), rtol=1e-11)
    of = lambda run: jax.jit(  # noqa: E731
        jax.grad(lambda *a: jnp.vdot(run(*a), random_like(run(*args), 8)), (0, 1, 2, 3))
    )(*args)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        of(ours),
        of(theirs),
    )
    carry = decoder.attend(params, MEMORY, lengths=LENGTHS, carry=inner)
    gates = jaxrnn.gate_activations(decoder, params, xs, carry)
    expected = loop(decoder, params, xs, MEMORY, LENGTHS, inner)[1]
    np.testing.assert_allclose(gates["attention"], expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("bahdanau", Scan(segment=2)),
        pytest.param("luong_fed", Scan(remat=True), marks=pytest.mark.slow),
        pytest.param("luong_fed", Scan(truncate=3), marks=pytest.mark.slow),
        pytest.param("luong_general", Scan(segment=2), marks=pytest.mark.slow),
    ],
)
def test_methods_agree(name, method):
    decoder = DECODERS[name]
    params, xs, inner = example(decoder)

    def gradient(method):
        def total(params, memory):
            carry = decoder.attend(params, memory, lengths=LENGTHS, carry=inner)
            return jnp.sum(unroll(decoder, params, xs, carry, method=method)[1] ** 2)

        return jax.jit(jax.value_and_grad(total, (0, 1)))(params, MEMORY)

    value, gradients = gradient(method)
    expected, others = gradient(Scan(autodiff=True, truncate=method.truncate))
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13),
        gradients,
        others,
    )


def test_masked_steps_and_resets_leave_the_source():
    decoder = DECODERS["bahdanau"]
    params, xs, inner = example(decoder)
    carry = decoder.attend(params, MEMORY, carry=inner)
    lengths = jnp.array([T, 4, 0])
    final, ys = unroll(decoder, params, xs, carry, lengths=lengths)
    _, whole = unroll(decoder, params, xs, carry)
    assert jnp.all(ys[4:, 1] == 0) and jnp.all(ys[:, 2] == 0)
    np.testing.assert_allclose(ys[:4, 1], whole[:4, 1], rtol=1e-12)
    np.testing.assert_array_equal(final.source.value.places, carry.source.value.places)
    short, _ = unroll(decoder, params, xs[:4], carry)
    np.testing.assert_allclose(final.cell[1], short.cell[1], rtol=1e-12)

    resets = jnp.zeros((T, B), bool).at[2].set(True)
    _, ys = unroll(decoder, params, xs, carry, resets=resets)
    fresh = decoder.attend(params, MEMORY)
    _, again = unroll(decoder, params, xs[2:], fresh)
    np.testing.assert_allclose(ys[2:], again, rtol=1e-12)


def test_what_padding_of_the_source_holds_reaches_nothing():
    decoder = DECODERS["luong_general"]
    params, xs, _ = example(decoder)
    padded = MEMORY.at[2:, 1].set(jnp.nan)

    def total(memory):
        carry = decoder.attend(params, memory, lengths=jnp.array([S, 2, S]))
        return jnp.sum(unroll(decoder, params, xs, carry)[1] ** 2)

    value, gradient = jax.value_and_grad(total)(padded)
    assert jnp.isfinite(value) and jnp.all(gradient[2:, 1] == 0)
    np.testing.assert_allclose(value, total(MEMORY), rtol=1e-12)


@pytest.mark.slow
def test_gradients_through_time_and_trajectories_are_of_the_state_alone():
    decoder = DECODERS["bahdanau"]
    params, xs, inner = example(decoder)
    carry = decoder.attend(params, MEMORY, carry=inner)
    states = jaxrnn.trajectory(decoder, params, xs, carry)
    assert states.cell.shape == (T, B, H) and states.source.value is None
    last = lambda ys: jnp.sum(ys[-1])  # noqa: E731
    gradients = jaxrnn.carry_gradients(last, decoder, params, xs, carry)

    def from_step(t, state):
        now = carry._replace(cell=state, read=states.read[t])
        return last(unroll(decoder, params, xs[t + 1 :], now)[1])

    expected = jax.grad(lambda state: from_step(2, state))(states.cell[2])
    np.testing.assert_allclose(gradients.cell[2], expected, rtol=1e-10)
    with pytest.raises(TypeError, match=r"step_jacobians: the carry of .* a Context"):
        jaxrnn.step_jacobians(decoder, params, xs, carry)


def speaker():
    decoder = BahdanauAttention(GRU(I + M, H), M, Additive(6))
    cell = Stack((Embedding(7, I), decoder, Dense(H + M, 7)))
    params = jax.tree.map(lambda leaf: 2 * leaf, params_of(cell))
    carry = (), decoder.attend(params[1], MEMORY, lengths=LENGTHS), ()
    return cell, params, carry


@pytest.mark.slow
def test_a_decoder_with_attention_speaks_and_is_searched_like_any_other():
    cell, params, carry = speaker()
    first = jnp.array([1, 2, 3])
    said = jaxrnn.generate(cell, params, carry, first, Greedy(), T, stop=0)
    for b in range(B):
        state = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        symbol, expected = first[b], []
        while len(expected) < T and 0 not in expected:
            state, logits = cell(params, state, symbol)
            symbol = jnp.argmax(logits)
            expected.append(int(symbol))
        assert said.symbols[: len(expected), b].tolist() == expected
    beams = jaxrnn.beam_search(cell, params, carry, first, 1, T)
    said = jaxrnn.generate(cell, params, carry, first, Greedy(), T)
    np.testing.assert_array_equal(beams.symbols[..., 0], said.symbols)

    symbols = jnp.concatenate([first[None], said.symbols[:-1]])
    _, logits = jaxrnn.decode(
        cell, params, symbols, carry, policy=jaxrnn.FreeRunning(Greedy())
    )
    np.testing.assert_allclose(
        logits, unroll(cell, params, symbols, carry)[1], rtol=1e-11
    )


@pytest.mark.parametrize(
    "name",
    [
        "bahdanau",
        pytest.param("luong_general", marks=pytest.mark.slow),
        pytest.param("luong_fed", marks=pytest.mark.slow),
    ],
)
def test_the_source_is_not_copied_from_step_to_step(name):
    """Twice the steps: forward and backward take less than one source more in all."""
    S, B, M = 200, 4, 16
    decoder = {
        "bahdanau": BahdanauAttention(GRU(2 + M, 8), M, Additive(16)),
        "luong_general": LuongAttention(GRU(2, 8), M, General(), 8),
        "luong_fed": LuongAttention(GRU(2 + 8, 8), M, General(), 8, input_feeding=True),
    }[name]
    params = params_of(decoder)

    def total(params, memory, xs):
        carry = decoder.attend(params, memory)
        return jnp.sum(unroll(decoder, params, xs, carry)[1] ** 2)

    def temporaries(function, T):
        args = params, jnp.ones((S, B, M)), jnp.ones((T, B, 2))
        analysis = jax.jit(function).lower(*args).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    source = S * B * M * 8  # bytes
    weights = S * B * 8  # of one step, which may be kept
    steps = 100
    for function in (total, jax.grad(total, (0, 1))):
        grown = temporaries(function, 2 * steps) - temporaries(function, steps)
        assert grown < steps * 5 * weights + source < steps * source / 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: unroll(
                DECODERS["bahdanau"],
                params_of(DECODERS["bahdanau"]),
                jnp.ones((T, B, I)),
            ),
            ValueError,
            "unroll: the carry of Bahdanau.* empty Context",
        ),
        (
            lambda: DECODERS["bahdanau"].attend(
                params_of(DECODERS["bahdanau"]), MEMORY[..., :2]
            ),
            ValueError,
            r"BahdanauAttention.attend: memory has shape .* expected \(S, \*batch, 4\)",
        ),
        (
            lambda: DECODERS["bahdanau"].attend(
                params_of(DECODERS["bahdanau"]), MEMORY, lengths=jnp.array([9, 1, 1])
            ),
            ValueError,
            "lengths has the entry 9",
        ),
        (
            lambda: LuongAttention(GRU(I, 3), M, Dot(), O).init(jax.random.key(0)),
            ValueError,
            "Dot: the query has 3 numbers and the memory 4",
        ),
        (lambda: LuongAttention(GRU(I, H), M, Dot, O), TypeError, "score is <class"),
        (lambda: BahdanauAttention(GRU(M, H), M, Dot()), ValueError, "reads 4 numbers"),
        (
            lambda: LuongAttention(GRU(O, H), M, Dot(), O, input_feeding=True),
            ValueError,
            "reads 2 numbers",
        ),
        (lambda: Additive(0), ValueError, "Additive: size is 0"),
        (
            lambda: BahdanauAttention(Embedding(7, 2), M, Dot()),
            TypeError,
            "expected a vector",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


class Normalised(jaxrnn.Cell):
    """A user's cell whose context must not be zeros."""

    input_size: int
    changes: bool = False

    def init(self, key):
        return {"U": jax.random.normal(key, (self.input_size, self.input_size))}

    def initial_carry(self, params):
        return jnp.zeros(self.input_size), Context(None)

    def step(self, params, carry, x):
        h, source = carry
        read = source.value / jnp.linalg.norm(source.value)
        new = Context(2 * source.value) if self.changes else source
        return jnp.tanh(x + (h + read) @ params["U"]), new

    def output(self, params, carry, x):
        return carry[0]


def test_a_context_of_ones_own_is_read_at_masked_steps_too():
    cell = Normalised(M)
    params, xs = params_of(cell), inputs_of(cell, (T, B))
    goals = jnp.asarray(np.random.default_rng(2).normal(size=(B, M)))
    carry = jnp.zeros((B, M)), Context(goals)

    def total(params, goals, lengths):
        carry = jnp.zeros((B, M)), Context(goals)
        return jnp.sum(unroll(cell, params, xs, carry, lengths=lengths)[1] ** 2)

    def loop(params, goals):
        total = 0.0
        for b, length in enumerate((T, 3, 0)):
            state = jnp.zeros(M), Context(goals[b])
            for t in range(length):
                state, y = cell(params, state, xs[t, b])
                total += jnp.sum(y**2)
        return total

    actual = jax.grad(total, (0, 1))(params, goals, jnp.array([T, 3, 0]))
    expected = jax.jit(jax.grad(loop, (0, 1)))(params, goals)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14),
        actual,
        expected,
    )
    with pytest.raises(TypeError, match=r"step changes the Context in its carry"):
        unroll(Normalised(M, changes=True), params, xs, carry)


def test_zoneout_and_clipping_go_around_a_decoder():
    decoder = DECODERS["bahdanau"]
    params, xs, inner = example(decoder)
    carry = decoder.attend(params, MEMORY, carry=inner)
    _, whole = unroll(decoder, params, xs, carry)
    clipped = jaxrnn.ClipCarryGradient(decoder, 1e6)
    np.testing.assert_allclose(unroll(clipped, params, xs, carry)[1], whole, rtol=1e-12)
    zoned = jaxrnn.Zoneout(decoder, 0.3)
    _, ys = unroll(zoned, params, xs, carry, key=jax.random.key(0))
    assert jnp.all(jnp.isfinite(ys)) and not np.allclose(ys, whole)


@pytest.mark.usefixtures("promotion")
def test_inputs_of_integers_read_the_source_too():
    decoder = DECODERS["bahdanau"]
    params, _, inner = example(decoder)
    carry = decoder.attend(params, MEMORY, carry=inner)
    xs = jnp.ones((T, B, I), int)
    _, ys = unroll(decoder, params, xs, carry)
    np.testing.assert_allclose(ys, unroll(decoder, params, xs * 1.0, carry)[1])
