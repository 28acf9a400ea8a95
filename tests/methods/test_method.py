"""A method of one's own: what it is called with, and under what it holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import assert_close, weighted
from marks import by_default
from zoo import ZOO, carry_of, inputs_of, noise_key, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Dense,
    Dropout,
    Method,
    Scan,
    Stack,
    cells,
    gradient_norms,
    trajectory,
    unroll,
)

T, B = 6, 3


class Loop(Method):
    """A Python loop."""

    def carries(self, step, carry, drives):
        every = []
        for t in range(len(jax.tree.leaves(drives)[0])):
            carry = step(carry, jax.tree.map(lambda leaf, t=t: leaf[t], drives))
            every.append(carry)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *every)


class Doubling(Method, kw_only=True):
    """Hillis and Steele's prefix, for h' = a h + b entry by entry: log2 T rounds."""

    def carries(self, step, carry, drives):
        b = jax.vmap(lambda row: step(jnp.zeros_like(carry), row))(drives)
        a = jax.vmap(lambda row: step(jnp.ones_like(carry), row))(drives) - b
        distance = 1
        while distance < len(a):
            early, late = slice(-distance), slice(distance, None)
            b = b.at[late].add(a[late] * b[early])
            a = a.at[late].multiply(a[early])
            distance *= 2
        return a * carry[None] + b


LENGTHS = jnp.array([6, 0, 4])
RESETS = jnp.zeros((T, B), bool).at[2, 0].set(True).at[3, 2].set(True)
NOISY = Stack((Dropout(0.4), cells.MinGRU(3, 4), cells.SRU(4, 3)))
STREAMS = {
    "lengths": {"lengths": LENGTHS},
    "resets": {"resets": RESETS, "reverse": True},
    "both": {"lengths": LENGTHS, "resets": RESETS, "key": jax.random.key(1)},
}


def everything(cell, method, args, **options):
    """Final carry and outputs, every carry, what a loss gives back to each of them."""

    def loss(*args):
        return weighted(unroll(cell, *args, method=method, **options))

    def found(*args):
        options_ = options | {"method": method}
        return (
            unroll(cell, *args, **options_),
            trajectory(cell, *args, **options_),
            gradient_norms(weighted, cell, *args, **options_),
            jax.grad(loss, (0, 1, 2))(*args),
        )

    return jax.jit(found)(*args)


def example(cell, batch):
    params = params_of(cell)
    return params, inputs_of(cell, (T, *batch)), carry_of(cell, params, batch)


@pytest.mark.slow
@pytest.mark.parametrize("streams", by_default(STREAMS, "both"))
@pytest.mark.parametrize("method", by_default([Loop(), Doubling()], Doubling()))
def test_it_equals_scan_in_all_that_is_asked(method, streams):
    args, options = example(NOISY, (B,)), STREAMS[streams]
    expected = everything(NOISY, Scan(), args, **options)
    assert_close(everything(NOISY, method, args, **options), expected, 1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("name", ["lstm", "zoneout", "residual_bidirectional", "mlstm"])
def test_a_loop_equals_scan_for_any_cell_and_batch(name, batch):
    cell = ZOO[name]
    args, options = example(cell, batch), {"key": noise_key(cell)}
    expected = everything(cell, Scan(), args, **options)
    assert_close(everything(cell, Loop(), args, **options), expected, 1e-13)


def test_under_vmap_it_equals_scan():
    cell = cells.MinGRU(3, 4)
    params, xs, _ = example(cell, ())
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), params)

    def found(method):
        run = lambda params: unroll(cell, params, xs, method=method)  # noqa: E731
        return jax.jit(jax.vmap(run))(both)

    assert_close(found(Doubling()), found(Scan()), 1e-14)


def test_no_steps_and_no_carry_are_not_its_business():
    class Never(Method):
        pass

    cell = Dense(3, 4)
    args = params_of(cell), inputs_of(cell, (T, B))
    assert_close(unroll(cell, *args, method=Never()), unroll(cell, *args))
    cell = GRU(3, 4)
    params, xs, carry = example(cell, (B,))
    final, ys = unroll(cell, params, xs[:0], carry, method=Never())
    assert_close(final, carry)
    assert ys.shape == (0, B, 4)
    with pytest.raises(NotImplementedError, match=r"Never: a method defines carries\("):
        unroll(cell, params, xs, method=Never())


class Wrong(Method):
    how: str

    def carries(self, step, carry, drives):
        every = Loop().carries(step, carry, drives)
        if self.how == "last":
            return carry
        if self.how == "short":
            return jax.tree.map(lambda leaf: leaf[1:], every)
        return [*every] if self.how == "structure" else None


@pytest.mark.parametrize("how", ["last", "short", "structure", "nothing"])
def test_what_is_not_every_carry_is_told(how):
    cell = LSTM(3, 4)
    message = (
        rf"Wrong\(how='{how}'\)\.carries gave .*expected LSTMCarry\(h=\(6, 4\), "
        r"c=\(6, 4\)\): the carry after each of the 6 steps"
    )
    with pytest.raises(TypeError, match=message):
        unroll(cell, params_of(cell), inputs_of(cell, (T, B)), method=Wrong(how))


class Wide(Method):
    def carries(self, step, carry, drives):
        every = Loop().carries(step, carry, drives)
        return jax.tree.map(lambda leaf: leaf.astype("float64"), every)


def test_the_carry_keeps_its_dtype():
    cell = GRU(3, 4)
    args = params_of(cell), inputs_of(cell, (T,))
    args = jax.tree.map(lambda leaf: leaf.astype("float32"), args)
    final, ys = unroll(cell, *args, method=Wide())
    assert final.dtype == ys.dtype == np.dtype("float32")


def test_a_function_is_a_method_too():
    """Of the same arguments as `Method.__call__`."""

    def of_my_own(cell, params, carry, xs, keys, *, batch_ndim, reverse):
        options = dict(batch_ndim=batch_ndim, reverse=reverse)
        return Scan()(cell, params, carry, xs, keys, **options)

    cell = GRU(3, 4)
    args = params_of(cell), inputs_of(cell, (T, B))
    expected = trajectory(cell, *args, resets=RESETS)
    assert_close(trajectory(cell, *args, resets=RESETS, method=of_my_own), expected)


@pytest.mark.parametrize("method", [None, "scan", Scan, Doubling])
def test_what_is_no_method_is_refused(method):
    cell = GRU(3, 4)
    with pytest.raises(TypeError, match=r"expected one like Scan\(\)"):
        unroll(cell, params_of(cell), inputs_of(cell, (T, B)), method=method)


def test_it_is_a_value():
    assert Doubling() == Doubling() != Loop()
    assert repr(Wrong("last")) == "Wrong(how='last')"
    run = functools.partial(unroll, cells.MinGRU(3, 4), method=Doubling())
    assert hash(run.keywords["method"]) == hash(Doubling())
