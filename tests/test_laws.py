"""The laws: what holds for every cell and combinator, checked against Python loops."""

import pickle
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import (
    ZOO,
    carry_of,
    inputs_of,
    loop,
    noise_key,
    params_of,
    random_like,
    steps,
    types_within,
)

import jaxrnn
from jaxrnn import (
    Cell,
    Combinator,
    WeightDrop,
    carry_gradients,
    gradient_norms,
    trajectory,
    unroll,
)

T = 3


# A cell of the three or a combinator is in every law, in the default run or in the slow
# one. One of the zoo, which runs against its paper by default, is in those of
# `every_cell` and of `every_zoo_cell`, and backwards and masked in those of gradients.
# zoo.py tells what that costs.
CELLS = {name for name, cell in ZOO.items() if "jaxrnn.cells" in type(cell).__module__}
OF_THE_ZOO = {name for name, cell in ZOO.items() if type(cell).__module__.count(".") > 2}
# Inside others too.
VARIANTS = OF_THE_ZOO | {"wrapper", "residual", "bidirectional", "clip"}
CORE = {"lstm", "gru_reset_before", "zoneout", "dense_skip", "residual_bidirectional"}
FEW = {"lstm", "zoneout"}  # where tests/methods has the others


def over(default, also=frozenset()):
    """Cells by name; those of `also` in the slow run only."""
    params = [
        pytest.param(cell, id=name, marks=() if name in default else pytest.mark.slow)
        for name, cell in ZOO.items()
        if name in default | also
    ]
    return pytest.mark.parametrize("cell", params)


every_cell = over(ZOO.keys() - VARIANTS, VARIANTS)
core_cells = over(CORE, ZOO.keys() - OF_THE_ZOO)
every_zoo_cell = over(set(), OF_THE_ZOO)
few_cells = over(FEW, {"residual_bidirectional"})


def every_way(law, names=ZOO):
    """Backwards and masked, and in the slow run forwards, but for the zoo."""
    params = [
        pytest.param(
            *(cell, back, back),
            id=f"{name}_{'backwards_masked' if back else 'forwards'}",
            marks=() if name in (CORE | CELLS) - VARIANTS and back else pytest.mark.slow,
        )
        for name, cell in ZOO.items()
        if name in names
        for back in ([True] if name in OF_THE_ZOO else [True, False])
    ]
    return pytest.mark.parametrize(("cell", "reverse", "masked"), params)(law)


# What the engine does with a step's gradients, the zoo's gradients show.
every_way_of_the_engine = partial(every_way, names=ZOO.keys() - OF_THE_ZOO)


# A mask with holes, at both ends too, and resets at valid and at masked steps: in both
# directions some steps that follow each other are apart, and some are not.
VALID = np.array([False, True, True, False, True, True, False, True, False])
RESETS = np.array([False, False, False, True, False, True, False, False, True])


def close(actual, expected):
    chex.assert_trees_all_close(actual, expected, rtol=1e-12, atol=1e-12)


def example(cell, batch_shape=(), steps=T):
    """Params, inputs and a carry, all random."""
    params = params_of(cell)
    return (
        params,
        inputs_of(cell, (steps, *batch_shape)),
        carry_of(cell, params, batch_shape),
    )


