"""The Jacobians of the steps of a run, and their products."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.arrays import as_array, native
from ..arguments.dtypes import promoted
from ..arguments.numbers import check_count, is_whole
from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import call_of, evaluate, time_and_batch
from ..unrolling.run import every_carry, repeat
from ..unrolling.stepping import Steps, flat_step, over_steps, steps_of


def step_jacobians(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> jax.Array:
    """The Jacobian of every step, along the trajectory of a run.

        J_t = d carry_t / d carry_(t-1)

    The carry is one vector of n numbers: its floating leaves in the order of
    `jax.tree.leaves`, each in C order. An LSTM has n = 2 H, first h, then c. A complex
    leaf counts twice, first all its real parts, then all imaginary ones. A `Stack`
    has the carries of all its layers, from below: unlike in `carry_gradients`, all of
    them are one joint state, in which the layers are the blocks on and below the
    diagonal. A step that is not valid has the identity, one that is reset zeros.

    A gradient on its way back is multiplied by all of them: Pascanu, Mikolov and Bengio,
    "On the difficulty of training recurrent neural networks", ICML 2013, arXiv 1211.5063.

    All Jacobians take T n^2 numbers for each example, and T n products of the size of a
    step. For products by some vectors alone see `carry_tangents` and `carry_gradients`.

    Args:
        cell, params, xs, carry, lengths, mask, resets, key, method: as in `unroll`.

    Returns:
        `(T, *batch, n, n)`, in the carry's dtype: row i holds the gradient of the new
        carry's number i.

    Raises:
        TypeError: for a cell that exists over whole sequences only, such as
            `Bidirectional`. Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> jacobians = jaxrnn.step_jacobians(cell, params, jnp.ones((7, 2, 3)))
        >>> print(jacobians.shape)
        (7, 2, 10, 10)
    """
    streams = lengths, mask, resets
    name = "step_jacobians"
    call = call_of(name, cell, params, xs, carry, *streams, False, key, method)
    batch_ndim = len(time_and_batch(name, cell, xs)) - 1
    return _step_jacobians(cell, batch_ndim, steps_of(call))


@functools.partial(jax.jit, static_argnames=("cell", "batch_ndim"))
def _step_jacobians(cell: Cell, batch_ndim: int, steps: Steps) -> jax.Array:
    def jacobian(carry: Any, x: Any, keys: Any) -> jax.Array:
        vector, step = flat_step(cell, steps.params, carry, x, keys)
        return jax.jacfwd(lambda vector: step(vector)[0])(vector)

    jacobians = over_steps(jacobian, batch_ndim, steps.before, steps.xs, steps.keys)
    if steps.fresh is not None:
        jacobians = jnp.where(steps.fresh[..., None, None], 0, jacobians)
    if steps.valid is not None:
        identity = jnp.eye(jacobians.shape[-1], dtype=jacobians.dtype)
        identity = jnp.broadcast_to(identity, jacobians.shape)
        jacobians = jnp.where(steps.valid[..., None, None], jacobians, identity)
    return jacobians


def carry_tangents(
    tangent: Any,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008
) -> Any:
    """How a small change of the first carry travels, without any Jacobian being made.

        tangent_t = J_t ... J_2 J_1 tangent        J_t = d carry_t / d carry_(t-1)

    One pass in forward mode, at about the cost of another run. `carry_gradients` is the
    same backwards, from the loss.

    Args:
        tangent: the change, of the structure and shapes of a carry, batch axes first;
            what is given at leaves of integers is ignored.
        cell, params, xs, carry, lengths, mask, resets, reverse, key, method: as in
            `unroll`.

    Returns:
        The carry's pytree with leaves `(T, *batch, ...)`; of integers, of dtype float0.

    Raises:
        ValueError: if the tangent has other shapes than a carry. Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> xs, start = jnp.ones((50, 3)), jnp.ones(5)
        >>> tangents = jaxrnn.carry_tangents(start, cell, params, xs)
        >>> print(tangents.shape, bool(jnp.linalg.norm(tangents[-1]) < 1e-3))
        (50, 5) True
    """
    name, streams = "carry_tangents", (lengths, mask, resets)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    leading = time_and_batch(name, cell, call.xs)
    if carry is None:
        carry = repeat(cell.initial_carry(call.params), leading[1:])
    carry, tangent = native(name, "carry", carry), native(name, "tangent", tangent)
    if not checks.alike(carry, tangent):
        raise ValueError(
            f"{name}: tangent has the shapes {checks.shapes(tangent)}, expected those of "
            f"a carry of {cell}, {checks.shapes(carry)}"
        )
    widened = jax.eval_shape(lambda: evaluate(call)[0])
    carry = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), carry, widened)

    def of(leaf: jax.Array, change: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            return jnp.asarray(change, leaf.dtype)
        return np.zeros(leaf.shape, jax.dtypes.float0)

    def run(carry: Any) -> Any:
        return evaluate(call._replace(carry=carry), observe=every_carry)[0]

    return jax.jvp(run, (carry,), (jax.tree.map(of, carry, tangent),))[1]


def spectral_radius(jacobians: jax.Array) -> jax.Array:
    """The largest absolute value of an eigenvalue, of every matrix.

        radius = max_i |lambda_i|

    Eigenvalues are computed by LAPACK, on the CPU; for the norm sigma_max of a matrix
    take `jnp.linalg.svd(jacobians, compute_uv=False)[..., 0]`.

    Args:
        jacobians: `(..., n, n)`, such as those of `step_jacobians`.

    Returns:
        `(...)`, in the real dtype of the matrices.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> turn = jnp.array([[0.0, -2.0], [2.0, 0.0]])
        >>> print(jnp.round(jaxrnn.spectral_radius(turn), 3))
        2.0
    """
    jacobians = jnp.asarray(as_array("spectral_radius", "jacobians", jacobians))
    dtype = jacobians.dtype
    full = jacobians.astype(promoted(dtype, "float32"))  # LAPACK has no half
    return jnp.max(jnp.abs(jnp.linalg.eigvals(full)), axis=-1).astype(_real(dtype))


def _real(dtype: Any) -> Any:
    return jnp.finfo(dtype).dtype


def product_singular_values(
    jacobians: jax.Array, lags: int | Sequence[int], *, stride: int = 1
) -> jax.Array:
    """How products of Jacobians stretch: ln sigma_i(J_t ... J_(t-k+1)), mean over t.

    One row for every lag k, averaged over the products of k steps that begin at steps 0,
    `stride`, 2 `stride`, ... The first column is the logarithm of the norm
    ||J_t ... J_s||. Products are scaled as they grow, so that none over- or underflows;
    but a singular value below the largest times the dtype's epsilon is rounding, and -inf
    is an exact zero. For long products of all directions see `lyapunov_spectrum`.

    Args:
        jacobians: `(T, *batch, n, n)`.
        lags: the lengths of the products, each in 1..T: an int for all of 1..`lags`, or
            some of them, as (1, 10, 50). Each costs its singular values, and the longest
            as many products as it has steps.
        stride: how many steps lie between the beginnings. On a long run a large one costs
            less by as much, for a mean over fewer.

    Returns:
        `(number of lags, *batch, n)`, in their order: natural logarithms, descending
        along the last axis, in the real dtype of the matrices.

    Raises:
        ValueError: if a lag is not in 1..T, or there is none; for a stride that is no
            positive int.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> halving = jnp.tile(0.5 * jnp.eye(3), (10, 1, 1))
        >>> logs = jaxrnn.product_singular_values(halving, (1, 2, 4))
        >>> print(jnp.round(jnp.exp(logs[:, 0]), 4))
        [0.5    0.25   0.0625]
    """
    name = "product_singular_values"
    jacobians = jnp.asarray(as_array(name, "jacobians", jacobians))
    T = len(jacobians)
    if T == 0:
        raise ValueError(f"{name}: there are no Jacobians, of no steps")
    every = range(1, 1 + lags) if is_whole(lags) else lags
    every = tuple(every) if isinstance(every, Iterable) else ()
    if not every or not all(is_whole(lag) and 1 <= lag <= T for lag in every):
        raise ValueError(
            f"{name}: lags is {lags!r}, expected 1 to {T}, the number of Jacobians, or "
            "several such numbers"
        )
    stride = check_count(name, "stride", stride)
    full = jacobians.astype(promoted(jacobians.dtype, "float32"))
    logs = _product_singular_values(full, tuple(map(int, every)), stride)
    return logs.astype(_real(jacobians.dtype))


@functools.partial(jax.jit, static_argnames=("lags", "stride"))
def _product_singular_values(
    jacobians: jax.Array, lags: tuple[int, ...], stride: int
) -> jax.Array:
    T, *batch, n, _ = jacobians.shape
    starts = jnp.arange(0, T, stride)
    asked = np.isin(np.arange(1, 1 + max(lags)), lags)
    shape = len(starts), *batch, n, n
    identity = jnp.broadcast_to(jnp.eye(n, dtype=jacobians.dtype), shape)
    logs = jnp.zeros((len(starts), *batch, 1), _real(jacobians.dtype))

    def advance(state: Any, timed: Any) -> tuple[Any, jax.Array]:
        (products, logs), (lag, is_asked) = state, timed
        now = starts + lag
        new = jacobians[jnp.minimum(now, T - 1)] @ products
        size = jnp.max(jnp.abs(new), axis=(-2, -1), keepdims=True)
        scale = jnp.where((size > 0) & jnp.isfinite(size), size, 1)
        new, logs = new / scale.astype(new.dtype), logs + jnp.log(scale[..., 0])

        def mean(new: jax.Array, logs: jax.Array) -> jax.Array:
            values = jnp.log(jnp.linalg.svd(new, compute_uv=False)) + logs
            exists = (now < T).reshape(-1, *(1 for _ in batch), 1)
            total = jnp.sum(jnp.where(exists, values, 0), axis=0)
            return total / jnp.sum(exists, dtype=values.dtype)

        if asked.all():
            row = mean(new, logs)
        else:
            nothing = jnp.zeros((*batch, n), logs.dtype)
            row = jax.lax.cond(is_asked, mean, lambda *_: nothing, new, logs)
        return (new, logs), row

    timed = jnp.arange(len(asked)), jnp.asarray(asked)
    _, rows = jax.lax.scan(advance, (identity, logs), timed)
    return rows[np.array(lags) - 1]
