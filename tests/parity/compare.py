"""One check for every peer: the same weights give the same values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from zoo import inputs_of, random_like

from jaxrnn import batched_carry, unroll

STEPS, BATCH = 7, 3


@functools.cache
def unrolled(cell):
    """One function for equal cells, so that `evaluate` compiles them once."""
    return functools.partial(unroll, cell)


@functools.partial(jax.jit, static_argnames="run")
def evaluate(run, weights, xs, carry, loss_weights):
    """`run(weights, xs, carry)` and the gradients of a loss of all that it returns.

    Returns:
        `(outcome, gradients)`: outcome is `(final carry, ys)`, and gradients are those
        of the sum of `outcome * loss_weights` in the weights, the inputs (unless they
        are symbols) and the initial carry.
    """

    def loss(*arguments):
        outcome = run(*arguments)
        products = jax.tree.map(jnp.vdot, loss_weights, outcome)
        return sum(jax.tree.leaves(products)), outcome

    argnums = (0, 1, 2) if jnp.issubdtype(xs.dtype, jnp.floating) else (0, 2)
    differentiate = jax.value_and_grad(loss, argnums, has_aux=True)
    (_, outcome), gradients = differentiate(weights, xs, carry)
    return outcome, gradients


def assert_parity(cell, to_params, weights, run, evaluate_peer=evaluate):
    """Compare `unroll(cell, to_params(weights), xs, carry)` with `run`, the peer.

    Gradients are compared in the peer's own weights, ours pulled back through the
    conversion: a weight that it drops, doubles or misplaces has another gradient.

    Args:
        cell: ours.
        to_params: our params as a differentiable function of the peer's weights.
        weights: the peer's weights, a pytree.
        run: the peer, `run(weights, xs, carry)` with our `(carry, ys)` as its result.
        evaluate_peer: what differentiates `run`, for a peer that JAX cannot.
    """
    params, pull_back = jax.vjp(to_params, weights)
    xs = inputs_of(cell, (STEPS, BATCH))
    carry = random_like(batched_carry(cell, params, (BATCH,)), seed=1)
    outcome = jax.eval_shape(unrolled(cell), params, xs, carry)
    loss_weights = random_like(outcome, seed=2)

    outcome, gradients = evaluate(unrolled(cell), params, xs, carry, loss_weights)
    ours = outcome, (*pull_back(gradients[0]), *gradients[1:])
    theirs = evaluate_peer(run, weights, xs, carry, loss_weights)
    assert_same(ours, theirs)


def assert_same(ours, theirs):
    """All leaves agree in float64, and none of them is zero everywhere or no number."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for (path, our), their in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
    ):
        name = jax.tree_util.keystr(path)
        assert our.dtype == their.dtype == np.float64, name
        assert np.any(our), f"{name} is zero everywhere: nothing is compared"
        np.testing.assert_allclose(
            their, our, rtol=1e-12, atol=1e-12, equal_nan=False, err_msg=name
        )
