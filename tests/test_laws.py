"""The laws: what holds for every cell and combinator, checked against Python loops."""

import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO, carry_of, inputs_of, loop, params_of

import jaxrnn
from jaxrnn import Cell, Stack, carry_gradients, gradient_norms, trajectory, unroll

T = 3
every_cell = pytest.mark.parametrize("cell", ZOO.values(), ids=ZOO.keys())


def close(actual, expected):
    chex.assert_trees_all_close(actual, expected, rtol=1e-12, atol=1e-12)


def example(cell, batch_shape=()):
    """Params, inputs and a carry, all random."""
    params = params_of(cell)
    return (
        params,
        inputs_of(cell, (T, *batch_shape)),
        carry_of(cell, params, batch_shape),
    )


def weighted(tree, seed=9):
    """A scalar in which every entry of every leaf has a weight of its own."""
    leaves = jax.tree.leaves(tree)
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    return sum(
        jnp.sum(leaf * jax.random.normal(key, leaf.shape))
        for leaf, key in zip(leaves, keys, strict=False)
    )


def test_the_zoo_holds_every_public_cell():
    public = {
        value
        for value in vars(jaxrnn).values()
        if isinstance(value, type) and issubclass(value, Cell) and value is not Cell
    }
    assert public == {type(cell) for cell in ZOO.values()}


@every_cell
def test_unroll_and_trajectory_equal_a_loop_of_single_steps(cell):
    params, xs, carry = example(cell)
    final, carries, ys = loop(cell, params, xs, carry)
    close(unroll(cell, params, xs, carry), (final, ys))
    close(trajectory(cell, params, xs, carry), carries)


@every_cell
def test_reverse_equals_the_loop_run_backwards_and_flip_unroll_flip(cell):
    params, xs, carry = example(cell)
    final, carries, ys = loop(cell, params, xs, carry, reverse=True)
    close(unroll(cell, params, xs, carry, reverse=True), (final, ys))
    close(trajectory(cell, params, xs, carry, reverse=True), carries)
    flipped_final, flipped_ys = unroll(cell, params, xs[::-1], carry)
    close((flipped_final, flipped_ys[::-1]), (final, ys))


@every_cell
def test_without_a_carry_the_initial_one_is_used(cell):
    params, xs, _ = example(cell)
    final, _, ys = loop(cell, params, xs, cell.initial_carry(params))
    close(unroll(cell, params, xs), (final, ys))


@every_cell
def test_a_batch_equals_a_loop_over_examples(cell):
    params, xs, carry = example(cell, (2, 3))
    final, ys = unroll(cell, params, xs, carry)
    for i, j in np.ndindex(2, 3):
        carry_ij = jax.tree.map(lambda leaf: leaf[i, j], carry)  # noqa: B023
        final_ij, ys_ij = unroll(cell, params, xs[:, i, j], carry_ij)
        close(jax.tree.map(lambda leaf: leaf[i, j], final), final_ij)  # noqa: B023
        close(ys[:, i, j], ys_ij)


@every_cell
def test_jit_equals_eager(cell):
    params, xs, carry = example(cell)
    compiled = jax.jit(unroll)(cell, params, xs, carry)
    with jax.disable_jit():
        close(compiled, unroll(cell, params, xs, carry))


@every_cell
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


@every_cell
def test_the_carry_keeps_structure_shape_and_dtype(cell):
    params, xs, _ = example(cell, (2,))
    expected = jaxrnn.batched_carry(cell, params, (2,))
    final, _ = unroll(cell, params, xs)
    chex.assert_trees_all_equal_shapes_and_dtypes(final, expected)
    first = cell.initial_carry(params)
    stepped, _ = cell(params, first, xs[0, 0])
    chex.assert_trees_all_equal_shapes_and_dtypes(stepped, first)


# Gradients. The loop's Jacobians do not commute, so that a product in the wrong order
# cannot pass.


def losses(cell, reverse=False):
    """The same scalar from `unroll` and from the loop, differentiable in everything."""

    def unrolled(params, xs, carry):
        return weighted(unroll(cell, params, xs, carry, reverse=reverse))

    def looped(params, xs, carry):
        final, _, ys = loop(cell, params, xs, carry, reverse)
        return weighted((final, ys))

    return unrolled, looped


