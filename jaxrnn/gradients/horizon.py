"""How far back a gradient reaches, in one number."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.arrays import native
from .lags import LagProfile


def memory_horizon(norms: Any, level: float = 1 / math.e) -> Any:
    """The lag at which a gradient has fallen to a fraction of what it is at first.

        horizon = the least k with norms_k <= level norms_k0

    with k0 the first lag at which it is not zero: 0, but 1 for the c of an LSTM, which
    the output reads through h, held fixed. Between whole lags by a straight line in the
    logarithm. A norm that first rises is followed until it has fallen.

    Args:
        norms: `(lags, ...)`, or a pytree of such; or a `LagProfile`, of which the lags
            that an example is too short for are left out.
        level: the fraction, in (0, 1): 1/e by default, 0.01 for all but a hundredth.

    Returns:
        `(...)` for every leaf, in steps; inf where the norm does not fall so far within
        the lags given, 0 where it is zero from the start, NaN where it is not finite.

    Raises:
        ValueError: if `level` is not in (0, 1).

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> norms = 0.5 ** jnp.arange(20.0)
        >>> print(jaxrnn.memory_horizon(norms, 0.125))
        3.0
    """
    if not 0 < level < 1:
        raise ValueError(f"memory_horizon: level is {level!r}, expected one in (0, 1)")
    counts: Any = None
    if isinstance(norms, LagProfile):
        norms, counts = norms
    norms = native("memory_horizon", "norms", norms)
    return jax.tree.map(lambda leaf: _horizon(jnp.asarray(leaf), counts, level), norms)


def _horizon(norms: jax.Array, counts: Any, level: float) -> jax.Array:
    if norms.ndim == 0:
        raise ValueError("memory_horizon: norms is a scalar, expected (lags, ...)")
    start = jnp.argmax(norms > 0, axis=0)[None]
    top = jnp.take_along_axis(norms, start, axis=0)
    lag = jnp.arange(len(norms)).reshape(-1, *(1 for _ in norms.shape[1:]))
    below = (lag >= start) & (norms <= level * top)
    if counts is not None:
        below &= counts > 0
    found = jnp.any(below, axis=0)
    k = jnp.argmax(below, axis=0)
    pair = jnp.stack([jnp.maximum(k - 1, 0), k])
    above, under = jnp.log(jnp.take_along_axis(norms, pair, axis=0))
    aim = jnp.log(top[0]) + math.log(level)
    # From above zero to an exact zero the line falls at once, at lag k - 1.
    part = jnp.where(under > -jnp.inf, (above - aim) / (above - under), 0)
    horizon = jnp.where(k > 0, (k - 1).astype(part.dtype) + part, 0)
    horizon = jnp.where(found, horizon, jnp.inf)
    return jnp.where(jnp.all(jnp.isfinite(norms), axis=0), horizon, jnp.nan)
