"""The network without a nonlinearity."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_flags, check_positive
from ..dynamics.spectrum import scaled_to
from ..gated import Driven, Params


class LinearRNN(Driven[jax.Array], kw_only=True):
    """The linear recurrent network: h' = h A + x W + b.

    W = kernel [I, H] and b = bias [H]; A is recurrent_kernel [H, H], or the diagonal
    matrix of recurrent_scale [H]. The carry and the output are h, zeros at first. After
    a sequence, h is the sum of x_t W A^(T - t): it decays where all eigenvalues of A lie
    within the unit circle, and grows without end where one lies outside. `init` gives A
    the spectral radius asked for; nothing holds it there in training.

    Args:
        input_size, hidden_size: I and H.
        diagonal: whether A is a diagonal matrix, and no unit sees another.
        spectral_radius: the largest absolute value of an eigenvalue of A at first.
        recurrent_init: that of A before it is scaled, or of its diagonal; U(-1, 1).
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, a spectral radius that is not
            positive, a `diagonal` that is no boolean.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LinearRNN(3, 5, spectral_radius=0.99)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    diagonal: bool = False
    spectral_radius: float = 0.9
    recurrent_init: initializers.Initializer = initializers.Uniform(-1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "diagonal")
        check_positive(self, "spectral_radius")

    def init(self, key: jax.Array) -> Params:
        params, radius, H = super().init(key), self.spectral_radius, self.hidden_size
        if self.diagonal:
            a = ("recurrent_init", (H,), self.blocks)
            a = self.further(key, recurrent_scale=a)["recurrent_scale"]
            largest = jnp.max(jnp.abs(a))
            a = a * (radius / jnp.where(largest > 0, largest, 1))
            return params | {"recurrent_scale": a}
        A = ("recurrent_init", (H, H), self.blocks)
        A = self.further(key, recurrent_kernel=A)["recurrent_kernel"]
        return params | {"recurrent_kernel": scaled_to(radius, A)}

    def step(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        if self.diagonal:
            return carry * params["recurrent_scale"] + drive
        return carry @ params["recurrent_kernel"] + drive
