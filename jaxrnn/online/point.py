"""One step of one example: its values and its derivatives."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.varying import varying_with
from ..cell import as_input
from .local import unclipped, within_units


class Ready(NamedTuple):
    """The parameters in their parts, and the trees that they are in."""

    parts: list[jax.Array]
    prepared: Any
    initial: Any


class Point:
    """One step of one example: its values and its derivatives.

    Those in the parameters are multiplied by `pulse`, if there is one.
    """

    def __init__(
        self, model: Any, ready: Ready, carry: Any, x: Any, keys: Any, pulse: Any
    ) -> None:
        self.model, self.ready, self.carry = model, ready, carry
        self.x, self.keys, self.pulse = x, keys, pulse
        self.parts = model.state.parts(carry)

    def pulsed(self, pulse: Any) -> "Point":
        return self.model.at(self.ready, self.carry, self.x, self.keys, pulse)

    def prepared(self, parts: list[jax.Array]) -> Any:
        tree = self.ready.prepared, self.ready.initial
        return self.model.sources.whole(parts, tree)[0]

    def moved(self, carry_parts: list[Any], parts: list[Any]) -> list[jax.Array]:
        """The parts of the new carry."""
        return self.model.state.parts(self._stepped(carry_parts, parts))

    def _stepped(self, carry_parts: list[Any], parts: list[Any]) -> Any:
        cell, params = self.model.cell, self.prepared(parts)
        carry = self.model.state.whole(carry_parts, self.carry)
        return cell.step(params, carry, cell.project(params, self.x, self.keys))

    def new(self) -> Any:
        """The carry after the step."""
        new = self._stepped(self.parts, self.ready.parts)
        return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), new, self.model.carry)

    def output(self, new_parts: list[Any], parts: list[Any], new: Any) -> Any:
        """What the cell shows of a carry."""
        cell, params = self.model.cell, self.prepared(parts)
        new = self.model.state.whole(new_parts, new)
        drive = cell.project(params, self.x, self.keys)
        return as_input(cell.output(params, new, drive), self.x)

    def carry_derivatives(self, seeds: Any, *, local: bool = False) -> jax.Array:
        """Of the new carry in the carry, along each seed [k, n]: [k, n]."""
        step = lambda parts: self.moved(parts, self.ready.parts)  # noqa: E731
        step = within_units(step) if local else unclipped(step)
        _, linear = jax.linearize(step, self.parts)
        state = self.model.state
        along = lambda seed: state.vector(linear(state.split(seed)))  # noqa: E731
        seeds = self._seeds(seeds)
        return jax.vmap(along)(seeds).astype(self.model.dtype)

    def _seeds(self, seeds: Any) -> jax.Array:
        others = self.ready.parts, self.carry, self.x
        return varying_with(others, jnp.asarray(seeds, self.model.state.dtype))

    def along(self, tangent: jax.Array) -> jax.Array:
        """The Jacobian of the step in the carry, by one vector."""
        return self.carry_derivatives(tangent[None])[0]

    def parameter_derivatives(self, seeds: Any) -> jax.Array:
        """Of each seed [k, n] by the new carry, in the parameters: [k, Q]."""
        step = lambda parts: self.moved(self.parts, parts)  # noqa: E731
        _, back = jax.vjp(unclipped(step), self.ready.parts)
        state, sources = self.model.state, self.model.sources
        pulled = jax.vmap(lambda seed: back(state.split(seed))[0])
        seeds = self._seeds(seeds)
        if not self.ready.parts:
            return jnp.zeros((len(seeds), 0), self.model.dtype)
        found = sources.vector(pulled(seeds)).astype(self.model.dtype)
        return found if self.pulse is None else found * self.pulse
