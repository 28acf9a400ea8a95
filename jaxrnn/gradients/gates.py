"""The gates of a run, and what they say about memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.arrays import as_array
from ..arguments.dtypes import promoted
from ..arguments.keys import Keys
from ..cell import Cell
from ..methods import Scan
from ..unrolling.call import call_of, evaluate
from ..unrolling.held import Held
from ..unrolling.run import Run
from ..unrolling.stepping import carries_before, over_steps
from ..unrolling.streams import zeroed


def gate_activations(
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
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> Any:
    """The activations of all gates at every step of a run.

    For every cell what its `gates` returns: of an LSTM {"i", "f", "g", "o"}, of a GRU
    {"r", "z", "n"}, of a cell without gates {}.

    Args:
        cell, params, xs, carry, lengths, mask, resets, reverse, key, method: as in
            `unroll`.

    Returns:
        A dict with leaves `(T, *batch, H)`, zeros at masked steps; for a combinator of
        several cells a tuple, one entry a cell, put together as its carry is.

    Raises:
        As `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> gates = jaxrnn.gate_activations(cell, params, jnp.ones((7, 2, 3)))
        >>> print(sorted(gates), gates["f"].shape)
        ['f', 'g', 'i', 'o'] (7, 2, 5)
    """
    name, streams = "gate_activations", (lengths, mask, resets)
    call = call_of(name, cell, params, xs, carry, *streams, reverse, key, method)
    return evaluate(call, observe=_gates)[0]


def _gates(
    run: Run, cell: Cell, params: Any, first: Any, carries: Any, xs: Any
) -> dict[str, jax.Array]:
    gate = run.streams.backward if run.reverse else run.streams.forward
    before = carries_before(first, carries, gate, run.initial, reverse=run.reverse)

    def gates(carry: Any, x: Any, keys: Keys | None, *held: Any) -> dict[str, jax.Array]:
        own = (params[0], *held) if held else params
        return cell.gates(own, carry, cell.project(own, x, keys))

    held = params[1:] if isinstance(cell, Held) else ()
    seen = over_steps(gates, run.batch_ndim, before, xs, run.keys, *held)
    return zeroed(run.streams.valid, seen)


def time_constants(forget: jax.Array, *, where: jax.Array | None = None) -> jax.Array:
    """How long each unit remembers, by its forget gate.

        tau = -1 / ln(mean f)        c_t = f c_(t-1) + ... fades as exp(-t / tau)

    Of an LSTM f is the forget gate, of a GRU z. Tallec and Ollivier, "Can recurrent
    neural networks warp time?", ICLR 2018, arXiv 1804.11188. What runs through the
    recurrent kernel besides is not in it: `lag_profile` measures all of it.

    Args:
        forget: activations in [0, 1], `(T, *batch, H)`, as `gate_activations` gives them.
        where: which steps count, `(T, *batch)` booleans; by default all.

    Returns:
        `(H,)`, in steps, in float32 at least; inf for a gate that is 1 throughout, 0 for
        one that is 0, NaN if no step counts.

    Raises:
        ValueError: if `where` is not of the shape `(T, *batch)`.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jnp.round(jaxrnn.time_constants(jnp.full((10, 1), 0.9)), 2))
        [9.49]
    """
    mean = _mean("time_constants", as_array("time_constants", "forget", forget), where)
    return jnp.where(mean >= 1, jnp.inf, -1 / jnp.log(jnp.minimum(mean, 1)))


class Saturation(NamedTuple):
    """The fraction of the time at which a unit is at either end.

    Attributes:
        low, high: `(H,)`, in [0, 1].

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> print(jaxrnn.saturation(jnp.array([[0.02, 0.5]])).low)
        [1. 0.]
    """

    low: jax.Array
    high: jax.Array


def saturation(
    activation: jax.Array,
    *,
    low: float = 0.1,
    high: float = 0.9,
    where: jax.Array | None = None,
) -> Saturation:
    """How often each unit is saturated: below `low`, or above `high`.

    A unit that is always at one end lets no gradient through to its own weights. For a
    tanh, as for the states of an Elman cell, take low=-0.9. Karpathy, Johnson and
    Fei-Fei, "Visualizing and understanding recurrent networks", 2015, arXiv 1506.02078.

    Args:
        activation: `(T, *batch, H)`, as `gate_activations` gives them.
        low, high: the ends.
        where: which steps count, `(T, *batch)` booleans; by default all.

    Returns:
        `Saturation(low, high)`, fractions `(H,)` in float32 at least; NaN if no step
        counts.

    Raises:
        ValueError: if `where` is not of the shape `(T, *batch)`.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> gate = jnp.array([[0.05, 0.95], [0.5, 0.99]])
        >>> ends = jaxrnn.saturation(gate)
        >>> print(ends.low, ends.high)
        [0.5 0. ] [0. 1.]
    """
    activation = as_array("saturation", "activation", activation)
    return Saturation(
        low=_mean("saturation", (activation < low).astype(activation.dtype), where),
        high=_mean("saturation", (activation > high).astype(activation.dtype), where),
    )


def _mean(name: str, values: jax.Array, where: jax.Array | None) -> jax.Array:
    if where is not None and jnp.shape(where) != values.shape[:-1]:
        raise ValueError(
            f"{name}: where has shape {jnp.shape(where)}, expected {values.shape[:-1]}, "
            "(T, *batch)"
        )
    values = values.astype(promoted(values.dtype, "float32"))  # a long sum
    axes = tuple(range(values.ndim - 1))
    there = None if where is None else jnp.asarray(where)[..., None]
    return jnp.mean(values, axes, where=there)