def differentiable(cell, xs):
    return (0, 2) if cell.input_shape == () else (0, 1, 2)


@every_cell
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_gradients_equal_those_of_the_loop(cell, reverse):
    params, xs, carry = example(cell)
    unrolled, looped = losses(cell, reverse)
    arguments = differentiable(cell, xs)
    close(
        jax.grad(unrolled, arguments)(params, xs, carry),
        jax.grad(looped, arguments)(params, xs, carry),
    )


@every_cell
def test_forward_mode_equals_that_of_the_loop(cell):
    params, xs, carry = example(cell)
    unrolled, looped = losses(cell)
    tangents = params_of(cell, seed=20), carry_of(cell, params, seed=21)

    def tangent(loss):
        return jax.jvp(lambda p, c: loss(p, xs, c), (params, carry), tangents)

    close(tangent(unrolled), tangent(looped))


@pytest.mark.slow  # of some, test_gradients.py has a full Hessian in the default run
@every_cell
def test_second_derivatives_equal_those_of_the_loop(cell):
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


@every_cell
def test_vmap_over_parameters_equals_a_loop_over_them(cell):
    _, xs, carry = example(cell)
    each = [params_of(cell, seed) for seed in (0, 30)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    unrolled, looped = losses(cell)
    gradients = jax.vmap(jax.grad(unrolled), in_axes=(0, None, None))(both, xs, carry)
    for index, params in enumerate(each):
        expected = jax.grad(looped)(params, xs, carry)
        close(jax.tree.map(lambda leaf: leaf[index], gradients), expected)  # noqa: B023


@every_cell
def test_per_example_gradients_equal_a_loop_over_examples(cell):
    params, xs, carry = example(cell, (2,))
    unrolled, looped = losses(cell)
    gradients = jax.vmap(jax.grad(unrolled), in_axes=(None, 1, 0))(params, xs, carry)
    for index in range(2):
        one = jax.tree.map(lambda leaf: leaf[index], carry)  # noqa: B023
        expected = jax.grad(looped)(params, xs[:, index], one)
        close(jax.tree.map(lambda leaf: leaf[index], gradients), expected)  # noqa: B023


def perturbed_loop(cell, params, xs, carry, epsilon, reverse):
    """Outputs of a loop that adds epsilon_t between each layer's step and its output."""
    if isinstance(cell, Stack):
        for layer in zip(cell.cells, params, carry, epsilon, strict=True):
            inner, p, c, e = layer
            xs = perturbed_loop(inner, p, xs, c, e, reverse)
        return xs
    ys = {}
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        drive = cell.project(params, xs[t])
        carry = cell.step(params, carry, drive)
        carry = jax.tree.map(lambda leaf, e: leaf + e[t], carry, epsilon)  # noqa: B023
        ys[t] = cell.output(params, carry, drive)
    return jnp.stack([ys[t] for t in range(len(xs))])


@every_cell
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_carry_gradients_equal_those_of_a_loop(cell, reverse):
    params, xs, carry = example(cell)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros((T, *leaf.shape)), cell.initial_carry(params)
    )
    expected = jax.grad(
        lambda e: weighted(perturbed_loop(cell, params, xs, carry, e, reverse) ** 2)
    )(zeros)
    arguments = (lambda ys: weighted(ys**2), cell, params, xs, carry)
    close(carry_gradients(*arguments, reverse=reverse), expected)
    norms = jax.tree.map(lambda leaf: np.linalg.norm(leaf, axis=-1), expected)
    close(gradient_norms(*arguments, reverse=reverse), norms)


@every_cell
def test_lowers_for_cuda_and_tpu(cell):
    params, xs, carry = example(cell, (2,))
    params, carry = jax.tree.map(lambda leaf: leaf.astype("float32"), (params, carry))
    xs = xs if cell.input_shape == () else xs.astype("float32")

    def step(params, xs, carry):
        def loss(params):
            final, ys = unroll(cell, params, xs, carry)
            return jnp.mean(ys) + sum(map(jnp.mean, jax.tree.leaves(final)))

        return jax.value_and_grad(loss)(params)

    export = jax.export.export(jax.jit(step), platforms=("cuda", "tpu"))
    assert export(params, xs, carry).platforms == ("cuda", "tpu")
