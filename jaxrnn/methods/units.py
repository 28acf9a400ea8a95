"""A mesh over which the units of a cell are spread: what is whole on every device.

A kernel [n, G H] may be spread over devices by its columns or by its rows. Left alone,
the compiler spreads the gates as well, and exchanges their blocks at every step: an LSTM
has five collectives there. Here each product is made whole as soon as it is made, by one
collective, and the cheap rest of the step is done by all devices alike:

    columns     x W is gathered             backwards, dz W^T is summed up
    rows        x W is summed up            backwards, dz W^T is gathered

Axes of examples, and all but the last of a cell's own, are left to the compiler.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


class Gather(Protocol):
    """Makes the last axis of an array whole on every device, if it is one of units.

    `leading` is the number of its axes of time and of examples; by default of the latter.
    """

    def __call__(self, x: Any, *, leading: int | None = None) -> Any: ...


def devices(context: Any) -> int:
    """How many devices the compiler spreads a program over, on its own."""
    axes = context.module_context.axis_context
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return getattr(axes, "num_devices", 1)
    sizes = mesh.shape.items()
    return math.prod(size for name, size in sizes if name not in axes.manual_axes)


def mesh_of(avals: Sequence[Any]) -> Any:
    """The mesh that arguments lie on, if the compiler alone spreads them; or None."""
    meshes = [getattr(getattr(aval, "sharding", None), "mesh", None) for aval in avals]
    mesh = next((one for one in meshes if one is not None and not one.empty), None)
    if mesh is None or any(kind != AxisType.Auto for kind in mesh.axis_types):
        return None
    return mesh


def as_it_is(x: Any, *, leading: int | None = None) -> Any:
    """The `Gather` of one device."""
    return x


def gather_on(mesh: Any, batch_ndim: int) -> Gather | None:
    """On the devices of a mesh, if there is one, with so many axes of examples."""
    if mesh is None:
        return None

    def gather(x: Any, *, leading: int | None = None) -> Any:
        first = batch_ndim if leading is None else leading
        if x.ndim <= first or not jnp.issubdtype(x.dtype, jnp.inexact):
            return x
        spec = PartitionSpec(*[PartitionSpec.UNCONSTRAINED] * (x.ndim - 1), None)
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    return gather
