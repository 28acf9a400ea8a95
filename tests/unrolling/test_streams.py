"""Lengths, masks and resets: what reaches what, and what reaches nothing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import ZOO, carry_of, inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Combinator,
    Elman,
    Scan,
    Stack,
    carry_gradients,
    gradient_norms,
    trajectory,
    unroll,
)

SOME = ("lstm", "gru_reset_before", "stack_mixed", "zoneout", "dense_skip")
SOME += ("learned_carry", "residual_bidirectional")


def close(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


class _Sum(Cell):
    """carry_t = carry_(t-1) + x_t: dy_t/dx_s is one where x_s reaches y_t, else zero."""

    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(1)

    def step(self, params, carry, drive):
        return carry + drive


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.usefixtures("promotion")
def test_who_reaches_whom_for_every_mask_and_every_resets_of_four_steps(reverse):
    T = 4
    patterns = list(itertools.product([False, True], repeat=2 * T))
    valid, resets = np.split(np.array(patterns).T, 2)  # (T, 256)

    def outputs(xs, carry, valid, resets):
        options = {"mask": valid, "resets": resets, "reverse": reverse}
        final, ys = unroll(_Sum(), (), xs, carry, **options)
        return ys[:, 0], final[0]

    ones = jnp.ones((T, 1)), jnp.ones(1)
    jacobian = jax.vmap(jax.jacfwd(outputs, (0, 1)), in_axes=(None, None, 1, 1))
    (dy_dx, dy_dcarry), (_, dfinal_dcarry) = jacobian(*ones, valid, resets)
    for p, (v, r) in enumerate(zip(valid.T, resets.T, strict=True)):
        for s, t in itertools.product(range(T), repeat=2):
            early, late = min(s, t), max(s, t)
            before = s >= t if reverse else s <= t
            reaches = v[s] and v[t] and before and not r[early + 1 : late + 1].any()
            assert dy_dx[p, t, s, 0] == reaches
        for t in range(T):
            between = r[t + 1 :] if reverse else r[: t + 1]
            assert dy_dcarry[p, t, 0] == (v[t] and not between.any())
        end = np.flatnonzero(v)[0 if reverse else -1] if v.any() else None
        kept = True if end is None else bool(dy_dcarry[p, end, 0])
        assert dfinal_dcarry[p, 0] == kept


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", by_default(SOME, *SOME[:3]))
def test_a_carry_that_resets_drop_may_hold_anything(name, reverse):
    cell = ZOO[name]
    params, xs = params_of(cell), inputs_of(cell, (4,))
    carry = jax.tree.map(
        lambda leaf: jnp.full_like(leaf, jnp.nan), carry_of(cell, params)
    )
    # The ends are masked; both directions are reset before their first valid step.
    streams = {"mask": [False, True, True, False], "resets": [False, True, False, True]}

    def loss(params, carry):
        final, ys = unroll(cell, params, xs, carry, reverse=reverse, **streams)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((final, ys)))

    dropped = jax.value_and_grad(loss, (0, 1))(params, carry)
    fresh = jax.value_and_grad(loss, (0, 1))(params, cell.initial_carry(params))
    close(dropped, fresh)
    assert np.isfinite(dropped[0])
    assert not any(leaf.any() for leaf in jax.tree.leaves(dropped[1][1]))


def test_what_is_not_a_number_in_a_valid_input_is_seen_and_stays_in_its_example():
    cell = Stack((LSTM(3, 4), GRU(4, 5)))
    params, xs = params_of(cell), inputs_of(cell, (6, 2)).at[2, 0].set(jnp.nan)
    (_, final), ys = unroll(cell, params, xs, lengths=jnp.array([5, 6]))
    broken = np.isnan(ys).all(-1)
    assert broken[:, 0].tolist() == [False, False, True, True, True, False]
    assert not np.isnan(ys[:, 1]).any() and not ys[5, 0].any()
    assert np.isnan(final[0]).all() and not np.isnan(final[1]).any()


def test_the_gradient_at_a_masked_step_is_that_of_the_carry_it_hands_on():
    cell = GRU(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (6,))
    mask = np.array([True, False, False, True, False, False])
    gradients = carry_gradients(lambda ys: jnp.sum(ys**2), cell, params, xs, mask=mask)
    at_last = jax.grad(lambda h: jnp.sum(cell(params, h, xs[3])[1] ** 2))
    handed_on = at_last(trajectory(cell, params, xs, mask=mask)[0])
    for t in (1, 2):
        np.testing.assert_allclose(gradients[t], handed_on, rtol=1e-12)
    assert gradients[3].any() and (gradients[0] != gradients[1]).any()
    np.testing.assert_array_equal(gradients[4:], 0)  # nothing uses it any more


def test_traced_lengths_outside_are_clipped():
    cell = LSTM(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (4, 3))

    @jax.jit
    def run(lengths):
        return unroll(cell, params, xs, lengths=lengths)

    close(run(jnp.array([-7, 2, 99])), run(jnp.array([0, 2, 4])))
    for dtype in ("int8", "uint8", "int32", "uint32"):
        close(run(jnp.array([0, 2, 4], dtype)), run(jnp.array([0, 2, 4])))
        most = jnp.array([0, 2, jnp.iinfo(dtype).max], dtype)
        close(run(most), run(jnp.array([0, 2, 4])))


class _Average(Cell):
    """A mean of what was seen: no number at the initial carry, of which n is zero."""

    input_size: int = 3

    def init(self, key):
        return {"W": jnp.ones(3)}

    def initial_carry(self, params):
        return {"s": jnp.zeros(3), "n": jnp.zeros(())}

    def step(self, params, carry, drive):
        return {"s": carry["s"] + drive, "n": carry["n"] + 1}

    def output(self, params, carry, drive):
        return carry["s"] / carry["n"] * params["W"]


@pytest.mark.usefixtures("promotion")
def test_an_output_that_cannot_read_the_initial_carry_has_its_gradients():
    cell, xs = _Average(), inputs_of(_Average(), (4, 3))
    params, lengths = cell.init(None), np.array([4, 2, 0])

    def loss(params, xs):
        return jnp.sum(unroll(cell, params, xs, lengths=lengths)[1])

    slope, along = jax.grad(loss, (0, 1))(params, xs)
    means = np.cumsum(xs, 0) / np.arange(1, 5)[:, None, None]
    valid = np.arange(4)[:, None, None] < lengths[:, None]
    close(slope["W"], np.sum(means * valid, (0, 1)))
    assert np.isfinite(along).all() and not along[2:, 1].any()


def test_a_combinator_finds_zeros_at_masked_steps():
    """A sum over time, from the end, shows what stands behind the valid steps."""
    cell, xs = _Running((Elman(3, 4),)), jnp.full((5, 2, 3), jnp.nan).at[:3, 0].set(0.0)
    params = params_of(cell)
    lengths = jnp.array([3, 0])
    _, ys = unroll(cell, params, xs, lengths=lengths)
    np.testing.assert_array_equal(ys[:, 0, 0], [3, 2, 1, 0, 0])
    assert not ys[:, 1].any()


class _Running(Combinator):
    cells: tuple

    def sequence(self, params, carry, xs, run):
        carry, _ = self.cells[0].sequence(params[0], carry[0], xs, run[0])
        ones = run.map(lambda x: x + 1, xs)
        return (carry,), jnp.cumsum(ones[::-1], axis=0)[::-1]


def test_what_a_combinator_computes_of_zeros_does_not_reach_the_next_cell():
    cell, xs = _Normed((GRU(3, 4), GRU(4, 2))), inputs_of(GRU(3, 4), (5, 2))
    params = params_of(cell)

    def loss(params):
        return jnp.sum(unroll(cell, params, xs, lengths=jnp.array([5, 2]))[1] ** 2)

    gradients = jax.grad(loss)(params)[1]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


class _Normed(Combinator):
    cells: tuple

    def sequence(self, params, carry, xs, run):
        first, ys = self.cells[0].sequence(params[0], carry[0], xs, run[0])
        ys = ys / jnp.linalg.norm(ys, axis=-1, keepdims=True)  # no number at zero
        second, ys = self.cells[1].sequence(params[1], carry[1], ys, run[1])
        return (first, second), ys


@pytest.mark.slow
def test_lengths_of_no_batch_of_two_axes_and_under_vmap():
    cell = Bidirectional(LSTM(3, 4), GRU(3, 2))
    params, xs = params_of(cell), inputs_of(cell, (5, 2, 3))
    lengths = jnp.array([[5, 0, 2], [1, 4, 3]])
    final, ys = unroll(cell, params, xs, lengths=lengths)
    mapped = jax.vmap(
        jax.vmap(lambda x, n: unroll(cell, params, x, lengths=n), (1, 0)), (1, 0)
    )
    close((final, jnp.moveaxis(ys, 0, 2)), mapped(xs, lengths))
    for i, j in np.ndindex(2, 3):
        n = int(lengths[i, j])
        one, y = unroll(cell, params, xs[:n, i, j])  # the sequence without its padding
        close(jax.tree.map(lambda leaf: leaf[i, j], final), one)  # noqa: B023
        close(ys[:n, i, j], y)
        assert not ys[n:, i, j].any()


@pytest.mark.parametrize(
    "dtype", by_default(["float64", "float32", "bfloat16", "float16"], "bfloat16")
)
@pytest.mark.parametrize("name", ["gru_reset_before", "bidirectional", "learned_carry"])
def test_lengths_and_resets_keep_the_dtype(name, dtype):
    cell = ZOO[name]

    def cast(tree):
        return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)

    params, xs = cast(params_of(cell)), cast(inputs_of(cell, (4, 2)))
    lengths, resets = jnp.array([4, 2]), jnp.zeros((4, 2), bool).at[1].set(True)
    final, ys = unroll(cell, params, xs, lengths=lengths, resets=resets)
    assert {leaf.dtype for leaf in jax.tree.leaves((final, ys))} == {ys.dtype}
    assert ys.dtype == dtype
    wide = jax.tree.map(lambda leaf: leaf.astype("float64"), (params, xs))
    _, exact = unroll(cell, *wide, lengths=lengths, resets=resets)
    tolerance = 16 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(ys.astype("float64"), exact, tolerance, tolerance)


def test_a_reset_to_a_wider_initial_carry_loses_nothing():
    cell = LSTM(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (3,))
    narrow = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), carry_of(cell, params))
    resets = jnp.array([False, True, False])
    final, ys = unroll(cell, params, xs, narrow, resets=resets)
    assert final.h.dtype == final.c.dtype == "float64"
    close((final, ys[1:]), unroll(cell, params, xs[1:]))


def test_no_steps_with_lengths_and_resets_give_the_carry_back():
    cell = Bidirectional(LSTM(3, 4), GRU(3, 2))
    params = params_of(cell)
    carry, none = carry_of(cell, params, (2,)), jnp.zeros((0, 2), bool)
    final, ys = unroll(
        cell, params, jnp.zeros((0, 2, 3)), carry, lengths=jnp.zeros(2, int), resets=none
    )
    close(final, carry)
    assert ys.shape == (0, 2, 6)


def test_streams_in_two_pieces_are_the_stream():
    cell = Stack((LSTM(3, 5), GRU(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (8, 2))
    mask = jnp.array([[1, 1, 0, 0, 1, 1, 1, 0], [1] * 8]).T != 0
    resets = jnp.array([[0, 0, 0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 1, 0, 0, 0]]).T != 0
    expected = unroll(cell, params, xs, mask=mask, resets=resets)
    # The reset at the masked step 3 acts at step 4: the second piece has to begin there.
    first, early = unroll(cell, params, xs[:3], mask=mask[:3], resets=resets[:3])
    final, late = unroll(cell, params, xs[3:], first, mask=mask[3:], resets=resets[3:])
    close((final, jnp.concatenate([early, late])), expected)


def test_the_carry_of_one_call_cut_from_its_gradient_starts_the_next():
    """Truncated backpropagation across calls, against a loss with a carry fixed."""
    cell = GRU(3, 4)
    params, xs = params_of(cell), inputs_of(cell, (6, 2))

    def loss(params, xs, carry):
        carry, ys = unroll(cell, params, xs, carry)
        return jnp.sum(ys**2), jax.lax.stop_gradient(carry)

    def both(params):
        first, carry = loss(params, xs[:3], None)
        second, _ = loss(params, xs[3:], carry)
        return first + second

    fixed = unroll(cell, params, xs[:3])[0]
    alone = jax.grad(lambda p: loss(p, xs[:3], None)[0] + loss(p, xs[3:], fixed)[0])
    close(jax.grad(both)(params), alone(params))
    whole = jax.grad(lambda p: jnp.sum(unroll(cell, p, xs)[1] ** 2))(params)
    difference = jax.tree.map(jnp.subtract, whole, alone(params))
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(difference))


class _Count(Cell):
    """Shows how many steps it has taken, and whether the number is even."""

    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros((), int)

    def step(self, params, carry, drive):
        return carry + 1

    def output(self, params, carry, drive):
        return {"count": carry, "even": carry % 2 == 0}


def test_outputs_of_every_kind_are_zero_where_masked():
    mask = jnp.array([True, False, True, True])
    final, ys = unroll(_Count(), (), jnp.ones((4, 1)), mask=mask)
    assert int(final) == 3
    assert ys["count"].tolist() == [1, 0, 2, 3] and ys["count"].dtype == int
    assert ys["even"].tolist() == [False, False, True, False]


# The program.


def scan_of(function, *arguments):
    """The one scan of a program."""

    def find(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                yield equation
            for body in jax.tree.leaves(
                equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")
            ):
                body = getattr(body, "jaxpr", body)
                if hasattr(body, "eqns"):
                    yield from find(body)

    (scan,) = find(jax.make_jaxpr(function)(*arguments).jaxpr)
    return scan


def test_with_lengths_nothing_is_stacked_that_was_not_stacked_without():
    cell, T, B, H = LSTM(32, 64), 100, 8, 64
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, B, 32))

    def run(params, xs, lengths=None):
        return unroll(cell, params, xs, lengths=lengths)

    def temporaries(*arguments):
        compiled = jax.jit(run).lower(*arguments).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    plain = temporaries(params, xs)
    masked = temporaries(params, xs, jnp.full(B, 50))
    stack, inputs = T * B * H * 8, T * B * 32 * 8
    assert (
        masked - plain < inputs + 1.5 * stack
    )  # the inputs zeroed, and h before zeroing


def test_without_streams_the_loop_selects_nothing():
    cell = LSTM(3, 5)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((6, 2, 3))

    def selects(**streams):
        streams["method"] = Scan(autodiff=True)  # whose program can be read
        scan = scan_of(lambda p, xs: unroll(cell, p, xs, **streams)[1], params, xs)
        body = getattr(scan.params["jaxpr"], "jaxpr", scan.params["jaxpr"])
        return count(body)

    def count(jaxpr):
        inner = [getattr(e.params.get("jaxpr"), "jaxpr", None) for e in jaxpr.eqns]
        own = [e.primitive.name for e in jaxpr.eqns].count("select_n")
        return own + sum(count(body) for body in inner if body is not None)

    assert selects() == 0
    assert selects(resets=jnp.ones((6, 2), bool)) == 2  # h and c
    assert selects(lengths=jnp.array([6, 3])) == 4  # before the step and after it


@pytest.mark.slow
def test_under_shard_map_lengths_and_resets_are_what_they_are_without():
    cell = Bidirectional(Elman(3, 4), GRU(3, 2))
    params, xs = params_of(cell), inputs_of(cell, (6, 4))
    lengths, resets = jnp.array([6, 0, 3, 5]), jnp.zeros((6, 4), bool).at[2].set(True)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec

    def mapped(function):
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=(P(), P(None, "data"), P("data"), P(None, "data")),
            out_specs=P(None, "data"),
        )

    def run(params, xs, lengths, resets):
        return unroll(cell, params, xs, lengths=lengths, resets=resets)[1]

    def norms(params, xs, lengths, resets):
        options = {"lengths": lengths, "resets": resets}
        return gradient_norms(lambda ys: jnp.sum(ys**2), cell, params, xs, **options)[1]

    def only_lengths(_, xs, lengths, resets):
        return unroll(cell, params, inputs_of(cell, (6, 2)), lengths=lengths)[1]

    def only_resets(_, xs, lengths, resets):
        one = inputs_of(cell, (6, 2))
        return gradient_norms(jnp.sum, cell, params, one, resets=resets)[0]

    for function in (run, norms):
        arguments = params, xs, lengths, resets
        close(mapped(function)(*arguments), function(*arguments))
    # Where nothing else differs between the devices.
    for function in (only_lengths, only_resets):
        halves = [
            function(None, None, lengths[half], resets[:, half])
            for half in (slice(0, 2), slice(2, 4))
        ]
        actual = mapped(function)(params, xs, lengths, resets)
        close(actual, jnp.concatenate(halves, axis=1))