def at(tree, *index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def of(tree, *example):
    """All steps of one example."""
    return at(tree, slice(None), *example)


def key_for_batch(cell):
    """As `noise_key`, but None where `prepare` draws, once for all examples."""
    return None if WeightDrop in types_within(cell) else noise_key(cell)


def keys_of_examples(key, batch_shape):
    """The key under which an example has alone the noise that it has in the batch."""
    if key is None:
        return np.full(batch_shape, None)
    return jax.random.split(key, batch_shape)


def poisoned(xs, valid):
    """The inputs, with what must reach nothing where they are not valid."""

    def poison(leaf):
        bad = jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 99
        where = valid.reshape(valid.shape + (1,) * (leaf.ndim - valid.ndim))
        return jnp.where(where, leaf, jnp.asarray(bad, leaf.dtype))

    return jax.tree.map(poison, xs)


def weighted(tree, seed=9):
    """A scalar in which every entry of every floating leaf has a weight of its own."""
    weights = random_like(tree, seed)
    products = jax.tree.map(
        lambda a, b: jnp.vdot(a, b) if jnp.issubdtype(a.dtype, jnp.inexact) else 0.0,
        tree,
        weights,
    )
    return sum(jax.tree.leaves(products))


def test_the_zoo_holds_every_public_cell():
    """But decoders with attention, which have no source in their initial carry."""
    attending = {jaxrnn.BahdanauAttention, jaxrnn.LuongAttention}
    bases = {jaxrnn.cells.Driven, jaxrnn.cells.Gated, jaxrnn.cells.Convolutional}
    public = {
        value
        for value in (*vars(jaxrnn).values(), *vars(jaxrnn.cells).values())
        if isinstance(value, type) and issubclass(value, Cell)
    } - {Cell, Combinator, *bases, *attending}
    assert public == set().union(*map(types_within, ZOO.values()))


@every_cell
def test_unroll_and_trajectory_equal_a_loop_of_single_steps(cell):
    params, xs, carry = example(cell)
    key = noise_key(cell)
    final, carries, ys = loop(cell, params, xs, carry, key=key)
    close(unroll(cell, params, xs, carry, key=key), (final, ys))
    close(trajectory(cell, params, xs, carry, key=key), carries)


@over({"lstm", "dense_skip"}, ZOO.keys() - OF_THE_ZOO)
def test_reverse_equals_the_loop_run_backwards(cell):
    params, xs, carry = example(cell)
    key = noise_key(cell)
    final, carries, ys = loop(cell, params, xs, carry, reverse=True, key=key)
    close(unroll(cell, params, xs, carry, key=key, reverse=True), (final, ys))
    close(trajectory(cell, params, xs, carry, key=key, reverse=True), carries)


@few_cells
def test_reverse_is_flip_unroll_flip(cell):
    params, xs, carry = example(cell)
    final, ys = unroll(cell, params, at(xs, slice(None, None, -1)), carry)
    close(unroll(cell, params, xs, carry, reverse=True), (final, ys[::-1]))


@every_cell
def test_without_a_carry_the_initial_one_is_used(cell):
    params, xs, _ = example(cell)
    final, _, ys = loop(cell, params, xs, cell.initial_carry(params))
    close(unroll(cell, params, xs), (final, ys))


@few_cells
def test_a_batch_equals_a_loop_over_examples(cell):
    params, xs, carry = example(cell, (2, 3))
    key = key_for_batch(cell)
    final, ys = unroll(cell, params, xs, carry, key=key)
    keys = keys_of_examples(key, (2, 3))
    for i, j in np.ndindex(2, 3):
        one = at(carry, i, j)
        final_ij, ys_ij = unroll(cell, params, of(xs, i, j), one, key=keys[i, j])
        close(at(final, i, j), final_ij)
        close(ys[:, i, j], ys_ij)


@over(CORE, ZOO.keys())
@pytest.mark.parametrize(
    "reverse",
    [
        pytest.param(True, id="backwards"),
        pytest.param(False, id="forwards", marks=pytest.mark.slow),
    ],
)
def test_masks_and_resets_equal_the_loop_that_skips_and_restarts(cell, reverse):
    """Four examples: all of VALID and RESETS, the two alone, and no valid step at all."""
    params, xs, carry = example(cell, (4,), steps=len(VALID))
    every, none = np.ones_like(VALID), np.zeros_like(VALID)
    mask = np.stack([VALID, VALID, every, none], axis=1)
    resets = np.stack([RESETS, none, RESETS, RESETS], axis=1)
    key = key_for_batch(cell)
    arguments = cell, params, poisoned(xs, mask), carry
    options = {"mask": mask, "resets": resets, "reverse": reverse, "key": key}
    final, ys = unroll(*arguments, **options)
    carries = trajectory(*arguments, **options)
    for b, own in enumerate(keys_of_examples(key, (4,))):
        streams = {"valid": mask[:, b], "resets": resets[:, b]}
        expected = loop(cell, params, of(xs, b), at(carry, b), reverse, own, **streams)
        close((at(final, b), of(carries, b), of(ys, b)), expected)


@few_cells
def test_lengths_are_the_mask_of_the_first_steps(cell):
    params, xs, carry = example(cell, (4,))
    lengths = np.array([3, 0, 2, 1])
    mask = np.arange(T)[:, None] < lengths
    for reverse in (False, True):
        expected = unroll(cell, params, xs, carry, mask=mask, reverse=reverse)
        run = partial(unroll, cell, params, xs, carry, reverse=reverse)
        close(run(lengths=lengths), expected)
        close(jax.jit(lambda n: run(lengths=n))(lengths), expected)  # noqa: B023
        close(at(expected[0], 1), at(carry, 1))


@over({"zoneout"}, ZOO.keys() - OF_THE_ZOO)
def test_jit_equals_eager(cell):
    params, xs, carry = example(cell, steps=4)
    mask, resets, key = VALID[2:6], RESETS[2:6], noise_key(cell)

    def run(params, xs, carry, mask, resets):
        return unroll(cell, params, xs, carry, mask=mask, resets=resets, key=key)

    compiled = jax.jit(run)(params, xs, carry, mask, resets)
    with jax.disable_jit():
        close(compiled, run(params, xs, carry, mask, resets))


@core_cells
def test_equal_cells_trace_once(cell):
    params, xs, carry = example(cell)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(cell, params, xs, carry):
        return unroll(cell, params, xs, carry)

    fresh = pickle.loads(pickle.dumps(cell))
    assert fresh is not cell
    close(run(fresh, params, xs, carry), run(cell, params, xs, carry))


@every_cell
def test_pickle_and_repr_round_trip(cell):
    fresh = pickle.loads(pickle.dumps(cell))
    assert fresh == cell and hash(fresh) == hash(cell)
    assert eval(repr(cell), {**vars(jaxrnn)}) == cell


@core_cells
def test_the_carry_keeps_structure_shape_and_dtype(cell):
    params, xs, _ = example(cell, (2,))
    expected = jaxrnn.batched_carry(cell, params, (2,))
    lengths, resets = jnp.array([1, T]), jnp.ones((T, 2), bool)
    final, _ = unroll(cell, params, xs, lengths=lengths, resets=resets)
    chex.assert_trees_all_equal_shapes_and_dtypes(final, expected)
    if steps(cell):
        first = cell.initial_carry(params)
        stepped, _ = cell(params, first, at(xs, 0, 0))
        chex.assert_trees_all_equal_shapes_and_dtypes(stepped, first)


@every_cell
def test_nothing_is_of_a_weak_type(cell):
    """A weak type becomes a strong one in an update: the next step would compile anew."""
    _, xs, _ = example(cell)

    def made():
        fresh = cell.init(jax.random.key(0))
        carry = jaxrnn.batched_carry(cell, fresh, ())
        return fresh, carry, unroll(cell, fresh, xs)

    for leaf in jax.tree.leaves(jax.eval_shape(made)):
        assert not leaf.weak_type


# Gradients. The loop's Jacobians do not commute, so that a product in the wrong order
# cannot pass.


def losses(cell, reverse=False, masked=False, key=None):
    """The same scalar from `unroll` and from the loop, differentiable in everything."""
    ours = {"mask": VALID, "resets": RESETS} if masked else {}
    theirs = {"valid": VALID, "resets": RESETS} if masked else {}

    def unrolled(params, xs, carry):
        run = unroll(cell, params, xs, carry, reverse=reverse, key=key, **ours)
        return weighted(run)

    def looped(params, xs, carry):
        final, _, ys = loop(cell, params, xs, carry, reverse, key, **theirs)
        return weighted((final, ys))

    return unrolled, looped


def gradients_of(loss, *arguments):
    """In everything that is a floating number."""
    found = jax.grad(loss, range(len(arguments)), allow_int=True)(*arguments)
    return floats(found)


def floats(tree):
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]


