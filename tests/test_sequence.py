"""`unroll` and its like: axes, carries, pieces, what is compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import BASIC, carry_of, inputs_of, params_of

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Elman,
    LSTMCarry,
    Scan,
    Stack,
    batched_carry,
    trajectory,
    unroll,
)

# Shapes.


@pytest.mark.parametrize("batch_shape", [(), (2,), (2, 3), (1, 2, 1)])
def test_any_number_of_batch_axes(batch_shape):
    cell = Stack((LSTM(3, 5), Dense(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (6, *batch_shape))
    (lstm, dense), ys = unroll(cell, params, xs)
    assert lstm.h.shape == lstm.c.shape == (*batch_shape, 5) and dense == ()
    assert ys.shape == (6, *batch_shape, 4)
    one = batched_carry(cell, params, batch_shape)
    np.testing.assert_array_equal(unroll(cell, params, xs, one)[1], ys)


@pytest.mark.parametrize(
    "cell",
    by_default(BASIC.values(), *(BASIC[name] for name in ("lstm", "bidirectional"))),
)
def test_no_steps_give_the_carry_back_and_no_outputs(cell):
    params = params_of(cell)
    carry, xs = carry_of(cell, params, (2,)), inputs_of(cell, (0, 2))
    final, ys = unroll(cell, params, xs, carry)
    for actual, expected in zip(
        jax.tree.leaves(final), jax.tree.leaves(carry), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    _, some = unroll(cell, params, inputs_of(cell, (3, 2)), carry)
    assert ys.shape == (0, *some.shape[1:]) and ys.dtype == some.dtype
    for leaf in jax.tree.leaves(trajectory(cell, params, xs, carry)):
        assert leaf.shape[0] == 0


class _Pairs(Cell):
    """Inputs that are a dict of a vector and a scalar."""

    size: int

    @property
    def input_shape(self):
        return {"force": (self.size,), "time": ()}

    def init(self, key):
        return {"scale": jnp.ones(self.size)}

    def initial_carry(self, params):
        return jnp.zeros(self.size)

    def step(self, params, carry, drive):
        return carry + params["scale"] * drive["force"] * drive["time"]


def test_inputs_may_be_pytrees():
    cell = _Pairs(3)
    force, time = inputs_of(Dense(3, 1), (6, 2)), inputs_of(Dense(1, 1), (6, 2))[..., 0]
    _, ys = unroll(cell, cell.init(jax.random.key(0)), {"force": force, "time": time})
    expected = np.cumsum(np.asarray(force) * np.asarray(time)[..., None], axis=0)
    np.testing.assert_allclose(ys, expected, rtol=1e-12)


def test_unrolling_the_loop_changes_nothing():
    cell = GRU(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (7, 2))
    expected = unroll(cell, params, xs)
    for steps in (2, 7, 9):
        carry, ys = unroll(cell, params, xs, method=Scan(unroll=steps))
        np.testing.assert_allclose(carry, expected[0], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(ys, expected[1], rtol=1e-13, atol=1e-15)


_traced = []


class _Counted(Elman):
    def step(self, params, carry, drive):
        _traced.append(self)
        return super().step(params, carry, drive)


def test_calls_outside_jit_compile_once_for_equal_cells():
    params, xs = Elman(3, 5).init(jax.random.key(0)), inputs_of(Elman(3, 5), (4,))
    unroll(_Counted(3, 5), params, xs)
    first = len(_traced)
    assert first > 0
    unroll(_Counted(3, 5), params, xs + 1)
    assert len(_traced) == first
    unroll(_Counted(3, 5, "relu"), params, xs)
    assert len(_traced) > first


# Carry, pytrees and all that is public.


def test_batched_carry_repeats_the_initial_one():
    cell = Stack((LSTM(3, 5), Elman(5, 2)))
    params = params_of(cell)
    for shape, expected in (((), ()), ((4,), (4,)), ([2, 3], (2, 3)), (4, (4,))):
        (h, c), e = batched_carry(cell, params, shape)
        assert isinstance(batched_carry(cell, params, shape)[0], LSTMCarry)
        assert h.shape == c.shape == (*expected, 5) and e.shape == (*expected, 2)
        assert not h.any() and not c.any() and not e.any()


def test_a_sequence_in_two_pieces_is_the_sequence():
    cell = Stack((LSTM(3, 5), GRU(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (7, 2))
    carry, first = unroll(cell, params, xs[:3])
    carry, second = unroll(cell, params, xs[3:], carry)
    expected = unroll(cell, params, xs)
    np.testing.assert_allclose(jnp.concatenate([first, second]), expected[1], rtol=1e-12)
    for actual, want in zip(
        jax.tree.leaves(carry), jax.tree.leaves(expected[0]), strict=True
    ):
        np.testing.assert_allclose(actual, want, rtol=1e-12)


def test_every_public_name_explains_itself():
    for name, value in vars(jaxrnn).items():
        if not name.startswith("_") and callable(value):
            assert len(value.__doc__ or "") > 50, name


@pytest.mark.usefixtures("promotion")
def test_cells_that_compute_in_other_dtypes_are_not_equal():
    assert _Counted(3, 5) == _Counted(3, 5) != Elman(3, 5)
    whole, real = _Times(1), _Times(1.0)
    assert whole != real and hash(whole) == hash(_Times(1))
    xs = jnp.ones((3, 2), int)
    assert unroll(whole, (), xs)[1].dtype == int
    assert unroll(real, (), xs)[1].dtype == float


class _Times(Cell):
    scale: float
    input_size: int = 2

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(2, int)

    def step(self, params, carry, drive):
        return self.scale * carry + drive
