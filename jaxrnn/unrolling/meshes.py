"""Meshes whose axes are explicit: a run leaves them to the compiler, and says its own."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec, auto_axes, use_abstract_mesh


def over_explicit_axes(
    call: str,
    function: Callable[..., tuple[Any, Any]],
    params: Any,
    xs: Any,
    *others: Any,
    batch_ndim: int,
    timed: bool,
    time_axis: str | None,
) -> tuple[Any, Any]:
    """`function(params, xs, *others)`, a carry and outputs with the batch axes of `xs`.

    These axes are spread as those of `xs`, and all else is whole on every device; any of
    the arguments may tell the mesh. `timed` says that the carry has an axis of time, and
    `time_axis` the axis of the mesh over which a method lets it be spread.

    Raises:
        ValueError: where the axis of time is spread over another.
    """
    args = params, xs, *others
    names, mesh = _explicit(args)
    if not names:
        return function(*args)
    shardings = [jax.typeof(x).sharding for x in jax.tree.leaves(xs)]
    spec = next((one.spec for one in shardings if any(one.spec)), PartitionSpec())
    axes = [*spec, *(None for _ in range(1 + batch_ndim))]
    if axes[0] not in (None, time_axis):
        raise ValueError(
            f"{call}: the axis of time of xs is spread over {axes[0]!r}, expected one "
            "that is whole: steps follow each other; spread the batch, or take "
            "Associative(time_axis=...)"
        )
    batch = axes[1 : 1 + batch_ndim]
    of_batch, over_time = PartitionSpec(*batch), PartitionSpec(axes[0], *batch)
    of_results = over_time if timed else of_batch, over_time
    spread: Any = auto_axes(function, axes=names, out_sharding=of_results)
    with use_abstract_mesh(mesh):
        return spread(*args)


def whole_of_explicit_axes(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, of which every result is whole on every device."""
    names, mesh = _explicit(args)
    if not names:
        return function(*args)
    spread: Any = auto_axes(function, axes=names, out_sharding=PartitionSpec())
    with use_abstract_mesh(mesh):
        return spread(*args)


def whole(tree: Any) -> Any:
    """A pytree, of which what is spread over explicit axes is whole on every device."""
    names, mesh = _explicit(tree)
    if not names:
        return tree

    def gathered(leaf: Any) -> Any:
        spread = isinstance(leaf, jax.Array) and any(jax.typeof(leaf).sharding.spec)
        return jax.sharding.reshard(leaf, PartitionSpec()) if spread else leaf

    with use_abstract_mesh(mesh):
        return jax.tree.map(gathered, tree)


def _explicit(args: Any) -> tuple[tuple[str, ...], Any]:
    """The explicit axes of the mesh of arrays, and that mesh.

    The arrays know it, also where the caller has not set one; NumPy's have none.
    """
    arrays = [leaf for leaf in jax.tree.leaves(args) if isinstance(leaf, jax.Array)]
    every = [jax.typeof(leaf).sharding for leaf in arrays]
    names = {
        name
        for sharding in every
        for name, kind in zip(
            sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True
        )
        if kind == AxisType.Explicit
    }
    mesh = next((one.mesh for one in every if not one.mesh.empty), None)
    return tuple(sorted(names)), mesh
