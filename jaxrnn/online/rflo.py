"""Random feedback local online learning."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments.numbers import check_flags
from .estimator import Kept
from .model import Model


class RFLO(Kept):
    """Random feedback local online learning: traces that fade by the leak of a unit.

        p_t = k_t p_(t-1) + D_t        k_t: the leak of each number of the carry
        g_t = s_t p_t + dL_t/dq        s_t = dL_t/dh_t, or B dL_t/dy_t with random B

    Defined for leaky units, h' = (1 - a) h + a act(h U + x W + b), such as `cells.CTRNN`
    and `cells.EchoState`, where k_t = 1 - a: the recurrence by U is left out. For other
    cells k_t is what generalises it, the diagonal of dh_t/dh_(t-1) along paths that no
    product by a matrix and no sum is on: z_t in a GRU, which is then `EProp`. Without
    such a path, as in an `Elman`, it is `OneStep`. A unit with several numbers, such as
    an LSTM's h and c, has a trace for each that the other's does not reach: take `EProp`.
    J. M. Murray, "Local online learning in recurrent networks with random feedback",
    eLife 8, 2019, e43299.

    Args:
        random_feedback: that errors come back by a fixed random matrix B [n, outputs], of
            standard normal numbers by the root of the outputs, as in the paper; it takes
            a `method_key`. By default they come back exactly.

    Raises:
        ValueError: for a `random_feedback` that is no boolean.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CTRNN(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((20, 2, 3))
        >>> loss = lambda y, target: jnp.sum((y - target) ** 2)
        >>> found = jaxrnn.online_gradients(
        ...     loss, cell, params, xs, jnp.ones((20, 2, 5)), method=jaxrnn.RFLO()
        ... )
        >>> print(found.gradients["kernel"].shape)
        (3, 5)
    """

    random_feedback: bool = False

    local = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "random_feedback")

    @property
    def needs_key(self) -> bool:
        return self.random_feedback

    def used(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        _, carry = model.patterns(local=True)
        return carry, carry & np.eye(model.n, dtype=bool)

    def fixed(self, model: Model, outputs: int, key: Any) -> Any:
        if not self.random_feedback:
            return None
        B = jax.random.normal(key, (model.n, outputs), model.state.dtype)
        return B / np.sqrt(max(outputs, 1)).astype(B.dtype)

    def signal(self, exact: jax.Array, of_output: jax.Array, fixed: Any) -> jax.Array:
        if not self.random_feedback:
            return exact
        return fixed @ jnp.astype(of_output, fixed.dtype)
