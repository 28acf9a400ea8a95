"""A module of flax.linen with its params, as they are read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import jax.numpy as jnp

LOAD = "interop.linen.load"


class Given(NamedTuple):
    """What no module tells."""

    places: Any  # of an x of a ConvLSTMCell
    split: bool  # keep its two biases


@dataclasses.dataclass(frozen=True)
class Source:
    """A module, what is its own of the params, and how messages call it."""

    module: Any
    params: Any
    where: str
    name: str = ""

    @property
    def is_module(self) -> bool:
        from flax import linen as nn

        return isinstance(self.module, nn.Module)

    def inner(self, module: Any, default: str, where: str) -> "Source":
        """A module inside: its params are under the field's name, or under its own."""
        params = self.params if isinstance(self.params, Mapping) else {}
        name = default if default in params else getattr(module, "name", None) or default
        own = params.get(name, {})
        return Source(module, own, where, name)

    def child(self, field: str) -> "Source":
        """The module in a field."""
        return self.inner(getattr(self.module, field), field, f"{self.where}.{field}")

    def alone(self, field: str) -> "Source":
        """The module in a field, which all params belong to."""
        child = self.child(field)
        self.expect(child.name)
        return child

    def expect(self, *names: str) -> None:
        """Raise unless the params are those of these names."""
        found = sorted(self.params) if isinstance(self.params, Mapping) else "an array"
        if found != sorted(names):
            raise ValueError(
                f"{LOAD}: the params of {self.where}, a {type(self.module).__name__}, "
                f"are {found}, expected {sorted(names)}: give what its init made"
            )

    def expect_gates(self, **leaves: str) -> None:
        """Raise unless the params are these gates' kernels and biases: "kernel bias"."""
        self.expect(*leaves)
        for name, expected in leaves.items():
            Source(self.module, self.params[name], f"{self.where}.{name}").expect(
                *expected.split()
            )

    def blocks(self, gates: str, leaf: str) -> Any:
        """A leaf of every gate, side by side."""
        found = [jnp.asarray(self.params[gate][leaf]) for gate in gates.split()]
        return jnp.concatenate(found, -1)


def refuse(source: Source, expected: str) -> NoReturn:
    """Raise for a module of another kind."""
    from flax import linen as nn

    names = sorted(name for name in source.params) if source.params else []
    inside = f"; load its layers one by one, with their own params: {names}"
    known = isinstance(source.module, nn.Module) and names
    raise ValueError(
        f"{LOAD}: {source.where} is {type(source.module).__name__}, expected {expected}"
        f"{inside if known else ''}"
    )
