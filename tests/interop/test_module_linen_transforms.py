"""A cell as a module of flax.linen, within its transforms and with its metadata."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer import peer

import jaxrnn
from jaxrnn import GRU, LSTM, Bidirectional, Dense, LearnedCarry, Stack

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


def test_metadata_of_partitioning_stays(key):
    def boxed(path, leaf):
        if not path.endswith("/kernel"):
            return leaf
        return nn.Partitioned(leaf, (None, "units"))

    rnn, xs = RNN(DEEP, boxed=boxed), inputs(B)
    variables = rnn.init(key, xs)
    specs = nn.get_partition_spec(jax.eval_shape(rnn.init, key, xs))["params"]
    spec = jax.sharding.PartitionSpec
    assert specs["layers_2"] == {"kernel": spec(None, "units"), "bias": spec()}
    plain = nn.meta.unbox(variables)
    assert equal(plain, RNN(DEEP).init(key, xs))
    assert equal(rnn.apply(variables, xs), rnn.apply(plain, xs))
    many = nn.vmap(
        RNN,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        axis_size=2,
        metadata_params={nn.PARTITION_NAME: "models"},
    )
    names = many(DEEP, boxed=boxed).init(key, xs)["params"]["layers_2"]["kernel"].names
    assert names == ("models", None, "units")


@pytest.mark.slow
def test_transforms(key):
    rnn, xs = RNN(DEEP), inputs(B)
    variables = rnn.init(key, xs)
    expected = rnn.apply(variables, xs)

    def close(got):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)

    close(jax.jit(rnn.apply)(variables, xs))
    close(jax.vmap(rnn.apply, (None, 0))(variables, xs))
    close(nn.jit(RNN)(DEEP).apply(variables, xs))
    remat = nn.remat(RNN)(DEEP)
    close(remat.apply(variables, xs))
    loss = lambda module: lambda v: jnp.sum(module.apply(v, xs) ** 2)  # noqa: E731
    got, want = jax.grad(loss(remat))(variables), jax.grad(loss(rnn))(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), got, want)


@pytest.mark.slow
def test_layers_by_nn_scan_and_pieces_of_time_by_nn_scan(key):
    xs = jax.random.normal(key, (B, T, 5))

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, xs, _):
            return RNN(GRU(5, 5), name="rnn")(xs), None

    layers = nn.scan(
        Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3
    )()
    variables = layers.init(key, xs, None)
    kernels = variables["params"]["rnn"]
    assert kernels["kernel"].shape == (3, 5, 15)
    params = tuple(jax.tree.map(lambda leaf, i=i: leaf[i], kernels) for i in range(3))
    _, expected = jaxrnn.unroll(Stack((GRU(5, 5),) * 3), params, in_time(xs))
    got = layers.apply(variables, xs, None)[0]
    np.testing.assert_allclose(in_time(got), expected, rtol=0, atol=1e-12)

    class Stream(nn.Module):
        @nn.compact
        def __call__(self, xs):
            rnn = RNN(GRU(5, 5), stateful=True, name="rnn")
            if self.is_initializing():
                rnn(xs[0])  # a scan takes no new variables
            step = nn.scan(
                lambda rnn, carry, piece: (carry, rnn(piece)),
                variable_carry="carry",
                variable_broadcast="params",
                split_rngs={"params": False},
            )
            return step(rnn, (), xs)[1]

    cut = jnp.moveaxis(xs.reshape(B, 3, T // 3, 5), 1, 0)
    stream = Stream()
    variables = stream.init(key, cut)
    ys, _ = stream.apply(variables, cut, mutable=["carry"])
    params = variables["params"]["rnn"]
    whole = RNN(GRU(5, 5)).apply({"params": params}, xs)
    got = jnp.moveaxis(ys, 0, 1).reshape(whole.shape)
    np.testing.assert_allclose(got, whole, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_it_is_a_direction_of_bidirectional_of_flax(key):
    xs = inputs(B)
    rnn = nn.Bidirectional(RNN(GRU(3, 4)), RNN(GRU(3, 4)))
    variables = rnn.init(key, xs)
    ys = rnn.apply(variables, xs, seq_lengths=LENGTHS)
    params = variables["params"]["forward_rnn"], variables["params"]["backward_rnn"]
    cell = Bidirectional(GRU(3, 4), GRU(3, 4))
    _, expected = jaxrnn.unroll(cell, params, in_time(xs), lengths=LENGTHS)
    assert equal(in_time(ys), expected)