@every_way
def test_gradients_equal_those_of_the_loop(cell, reverse, masked):
    params, xs, carry = example(cell, steps=len(VALID) if masked else T)
    unrolled, looped = losses(cell, reverse, masked, noise_key(cell))
    close(
        gradients_of(unrolled, params, poisoned(xs, VALID) if masked else xs, carry),
        gradients_of(looped, params, xs, carry),
    )


@few_cells
def test_forward_mode_equals_that_of_the_loop(cell):
    params, xs, carry = example(cell, steps=len(VALID))
    unrolled, looped = losses(cell, masked=True, key=noise_key(cell))
    tangents = params_of(cell, seed=20), carry_of(cell, params, seed=21)

    def tangent(loss):
        return jax.jvp(lambda p, c: loss(p, xs, c), (params, carry), tangents)

    close(tangent(unrolled), tangent(looped))


@pytest.mark.slow  # of some, test_gradients.py has a full Hessian in the default run
@pytest.mark.parametrize("name", sorted(CORE | {"elman", "stack_mixed", "dropouts"}))
def test_second_derivatives_equal_those_of_the_loop(name):
    cell = ZOO[name]
    params, xs, carry = example(cell)
    unrolled, looped = losses(cell)
    direction = params_of(cell, seed=20)

    def forward_over_reverse(loss):
        return jax.jvp(jax.grad(lambda p: loss(p, xs, carry)), (params,), (direction,))

    def reverse_over_reverse(loss):
        def slope(p):
            gradient = jax.grad(lambda p: loss(p, xs, carry))(p)
            return weighted(jax.tree.map(jnp.multiply, gradient, direction))

        return jax.grad(slope)(params)

    close(forward_over_reverse(unrolled), forward_over_reverse(looped))
    close(reverse_over_reverse(unrolled), reverse_over_reverse(looped))


