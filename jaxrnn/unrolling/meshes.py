"""Meshes whose axes are explicit: a run leaves them to the compiler, and says its own."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec, auto_axes, use_abstract_mesh


def over_explicit_axes(
    call: str,
    function: Callable[..., tuple[Any, Any]],
    xs: Any,
    batch_ndim: int,
    *,
    timed: bool,
) -> Callable[..., tuple[Any, Any]]:
    """A function of a carry and outputs, whose batch axes are spread as those of `xs`.

    All else is whole on every device. `timed` says that the carry has an axis of time.

    Raises:
        ValueError: where the axis of time is spread.
    """
    shardings = [jax.typeof(x).sharding for x in jax.tree.leaves(xs)]
    names = {
        name
        for sharding in shardings
        for name, kind in zip(
            sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True
        )
        if kind == AxisType.Explicit
    }
    if not names:
        return function
    spec = next((one.spec for one in shardings if any(one.spec)), PartitionSpec())
    axes = [*spec, *(None for _ in range(1 + batch_ndim))]
    if axes[0] is not None:
        raise ValueError(
            f"{call}: the axis of time of xs is spread over {axes[0]!r}, expected one "
            "that is whole: steps follow each other; spread the batch"
        )
    batch = axes[1 : 1 + batch_ndim]
    of_batch, over_time = PartitionSpec(*batch), PartitionSpec(None, *batch)
    of_results = over_time if timed else of_batch, over_time
    spread: Any = auto_axes(function, axes=tuple(sorted(names)), out_sharding=of_results)

    def on_mesh(*args: Any) -> tuple[Any, Any]:
        # The arrays know it, also where the caller has not set one.
        mesh = next(one.mesh for one in shardings if not one.mesh.empty)
        with use_abstract_mesh(mesh):
            return spread(*args)

    return on_mesh
