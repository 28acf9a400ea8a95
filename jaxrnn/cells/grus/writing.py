"""What these cells share: a gate that writes."""

import jax

from ..gated import Drive, Gated, Params


class Writing(Gated[jax.Array], kw_only=True):
    """A cell whose gate "i" writes the candidate "n" to h: h' = (1 - i) h + i n."""

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return (1 - gate["i"]) * carry + gate["i"] * gate["n"]