@few_cells
def test_vmap_over_parameters_equals_a_loop_over_them(cell):
    _, xs, carry = example(cell)
    each = [params_of(cell, seed) for seed in (0, 30)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    unrolled, looped = losses(cell)
    gradients = jax.vmap(jax.grad(unrolled), in_axes=(0, None, None))(both, xs, carry)
    for index, params in enumerate(each):
        close(at(gradients, index), jax.grad(looped)(params, xs, carry))


@few_cells
def test_per_example_gradients_equal_a_loop_over_examples(cell):
    params, xs, carry = example(cell, (2,))
    unrolled, looped = losses(cell)
    gradients = jax.vmap(jax.grad(unrolled), in_axes=(None, 1, 0))(params, xs, carry)
    for index in range(2):
        one = at(carry, index)
        close(at(gradients, index), jax.grad(looped)(params, of(xs, index), one))


@every_way_of_the_engine
def test_carry_gradients_equal_those_of_a_loop(cell, reverse, masked):
    steps = len(VALID) if masked else T
    params, xs, carry = example(cell, steps=steps)
    ours = {"mask": VALID, "resets": RESETS} if masked else {}
    theirs = {"valid": VALID, "resets": RESETS} if masked else {}
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype),
        cell.initial_carry(params),
    )

    def loss(epsilon):
        _, _, ys = loop(cell, params, xs, carry, reverse, epsilon=epsilon, **theirs)
        return weighted(ys**2)

    expected = jax.grad(loss, allow_int=True)(zeros)
    arguments = (
        lambda ys: weighted(ys**2),
        cell,
        params,
        poisoned(xs, VALID) if masked else xs,
        carry,
    )
    found = carry_gradients(*arguments, reverse=reverse, **ours)
    close(floats(found), floats(expected))


