"""A cell as a module of flax.linen: the pure form, bit for bit, in flax's collections."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from peer import peer

import jaxrnn
from jaxrnn import GRU, LSTM, Bidirectional, Dense, Dropout, LearnedCarry, Stack

nn = peer("flax.linen")
RNN = peer("jaxrnn.interop.linen").RNN

B, T = 4, 6
CELL = LSTM(3, 5)
LENGTHS = jnp.array([6, 2, 0, 4])
DEEP = Stack((Bidirectional(GRU(3, 4), GRU(3, 4)), LearnedCarry(GRU(8, 5)), Dense(5, 2)))


def inputs(*batch, seed=1):
    return jax.random.normal(jax.random.key(seed), (*batch, T, 3))


def in_time(xs):
    return jnp.moveaxis(xs, -2, 0)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


@pytest.mark.parametrize("batch", by_default([(), (B,), (2, 2)], (2, 2)))
def test_values_and_gradients_are_those_of_unroll(batch, key):
    rnn, xs = RNN(CELL, return_carry=True), inputs(*batch)
    variables = rnn.init(key, xs)
    carry, ys = rnn.apply(variables, xs)
    expected, outputs = jaxrnn.unroll(CELL, variables["params"], in_time(xs))
    assert equal((carry, in_time(ys)), (expected, outputs))

    def loss(params, xs):
        return jnp.sum(rnn.apply({"params": params}, xs)[1] ** 2)

    def pure(params, xs):
        return jnp.sum(jaxrnn.unroll(CELL, params, in_time(xs))[1] ** 2)

    grad = lambda function: jax.grad(function, (0, 1))(variables["params"], xs)  # noqa: E731
    assert equal(grad(loss), grad(pure))


def test_lengths_masks_resets_and_carries_have_the_layout_of_the_inputs(key):
    rnn, xs = RNN(CELL), inputs(B)
    variables = rnn.init(key, xs)
    carry = jaxrnn.LSTMCarry(*jax.random.normal(key, (2, B, 5)))
    resets = jax.random.bernoulli(key, 0.3, (B, T))
    mask = jax.random.bernoulli(jax.random.key(5), 0.6, (B, T))
    for which in {"lengths": LENGTHS}, {"mask": mask}:
        streams = {name.replace("lengths", "seq_lengths"): v for name, v in which.items()}
        got = rnn.apply(
            variables,
            xs,
            initial_carry=carry,
            resets=resets,
            return_carry=True,
            **streams,
        )
        timed = {name: v.T if v.ndim == 2 else v for name, v in which.items()}
        expected = jaxrnn.unroll(
            CELL, variables["params"], in_time(xs), carry, resets=resets.T, **timed
        )
        assert equal((got[0], in_time(got[1])), expected)
        first = rnn.apply(
            variables,
            in_time(xs),
            initial_carry=carry,
            resets=resets.T,
            return_carry=True,
            time_major=True,
            **{name.replace("lengths", "seq_lengths"): v for name, v in timed.items()},
        )
        assert equal(first, expected)


def test_reverse_and_keep_order_are_those_of_flax(key):
    """Around a cell of flax's own whose params are ours."""
    xs = inputs(B)
    theirs = nn.RNN(nn.SimpleCell(5, param_dtype=float), return_carry=True)
    weights = theirs.init(key, xs)
    cell = jaxrnn.Elman(3, 5)
    inner = weights["params"]["cell"]
    params = {
        "kernel": inner["i"]["kernel"],
        "bias": inner["i"]["bias"],
        "recurrent_kernel": inner["h"]["kernel"],
    }
    lengths = jnp.array([6, 2, 1, 4])  # flax has no carry for a length of 0
    valid = np.arange(T) < np.array(lengths)[:, None]
    for keep_order in False, True:
        for options in {}, {"seq_lengths": lengths}:
            call = dict(options, reverse=True, keep_order=keep_order)
            carry, ys = theirs.apply(weights, xs, **call)
            rnn = RNN(cell, return_carry=True, reverse=True, keep_order=keep_order)
            ours = rnn.apply({"params": params}, xs, **options)
            called = RNN(cell).apply({"params": params}, xs, return_carry=True, **call)
            assert equal(ours, called)
            np.testing.assert_allclose(ours[0], carry, rtol=0, atol=1e-12)
            ys = jnp.where(valid[..., None], ys, 0.0) if options else ys
            np.testing.assert_allclose(ours[1], ys, rtol=0, atol=1e-12)


