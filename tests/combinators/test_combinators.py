"""Combinators: Bidirectional, Stack, DenseSkip, and a user's own."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Combinator,
    Dense,
    DenseSkip,
    Dropout,
    Embedding,
    LearnedCarry,
    LSTMCarry,
    Residual,
    Stack,
    VariationalDropout,
    WeightDrop,
    Wrapper,
    Zoneout,
    carry_gradients,
    concatenate,
    trajectory,
    unroll,
)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def larger(forward, backward):
    return {"max": jnp.maximum(forward, backward), "both": jnp.stack([forward, backward])}


@pytest.mark.slow
def test_bidirectional_merges_with_any_function():
    cells = GRU(3, 4), GRU(3, 4)
    params, xs = params_of(Bidirectional(*cells)), inputs_of(GRU(3, 4), (6, 2))
    mask = jnp.array([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]]).T != 0
    forward = unroll(cells[0], params[0], xs, mask=mask)[1]
    backward = unroll(cells[1], params[1], xs, mask=mask, reverse=True)[1]

    def merged(*merge):
        return unroll(Bidirectional(*cells, *merge), params, xs, mask=mask)[1]

    close(merged(), jnp.concatenate([forward, backward], -1))
    close(merged(operator.add), forward + backward)
    both = merged(larger)
    close(both["max"], jnp.maximum(forward, backward))
    close(both["both"], jnp.stack([forward, backward], 2))


def shifted(forward, backward):
    return forward + backward + 1


def test_bidirectional_is_zero_at_masked_steps_after_the_merge():
    cell = Bidirectional(GRU(3, 4), GRU(3, 4), shifted)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    ys = unroll(cell, params, xs, lengths=jnp.array([4, 6]))[1]
    assert not ys[4:, 0].any() and ys[:4, 0].all() and ys[:, 1].all()
    above = Stack((cell, Dense(4, 2)))
    inner = params_of(above)
    final = unroll(above, inner, xs, lengths=jnp.array([4, 6]))[1]
    assert not final[4:, 0].any()


@pytest.mark.slow
def test_bidirectional_in_bidirectional_reads_each_way_twice():
    cell = Bidirectional(Bidirectional(GRU(3, 2), GRU(3, 2)), GRU(3, 1))
    params, xs = params_of(cell), inputs_of(cell, (5,))
    for reverse in (False, True):
        ys = unroll(cell, params, xs, reverse=reverse)[1]
        for columns, inner, weights, backwards in (
            (slice(0, 2), GRU(3, 2), params[0][0], reverse),
            (slice(2, 4), GRU(3, 2), params[0][1], not reverse),
            (slice(4, 5), GRU(3, 1), params[1], not reverse),
        ):
            close(ys[:, columns], unroll(inner, weights, xs, reverse=backwards)[1])


NO_STEPS = [
    Bidirectional(GRU(3, 4), GRU(3, 4)),
    Stack((Dense(3, 3), Bidirectional(GRU(3, 4), GRU(3, 4)))),
    Residual(Bidirectional(GRU(3, 2), GRU(3, 1))),
    DenseSkip((GRU(3, 4), Bidirectional(GRU(7, 2), GRU(7, 1)))),
]


@pytest.mark.parametrize("cell", NO_STEPS, ids=repr)
def test_a_single_step_of_bidirectional_is_refused(cell):
    params = params_of(cell)
    message = r"Bidirectional\(forward=.*cannot take a single step, being defined over"
    with pytest.raises(TypeError, match=message):
        cell(params, cell.initial_carry(params), jnp.ones(3))
    assert unroll(cell, params, jnp.ones((4, 3)))[1].shape[0] == 4
    with pytest.raises(TypeError, match=message):  # which would have to step it
        unroll(Wrapper(cell), params, jnp.ones((4, 3)))


# Compositions of a user.


class Both(Combinator):
    """Two cells of the same input in two directions, and a function of their outputs."""

    cells: tuple

    def sequence(self, params, carry, xs, run):
        first, ys = self.cells[0].sequence(params[0], carry[0], xs, run[0])
        second, zs = self.cells[1].sequence(params[1], carry[1], xs, run[1].backwards())
        return (first, second), run.map(lambda y, z: 1 + y * z, ys, zs)


@pytest.mark.slow
def test_a_combinator_of_a_user_has_masks_resets_noise_and_gradients(key):
    cells = (GRU(3, 4), Zoneout(GRU(3, 4), 0.5))
    cell = Both(cells)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    mask = jnp.array([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1]]).T != 0
    resets = jnp.array([[0, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 0]]).T != 0
    streams = {"mask": mask, "resets": resets}
    (first, second), ys = unroll(cell, params, xs.at[2, 0].set(jnp.nan), **streams)
    one, y = unroll(cells[0], params[0], xs, **streams)
    two, z = unroll(cells[1], params[1], xs, reverse=True, **streams)
    close(first, one)
    close(second, two)
    close(ys, jnp.where(mask[..., None], 1 + y * z, 0))
    carries = trajectory(cell, params, xs, **streams)
    close(carries[1], trajectory(cells[1], params[1], xs, reverse=True, **streams))
    gradients = carry_gradients(lambda ys: jnp.sum(ys**2), cell, params, xs, **streams)
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in gradients)
    noisy = unroll(cell, params, xs, key=key, **streams)[1]
    assert (noisy != ys).any() and not noisy[~mask].any()


class _Unprepared(Cell):
    cell: Cell

    def init(self, key):
        return self.cell.init(key)

    def initial_carry(self, params):
        return self.cell.initial_carry(params)

    def step(self, params, carry, drive):
        return self.cell.step(params, carry, drive)

    def sequence(self, params, carry, xs, run):
        return self.cell.sequence(params, carry, xs, run)


def test_a_combinator_that_prepares_no_inner_cell_is_refused():
    """It would have switched off WeightDrop without a word."""
    with pytest.raises(TypeError, match=r"_Unprepared defines sequence but not prepare"):
        unroll(_Unprepared(WeightDrop(GRU(3, 4), 0.5)), {}, jnp.ones((4, 3)))


def test_cells_of_any_shape_stand_anywhere(key):
    """A Dropout keeps the shape of x, whatever its place in a combinator."""
    gru, xs = GRU(3, 3), inputs_of(GRU(3, 3), (5, 2))
    for cell, features in (
        (Bidirectional(Dropout(0.1), gru), 6),
        (Bidirectional(gru, Dropout(0.1)), 6),
        (Stack((gru, DenseSkip((Dropout(0.1), GRU(6, 4))))), 7),
        (Stack((Residual(Dropout(0.1)), gru)), 3),
    ):
        assert cell.input_shape == (3,)
        assert unroll(cell, params_of(cell), xs, key=key)[1].shape == (5, 2, features)
    alone = DenseSkip((Dropout(0.1), GRU(6, 4)))
    with pytest.raises(ValueError, match="takes an x of any shape"):
        unroll(alone, params_of(alone), xs)


def test_every_buffer_of_fresh_params_and_carries_may_be_donated():
    cell = LearnedCarry(LSTM(3, 4))
    params = cell.init(jax.random.key(0))
    for tree in (params, LSTM(3, 4).initial_carry(params["cell"])):
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]
        assert len(set(pointers)) == len(pointers)


# What is refused.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Bidirectional(GRU(3, 4), 5),
            TypeError,
            r"Bidirectional: cells\[1\] is 5",
        ),
        (
            lambda: Bidirectional(GRU, GRU),
            TypeError,
            r"Bidirectional: cells\[0\] is <class .*GRU",
        ),
        (
            lambda: Bidirectional(GRU(3, 4), GRU(2, 4)),
            ValueError,
            r"read the same x, but have the input_shapes \(3,\) and \(2,\)",
        ),
        (
            lambda: Bidirectional(GRU(3, 4), GRU(3, 4), "sum"),
            TypeError,
            "merge is 'sum', expected a function of both outputs",
        ),
        (lambda: Residual("gru"), TypeError, "Residual: cell is of type str"),
        (lambda: LearnedCarry(LSTM), TypeError, "LearnedCarry: cell is the class LSTM"),
        (lambda: DenseSkip(()), ValueError, "DenseSkip: cells is empty"),
        (lambda: DenseSkip((3,)), TypeError, r"DenseSkip: cells\[0\] is 3, expected a"),
        (
            lambda: Dropout(1.0),
            ValueError,
            r"Dropout: rate is 1.0, expected .* less than 1",
        ),
        (lambda: Dropout(-0.1), ValueError, "Dropout: rate is -0.1"),
        (lambda: VariationalDropout("a"), ValueError, "VariationalDropout: rate is 'a'"),
        (lambda: WeightDrop(GRU(3, 4), True), ValueError, "WeightDrop: rate is True"),
        (lambda: Zoneout(GRU(3, 4), 1), ValueError, "Zoneout: rate is 1, expected"),
        (
            lambda: Zoneout(Residual(Stack((GRU(3, 3),))), 0.1),
            TypeError,
            r"Zoneout: cell is Residual\(cell=Stack.*put Zoneout around each inside",
        ),
        (
            lambda: GRU(3, 4, recurrent_dropout=1.5),
            ValueError,
            "GRU: recurrent_dropout is 1.5, expected",
        ),
    ],
)
def test_bad_parts_are_refused_when_the_cell_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("cell", "xs", "error", "message"),
    [
        (
            Residual(GRU(3, 4)),
            jnp.ones((5, 3)),
            ValueError,
            r"Residual: x has shape \(3,\), and the output of GRU\(.*\) \(4,\), expected",
        ),
        (
            DenseSkip((Embedding(7, 3), GRU(3, 4))),
            jnp.ones(5, int),
            ValueError,
            r"concatenate: cannot join the shapes \(\), \(3,\) along the last axis",
        ),
        (Dropout(0.1), jnp.ones((5, 3)), ValueError, "takes an x of any shape, so that"),
        (
            Stack((Dropout(0.1), Embedding(7, 3))),
            jnp.ones(5, int),
            TypeError,
            "Dropout.project: x has dtype int.*comes after its Embedding",
        ),
        (
            WeightDrop(Dense(3, 4), 0.1),
            jnp.ones((5, 3)),
            ValueError,
            r"WeightDrop: the params of Dense.* expected an entry 'recurrent_kernel'",
        ),
        (
            Zoneout(GRU(3, 4), LSTMCarry(0.1, 0.2)),
            jnp.ones((5, 3)),
            ValueError,
            r"Zoneout: rate is LSTMCarry\(h=0.1, c=0.2\), expected a number or one for",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_the_first_evaluation(
    cell, xs, error, message
):
    with pytest.raises(error, match=message):
        unroll(cell, cell.init(jax.random.key(0)), xs)


def test_concatenate_joins_pytrees_of_one_structure():
    one, two = {"a": jnp.ones(2)}, {"a": jnp.zeros(3)}
    assert concatenate(one, two)["a"].tolist() == [1, 1, 0, 0, 0]
    with pytest.raises(ValueError, match="concatenate: cannot join"):
        concatenate(jnp.ones((2, 3)), jnp.ones(3))


def test_rates_are_values_whatever_number_they_are_given_as():
    assert Dropout(np.float32(0.5)) == Dropout(0.5) and hash(Dropout(0)) == hash(
        Dropout(0.0)
    )
    assert repr(Zoneout(GRU(3, 4), LSTMCarry(0, 0.5))) == (
        "Zoneout(cell=GRU(input_size=3, hidden_size=4), rate=LSTMCarry(h=0.0, c=0.5))"
    )


class _Wrong(Combinator):
    """Goes wrong in the way that its field names."""

    way: str
    cells: tuple = (GRU(3, 4), LSTM(3, 4))

    def sequence(self, params, carry, xs, run):
        def go(i, carry, run):
            return self.cells[i].sequence(params[i], carry, xs, run)

        if self.way == "run for run[0]":
            return go(0, carry[0], run)
        if self.way == "run[2]":
            return go(0, carry[0], run[2])
        first, ys = go(0, carry[0], run[0])
        second, _ = go(1, carry[1], run[1])
        outcomes = {
            "one entry": ((first,), ys),
            "a list": ([first, second], ys),
            "swapped": ((second, first), ys),
            "not run": ((first, carry[1]), ys),
            "no carry": ys,
        }
        if self.way == "carry read":
            return go(0, first, run[0])
        return outcomes[self.way]


@pytest.mark.parametrize(
    ("way", "call", "message"),
    [
        ("run for run[0]", unroll, r"GRU\(.* got a carry of .* cell i gets carry\[i\]"),
        ("run[2]", unroll, r"run\[2\] of a cell whose carry is .* expected a tuple with"),
        (
            "one entry",
            unroll,
            r"sequence gave for its carry the shapes \(\(2, 4\),\), exp",
        ),
        ("a list", unroll, r"sequence gave for its carry the shapes \["),
        ("swapped", unroll, r"sequence gave for its carry the shapes \(LSTMCarry"),
        ("not run", trajectory, r"sequence gave for its carry .*expected \(\(5, 2, 4\)"),
        ("no carry", unroll, r"sequence gave \*, expected \(carry, ys\)"),
        ("carry read", trajectory, r"is only to be returned, since a trajectory has"),
    ],
)
def test_a_combinator_that_goes_wrong_is_told_so(way, call, message):
    cell = _Wrong(way)
    with pytest.raises((TypeError, ValueError), match=message):
        call(cell, params_of(cell), jnp.ones((5, 2, 3)))


class _Unsaid(Combinator):
    cells: tuple


def test_a_combinator_without_a_sequence_and_a_merge_that_fails_are_named():
    cell = _Unsaid((GRU(3, 4),))
    with pytest.raises(TypeError, match="_Unsaid defines no `sequence`"):
        unroll(cell, params_of(cell), jnp.ones((5, 3)))
    cell = Bidirectional(GRU(3, 4), GRU(3, 5), operator.add)
    with pytest.raises(
        TypeError, match=r"Bidirectional: merge=.*add.* \(4,\) and \(5,\)"
    ):
        unroll(cell, params_of(cell), jnp.ones((5, 3)))
