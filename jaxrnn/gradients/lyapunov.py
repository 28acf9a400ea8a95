"""Lyapunov exponents of a recurrent network along its trajectory."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.dtypes import promoted
from ..arguments.keys import Keys
from ..arguments.numbers import check_count, is_number, is_whole
from ..arguments.varying import varying_with
from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import call_of, time_and_batch
from ..unrolling.stepping import Steps, flat, flat_step, steps_of

ROUNDING = 16  # times the root of n and the epsilon: what a QR leaves of nothing
GROUPS = 10  # of blocks of steps, whose means tell the standard error


class LyapunovSpectrum(NamedTuple):
    """Lyapunov exponents, in nats per step.

    Attributes:
        exponents: `(*batch, k)`, descending as far as they have settled: those of the
            directions in their order, so that fewer are the first of more. -inf for a
            direction that is lost: one whose rate lies below the largest by more than the
            dtype can tell: by 11 nats between two QR decompositions in float32, 31 in
            float64, for n = 64.
        standard_error: `(*batch, k)`, from the scatter of the means of ten parts of the
            steps; 0 for an exponent of -inf, inf where there are too few steps to tell.
        trace: `(blocks, *batch, k)`: the exponents as they settle, each block's the mean
            over the steps until then, counted from the end of the warm-up; during the
            warm-up, from the first step.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> exponents = jnp.array([0.5, 0.0, -1.0])
        >>> spectrum = jaxrnn.LyapunovSpectrum(exponents, exponents, exponents[None])
        >>> print(spectrum.dimension, spectrum.entropy_rate)
        2.5 0.5
    """

    exponents: jax.Array
    standard_error: jax.Array
    trace: jax.Array

    @property
    def dimension(self) -> jax.Array:
        """The Kaplan-Yorke dimension of the attractor, `(*batch)`.

            D = j + (lambda_1 + ... + lambda_j) / |lambda_(j+1)|

        with the greatest j for which the sum is not negative. 0 if all exponents are
        negative. Where the sum of all k is not negative, D is k: the dimension of the
        whole state, or, if k < n, a lower bound.
        """
        exponents = -jnp.sort(-self.exponents, axis=-1)
        sums = jnp.cumsum(exponents, axis=-1)
        held = jnp.sum(sums >= 0, axis=-1)  # how many exponents, j
        known = ~jnp.isnan(sums[..., -1])
        k = self.exponents.shape[-1]
        last = jnp.maximum(held - 1, 0)[..., None]
        total = jnp.where(held > 0, jnp.take_along_axis(sums, last, -1)[..., 0], 0)
        after = jnp.minimum(held, k - 1)[..., None]
        following = jnp.abs(jnp.take_along_axis(exponents, after, -1)[..., 0])
        inside = (held > 0) & (held < k)
        part = jnp.where(inside, total / jnp.where(inside, following, 1), 0)
        return jnp.where(known, held.astype(part.dtype) + part, jnp.nan)

    @property
    def entropy_rate(self) -> jax.Array:
        """The sum of the positive exponents, `(*batch)`, in nats per step: Pesin's bound
        of the Kolmogorov-Sinai entropy."""
        return jnp.sum(jnp.maximum(self.exponents, 0), axis=-1)


def lyapunov_spectrum(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    k: int | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    key: jax.Array | None = None,
    warmup: float = 0.1,
    every: int = 1,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> LyapunovSpectrum:
    """The rates at which small changes of the carry grow or fade, direction by direction.

        J_t Q_(t-1) = Q_t R_t                  QR, with Q_t [n, k] orthonormal
        lambda_i    = mean over t of ln |(R_t)_ii|

    J_t is that of `step_jacobians`, whose vector of n numbers the carry is. Directions
    start from fixed pseudo-random ones, so that none is special, the first k of them for
    k exponents. Benettin et al.,
    "Lyapunov characteristic exponents", Meccanica 15, 1980; for networks Engelken, Wolf
    and Abbott, "Lyapunov spectra of chaotic recurrent neural networks", 2020, arXiv
    2006.02427. A largest exponent below zero means that gradients vanish, above zero that
    they explode, at that rate. A network without input starts from a random `carry`: that
    of most cells, zeros, is a fixed point, whose own exponents would be told. Standard
    errors tell the scatter along the trajectory, not how far it is from settled: `trace`
    does.

    Args:
        cell, params, xs, carry, lengths, mask, key, method: as in `unroll`.
        k: how many exponents, the largest ones, 1..n; by default all n.
        warmup: the fraction of each example's steps that are not counted, while the
            directions turn into place; in [0, 1).
        every: steps between two QR decompositions. More is faster, and loses the small
            exponents once R's entries are below the dtype's precision, or overflow.

    Returns:
        `LyapunovSpectrum(exponents, standard_error, trace)`, real, with the properties
        `dimension` and `entropy_rate`. O(n^2 k) operations a step. An example without
        steps to count has exponents of 0 with an infinite standard error.

    Raises:
        ValueError: if `k`, `warmup` or `every` is out of range. Else as `step_jacobians`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(1, 3, activation="identity")
        >>> params = cell.init(jax.random.key(0))
        >>> params |= {"recurrent_kernel": jnp.diag(jnp.array([0.5, 1.0, 0.25]))}
        >>> spectrum = jaxrnn.lyapunov_spectrum(cell, params, jnp.zeros((200, 1)))
        >>> print(jnp.round(jnp.exp(spectrum.exponents), 3))
        [1.   0.5  0.25]
    """
    name = "lyapunov_spectrum"
    every = check_count(name, "every", every)
    if not is_number(warmup) or not 0 <= warmup < 1:
        raise ValueError(f"{name}: warmup is {warmup!r}, expected a fraction in [0, 1)")
    streams = lengths, mask, None
    call = call_of(name, cell, params, xs, carry, *streams, False, key, method)
    steps = steps_of(call)
    leading = time_and_batch(name, cell, xs)
    one = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[len(leading) - 1 :], leaf.dtype),
        steps.first,
    )
    n = jax.eval_shape(flat, one).size
    if k is None:
        k = n
    if not is_whole(k) or not 1 <= k <= n:
        raise ValueError(f"{name}: k is {k!r}, expected 1 to {n}, the size of the carry")
    return _spectrum(cell, n, int(k), float(warmup), every, leading, steps)


@functools.partial(
    jax.jit, static_argnames=("cell", "n", "k", "warmup", "every", "leading")
)
def _spectrum(
    cell: Cell,
    n: int,
    k: int,
    warmup: float,
    every: int,
    leading: tuple[int, ...],
    steps: Steps,
) -> LyapunovSpectrum:
    T, *batch = leading
    steps = varying_with(steps, steps)
    blocks = math.ceil(T / every)
    index = jnp.arange(blocks * every)
    valid = jnp.ones(leading, bool) if steps.valid is None else steps.valid
    there = (index < T).reshape(-1, *(1 for _ in batch))
    valid = valid[jnp.minimum(index, T - 1)] & there

    def blocked(leaf: jax.Array) -> jax.Array:
        leaf = leaf[jnp.minimum(index, T - 1)]  # not padded: keys have no zeros
        return leaf.reshape(blocks, every, *leaf.shape[1:])

    def logs_of(first: Any, xs: Any, keys: Any, valid: jax.Array) -> jax.Array:
        of_carry = flat(first).dtype
        dtype = promoted(of_carry, "float32")  # there is no QR of a half

        def direction(number: jax.Array) -> jax.Array:
            """The same whatever k is: the first exponents do not depend on the others."""
            key = jax.random.fold_in(jax.random.key(0), number)
            return jax.random.normal(key, (n,), dtype)

        start = jax.vmap(direction, out_axes=1)(jnp.arange(k))
        start = varying_with((first, xs, valid), start)

        def advance(state: Any, timed: Any) -> tuple[Any, None]:
            (carry, directions), (x, key, valid) = state, timed
            if key is not None:
                key = keys._replace(step=key)
            vector, step = flat_step(cell, steps.params, carry, x, key)
            _, push, new = jax.linearize(step, vector, has_aux=True)
            pushed = jax.vmap(push, 1, 1)(directions.astype(of_carry)).astype(dtype)
            kept = (carry, directions)
            return jax.tree.map(
                lambda a, b: jnp.where(valid, a, b), (new, pushed), kept
            ), None

        def block(state: Any, timed: Any) -> tuple[Any, jax.Array]:
            (carry, directions), _ = jax.lax.scan(advance, state, timed)
            directions, r = jnp.linalg.qr(directions)
            return (carry, directions), jnp.log(jnp.abs(jnp.diagonal(r)))

        timed = xs, None if keys is None else keys.step, valid
        return jax.lax.scan(block, (first, jnp.linalg.qr(start)[0]), timed)[1]

    of_keys: Any = (0, 2)
    axes = (0, 2, 0 if steps.keys is None else Keys(*of_keys), 2)
    for _ in batch:
        logs_of = jax.vmap(logs_of, axes, 1)
    keys = steps.keys
    if keys is not None:
        keys = keys._replace(step=blocked(keys.step))
    valid = valid.reshape(blocks, every, *batch)
    logs = logs_of(steps.first, jax.tree.map(blocked, steps.xs), keys, valid)
    eps = float(jnp.finfo(logs.dtype).eps)
    resolved = math.log(ROUNDING * math.sqrt(n) * eps) / every
    return _statistics(logs, jnp.sum(valid, axis=1), warmup, resolved)


def _statistics(
    logs: jax.Array, sizes: jax.Array, warmup: float, resolved: float
) -> LyapunovSpectrum:
    """Of the logarithms `(blocks, *batch, k)` over blocks of so many steps.

    A mean below the largest by more than `resolved` is rounding, where a singular
    Jacobian has zero.
    """
    sizes = sizes[..., None]
    logs = jnp.where(sizes > 0, logs, 0)
    before = jnp.cumsum(sizes, axis=0) - sizes
    total = jnp.sum(sizes, axis=0, keepdims=True)
    final = (sizes > 0) & (before + sizes == total)  # counted in any case
    counted = (before.astype(logs.dtype) >= warmup * total.astype(logs.dtype)) | final

    def mean(where: jax.Array, total: Any = jnp.sum) -> jax.Array:
        count = jnp.maximum(total(jnp.where(where, sizes, 0), axis=0), 1)
        return total(jnp.where(where, logs, 0), axis=0) / count.astype(logs.dtype)

    exponents = mean(counted)
    lost = exponents < jnp.max(exponents, axis=-1, keepdims=True) + resolved
    exponents = jnp.where(lost, -jnp.inf, exponents)
    trace = jnp.where(counted, mean(counted, jnp.cumsum), mean(~counted, jnp.cumsum))

    place = jnp.cumsum(jnp.where(counted, sizes, 0), axis=0) - sizes
    steps = jnp.sum(jnp.where(counted, sizes, 0), axis=0, keepdims=True)
    group = place * GROUPS // jnp.maximum(steps, 1)
    scatter, present = jnp.zeros_like(exponents), jnp.zeros(steps.shape[1:], "int32")
    for number in range(GROUPS):
        inside = counted & (sizes > 0) & (group == number)
        some = jnp.any(inside, axis=0)
        away = jnp.where(jnp.isfinite(exponents), mean(inside) - exponents, 0)
        scatter += jnp.where(some, away**2, 0)
        present += some.astype(present.dtype)
    pairs = jnp.maximum(present * (present - 1), 1).astype(scatter.dtype)
    error = jnp.sqrt(scatter / pairs)
    error = jnp.where(exponents == -jnp.inf, 0, jnp.where(present < 2, jnp.inf, error))

    return LyapunovSpectrum(exponents, error, trace)