def test_params_have_readable_names_and_come_from_one_key(key):
    rnn, xs = RNN(DEEP), inputs(B)
    params = rnn.init(key, xs)["params"]
    assert set(params) == {"layers_0", "layers_1", "layers_2"}
    assert set(params["layers_0"]) == {"forward", "backward"}
    assert params["layers_1"]["cell"]["kernel"].shape == (8, 15)
    assert params["layers_1"]["carry"].shape == (5,)
    cell_params = rnn.cell_params(params)
    expected = jaxrnn.unroll(DEEP, cell_params, in_time(xs))[1]
    assert equal(in_time(rnn.apply({"params": params}, xs)), expected)
    assert equal(rnn.module_params(cell_params), params)
    with pytest.raises(ValueError, match=r"linen.RNN: params has the structure"):
        rnn.module_params(cell_params[0])
    twice = LearnedCarry(GRU(3, 4))
    assert set(RNN(twice).init(key, xs)["params"]) == {"cell", "carry"}

    class Echo(jaxrnn.Cell):
        input_size: int

        def init(self, key):
            # Two leaves that belong together, which two keys would take apart.
            drawn = jax.random.normal(key, self.input_size)
            return {"a": drawn, "b": -drawn}

        def initial_carry(self, params):
            return jnp.zeros(self.input_size)

        def step(self, params, carry, drive):
            return (params["a"] + params["b"]) * carry + drive

    params = RNN(Echo(3)).init(key, xs)["params"]
    assert equal(params["a"], -params["b"])


def test_a_module_of_a_cell_is_a_value_and_prints(key):
    rnn = RNN(DEEP)
    assert rnn == RNN(DEEP) and hash(rnn) == hash(RNN(DEEP))
    assert rnn.cell is DEEP and rnn.clone().cell == DEEP

    class Model(nn.Module):
        def setup(self):
            self.encoder = RNN(DEEP)
            self.head = nn.Dense(3, param_dtype=float)

        def __call__(self, xs):
            return self.head(self.encoder(xs))

    table = nn.tabulate(Model(), key, console_kwargs={"width": 200})(inputs(B))
    assert "encoder" in table and "recurrent_kernel: float64[5,15]" in re.sub(
        "\x1b[^m]*m", "", table
    )
    assert "Total Parameters: 441" in table


@pytest.mark.slow
def test_param_dtype_and_dtypes(key, promotion):
    xs = inputs(B).astype("bfloat16")
    rnn = RNN(CELL, param_dtype=jnp.float32, return_carry=True)
    variables = rnn.init(key, xs)
    carry, ys = rnn.apply(variables, xs)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert ys.dtype == jnp.bfloat16 and carry.c.dtype == jnp.float32


NOISY = Stack((Dropout(0.5), GRU(3, 4)))


