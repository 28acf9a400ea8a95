"""Eligibility propagation."""

import numpy as np

from .estimator import Kept
from .model import Model


class EProp(Kept):
    """Eligibility propagation: traces within a unit, times what it does to the loss now.

        e_t = K_t e_(t-1) + D_t        K_t: dh_t/dh_(t-1) within each unit, along paths
                                       that no product by a matrix and no sum is on
        g_t = dL_t/dh_t e_t + dL_t/dq

    A unit is an entry of a leaf of the carry, with those at the same place in other
    leaves of the same shape: h_k and c_k of an LSTM, whose K_t holds f_t on c_k and what
    it makes of h_k; in a GRU K_t is z_t. dL_t/dh_t is direct, through the output of this
    step alone. D_t is whole, so that what a layer of a `Stack` does to those above
    it within the step counts. What passes from unit to unit in time does not.
    Exact for elementwise recurrences, such as `cells.MinGRU`. Bellec, Scherr,
    Subramoney, Hajek, Salaj, Legenstein and Maass, "A solution to the learning dilemma
    for recurrent networks of spiking neurons", Nature Communications 11, 2020.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.EProp()
        ... )
        >>> print(found.gradients["kernel"].shape)
        (3, 20)
    """

    local = True

    def used(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        _, carry = model.patterns(local=True)
        units = model.state.units()
        return carry, carry & (units[:, None] == units[None])
