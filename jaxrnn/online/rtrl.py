"""Real-time recurrent learning: the exact gradient, forwards."""

import numpy as np

from .estimator import Kept
from .model import Model


class RTRL(Kept):
    """Real-time recurrent learning: the exact gradient of all steps so far.

        M_t = J_t M_(t-1) + D_t        J_t = dh_t/dh_(t-1)   D_t = dh_t/dq at h_(t-1)
        g_t = dL_t/dh_t M_t + dL_t/dq

    with h the whole carry of the cell as one vector of n numbers, and q the Q numbers of
    its params. What of M can ever be other than zero is read from the program of the
    step, and only that is kept: of a cell in which everything reaches everything that is
    n Q numbers and n^2 Q multiplications a step, of an elementwise recurrence, such as
    `cells.IndRNN`, `cells.MinGRU` or `cells.LRU`, it is about Q of both, and in blocks
    of units it lies between. Williams and Zipser, "A learning algorithm for continually
    running fully recurrent neural networks", Neural Computation 1, 1989.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.RTRL()
        ... )
        >>> print(found.gradients["kernel"].shape, found.losses.shape)
        (3, 15) (20, 2)
    """

    def used(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        _, carry = model.patterns(local=False)
        return carry, carry
