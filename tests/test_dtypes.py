"""The dtypes of carries and outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import ZOO, carry_of, inputs_of, params_of

from jaxrnn import (
    LSTM,
    unroll,
)

EVERY_DTYPE = "elman lstm gru gru_reset_before dense embedding stack_mixed".split()
EVERY_DTYPE += "stack_language_model dropouts zoneout residual_bidirectional".split()
FLOATS = ("float64", "float32", "bfloat16", "float16")


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def dtypes(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


# Dtypes.


@pytest.mark.parametrize("name", EVERY_DTYPE)
@pytest.mark.parametrize("dtype", by_default(FLOATS, "bfloat16"))
def test_one_dtype_in_is_that_dtype_out(name, dtype):
    cell = ZOO[name]
    params, xs = cast(params_of(cell), dtype), inputs_of(cell, (4, 2))
    if cell.input_shape != ():
        xs = cast(xs, dtype)
    carry, ys = unroll(cell, params, xs)
    assert dtypes(ys) == {dtype} and dtypes(carry) <= {dtype}
    exact = unroll(cell, cast(params, "float64"), jax.tree.map(_to_float64, xs))[1]
    tolerance = 8 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(_to_float64(ys), exact, rtol=tolerance, atol=tolerance)


def _to_float64(leaf):
    return leaf.astype("float64") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@pytest.mark.parametrize(
    ("params_dtype", "xs_dtype"),
    [
        ("float32", "bfloat16"),
        ("bfloat16", "float32"),
        ("float32", "float64"),
        ("float16", "bfloat16"),
    ],
)
@pytest.mark.parametrize(
    "name",
    by_default(
        ["elman", "lstm", "gru", "gru_reset_before", "stack_language_model"],
        "lstm",
        "stack_language_model",
    ),
)
@pytest.mark.usefixtures("promotion")
def test_mixed_dtypes_keep_the_wider_carry_and_the_dtype_of_the_inputs(
    name, params_dtype, xs_dtype
):
    cell = ZOO[name]
    params, xs = cast(params_of(cell), params_dtype), inputs_of(cell, (3,))
    if cell.input_shape == ():
        xs_dtype = params_dtype
    else:
        xs = cast(xs, xs_dtype)
    carry, ys = unroll(cell, params, xs)
    assert dtypes(ys) == {xs_dtype}
    assert dtypes(carry) <= {str(jnp.promote_types(params_dtype, xs_dtype))}
    # One step at a time, the same dtypes and the same numbers.
    stepped, outputs = cell.initial_carry(params), []
    for x in xs:
        stepped, y = cell(params, stepped, x)
        outputs.append(y)
    tolerance = 8 * float(jnp.finfo(jnp.promote_types(params_dtype, xs_dtype)).eps)
    tolerance = max(tolerance, 2 * float(jnp.finfo(xs_dtype).eps))
    assert dtypes(stepped) == dtypes(carry) and dtypes(outputs) == dtypes(ys)
    np.testing.assert_allclose(
        _to_float64(ys), _to_float64(jnp.stack(outputs)), rtol=tolerance, atol=tolerance
    )


@pytest.mark.usefixtures("promotion")
def test_a_carry_given_in_another_dtype_loses_nothing():
    cell = LSTM(3, 5)
    params, xs = (
        cast(params_of(cell), "float32"),
        cast(inputs_of(cell, (4,)), "float32"),
    )
    wide = carry_of(cell, params)
    assert dtypes(wide) == {"float32"}
    carry, ys = unroll(cell, params, xs, cast(wide, "float64"))
    assert dtypes(carry) == {"float64"} and dtypes(ys) == {"float32"}
    narrow = cast(wide, "bfloat16")
    carry, _ = unroll(cell, params, xs, narrow)
    assert dtypes(carry) == {"float32"}
    whole = jax.tree.map(lambda leaf: np.ones(leaf.shape, int), wide)
    expected = unroll(cell, params, xs, cast(whole, "float32"))[1]
    np.testing.assert_array_equal(unroll(cell, params, xs, whole)[1], expected)
