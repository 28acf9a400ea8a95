"""The step form: a stream is learned from step by step."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import carry_of, inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, RTRL, UORO, Dense, Dropout, Elman, EProp, OneStep, SnAp, Stack

T, B = 6, 2


def loss(y, target):
    return jnp.sum(jnp.sin(y + target))


def targets_of(*leading):
    return jnp.asarray(np.random.default_rng(9).normal(size=leading))


def stream(cell, params, xs, targets, **options):
    """The sum of the gradients of all steps, the losses, the last state."""
    masks, resets = options.pop("masks", [None] * T), options.pop("resets", [None] * T)
    state, total, losses = jaxrnn.online_init(cell, params, xs[0], **options), None, []
    for x, target, mask, reset in zip(xs, targets, masks, resets, strict=True):
        state, found = jaxrnn.online_step(
            loss, params, state, x, target, mask=mask, reset=reset
        )
        losses.append(found.loss)
        own = found.gradients
        total = own if total is None else jax.tree.map(jnp.add, total, own)
    return total, jnp.stack(losses), state


def assert_close(actual, expected):
    for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


METHODS = RTRL(), SnAp(1), EProp(), UORO(), OneStep()


@pytest.mark.parametrize(
    "method", [RTRL(), *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[1:])]
)
def test_steps_are_the_run(method):
    """With noise, masks, resets and a carry that is given."""
    cell = Stack((Dropout(0.4), GRU(3, 4), Dense(4, 2)))
    params, xs, targets = params_of(cell), inputs_of(cell, (T, B)), targets_of(T, B)
    keys = dict(key=jax.random.key(3), method_key=jax.random.key(4))
    carry = carry_of(cell, params, (B,))
    masks = jnp.array([[1, 1], [1, 0], [1, 1], [0, 1], [1, 1], [1, 1]], bool)
    resets = jnp.zeros((T, B), bool).at[2, 0].set(True)
    expected = jaxrnn.online_gradients(
        loss, cell, params, xs, targets, carry, mask=masks, resets=resets, method=method,
        **keys,
    )  # fmt: skip
    total, losses, state = stream(
        cell, params, xs, targets, carry=carry, masks=masks, resets=resets, method=method,
        **keys,
    )  # fmt: skip
    assert_close(total, expected.gradients)
    assert_close(losses, expected.losses)
    assert_close(state.carry, expected.carry)
    assert int(state.t) == T


def test_the_gradient_of_a_step_is_that_of_its_loss_alone():
    cell = GRU(3, 4)
    params, xs, targets = params_of(cell), inputs_of(cell, (T,)), targets_of(T)
    state = jaxrnn.online_init(cell, params, xs[0])
    for x, target in zip(xs, targets, strict=True):
        state, found = jaxrnn.online_step(loss, params, state, x, target)
    last = lambda params: loss(jaxrnn.unroll(cell, params, xs)[1][-1], targets[-1])  # noqa: E731
    assert_close(found.gradients, jax.grad(last)(params))


@pytest.mark.slow
def test_params_that_change_have_the_influence_of_their_time():
    """J and D at the params of each step, the signal at those of now: by a loop."""
    cell = Elman(3, 4)
    params, xs, targets = params_of(cell), inputs_of(cell, (T,)), targets_of(T)
    state = jaxrnn.online_init(cell, params, xs[0])
    flat, back = jax.flatten_util.ravel_pytree(params)
    h, M = jnp.zeros(4), jnp.zeros((4, flat.size))
    new = lambda h, flat, x: cell(back(flat), h, x)[0]  # noqa: E731
    for x, target in zip(xs, targets, strict=True):
        J, D = jax.jacrev(new, (0, 1))(h, flat, x)
        h, M = new(h, flat, x), J @ M + D
        expected = jax.grad(loss)(h, target) @ M
        state, found = jaxrnn.online_step(loss, back(flat), state, x, target)
        gradient = jax.flatten_util.ravel_pytree(found.gradients)[0]
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)
        flat = flat - 0.1 * gradient


def test_what_is_kept_has_the_size_that_is_promised():
    """In numbers, for each example: n Q of a dense recurrence, Q of what is local."""
    sizes = {}
    for method in (RTRL(), SnAp(1), EProp(), UORO(), OneStep()):
        for cell in (Elman(3, 5), jaxrnn.cells.MinGRU(3, 5)):
            state = jaxrnn.online_init(
                cell, params_of(cell), jnp.zeros(3), method=method,
                method_key=jax.random.key(0),
            )  # fmt: skip
            leaves = jax.tree.leaves(state.influence)
            name = type(cell).__name__, type(method).__name__
            sizes[name] = sum(leaf.size for leaf in leaves)
    elman, gru = 3 * 5 + 5 * 5 + 5, 2 * (3 * 5 + 5)
    for name, each in {"Elman": elman, "MinGRU": gru}.items():
        assert sizes[name, "RTRL"] == (5 * each if name == "Elman" else each)
        assert sizes[name, "SnAp"] == sizes[name, "EProp"] == each
        assert sizes[name, "UORO"] == 5 + each and sizes[name, "OneStep"] == 0


@pytest.mark.slow
def test_a_state_is_a_pytree_that_is_kept_and_batched():
    cell = GRU(3, 4)
    params, xs, targets = params_of(cell), inputs_of(cell, (B,)), targets_of(B)
    state = jaxrnn.online_init(cell, params, xs, method=SnAp(1))
    again = pickle.loads(pickle.dumps(state))
    step = lambda state: jaxrnn.online_step(loss, params, state, xs, targets)  # noqa: E731
    assert_close(jax.jit(step)(again), step(state))
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), state)
    each = jax.vmap(step)(many)
    assert_close(jax.tree.map(lambda leaf: leaf[1], each), step(state))


def test_equal_steps_compile_once():
    cell = Elman(3, 4)
    params, traced = params_of(cell), []

    def counted(y, target):
        traced.append(y)
        return loss(y, target)

    state = jaxrnn.online_init(cell, params, jnp.zeros(3))
    for _ in range(3):
        state, _ = jaxrnn.online_step(counted, params, state, jnp.ones(3), 0.5)
        state = jax.tree.map(lambda leaf: leaf, state)
    assert len(traced) == 1
