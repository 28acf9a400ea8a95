"""Generation and feeding policies against loops of single steps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import params_of, random_like

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Dense,
    Dropout,
    Elman,
    Embedding,
    FreeRunning,
    Greedy,
    Nucleus,
    ScheduledSampling,
    Stack,
    TeacherForcing,
    Temperature,
    TopK,
    decode,
    generate,
    unroll,
)
from jaxrnn.arguments.keys import keys_in_time

V, T, B = 5, 7, 3
CELL = Stack((Embedding(V, 3), LSTM(3, 4), Dense(4, V)))
PARAMS = jax.tree.map(lambda leaf: 2 * leaf, params_of(CELL))  # far from uniform
FIRST = jnp.array([1, 4, 0])
SYMBOLS = jnp.asarray(np.random.default_rng(0).integers(0, V, (T, B)))
KEY = jax.random.key(7)


def spoken(cell, params, carry, symbol, length):
    """Greedy decoding in Python, of one example."""
    symbols, log_probs = [], []
    for _ in range(length):
        carry, logits = cell(params, carry, symbol)
        symbol = jnp.argmax(logits)
        symbols.append(int(symbol))
        log_probs.append(float(jax.nn.log_softmax(logits)[symbol]))
    return symbols, log_probs, carry


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11), a, b)


# Samplers.

LOGITS = jnp.log(jnp.array([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]]))


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (Greedy(), [[0, 1, 0, 0], [1, 0, 0, 0]]),
        (Temperature(0.5), [[1 / 30, 16 / 30, 4 / 30, 9 / 30], [1 / 4] * 4]),
        (TopK(2), [[0, 4 / 7, 0, 3 / 7], [1 / 4] * 4]),  # ties stay together
        (TopK(9), [[0.1, 0.4, 0.2, 0.3], [1 / 4] * 4]),
        (Nucleus(0.6), [[0, 4 / 7, 0, 3 / 7], [1 / 3, 1 / 3, 1 / 3, 0]]),
        (Nucleus(0.01), [[0, 1, 0, 0], [1, 0, 0, 0]]),
        (Nucleus(1.0), [[0.1, 0.4, 0.2, 0.3], [1 / 4] * 4]),
        ((Temperature(0.5), TopK(2)), [[0, 16 / 25, 0, 9 / 25], [1 / 4] * 4]),
    ],
)
def test_probabilities_of_samplers(sampler, expected):
    logits = LOGITS
    for function in sampler if isinstance(sampler, tuple) else (sampler,):
        logits = function(logits)
    np.testing.assert_allclose(jax.nn.softmax(logits), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Temperature(0), "expected a positive"),
        (lambda: Temperature(math.nan), "expected a positive"),
        (lambda: TopK(0), "expected a positive int"),
        (lambda: TopK(1.5), "expected a positive int"),
        (lambda: Nucleus(0.0), r"expected one in \(0, 1\]"),
        (lambda: Nucleus(1.1), r"expected one in \(0, 1\]"),
    ],
)
def test_samplers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Generation.


def test_greedy_generation_is_the_loop_of_single_steps():
    said = generate(CELL, PARAMS, None, FIRST, Greedy(), T)
    for b in range(B):
        carry = CELL.initial_carry(PARAMS)
        symbols, log_probs, carry = spoken(CELL, PARAMS, carry, FIRST[b], T)
        np.testing.assert_array_equal(said.symbols[:, b], symbols)
        np.testing.assert_allclose(said.log_probs[:, b], log_probs, rtol=1e-10)
        close(jax.tree.map(lambda leaf, b=b: leaf[b], said.carry), carry)
    np.testing.assert_array_equal(said.lengths, [T] * B)
    assert len(set(map(tuple, said.symbols.T.tolist()))) > 1


def test_to_go_on_from_a_text_it_is_run_first():
    carry, _ = unroll(CELL, PARAMS, SYMBOLS[:-1])
    said = generate(CELL, PARAMS, carry, SYMBOLS[-1], Greedy(), 4)
    for b in range(B):
        one = CELL.initial_carry(PARAMS)
        for symbol in SYMBOLS[:-1, b]:
            one, _ = CELL(PARAMS, one, symbol)
        expected = spoken(CELL, PARAMS, one, SYMBOLS[-1, b], 4)[0]
        np.testing.assert_array_equal(said.symbols[:, b], expected)


def test_generation_goes_on_where_it_stopped():
    whole = generate(CELL, PARAMS, None, FIRST, Greedy(), 6)
    half = generate(CELL, PARAMS, None, FIRST, Greedy(), 3)
    rest = generate(CELL, PARAMS, half.carry, half.symbols[-1], Greedy(), 3)
    np.testing.assert_array_equal(whole.symbols[3:], rest.symbols)


def test_what_is_drawn_has_the_probabilities_of_the_sampler():
    """One step of many examples; five standard errors of a binomial."""
    count = 20_000
    sampler = Temperature(0.7), TopK(3)
    first = jnp.full(count, 2)
    said = generate(CELL, PARAMS, None, first, sampler, 1, KEY)
    _, logits = CELL(PARAMS, CELL.initial_carry(PARAMS), jnp.array(2))
    expected = np.asarray(jax.nn.softmax(TopK(3)(logits / 0.7)))
    found = np.bincount(said.symbols[0], minlength=V) / count
    error = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(found - expected) <= 5 * error)
    assert (expected == 0).sum() == 2
    probabilities = jax.nn.log_softmax(logits)[said.symbols[0]]
    np.testing.assert_allclose(said.log_probs[0], probabilities, rtol=1e-10)


@pytest.mark.slow
def test_log_probs_are_those_of_the_model_that_reads_what_was_said():
    said = generate(CELL, PARAMS, None, FIRST, Temperature(1.5), T, KEY)
    read = jnp.concatenate([FIRST[None], said.symbols[:-1]])
    _, logits = unroll(CELL, PARAMS, read)
    expected = jnp.take_along_axis(
        jax.nn.log_softmax(logits), said.symbols[..., None], axis=-1
    )
    np.testing.assert_allclose(said.log_probs, expected[..., 0], rtol=1e-10)


def test_an_example_draws_what_it_would_alone():
    said = generate(CELL, PARAMS, None, FIRST, Temperature(1.5), T, KEY)
    for b, key in enumerate(jax.random.split(KEY, B)):
        alone = generate(CELL, PARAMS, None, FIRST[b], Temperature(1.5), T, key)
        np.testing.assert_array_equal(said.symbols[:, b], alone.symbols)
    assert len(np.unique(said.symbols)) > 2


@pytest.mark.slow
def test_a_stop_symbol_ends_each_example_by_itself():
    free = generate(CELL, PARAMS, None, FIRST, Temperature(1.5), 12, KEY)
    stop = int(free.symbols[2, 0])
    said = generate(CELL, PARAMS, None, FIRST, Temperature(1.5), 12, KEY, stop=stop)
    for b in range(B):
        column = free.symbols[:, b].tolist()
        length = column.index(stop) + 1 if stop in column else 12
        assert said.lengths[b] == length
        expected = column[:length] + [stop] * (12 - length)
        assert said.symbols[:, b].tolist() == expected
        np.testing.assert_allclose(
            said.log_probs[:, b],
            jnp.where(jnp.arange(12) < length, free.log_probs[:, b], 0),
            rtol=1e-10,
        )
        read = jnp.array([int(FIRST[b]), *expected[: length - 1]])
        carry, _ = unroll(CELL, PARAMS, read)
        close(jax.tree.map(lambda leaf, b=b: leaf[b], said.carry), carry)
    assert 3 in said.lengths


def test_dropout_is_off_while_a_network_speaks():
    cell = Stack((Embedding(V, 3), Dropout(0.9), GRU(3, 4), Dense(4, V)))
    params = params_of(cell)
    quiet = generate(cell, params, None, FIRST, Greedy(), T, KEY)
    without = generate(cell, params, None, FIRST, Greedy(), T)
    np.testing.assert_array_equal(quiet.symbols, without.symbols)


def test_generation_compiles_once_for_equal_cells(monkeypatch):
    seen = []
    step = Elman.step
    monkeypatch.setattr(
        Elman, "step", lambda *arguments: seen.append(1) or step(*arguments)
    )
    make = lambda: Stack((Embedding(V, 2), Elman(2, 6), Dense(6, V)))  # noqa: E731
    params = params_of(make())
    generate(make(), params, None, FIRST, (TopK(2), Temperature(2)), 5, KEY)
    count = len(seen)
    generate(make(), params, None, FIRST, (TopK(2), Temperature(2)), 5, KEY)
    assert count > 0 and len(seen) - count <= 1  # the check of what it answers


# Feeding policies.


def run(policy, params=PARAMS, cell=CELL, **options):
    return decode(cell, params, SYMBOLS, policy=policy, **options)


def total(logits):
    weights = random_like(jnp.zeros((T, B, V)), seed=5)
    return jnp.sum(jax.nn.log_softmax(logits) * weights)


@pytest.mark.parametrize(
    "policy",
    [pytest.param(TeacherForcing(), marks=pytest.mark.slow), ScheduledSampling(1.0)],
)
def test_the_teacher_alone_is_unroll_noise_included(policy):
    cell = Stack((Embedding(V, 3), GRU(3, 4, recurrent_dropout=0.3), Dense(4, V)))
    params = params_of(cell)
    options = {"key": KEY, "lengths": jnp.array([T, 3, 0])}
    carry = random_like(jaxrnn.batched_carry(cell, params, (B,)), seed=2)

    def loss(run):
        def of(params):
            final, logits = run(params)
            return total(logits) + jnp.sum(final[1])

        return jax.value_and_grad(of)(params)

    actual = loss(lambda p: decode(cell, p, SYMBOLS, carry, policy=policy, **options))
    close(actual, loss(lambda p: unroll(cell, p, SYMBOLS, carry, **options)))


def test_free_running_is_generation():
    _, logits = run(FreeRunning())
    said = generate(CELL, PARAMS, None, SYMBOLS[0], Greedy(), T)
    np.testing.assert_array_equal(jnp.argmax(logits, -1), said.symbols)
    _, logits = run(FreeRunning(Temperature(1.5)), key=KEY)
    said = generate(CELL, PARAMS, None, SYMBOLS[0], Temperature(1.5), T, KEY)
    read = jnp.concatenate([SYMBOLS[:1], said.symbols[:-1]])
    close(logits, unroll(CELL, PARAMS, read)[1])


@pytest.mark.parametrize(
    "method",
    [jaxrnn.Scan(), pytest.param(jaxrnn.Scan(remat=True), marks=pytest.mark.slow)],
)
def test_scheduled_sampling_is_unroll_over_what_was_read(method):
    """Values, and gradients with the symbols that were read held fixed."""
    policy = ScheduledSampling(0.4, Greedy())
    carry, logits = run(policy, key=KEY, method=method)
    own = policy.own(keys_in_time(KEY, jnp.arange(T), (B,)), (T, B))
    assert own[1:].any() and not own[1:].all()
    said = jnp.concatenate([SYMBOLS[:1], jnp.argmax(logits, -1)[:-1]])
    read = jnp.where(own, said, SYMBOLS).at[0].set(SYMBOLS[0])
    assert not (read == SYMBOLS).all()
    close((carry, logits), unroll(CELL, PARAMS, read))
    gradient = jax.grad(lambda p: total(run(policy, p, key=KEY, method=method)[1]))
    expected = jax.grad(lambda p: total(unroll(CELL, p, read)[1]))
    close(gradient(PARAMS), expected(PARAMS))


def test_the_probability_may_be_a_schedule_inside_of_a_compiled_step():
    @jax.jit
    def logits(step):
        return run(ScheduledSampling(1 - step / 10, Greedy()), key=KEY)[1]

    close(logits(0), run(TeacherForcing())[1])
    close(logits(10), run(FreeRunning())[1])


def test_coins_are_tossed_for_every_step_and_example():
    keys = keys_in_time(KEY, jnp.arange(100), (100,))
    own = ScheduledSampling(0.7).own(keys, (100, 100))
    error = 5 * math.sqrt(0.3 * 0.7 / 10_000)
    assert abs(float(own.mean()) - 0.3) < error
    for axis in (0, 1):
        assert float(own.mean(axis).std()) == pytest.approx(0.0458, rel=0.3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: run(ScheduledSampling(0.5)), ValueError, "key is None"),
        (lambda: run(ScheduledSampling(1.5), key=KEY), ValueError, "probability in"),
        (lambda: run(FreeRunning(Temperature(1))), ValueError, "key is None"),
        (lambda: run("teacher"), TypeError, "policy is 'teacher'"),
        (
            lambda: decode(CELL, PARAMS, SYMBOLS.astype(float)),
            TypeError,
            "symbols has the dtype float",
        ),
        (
            lambda: generate(CELL, PARAMS, None, FIRST, TopK(2), 3),
            ValueError,
            "but TopK",
        ),
        (lambda: generate(CELL, PARAMS, None, FIRST, TopK, 3), TypeError, "sampler is"),
        (
            lambda: generate(CELL, PARAMS, None, FIRST, Greedy(), 0),
            ValueError,
            "length is 0",
        ),
        (
            lambda: generate(CELL, PARAMS, None, FIRST, Greedy(), 3, stop=V),
            ValueError,
            "stop is 5",
        ),
        (
            lambda: generate(CELL, PARAMS, None, FIRST + V, Greedy(), 3),
            ValueError,
            r"first is \[6 9 5\], expected symbols in 0..4",
        ),
        (lambda: run(ScheduledSampling(abs), key=KEY), TypeError, "call the schedule"),
        (
            lambda: generate(CELL, PARAMS, None, FIRST.astype(float), Greedy(), 3),
            TypeError,
            "first has the dtype",
        ),
        (
            lambda: generate(
                CELL, PARAMS, CELL.initial_carry(PARAMS), FIRST, Greedy(), 3
            ),
            ValueError,
            r"generate: carry.* has shape \(4,\), expected \(3, 4\)",
        ),
        (
            lambda: generate(LSTM(3, 4), params_of(LSTM(3, 4)), None, FIRST, Greedy(), 3),
            TypeError,
            "put an Embedding before it",
        ),
        (
            lambda: generate(
                Embedding(V, 3),
                params_of(Embedding(V, 3)),
                None,
                FIRST.astype(complex),
                Greedy(),
                3,
            ),
            TypeError,
            "first has the dtype complex",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.slow
def test_vmap_over_parameters_is_an_ensemble():
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), PARAMS)
    said = jax.vmap(lambda p: generate(CELL, p, None, FIRST, Greedy(), T).symbols)(both)
    for i in range(2):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], both)
        one = generate(CELL, params, None, FIRST, Greedy(), T).symbols
        np.testing.assert_array_equal(said[i], one)


def test_symbols_of_a_narrow_dtype_do_not_wrap():
    cell = Stack((Embedding(300, 3), GRU(3, 4), Dense(4, 300)))
    params = params_of(cell)
    params = (*params[:2], {**params[2], "bias": jnp.zeros(300).at[299].set(9.0)})
    first = jnp.array([3], "uint8")
    said = generate(cell, params, None, first, Greedy(), 4)
    np.testing.assert_array_equal(said.symbols, np.full((4, 1), 299))
    beams = jaxrnn.beam_search(cell, params, None, first, 1, 4)
    np.testing.assert_array_equal(beams.symbols[..., 0], said.symbols)


@pytest.mark.slow
def test_half_precision_draws_as_evenly_as_single():
    """Uniform logits: half of the draws in either half, within five standard errors."""
    cell = Stack((Embedding(2000, 1), Dense(1, 2000)))
    params = jax.tree.map(lambda leaf: 0 * leaf.astype("bfloat16"), params_of(cell))
    first = jnp.zeros(4000, int)
    said = generate(cell, params, None, first, Temperature(1.0), 1, KEY)
    assert abs(float((said.symbols < 1000).mean()) - 0.5) < 5 * 0.5 / math.sqrt(4000)
    assert said.log_probs.dtype == "float32"


def test_a_tiny_temperature_is_greedy_in_every_precision():
    for dtype in ("float32", "bfloat16", "float64"):
        logits = jnp.array([3.0, 3.5, -jnp.inf, 3.25], dtype)
        chances = jax.nn.softmax(Temperature(1e-38)(logits))
        np.testing.assert_array_equal(chances, [0, 1, 0, 0])
    np.testing.assert_array_equal(
        jax.nn.softmax(Temperature(jnp.float32(1e-45))(logits)), [0, 1, 0, 0]
    )


@pytest.mark.slow
def test_samplers_with_traced_numbers_draw_as_those_with_numbers():
    """One program for a whole schedule, in `generate` and in `decode`."""

    @jax.jit
    def traced(t, mass):
        sampler = Temperature(t), Nucleus(mass), TopK(4)
        policy = FreeRunning(sampler)
        said = generate(CELL, PARAMS, None, FIRST, sampler, T, KEY)
        return said, decode(CELL, PARAMS, SYMBOLS, policy=policy, key=KEY)

    for t, mass in ((0.5, 0.9), (2.0, 1.0)):
        sampler = Temperature(t), Nucleus(mass), TopK(4)
        said, heard = traced(t, mass)
        expected = generate(CELL, PARAMS, None, FIRST, sampler, T, KEY)
        close((said, heard), (expected, run(FreeRunning(sampler), key=KEY)))
    assert traced._cache_size() == 1
    greedy = generate(CELL, PARAMS, None, FIRST, Greedy(), T).symbols
    np.testing.assert_array_equal(traced(0.0, 1.0)[0].symbols, greedy)
    assert (traced(-1.0, 1.0)[0].symbols == -1).all()
    annealed = jax.vmap(
        lambda t: generate(CELL, PARAMS, None, FIRST, Temperature(t), T, KEY).symbols
    )(jnp.array([0.0, 0.5]))
    np.testing.assert_array_equal(annealed[0], greedy)
    assert Temperature(0.5) == Temperature(0.5) and hash(Nucleus(0.5)) == hash(
        Nucleus(0.5)
    )
    with pytest.raises(ValueError, match="temperature is"):
        Temperature(jnp.array(-1.0))
    with pytest.raises(ValueError, match="mass is"):
        Nucleus(jnp.array([0.5]))


@pytest.mark.slow
def test_logits_of_nan_say_no_symbol():
    """In example 1, which reads the symbol 4, from its second step on."""
    embedding = PARAMS[0]["embedding"].at[2].set(jnp.nan)
    broken = ({"embedding": embedding}, *PARAMS[1:])
    bias = jnp.zeros(V).at[2].set(1e3)  # all say 2, which is then read
    broken = (*broken[:2], {**broken[2], "bias": bias})
    for sampler, key in ((Greedy(), None), (Temperature(1.0), KEY)):
        said = generate(CELL, broken, None, FIRST, sampler, 4, key)
        np.testing.assert_array_equal(said.symbols, [[2] * B] + 3 * [[-1] * B])
        assert jnp.isfinite(said.log_probs[0]).all()
        assert jnp.isnan(said.log_probs[1:]).all()
        _, logits = decode(CELL, broken, SYMBOLS, policy=FreeRunning(sampler), key=key)
        assert jnp.isnan(logits[2:]).all()
    none = Nucleus(0.5), lambda logits: jnp.full_like(logits, -jnp.inf)
    said = generate(CELL, PARAMS, None, FIRST, none, 2, KEY)
    assert (said.symbols == -1).all() and jnp.isnan(said.log_probs).all()
    beams = jaxrnn.beam_search(CELL, broken, None, FIRST, 3, 4, stop=0)
    np.testing.assert_array_equal(beams.symbols[1:], -jnp.ones((3, B, 3), int))
    np.testing.assert_array_equal(beams.lengths, jnp.full((B, 3), 4))
    assert jnp.isnan(beams.scores).all() and jnp.isnan(beams.log_probs).all()


def test_what_is_closed_over_under_jit_is_known():
    """Concrete values are looked at in NumPy, whatever is traced around them."""
    expected = generate(CELL, PARAMS, None, FIRST, Greedy(), T)
    closed = jax.jit(lambda: generate(CELL, PARAMS, None, FIRST, Greedy(), T))()
    close(closed, expected)
    power = lambda p: jaxrnn.beam_search(  # noqa: E731
        CELL,
        PARAMS,
        None,
        np.asarray(FIRST),
        np.int64(2),
        np.int32(3),
        stop=np.int8(0),
        length_power=p,
    )
    close(jax.jit(power)(0.5), power(0.5))
    unknown = jnp.array([9])
    with pytest.raises(ValueError, match=r"first is \[9\]"):
        jax.jit(lambda: generate(CELL, PARAMS, None, unknown, Greedy(), T))()
    with pytest.raises(ValueError, match="length_power is -1"):
        power(-1)


def test_a_raw_key_of_another_kind_is_refused_by_name():
    raw = jax.random.PRNGKey(0, impl="rbg")
    sampler = Temperature(1.0)
    with pytest.raises(TypeError, match=r"key is an array uint32\[4\].*impl="):
        generate(CELL, PARAMS, None, FIRST, sampler, 2, raw)
    typed = jax.random.key(0, impl="rbg")
    expected = generate(CELL, PARAMS, None, FIRST, sampler, 2, typed)
    with jax.default_prng_impl("rbg"):
        close(generate(CELL, PARAMS, None, FIRST, sampler, 2, raw), expected)


def test_a_schedule_of_whole_numbers():
    close(run(ScheduledSampling(1, Greedy()), key=KEY), run(TeacherForcing()))
