"""Another processor's rounding, on any: all that is drawn differs in its last digits."""

import jax
import jax.numpy as jnp
import numpy as np

DRAWS = ("normal", "orthogonal", "uniform")


def round_otherwise(monkeypatch, seed=0):
    """Random floats come with a relative change of 3e-7, as by rounding in float32."""
    rng = np.random.default_rng(seed)

    def otherwise(draw):
        def drawn(*args, **options):
            values = draw(*args, **options)
            change = jnp.asarray(3e-7 * rng.normal(size=values.shape), values.dtype)
            return values * (1 + change)

        return drawn

    for name in DRAWS:
        monkeypatch.setattr(jax.random, name, otherwise(getattr(jax.random, name)))