@few_cells
def test_gradient_norms_are_those_of_the_carry_gradients(cell):
    """Which are those of the loop."""
    params, xs, carry = example(cell, steps=len(VALID))
    arguments = lambda ys: weighted(ys**2), cell, params, poisoned(xs, VALID), carry
    streams = {"mask": VALID, "resets": RESETS, "reverse": True}
    gradients = carry_gradients(*arguments, **streams)
    norms = jax.tree.map(lambda leaf: np.linalg.norm(leaf, axis=-1), gradients)
    close(gradient_norms(*arguments, **streams), norms)


@every_zoo_cell
def test_vmap_over_examples_equals_batch_axes(cell):
    params, xs, carry = example(cell, (2,))

    def loss(params, xs, carry):
        return weighted(unroll(cell, params, xs, carry))

    def apart(params, xs, carry):
        run = lambda xs, carry: unroll(cell, params, xs, carry)  # noqa: E731
        return weighted(jax.vmap(run, (1, 0), (0, 1))(xs, carry))

    expected = gradients_of(loss, params, xs, carry)
    close(gradients_of(apart, params, xs, carry), expected)


@every_zoo_cell
def test_what_is_prepared_is_left_as_it_is(cell):
    """A step that is called alone prepares again what `unroll` has prepared."""
    once = cell.prepare(params_of(cell))
    chex.assert_trees_all_equal(cell.prepare(once), once)


@every_zoo_cell
def test_narrow_inputs_keep_a_wide_carry(cell):
    params, xs, _ = jax.tree.map(
        lambda leaf: leaf.astype("float32") if leaf.dtype == "float64" else leaf,
        example(cell, (2,)),
    )
    narrow = jax.tree.map(
        lambda leaf: leaf.astype("bfloat16") if leaf.dtype == "float32" else leaf, xs
    )
    with jax.numpy_dtype_promotion("standard"):
        final, ys = unroll(cell, params, narrow)
    assert {leaf.dtype for leaf in jax.tree.leaves(ys)} == {jnp.dtype("bfloat16")}
    assert all(leaf.dtype == "float32" for leaf in floats(final))


@every_zoo_cell
def test_half_precision_stays_near_and_keeps_its_dtypes(cell):
    params, xs, _ = jax.tree.map(
        lambda leaf: leaf.astype("bfloat16") if leaf.dtype == "float64" else leaf,
        example(cell, (2,)),
    )
    final, ys = unroll(cell, params, xs)
    dtypes = lambda tree: [leaf.dtype for leaf in jax.tree.leaves(tree)]  # noqa: E731
    assert dtypes(final) == dtypes(cell.initial_carry(params))
    assert {*dtypes(ys)} == {jnp.dtype("bfloat16")}
    wide = jax.tree.map(
        lambda leaf: leaf.astype("float64") if leaf.dtype == "bfloat16" else leaf,
        (params, xs),
    )
    chex.assert_trees_all_close(
        ys, jax.tree.map(lambda y: y.astype("bfloat16"), unroll(cell, *wide)[1]), atol=0.1
    )


@over(FEW, OF_THE_ZOO | {"residual_bidirectional"})
def test_lowers_for_cuda_and_tpu(cell):
    params, xs, carry = example(cell, (2,))
    params, xs, carry = jax.tree.map(
        lambda leaf: leaf.astype("float32") if leaf.dtype == "float64" else leaf,
        (params, xs, carry),
    )
    key, lengths, resets = noise_key(cell), jnp.array([T, 1]), jnp.ones((T, 2), bool)

    def step(params, xs, carry, lengths, resets):
        def loss(params):
            streams = {"lengths": lengths, "resets": resets}
            final, ys = unroll(cell, params, xs, carry, key=key, **streams)
            return sum(map(jnp.mean, jax.tree.leaves((ys, final))))

        return jax.value_and_grad(loss)(params)

    export = jax.export.export(jax.jit(step), platforms=("cuda", "tpu"))
    assert export(params, xs, carry, lengths, resets).platforms == ("cuda", "tpu")
