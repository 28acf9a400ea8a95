"""The training step of another library's program under a transformation of JAX."""

import importlib
import os
from typing import Any

import numpy as np

from ..cases import TRAINING, Case

BATCH, EXAMPLES, DEVICES, TURNS, MODELS = "batch examples devices turns models".split()
COUNT = 8  # models


def program(case: Case, library: str, form: str) -> Any:
    if form == DEVICES:  # before JAX looks
        flags = os.environ.get("XLA_FLAGS", "")
        two = "--xla_force_host_platform_device_count=2"
        os.environ["XLA_FLAGS"] = f"{flags} {two}".strip()
    import jax
    import jax.numpy as jnp
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    from ..jax_program import Compiled

    base = importlib.import_module(f"{__package__}.{library}").program(case)
    leaves, xs = base.leaves, base.xs
    gradient = jax.value_and_grad(base.loss, argnums=(0, 1))

    def over_examples(leaves: Any, xs: Any) -> Any:
        return jnp.sum(jax.vmap(base.loss, (None, 1))(leaves, xs))

    functions = {
        BATCH: gradient,
        EXAMPLES: jax.value_and_grad(over_examples, argnums=(0, 1)),
        MODELS: jax.vmap(gradient, (0, None)),
        TURNS: lambda leaves, xs: jax.lax.map(lambda one: gradient(one, xs), leaves),
        DEVICES: gradient,
    }
    if form in (MODELS, TURNS):
        factors = [1 - 0.05 * number for number in range(COUNT)]
        leaves = [jnp.stack([factor * leaf for factor in factors]) for leaf in leaves]
    if form == DEVICES:
        mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
        leaves = jax.device_put(leaves, NamedSharding(mesh, PartitionSpec()))
        xs = jax.device_put(xs, NamedSharding(mesh, PartitionSpec(None, "data")))

    class Transformed(Compiled):
        def results(self) -> dict[str, np.ndarray]:
            loss, (_, xs) = self.run(TRAINING)
            return {"loss": np.asarray(loss), "gradient of the inputs": np.asarray(xs)}

    return Transformed({TRAINING: functions[form]}, (leaves, xs))
