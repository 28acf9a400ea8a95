"""Cells around another cell that see, touch or replace its carry."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from ..wrappers.wrapper import Wrapper


class Probe(Wrapper):
    """A wrapper that an error does not name: the user has not put it there."""

    def __repr__(self) -> str:
        return repr(self.cell)


class Gated(Probe):
    """`cell` with params `(params, initial, landing)` and inputs `(x, gate)`.

        start_t = initial where fresh_t, else carry_(t-1)
        carry_t = step(params, start_t, drive_t) where valid_t, else carry_(t-1)
        y_t     = output(params, carry_t, drive_t) where valid_t, else 0

    A step that is not valid computes all the same. It does so from the initial carry and
    from inputs that hold zeros, and `output` reads `landing`, the carry which that gives:
    all of it is finite, so that nothing comes back through it, zero times infinity being
    no number.
    """

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        x, gate = x
        return self.cell.project(params[0], x, keys), gate

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        params, initial, _ = params
        drive, gate = drive
        start = _where(gate.fresh, initial, carry)
        new = self.cell.step(params, start, drive)
        return new if gate.valid is None else _where(gate.valid, new, carry)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        params, _, landing = params
        drive, gate = drive
        if gate.valid is None:
            return self.cell.output(params, carry, drive)
        y = self.cell.output(params, _where(gate.valid, carry, landing), drive)
        return _where(gate.valid, y, jax.tree.map(jnp.zeros_like, y))


def _where(condition: jax.Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


class Observed(Probe):
    """`cell`, with `(carry, y)` for its output: every carry is seen."""

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        return carry, self.cell.output(params, carry, drive)


class Perturbed(Probe):
    """`cell` with inputs `(x, epsilon)`, where step adds epsilon to the new carry.

        carry_t = step(params, carry_(t-1), drive_t) + epsilon_t

    The gradient with respect to epsilon_t, at zero, is dL/dcarry_t. Leaves of the carry
    that are neither floating nor complex are left as they are.
    """

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        x, epsilon = x
        return self.cell.project(params, x, keys), epsilon

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        drive, epsilon = drive
        return jax.tree.map(_add, self.cell.step(params, carry, drive), epsilon)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        drive, _ = drive
        return self.cell.output(params, carry, drive)


def _add(leaf: jax.Array, epsilon: jax.Array) -> jax.Array:
    return leaf + epsilon if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf
