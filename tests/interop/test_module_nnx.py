"""A cell as a module of flax.nnx: the pure form, bit for bit, in flax's variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from peer import peer

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    LearnedCarry,
    Stack,
)

nnx = peer("flax.nnx")
module = peer("jaxrnn.interop.nnx")
RNN, Carry = module.RNN, module.Carry

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


@pytest.mark.parametrize("batch", by_default([(), (2, 2)], (2, 2)))
def test_values_and_gradients_are_those_of_unroll(batch):
    rnn, xs = RNN(CELL, rngs=nnx.Rngs(0), return_carry=True), inputs(*batch)
    params = rnn.cell_params()
    assert equal(params, CELL.init(nnx.Rngs(0).params()))
    carry, ys = rnn(xs)
    assert equal((carry, in_time(ys)), jaxrnn.unroll(CELL, params, in_time(xs)))
    gradient = nnx.grad(lambda rnn: jnp.sum(rnn(xs)[1] ** 2))(rnn)
    pure = lambda params: jnp.sum(jaxrnn.unroll(CELL, params, in_time(xs))[1] ** 2)  # noqa: E731
    got = nnx.to_pure_dict(gradient)["params"]
    assert equal(got, jax.grad(pure)(params))


def test_lengths_masks_resets_and_carries_have_the_layout_of_the_inputs(key):
    rnn, xs = RNN(CELL, rngs=nnx.Rngs(0), return_carry=True), inputs(B)
    carry = jaxrnn.LSTMCarry(*jax.random.normal(key, (2, B, 5)))
    mask, resets = jax.random.bernoulli(key, 0.5, (2, B, T))
    params, timed = rnn.cell_params(), in_time(xs)
    pure = lambda **streams: jaxrnn.unroll(CELL, params, timed, carry, **streams)  # noqa: E731
    got, ys = rnn(xs, initial_carry=carry, seq_lengths=LENGTHS, resets=resets)
    assert equal((got, in_time(ys)), pure(lengths=LENGTHS, resets=resets.T))
    got, ys = rnn(xs, initial_carry=carry, mask=mask)
    assert equal((got, in_time(ys)), pure(mask=mask.T))
    got = rnn(timed, initial_carry=carry, mask=mask.T, time_major=True)
    assert equal(got, pure(mask=mask.T))


@pytest.mark.parametrize("keep_order", [False, True])
def test_reverse_and_keep_order_are_those_of_flax(keep_order):
    cell = nnx.SimpleCell(3, 5, dtype=float, param_dtype=float, rngs=nnx.Rngs(0))
    theirs, xs = nnx.RNN(cell, return_carry=True), inputs(B)
    rnn = RNN(jaxrnn.Elman(3, 5), rngs=nnx.Rngs(1), return_carry=True, reverse=True)
    rnn.params["kernel"][...] = cell.dense_i.kernel[...]
    rnn.params["bias"][...] = cell.dense_i.bias[...]
    rnn.params["recurrent_kernel"][...] = cell.dense_h.kernel[...]
    lengths = jnp.array([6, 2, 1, 4])  # flax has no carry for a length of 0
    valid = np.arange(T) < np.array(lengths)[:, None]
    for options in {}, {"seq_lengths": lengths}:
        carry, ys = theirs(xs, reverse=True, keep_order=keep_order, **options)
        got, outputs = rnn(xs, keep_order=keep_order, **options)
        np.testing.assert_allclose(got, carry, rtol=0, atol=1e-12)
        ys = jnp.where(valid[..., None], ys, 0.0) if options else ys
        np.testing.assert_allclose(outputs, ys, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_it_is_a_direction_of_bidirectional_of_flax():
    rngs, xs = nnx.Rngs(0), inputs(B)
    both = [RNN(GRU(3, 4), rngs=rngs), RNN(GRU(3, 4), rngs=rngs)]
    ys = nnx.Bidirectional(*both)(xs, seq_lengths=LENGTHS)
    params = tuple(rnn.cell_params() for rnn in both)
    cell = Bidirectional(GRU(3, 4), GRU(3, 4))
    _, expected = jaxrnn.unroll(cell, params, in_time(xs), lengths=LENGTHS)
    assert equal(in_time(ys), expected)
    # The streams that it hands over are those of initial carries: noise has its own.
    noisy = [RNN(NOISY, rngs=nnx.Rngs(0, dropout=seed)) for seed in (1, 1, 2, 2)]
    one, same = (nnx.Bidirectional(*noisy[i : i + 2])(xs) for i in (0, 2))
    assert bool(jnp.any(one != same))


def test_params_have_readable_names_and_print():
    rnn = RNN(DEEP, rngs=nnx.Rngs(0))
    params = nnx.to_pure_dict(nnx.state(rnn, nnx.Param))["params"]
    assert set(params) == {"layers_0", "layers_1", "layers_2"}
    assert set(params["layers_0"]) == {"forward", "backward"}
    assert rnn.params["layers_1"]["cell"]["kernel"].shape == (8, 15)
    assert rnn.params["layers_1"]["carry"].shape == (5,)
    assert equal(rnn.cell_params(), DEEP.init(nnx.Rngs(0).params()))
    other = DEEP.init(jax.random.key(9))
    rnn.set_cell_params(other)
    assert equal(rnn.cell_params(), other)
    with pytest.raises(ValueError, match=r"nnx.RNN: params has the structure"):
        rnn.set_cell_params(other[0])
    assert "recurrent_kernel" in repr(rnn) and "RNN" in str(nnx.graphdef(rnn))
    table = nnx.tabulate(rnn, inputs(B), console_kwargs={"width": 200})
    assert "Total Parameters: 434" in table  # a key and its count among them
    assert RNN(jaxrnn.Activation("tanh"), rngs=nnx.Rngs(0)).cell_params() == ()


def test_it_runs_under_plain_jit_without_an_initial_carry():
    rnn, xs = RNN(CELL, rngs=nnx.Rngs(0)), inputs(B)
    theirs = nnx.RNN(nnx.GRUCell(3, 5, rngs=nnx.Rngs(0)))
    with pytest.raises(peer("flax.errors").TraceContextError):
        jax.jit(lambda xs: theirs(xs))(xs)
    ys = rnn(xs)
    close = lambda got: np.testing.assert_allclose(got, ys, rtol=0, atol=1e-12)  # noqa: E731
    close(jax.jit(lambda xs: rnn(xs))(xs))
    graph, state = nnx.split(rnn)
    run = lambda state, xs: nnx.merge(graph, state)(xs)  # noqa: E731
    close(jax.jit(run)(state, xs))
    close(nnx.jit(lambda rnn, xs: rnn(xs))(rnn, xs))
    gradient = jax.grad(lambda xs: jnp.sum(rnn(xs)))(xs)
    assert gradient.shape == xs.shape


@pytest.mark.slow
def test_models_by_vmap_layers_by_scan_and_remat():
    xs = inputs(B)

    @nnx.vmap
    def models(rngs):
        return RNN(CELL, rngs=rngs)

    rnns = models(nnx.Rngs(0).split(3))
    assert rnns.params["kernel"].shape == (3, 3, 20)
    many = nnx.vmap(lambda rnn, xs: rnn(xs), in_axes=(0, None))(rnns, xs)
    graph, state = nnx.split(rnns)
    for i in range(3):
        one = nnx.merge(graph, jax.tree.map(lambda leaf, i=i: leaf[i], state))
        np.testing.assert_allclose(many[i], one(xs), rtol=0, atol=1e-12)

    @nnx.vmap
    def layers(rngs):
        return RNN(GRU(5, 5), rngs=rngs)

    stack, hs = layers(nnx.Rngs(0).split(2)), jax.random.normal(jax.random.key(2), (T, 5))
    deep = nnx.scan(lambda hs, rnn: rnn(hs), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    kernels = nnx.to_pure_dict(nnx.state(stack, nnx.Param))["params"]
    params = tuple(jax.tree.map(lambda leaf, i=i: leaf[i], kernels) for i in range(2))
    _, expected = jaxrnn.unroll(Stack((GRU(5, 5),) * 2), params, hs)
    np.testing.assert_allclose(deep(hs, stack), expected, rtol=0, atol=1e-12)

    rnn = RNN(CELL, rngs=nnx.Rngs(0))
    loss = lambda rnn: jnp.sum(rnn(xs) ** 2)  # noqa: E731
    again = lambda rnn: jnp.sum(nnx.remat(lambda rnn, xs: rnn(xs))(rnn, xs) ** 2)  # noqa: E731
    both = (nnx.to_pure_dict(nnx.grad(one)(rnn)) for one in (loss, again))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), *both)


@pytest.mark.slow
def test_metadata_of_partitioning_and_param_dtype(promotion):
    rnn = RNN(CELL, rngs=nnx.Rngs(0), param_dtype="float32", return_carry=True)
    carry, ys = rnn(inputs(B).astype("bfloat16"))
    assert rnn.params["kernel"].dtype == jnp.float32
    assert ys.dtype == jnp.bfloat16 and carry.c.dtype == jnp.float32
    rnn.params["kernel"].set_metadata(out_sharding=(None, "units"))
    specs = nnx.get_partition_spec(nnx.state(rnn, nnx.Param))["params"]
    spec = jax.sharding.PartitionSpec
    assert specs["kernel"].get_value() == spec(None, "units")
    assert rnn(inputs(B).astype("float32"))[1].shape == (B, T, 5)


NOISY = Stack((Dropout(0.5), GRU(3, 4)))


def test_noise_comes_from_the_stream_dropout_and_the_switch():
    xs = inputs(B)
    rnn = RNN(NOISY, rngs=nnx.Rngs(params=0, dropout=1))
    key = nnx.Rngs(params=0, dropout=1).dropout.fork()()
    pure = lambda key: jaxrnn.unroll(NOISY, rnn.cell_params(), in_time(xs), key=key)[1]  # noqa: E731
    assert equal(in_time(rnn(xs)), pure(key))  # the first of its stream
    assert bool(jnp.any(in_time(rnn(xs)) != pure(key)))  # the second
    assert bool(jnp.any(rnn(xs, rngs=nnx.Rngs(9)) != rnn(xs, rngs=nnx.Rngs(8))))
    rnn.eval()
    assert equal(in_time(rnn(xs)), pure(None))
    rnn.train()
    assert bool(jnp.any(in_time(rnn(xs)) != pure(None)))
    assert equal(in_time(rnn(xs, deterministic=True)), pure(None))
    silent = RNN(NOISY, rngs=nnx.Rngs(params=0))
    with pytest.raises(ValueError, match=r"nnx.RNN: Stack.*draws noise.*dropout=1"):
        silent(xs)
    assert equal(silent(xs, deterministic=True), rnn(xs, deterministic=True))
    # A cell without noise draws nothing, so that nothing is changed by a call.
    quiet = RNN(CELL, rngs=nnx.Rngs(0))
    before = int(quiet.rngs.count[...])
    quiet(xs)
    assert int(quiet.rngs.count[...]) == before


def test_a_stateful_module_goes_on_where_the_call_before_ended(key):
    rnn, xs = RNN(CELL, rngs=nnx.Rngs(0), stateful=True), inputs(B)
    lengths, resets = jnp.array([6, 5, 4, 3]), jax.random.bernoulli(key, 0.3, (B, T))
    whole = RNN(CELL, rngs=nnx.Rngs(0))(xs, seq_lengths=lengths, resets=resets)
    call = nnx.jit(
        lambda rnn, xs, lengths, resets: rnn(xs, seq_lengths=lengths, resets=resets)
    )

    def pieces():
        return [
            call(
                rnn,
                xs[:, start : start + 2],
                jnp.clip(lengths - start, 0, 2),
                resets[:, start : start + 2],
            )
            for start in (0, 2, 4)
        ]

    np.testing.assert_allclose(jnp.concatenate(pieces(), 1), whole, rtol=0, atol=1e-12)
    kept = nnx.to_pure_dict(nnx.state(rnn, Carry))["carry"]
    assert set(kept) == {"h", "c"} and kept["h"].shape == (B, 5)
    assert rnn.carry["h"][...].any()
    for batch in None, (B,):  # with a batch, variables are there before the call
        rnn.reset_carry(batch)
        assert (rnn.carry is None) == (batch is None)
        again = jnp.concatenate(pieces(), 1)
        np.testing.assert_allclose(again, whole, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"batch axes \(4,\), these inputs have \(3,\)"):
        rnn(xs[:3])
    rnn.reset_carry()
    assert rnn(xs[:3]).shape == (3, T, 5)
    assert rnn(xs, initial_carry=jaxrnn.batched_carry(CELL, rnn.cell_params(), B)).any()
    assert rnn.carry["h"].shape == (B, 5)
    gradient = nnx.grad(lambda rnn: jnp.sum(rnn(xs)))(rnn)
    assert set(gradient) == {"params"}


@pytest.mark.slow
def test_a_stream_within_a_scan_and_a_bare_carry():
    rnn = RNN(GRU(3, 5), rngs=nnx.Rngs(0), stateful=True)
    xs = inputs(B)
    cut = jnp.moveaxis(xs.reshape(B, 3, 2, 3), 1, 0)
    rnn.reset_carry((B,))
    axes = nnx.StateAxes({Carry: nnx.Carry, ...: None})
    run = nnx.scan(lambda rnn, xs: rnn(xs), in_axes=(axes, 0), out_axes=0)
    ys = jnp.moveaxis(run(rnn, cut), 0, 1).reshape(B, T, 5)
    whole = RNN(GRU(3, 5), rngs=nnx.Rngs(0), return_carry=True)(xs)
    np.testing.assert_allclose(ys, whole[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(rnn.carry["h"][...], whole[0], rtol=0, atol=1e-12)


def test_errors_name_the_module_what_came_and_what_was_expected():
    rnn, xs = RNN(CELL, rngs=nnx.Rngs(0)), inputs(B)
    with pytest.raises(
        ValueError, match=r"nnx.RNN: inputs has shape .*\(\*batch, T, 3\)"
    ):
        rnn(xs[..., :2])
    with pytest.raises(ValueError, match=r"nnx.RNN: resets has shape \(6, 4\), expected"):
        rnn(xs, resets=jnp.ones((T, B), bool))
    with pytest.raises(ValueError, match=r"nnx.RNN: carry has the structure.*LSTMCarry"):
        rnn(xs, initial_carry=(xs[:, 0], xs[:, 0]))
    with pytest.raises(ValueError, match=r"reset_carry of a module made with stateful=F"):
        rnn.reset_carry()
    with pytest.raises(ValueError, match=r"nnx.RNN: stateful=True.*reads backward"):
        RNN(DEEP, rngs=nnx.Rngs(0), stateful=True)
    with pytest.raises(TypeError, match=r"nnx.RNN: cell is of type GRUCell"):
        RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
