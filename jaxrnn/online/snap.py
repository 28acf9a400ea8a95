"""The sparse n-step approximation."""

import numpy as np

from ..arguments.numbers import check_count
from .estimator import Kept
from .model import Model


class SnAp(Kept):
    """The sparse n-step approximation: of the influence what n steps can reach is kept.

        M_t = P (J_t M_(t-1) + D_t)        P: entries that are zero n steps after the
                                           parameter was used are dropped

    SnAp(1) keeps the units that a parameter acts on directly: in an `Elman` or a `GRU`
    one number for each parameter of the cell, the diagonal of J_t being all that is used.
    Towards large n it is `RTRL`, and is where everything reaches everything after two
    steps of a dense recurrence already; n above 1 pays where the recurrence is sparse.
    Which entries these are is read from the program of the step, not from the values of
    params: a matrix with zeros in it counts as dense, one with a constant mask does not.
    Menick, Elsen, Evci, Osindero, Simonyan and Graves, "A practical sparse approximation
    for real time recurrent learning", 2020, arXiv 2006.07232.

    The Jacobian of a dense recurrence, n products by J_t, is still made at every step.

    Args:
        n: in steps, 1 or more.

    Raises:
        ValueError: for an n that is no positive int.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.SnAp(1)
        ... )
        >>> print(found.gradients["kernel"].shape)
        (3, 15)
    """

    n: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n", check_count("SnAp", "n", self.n))

    def used(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        _, carry = model.patterns(local=False)
        return carry, carry

    def rows(self, made: np.ndarray, used: np.ndarray) -> np.ndarray:
        for _ in range(self.n - 1):
            more = made | used[:, made].any(1)
            if (more == made).all():
                break
            made = more
        return made
