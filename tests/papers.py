"""Cells against NumPy steps written from their papers: values, gates and gradients.

A step is `step(cell, params, carry, x) -> (carry, y, gates)`, in NumPy alone and written
for complex numbers: no absolute values, comparisons of real parts only. So it can be
differentiated without JAX, by a step of 1e-30 along the imaginary axis, exactly to
rounding (Squire and Trapp, SIAM Review 40, 1998):

    d/da f(w + a v) = Im f(w + 1e-30 i v) / 1e-30
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import carry_of, inputs_of, params_of, random_like

from jaxrnn import unroll

T = 3
TINY = 1e-30
every_bias = pytest.mark.parametrize("use_bias", by_default([True, False], True))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softplus(a):
    return np.log1p(np.exp(a))


def relu(a):
    return np.where(a.real > 0, a, 0)


def softmax(a):
    e = np.exp(a - a.real.max())
    return e / e.sum()


def blocks(params, name, gates):
    """The columns of a parameter by gate; zeros for a bias that is not there."""
    if name not in params:
        return dict.fromkeys(gates, 0.0)
    return dict(zip(gates, np.split(params[name], len(gates), axis=-1), strict=True))


def sums(params, x, h, gates):
    """x W + h U + b of every gate by its name."""
    W, U = blocks(params, "kernel", gates), blocks(params, "recurrent_kernel", gates)
    b = blocks(params, "bias", gates)
    return {gate: x @ W[gate] + h @ U[gate] + b[gate] for gate in gates}


def equals_paper(cell, step):
    """Assert that values, gates and gradients of a short run are those of the steps."""
    params = jax.tree.map(np.asarray, params_of(cell))
    xs = jax.tree.map(np.asarray, inputs_of(cell, (T,)))
    carry = jax.tree.map(np.asarray, carry_of(cell, params))
    final, ys, gates = _run(cell, step, params, xs, carry)
    weights = random_like((final, ys), seed=31)

    def loss(given):
        result = unroll(cell, *given)
        products = jax.tree.map(
            lambda a, w: jnp.sum(a.astype(w.dtype) * w), result, weights
        )
        return sum(jax.tree.leaves(products)), result

    given = params, xs, carry
    graded = jax.value_and_grad(loss, has_aux=True, allow_int=True)
    (_, result), gradient = jax.jit(graded)(given)
    jax.tree.map(_close, result, (final, ys))
    found = cell.gates(cell.prepare(params), carry, _drive(cell, params, xs))
    assert list(found) == list(gates)
    jax.tree.map(_close, found, gates)
    for seed in (32, 33):
        direction = _direction(given, seed)
        moved = jax.tree.map(_toward, given, direction)
        bent = jax.tree.map(np.imag, _run(cell, step, *moved)[:2])
        expected = sum(
            np.sum(a / TINY * w)
            for a, w in zip(jax.tree.leaves(bent), jax.tree.leaves(weights), strict=True)
        )
        ours = sum(
            np.sum(np.asarray(g) * v)
            for g, v in zip(
                jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True
            )
            if g.dtype != jax.dtypes.float0
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-10)


def _direction(tree, seed):
    """Random for floats, zero for integers and booleans."""
    random = random_like(tree, seed)
    return jax.tree.map(
        lambda a, v: np.asarray(v) if np.issubdtype(a.dtype, np.floating) else 0,
        tree,
        random,
    )


def _toward(a, v):
    return a + TINY * 1j * v if np.issubdtype(a.dtype, np.floating) else a


def _drive(cell, params, xs):
    return cell.project(cell.prepare(params), jax.tree.map(lambda x: x[0], xs))


def _run(cell, step, params, xs, carry):
    ys, first = [], None
    for t in range(T):
        carry, y, gates = step(cell, params, carry, jax.tree.map(lambda x: x[t], xs))  # noqa: B023
        ys.append(y)
        first = gates if first is None else first
    return carry, jax.tree.map(lambda *rows: np.stack(rows), *ys), first


def _close(a, b):
    assert np.shape(a) == np.shape(b), (np.shape(a), np.shape(b))
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def taps(cell):
    """How many products by parameters the engine finds in a step of the cell.

    Those are whose weights' gradients leave the loop back in time; a step may have no
    other products by parameters.
    """
    params, xs = params_of(cell), inputs_of(cell, (8, 16))

    def loss(params, xs):
        return sum(map(jnp.sum, jax.tree.leaves(unroll(cell, params, xs)[1])))

    closed = jax.make_jaxpr(jax.grad(loss))(params, xs)
    counts = {len(whole.program.plan.taps) for whole in _wholes(closed.jaxpr)}
    assert len(counts) == 1
    return counts.pop()


def _wholes(jaxpr):
    for eqn in jaxpr.eqns:
        if "whole" in eqn.params:
            yield eqn.params["whole"]
        for inner in jax.tree.leaves([*eqn.params.values()]):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _wholes(inner)