def test_noise_comes_from_the_rng_dropout_and_the_switch(key):
    xs = inputs(B)
    rnn = RNN(NOISY)
    variables = rnn.init(key, xs, deterministic=True)
    assert equal(variables, RNN(NOISY, deterministic=False).init(key, xs))
    pure = jaxrnn.unroll(NOISY, ((), variables["params"]["layers_1"]), in_time(xs))[1]
    still = rnn.apply(variables, xs, deterministic=True, rngs={"dropout": key})
    assert equal(in_time(still), pure)

    def noisy(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return RNN(NOISY, deterministic=False).apply(variables, xs, rngs=rngs)

    assert equal(noisy(0), noisy(0))
    assert bool(jnp.any(noisy(0) != noisy(1))) and bool(jnp.any(noisy(0) != still))
    with pytest.raises(ValueError, match="deterministic"):
        rnn.apply(variables, xs)
    with pytest.raises(peer("flax.errors").InvalidRngError, match="dropout"):
        rnn.apply(variables, xs, deterministic=False)


def test_a_stateful_module_goes_on_where_the_call_before_ended(key):
    rnn, xs = RNN(CELL, stateful=True), inputs(B)
    lengths, resets = jnp.array([6, 5, 4, 3]), jax.random.bernoulli(key, 0.3, (B, T))
    variables = rnn.init(key, xs[:, :2])
    assert set(variables["carry"]) == {"h", "c"} and not variables["carry"]["h"].any()
    whole = RNN(CELL).apply(
        {"params": variables["params"]}, xs, seq_lengths=lengths, resets=resets
    )
    state, pieces = {"carry": variables["carry"]}, []
    for start in 0, 2, 4:
        piece = slice(start, start + 2)
        ys, state = rnn.apply(
            {"params": variables["params"], **state},
            xs[:, piece],
            seq_lengths=jnp.clip(lengths - start, 0, 2),
            resets=resets[:, piece],
            mutable=["carry"],
        )
        pieces.append(ys)
    np.testing.assert_allclose(jnp.concatenate(pieces, 1), whole, rtol=0, atol=1e-12)
    # Without a collection a call begins anew, as it does from a carry that is given.
    fresh = {"params": variables["params"]}
    ys, again = rnn.apply(fresh, xs, mutable=["carry"])
    assert equal(ys, RNN(CELL).apply(fresh, xs))
    start = jaxrnn.LSTMCarry(**jax.tree.map(lambda leaf: leaf + 1, again["carry"]))
    ys, _ = rnn.apply({**fresh, **again}, xs, initial_carry=start, mutable=["carry"])
    assert equal(ys, RNN(CELL).apply(fresh, xs, initial_carry=start))
    with pytest.raises(ValueError, match=r"batch axes \(4,\), these inputs have \(3,\)"):
        rnn.apply({**fresh, **again}, xs[:3], mutable=["carry"])
    with pytest.raises(peer("flax.errors").ModifyScopeVariableError, match="immutable"):
        rnn.apply({**fresh, **again}, xs)


def test_what_cannot_go_on_is_refused(key):
    with pytest.raises(ValueError, match=r"linen.RNN: stateful=True.*reads backward"):
        RNN(DEEP, stateful=True).init(key, inputs(B))
    with pytest.raises(ValueError, match=r"linen.RNN: stateful=True.*reads backward"):
        RNN(jaxrnn.Reversed(CELL), stateful=True).init(key, inputs(B))
    decoder = jaxrnn.LuongAttention(GRU(3, 5), 4, jaxrnn.General(), 2)
    with pytest.raises(ValueError, match=r"linen.RNN: stateful=True.*Context"):
        RNN(decoder, stateful=True).init(key, inputs(B))


def test_errors_name_the_module_what_came_and_what_was_expected(key):
    rnn, xs = RNN(CELL), inputs(B)
    variables = rnn.init(key, xs)
    with pytest.raises(
        ValueError, match=r"inputs has shape .*expected \(\*batch, T, 3\)"
    ):
        rnn.apply(variables, xs[..., :2])
    with pytest.raises(ValueError, match=r"linen.RNN: mask has shape \(6, 4\), expected"):
        rnn.apply(variables, xs, mask=jnp.ones((T, B), bool))
    with pytest.raises(
        ValueError, match=r"seq_lengths has shape \(6,\), expected \(4,\)"
    ):
        rnn.apply(variables, xs, seq_lengths=jnp.ones(T, int))
    with pytest.raises(ValueError, match="an axis of time before"):
        rnn.apply(variables, xs[0, 0])
    with pytest.raises(
        ValueError, match=r"linen.RNN: carry has the structure.*LSTMCarry"
    ):
        rnn.apply(variables, xs, initial_carry=(xs[:, 0], xs[:, 0]))
    with pytest.raises(ValueError, match="reverse=True with a mask and keep_order=False"):
        rnn.apply(variables, xs, mask=jnp.ones((B, T), bool), reverse=True)
    with pytest.raises(TypeError, match=r"linen.RNN: cell is the class LSTM"):
        RNN(LSTM).init(key, xs)
    with pytest.raises(TypeError, match=r"linen.RNN: cell is of type GRUCell"):
        RNN(nn.GRUCell(4)).init(key, xs)
