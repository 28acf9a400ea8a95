"""Noise that preserves: units that keep their old value."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import structure
from ..arguments.keys import Keys
from ..arguments.numbers import check_rate
from ..context import contexts, emptied, filled
from .wrapper import Wrapper, check_one_cell


class Zoneout(Wrapper):
    """A cell whose units keep their old value with probability `rate`.

        carry_t = m_t carry_(t-1) + (1 - m_t) step(carry_(t-1))    m_t ~ Bernoulli(rate)
        carry_t = rate carry_(t-1) + (1 - rate) step(carry_(t-1))  without a key: the mean

    Each unit of each leaf of the carry has a coin of its own at every step; leaves of
    integers are left alone, and under one rate what is no state (`Cell.is_state`). Params
    and carry are those of the cell. Krueger et al., "Zoneout: regularizing RNNs by
    randomly preserving hidden activations", ICLR 2017,
    arXiv 1606.01305.

    Args:
        cell: a cell that steps, or a wrapper of one. The layers of a `Stack` are wrapped
            one by one.
        rate: at least 0 and less than 1; for leaves of different rates, a NamedTuple as
            the carry is one: `LSTMCarry(h=0.05, c=0.5)`.

    Raises:
        TypeError: if `cell` is no cell, or made of several.
        ValueError: for another rate, or at the first evaluation, if rates and carry
            differ in structure.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> rates = jaxrnn.LSTMCarry(h=0.05, c=0.5)
        >>> cell = jaxrnn.Zoneout(jaxrnn.LSTM(3, 5), rates)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(
        ...     cell, params, jnp.ones((7, 3)), key=jax.random.key(1)
        ... )
        >>> print(carry.c.shape, ys.shape)
        (5,) (7, 5)
    """

    rate: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_cell(self)
        rate = jax.tree.map(lambda rate: check_rate(self, "rate", rate), self.rate)
        object.__setattr__(self, "rate", rate)

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        carry = self.cell.initial_carry(params)
        if isinstance(self.rate, float):
            rates = jax.tree.map(lambda _: self.rate, carry)
        else:
            rates = self.rate
        if jax.tree.structure(rates) != jax.tree.structure(carry):
            raise ValueError(
                f"Zoneout: rate is {self.rate}, expected a number or one for each leaf "
                f"of the carry of {self.cell}, {structure(carry)}"
            )
        # The size of each mask, for `project`, which does not see the carry.
        return self.cell.prepare(params, key), carry

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        params, carry = params
        if keys is None:
            return self.cell.project(params, x), None
        leaves, coin = jax.tree.leaves(carry), keys.child(1).step
        coins = jax.random.split(coin, len(leaves)) if len(leaves) > 1 else [coin]
        keep = [
            jax.random.bernoulli(own, rate, jnp.shape(leaf))
            for own, rate, leaf in zip(coins, self._rates(carry), leaves, strict=False)
        ]
        return self.cell.project(params, x, keys.child(0)), keep

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        drive, keep = drive
        held = contexts(carry)
        new = emptied(self.cell.step(params[0], carry, drive))
        old, treedef = jax.tree.flatten(emptied(carry))
        new = jax.tree.leaves(new)
        rates = self._rates(emptied(carry))
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            if rates[index] == 0 or not jnp.issubdtype(after.dtype, jnp.inexact):
                continue
            if keep is None:
                new[index] = rates[index] * before + (1 - rates[index]) * after
            else:
                new[index] = jnp.where(keep[index], before, after)
        return filled(jax.tree.unflatten(treedef, new), held)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.output(params[0], carry, drive[0])

    def gates(self, params: Any, carry: Any, drive: Any) -> dict[str, jax.Array]:
        return self.cell.gates(params[0], carry, drive[0])

    def _rates(self, carry: Any) -> list[float]:
        if isinstance(self.rate, float):
            state = jax.tree.leaves(self.cell.is_state(carry))
            return [self.rate if is_state else 0.0 for is_state in state]
        return jax.tree.leaves(self.rate)
