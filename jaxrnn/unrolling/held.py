"""A cell whose contexts are held outside of its carry."""

import operator
from typing import Any

import jax

from ..arguments.keys import Keys
from ..cell import Cell
from ..context import contexts, emptied, filled
from .probes import Probe


class Held(Probe):
    """`cell` with params `(params, contexts)`, and a carry whose contexts are empty."""

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return self.cell.project(params[0], x, keys)

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        params, held = params
        new = self.cell.step(params, filled(carry, held), drive)
        before, after = jax.tree.leaves(held), jax.tree.leaves(contexts(new))
        if len(before) != len(after) or any(map(operator.is_not, before, after)):
            raise TypeError(
                f"{self.cell}.step changes the Context in its carry, expected it as it "
                "came: what changes is state, and stands in the carry as it is"
            )
        return emptied(new)

    def output(self, params: Any, carry: Any, drive: Any) -> Any:
        params, held = params
        return self.cell.output(params, filled(carry, held), drive)

    def gates(self, params: Any, carry: Any, drive: Any) -> dict[str, jax.Array]:
        params, held = params
        return self.cell.gates(params, filled(carry, held), drive)


def holding(cell: Cell, params: Any, values: list[Any]) -> tuple[Cell, Any, Any]:
    """The cell, its params and the axes of these that are batched, with contexts held."""
    if not values:
        return cell, params, None
    return Held(cell), (params, values), (None, 0)
