"""What these cells share: a gate that writes, and a bias for some of the columns."""

import jax
import jax.numpy as jnp

from ..gated import Drive, Gated, Params


class Writing(Gated[jax.Array], kw_only=True):
    """A cell whose gate "i" writes the candidate "n" to h: h' = (1 - i) h + i n."""

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["i"]) * carry + gate["i"] * gate["n"]


def padded(params: Params) -> Params:
    """With zeros for the last blocks of W, where b has only the first ones."""
    if "bias" not in params:
        return params
    missing = params["kernel"].shape[1] - len(params["bias"])
    return params | {"bias": jnp.pad(params["bias"], (0, missing))}
