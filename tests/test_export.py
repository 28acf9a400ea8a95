"""Exported programs: with sizes left open, and in a file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from zoo import params_of

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    BahdanauAttention,
    Bidirectional,
    Context,
    Dense,
    Dot,
    Dropout,
    Elman,
    LSTMCarry,
    Scan,
    Stack,
    Zoneout,
    serialization,
    unroll,
)

DEEP = Stack((Bidirectional(LSTM(3, 2), Elman(3, 2)), Dense(4, 3)))
NOISY = Stack((Dropout(0.3), Zoneout(LSTM(3, 4, recurrent_dropout=0.2), 0.2)))
CASES = {
    "lstm": (LSTM(3, 4), "T, B", {}),
    "gru": (GRU(3, 4), "T, 2", {}),
    "streams": (GRU(3, 4, reset_after=False), "T, B", {"reverse": True}),
    "deep": (DEEP, "T, B", {}),
    "noise": (NOISY, "T, B", {"key": jax.random.key(1)}),
    "batch": (LSTM(3, 4), "8, B", {}),
    "remat": (LSTM(3, 4), "8, B", {"method": Scan(remat=True)}),
    "truncate": (LSTM(3, 4), "4*n, B", {"method": Scan(truncate=4)}),
    "segment": (LSTM(3, 4), "4*n, 2", {"method": Scan(segment=4, remat=True)}),
    "unroll": (LSTM(3, 4), "T, B", {"method": Scan(unroll=2)}),
    "autodiff": (LSTM(3, 4), "T, B", {"method": Scan(autodiff=True)}),
}
SLOW = set(CASES) - {"lstm", "truncate", "remat"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in CASES
    ],
)
def test_sizes_may_be_left_open(name):
    """Values and gradients of one program at two sizes are those of `unroll`."""
    cell, dims, options = CASES[name]
    params = params_of(cell)
    streams = name in ("streams", "deep")

    def results(params, xs, lengths, resets):
        def loss(params):
            given = {"lengths": lengths, "resets": resets} if streams else {}
            final, ys = unroll(cell, params, xs, **given, **options)
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((final, ys))), ys

        return jax.value_and_grad(loss, has_aux=True)(params)

    def arguments(T, B):
        rng = np.random.default_rng(0)
        xs, resets = rng.normal(size=(T, B, 3)), rng.random((T, B)) < 0.3
        return xs, (np.arange(B) % T + 1).astype("int32"), resets

    leading = export.symbolic_shape(dims)
    xs = jax.ShapeDtypeStruct((*leading, 3), float)
    lengths = jax.ShapeDtypeStruct(leading[1:], "int32")
    resets = jax.ShapeDtypeStruct(leading, bool)
    exported = export.export(jax.jit(results))(params, xs, lengths, resets)
    for T, B in ((8, 2), (4 if "8" not in dims else 8, 2 if "2" in dims else 5)):
        given = arguments(T, B)
        actual, expected = exported.call(params, *given), results(params, *given)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
            actual,
            expected,
        )


@pytest.mark.parametrize("method", [Scan(segment=4), Scan(remat=True), Scan(truncate=4)])
def test_segments_of_an_open_number_of_steps_are_refused_with_the_remedy(method):
    cell = Elman(3, 4)
    xs = jax.ShapeDtypeStruct((*export.symbolic_shape("T"), 3), float)
    total = lambda params, xs: unroll(cell, params, xs, method=method)[1].sum()  # noqa: E731
    if method.truncate:  # values are as without, and need no segments here
        export.export(jax.jit(total))(params_of(cell), xs)
    run = jax.jit(jax.grad(total))
    with pytest.raises(ValueError, match=r"Scan.* symbolic number .*symbolic_shape\('"):
        export.export(run)(params_of(cell), xs)


def test_what_functions_return_has_a_file():
    cell, decoder = LSTM(3, 4), BahdanauAttention(GRU(3 + 4, 4), 4, Dot())
    params, attending = params_of(cell), params_of(decoder)

    @jax.jit
    def function(params, attending, xs):
        memory = unroll(cell, params, xs)
        carry = decoder.attend(attending, memory[1])
        return memory[0], carry, Context(xs)

    xs = np.random.default_rng(0).normal(size=(3, 2, 3))
    data = export.export(function)(params, attending, xs).serialize()
    actual = export.deserialize(data).call(params, attending, xs)
    expected = function(params, attending, xs)
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    assert isinstance(actual[0], LSTMCarry) and isinstance(actual[2], Context)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_every_public_tuple_is_registered():
    public = {
        value
        for value in (*vars(jaxrnn).values(), *vars(jaxrnn.cells).values())
        if isinstance(value, type) and issubclass(value, tuple)
    }
    assert public <= set(serialization.TUPLES)
