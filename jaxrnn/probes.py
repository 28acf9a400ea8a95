"""Cells that look at the carry of another cell, or touch it, between step and output."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from .cell import Cell, Keys


@dataclass(frozen=True)
class _Probe(Cell):
    """`cell` as it is."""

    cell: Cell

    def init(self, key: jax.Array) -> Any:
        return self.cell.init(key)

    def initial_carry(self, params: Any) -> Any:
        return self.cell.initial_carry(params)

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params, x, keys)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.step(params, carry, drive)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        return self.cell.output(params, carry, drive)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Observed(_Probe):
    """`cell`, with `(carry, y)` for its output: every carry is seen."""

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        return carry, self.cell.output(params, carry, drive)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Perturbed(_Probe):
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
