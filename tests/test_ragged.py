"""The helpers for sequences of different lengths, against what they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Stack,
    last,
    pack,
    pad,
    pool,
    resets_from_done,
    resets_from_segments,
    trajectory,
    unroll,
)


def documents(lengths, features=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(steps, features)) for steps in lengths]


@pytest.mark.slow
@pytest.mark.parametrize("reverse", by_default([False, True], True))
@pytest.mark.parametrize(
    "cell",
    [Stack((LSTM(3, 4), GRU(4, 5))), Bidirectional(GRU(3, 4), LSTM(3, 2))],
    ids=["stack", "bidirectional"],
)
def test_packed_documents_have_the_outputs_that_they_have_alone(cell, reverse):
    params = params_of(cell)
    sequences = documents([3, 5, 1, 2, 4, 5])
    xs, ids = pack(sequences, 6)
    assert ids.shape == (6, 4)  # 20 steps: (5, 1), 5, (4, 2), 3
    options = {"mask": ids > 0, "resets": resets_from_segments(ids), "reverse": reverse}
    _, ys = unroll(cell, params, xs, **options)
    for k, sequence in enumerate(sequences):
        alone = unroll(cell, params, sequence, reverse=reverse)[1]
        np.testing.assert_allclose(ys[ids == 1 + k], alone, rtol=1e-12)
    assert not ys[ids == 0].any()


def test_packing_loses_nothing_cuts_nothing_and_keeps_order():
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 20, 300)
    sequences = [
        np.full((n, 2), k + 1.0) + np.arange(n)[:, None] / 100
        for k, n in enumerate(lengths)
    ]
    xs, ids = pack(sequences, 19)
    assert ids.shape[1] <= 1.05 * lengths.sum() / 19 + 1
    for k, sequence in enumerate(sequences):
        steps, rows = np.nonzero(ids == 1 + k)
        assert len(set(rows)) <= 1 and (np.diff(steps) == 1).all()
        np.testing.assert_array_equal(xs[ids == 1 + k], sequence)
    assert (ids > 0).sum() == lengths.sum() and not xs[ids == 0].any()


def test_packing_takes_lists_and_pytrees_and_keeps_their_dtypes():
    symbols, ids = pack([[1, 2, 3], [4, 5]], 5)
    assert symbols.T.tolist() == [[1, 2, 3, 4, 5]] and symbols.dtype.kind == "i"
    assert ids.T.tolist() == [[1, 1, 1, 2, 2]]
    pairs = [{"x": np.ones((n, 3), "float32"), "y": np.full(n, n)} for n in (2, 4)]
    packed, ids = pack(pairs, 4)
    assert packed["x"].shape == (4, 2, 3) and packed["x"].dtype == "float32"
    assert packed["y"].T.tolist() == [[4, 4, 4, 4], [2, 2, 0, 0]]


def test_padding_loses_nothing_and_each_has_the_outputs_that_it_has_alone():
    cell, sequences = GRU(3, 4), documents([4, 0, 7, 2])
    xs, lengths = padded = pad(sequences)
    assert xs.shape == (7, 4, 3) and xs.dtype == "float64" and padded.xs is xs
    assert lengths.tolist() == [4, 0, 7, 2] and lengths.dtype == "int32"
    params = params_of(cell)
    h, ys = unroll(cell, params, xs, lengths=lengths)
    for k, sequence in enumerate(sequences):
        np.testing.assert_array_equal(xs[: len(sequence), k], sequence)
        assert not xs[len(sequence) :, k].any()
        alone, alone_ys = unroll(cell, params, sequence)
        np.testing.assert_allclose(h[k], alone, rtol=1e-13)
        np.testing.assert_allclose(ys[: len(sequence), k], alone_ys, rtol=1e-13)


def test_padding_takes_lists_pytrees_and_a_length_for_many_batches():
    symbols, lengths = pad([[1, 2, 3], [4, 5]], length=5)
    assert symbols.T.tolist() == [[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]]
    assert symbols.dtype.kind == "i" and lengths.tolist() == [3, 2]
    pairs = [{"x": np.ones((n, 3), "float32"), "y": np.full(n, n)} for n in (2, 4)]
    padded, _ = pad(pairs)
    assert padded["x"].shape == (4, 2, 3) and padded["x"].dtype == "float32"
    assert padded["y"].T.tolist() == [[2, 2, 0, 0], [4, 4, 4, 4]]


def test_an_empty_list_is_no_step_of_what_the_others_have():
    symbols, lengths = pad([[], [1, 2], []])
    assert symbols.T.tolist() == [[0, 0], [1, 2], [0, 0]]
    assert symbols.dtype.kind == "i" and lengths.tolist() == [0, 2, 0]
    vectors = [{"x": [[1.0, 2.0]], "y": [3]}, {"x": [], "y": []}]
    padded, lengths = pad(vectors)
    assert padded["x"].tolist() == [[[1, 2], [0, 0]]] and lengths.tolist() == [1, 0]
    assert padded["y"].dtype.kind == "i"
    packed, ids = pack([[1, 2], []], 3)
    assert packed.tolist() == [[1], [2], [0]] and ids.tolist() == [[1], [1], [0]]
    assert pad([[], []]).xs.shape == (0, 2)


def test_resets_of_segments_in_pieces_are_those_of_the_whole():
    ids = jnp.array([[1, 1, 2, 2, 0, 0], [3, 4, 4, 4, 5, 6]]).T
    whole = resets_from_segments(ids)
    expected = [[0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 1, 1]]
    assert whole.T.astype(int).tolist() == expected
    pieces = [resets_from_segments(ids[:2]), resets_from_segments(ids[2:], ids[1])]
    np.testing.assert_array_equal(jnp.concatenate(pieces), whole)
    assert resets_from_segments(ids[:0]).shape == (0, 2)


@pytest.mark.parametrize("dtype", [bool, int, float])
def test_episodes_replayed_in_one_call_equal_the_rollout_step_by_step(dtype):
    """An environment: `done` follows the action, and then the carry restarts."""
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (8, 2))
    done = np.array([[0, 0, 1, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]]).T.astype(dtype)
    step, start = jax.vmap(cell, (None, 0, 0)), cell.initial_carry(params)
    carry, carries, ys = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), start), [], []
    for x, ended in zip(xs, done, strict=True):
        carry, y = step(params, carry, x)
        carries.append(carry)
        ys.append(y)
        carry = jax.tree.map(
            lambda leaf, first: jnp.where(ended[:, None] != 0, first[None], leaf),  # noqa: B023
            carry,
            start,
        )
    resets = resets_from_done(done)
    np.testing.assert_allclose(
        unroll(cell, params, xs, resets=resets)[1], jnp.stack(ys), rtol=1e-12
    )
    replayed = trajectory(cell, params, xs, resets=resets)
    np.testing.assert_allclose(replayed.c[-1], carries[-1].c, rtol=1e-12)
    # In two pieces, from the carry that left the first.
    carry, first = unroll(cell, params, xs[:5], resets=resets_from_done(done[:5]))
    second = resets_from_done(done[5:], previous=done[4])
    pieces = [first, unroll(cell, params, xs[5:], carry, resets=second)[1]]
    np.testing.assert_allclose(jnp.concatenate(pieces), jnp.stack(ys), rtol=1e-12)


def test_a_done_that_came_with_x_is_a_reset_as_it_is():
    done = jnp.array([1, 0, 0, 1, 0]) != 0
    np.testing.assert_array_equal(resets_from_done(done)[1:], done[:-1])
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (5,))
    ys = unroll(cell, params, xs, jnp.full(4, 9.0), resets=done)[1]
    np.testing.assert_allclose(ys[:3], unroll(cell, params, xs[:3])[1], rtol=1e-12)
    np.testing.assert_allclose(ys[3:], unroll(cell, params, xs[3:])[1], rtol=1e-12)


def test_last_picks_the_last_valid_output_and_zeros_without_any():
    ys = inputs_of(GRU(3, 1), (5, 2, 3))
    lengths = np.array([[5, 0, 2], [1, 4, 3]])
    for picked in (last(ys, lengths), jax.jit(last)(ys, lengths)):
        for i, j in np.ndindex(2, 3):
            n = lengths[i, j]
            expected = ys[n - 1, i, j] if n else np.zeros(3)
            np.testing.assert_array_equal(picked[i, j], expected)
    np.testing.assert_array_equal(last(ys[:, 0, 0], 4), ys[3, 0, 0])
    assert last({"a": ys[:0]}, 0 * lengths)["a"].shape == (2, 3, 3)
    clipped = jax.jit(last)(ys, lengths * 0 + 99)
    np.testing.assert_array_equal(clipped, ys[-1])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
def test_lengths_of_every_kind_of_integer_count_far(dtype):
    ys = jnp.arange(600.0).reshape(300, 2)
    lengths = np.array([7, 100], dtype)
    for pick in (last, jax.jit(last)):
        np.testing.assert_array_equal(pick(ys, lengths), [12, 199])
    most = np.iinfo(dtype).max
    far = jax.jit(last)(ys, np.array([0, most], dtype))
    np.testing.assert_array_equal(far, [0, ys[min(most, 300) - 1, 1]])


def test_last_has_the_gradient_of_what_it_picks():
    ys = inputs_of(GRU(3, 1), (5, 2)).at[3, 0].set(jnp.nan)  # beyond the first's length
    gradient = jax.grad(lambda ys: jnp.sum(last(ys, jnp.array([2, 0])) ** 2))(ys)
    expected = np.zeros((5, 2, 3))
    expected[1, 0] = 2 * ys[1, 0]
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)


def pooled(ys, there, how):
    """In NumPy, each example with the rows that count."""
    batch = there.shape[1:]
    return np.stack(
        [
            getattr(rows, how)(0) if len(rows) else np.zeros(ys.shape[-1])
            for rows in (np.asarray(ys)[:, *i][there[:, *i]] for i in np.ndindex(batch))
        ]
    ).reshape(*batch, -1)


@pytest.mark.parametrize("how", ["mean", "max"])
def test_pooling_is_over_the_valid_steps_alone(how):
    ys = inputs_of(GRU(3, 1), (5, 2, 3)) - 3.0  # below the zeros of what is not there
    lengths = np.array([[5, 0, 2], [1, 4, 3]])
    there = np.arange(5)[:, None, None] < lengths
    holes = np.random.default_rng(3).random((5, 2, 3)) < 0.5
    for options, valid in (({"lengths": lengths}, there), ({"mask": holes}, holes)):
        given = jnp.where(valid[..., None], ys, jnp.nan)
        actual, back = jax.vjp(lambda ys: pool(ys, how=how, **options), given)  # noqa: B023
        np.testing.assert_allclose(actual, pooled(ys, valid, how), rtol=1e-14)
        count = np.maximum(valid.sum(0), 1)[..., None]
        best = (np.asarray(ys) == pooled(ys, valid, how)) & valid[..., None]
        expected = best if how == "max" else valid[..., None] / count
        expected = np.broadcast_to(expected, ys.shape)
        np.testing.assert_allclose(back(jnp.ones_like(actual))[0], expected, rtol=1e-14)
    whole = pool({"a": ys, "b": ys[:, 0]}, how=how)
    np.testing.assert_allclose(whole["a"], getattr(ys, how)(0), rtol=1e-14)
    np.testing.assert_allclose(whole["b"], getattr(ys, how)(0)[0], rtol=1e-14)
    none = pool(ys[:0], 0 * lengths, how=how)
    assert none.shape == (2, 3, 3) and not none.any()


def test_the_mean_of_many_in_half_precision_is_summed_in_single():
    ys = jnp.full((3000, 1), 1.5, "bfloat16")
    assert pool(ys).dtype == "bfloat16" and pool(ys, how="max").dtype == "bfloat16"
    assert pool(ys)[0] == 1.5 and pool(ys, np.array([2999]))[0] == 1.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pool(jnp.ones((4, 2)), how="sum"), ValueError, "how is 'sum', expected"),
        (lambda: pool(jnp.ones((4, 2), int)), TypeError, "pool: ys has the dtypes int64"),
        (lambda: pool(1.0), ValueError, r"pool: ys has the shapes \(\), expected"),
        (
            lambda: pool({"a": jnp.ones((4, 2)), "b": jnp.ones((3, 2))}),
            ValueError,
            "pool: ys has the shapes .* of one T and one batch",
        ),
        (
            lambda: pool(jnp.ones((4, 2)), jnp.ones(3, int)),
            ValueError,
            r"pool: lengths has shape \(3,\), expected \(2,\)",
        ),
        (lambda: pack([], 3), ValueError, "pack: sequences is empty"),
        (lambda: pack([[1]], 0), ValueError, "pack: length is 0, expected a positive"),
        (
            lambda: pack([[1], [1, 2]], 1),
            ValueError,
            r"sequences\[1\] has 2 steps, .* 1:",
        ),
        (lambda: pad([]), ValueError, "pad: sequences is empty"),
        (lambda: pad([[1]], 0), ValueError, "pad: length is 0, expected a positive"),
        (
            lambda: pad([[1], [1, 2]], 1),
            ValueError,
            r"pad: sequences\[1\] has 2 steps, expected at most length = 1",
        ),
        (
            lambda: pad([np.ones((2, 3)), np.ones((2, 4))]),
            ValueError,
            r"pad: sequences\[1\] has steps of float64\[4\], expected float64\[3\]",
        ),
        (lambda: pack([1, 2], 3), ValueError, r"sequences\[0\] has the shapes \[\(\)\]"),
        (
            lambda: pack([np.ones((2, 3)), np.ones((2, 4))], 3),
            ValueError,
            r"sequences\[1\] has steps of float64\[4\], expected float64\[3\]",
        ),
        (
            lambda: pack([[1, 2], [1.0, 2.0]], 3),
            ValueError,
            r"sequences\[1\] has steps of float64\[\], expected int64\[\]",
        ),
        (
            lambda: resets_from_segments(jnp.ones((4, 2)), jnp.ones(3)),
            ValueError,
            r"previous has shape \(3,\), expected \(2,\): one value for each",
        ),
        (lambda: resets_from_done(True), ValueError, r"done has shape \(\), expected"),
        (
            lambda: last(jnp.ones((4, 2)), jnp.ones(3, int)),
            ValueError,
            r"last: lengths has shape \(3,\), expected \(2,\)",
        ),
        (
            lambda: last(jnp.ones((4, 2)), jnp.array([1, 5])),
            ValueError,
            "last: lengths has the entry 5, expected 0 to 4",
        ),
        (lambda: last(jnp.ones((4, 2)), jnp.ones(2)), TypeError, "expected integers"),
    ],
)
def test_bad_input_is_said_in_words(call, error, message):
    with pytest.raises(error, match=message):
        call()
