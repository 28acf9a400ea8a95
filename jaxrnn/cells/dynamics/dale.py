"""Networks of excitatory and inhibitory units."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_portions, check_positive, check_strength
from ..gated import Drive, Gated, Params
from .spectrum import scaled_to


def gamma(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Positive weights: the gamma distribution of shape 2 and mean 1, as the authors'."""
    return jax.random.gamma(key, 2.0, shape) / 2


class EIRNN(Gated[jax.Array], kw_only=True):
    """A network of rates that obeys Dale's law: each unit excites all, or inhibits all.

        r  = relu(x)                                                rates
        x' = (1 - alpha) x + alpha (r U+ + u W+ + b) + sqrt(2 alpha) sigma xi

    an Euler step alpha = dt / tau. W+ = relu(kernel) [I, H], b = bias [H], and U+ is
    recurrent_kernel [H, H] without what breaks the law: rows of the excitatory units,
    which come first, without their negative entries, rows of the inhibitory units
    without their positive ones, and no unit connected to itself. u is the input, all of
    it excitatory, and xi is N(0, 1), new at every step, where there is a key. The carry
    is x, zeros at first; the output is relu(x'). Song, Yang and Wang, "Training
    excitatory-inhibitory recurrent neural networks for cognitive tasks: a simple and
    flexible framework", PLOS Computational Biology 12, 2016.

    At first all entries obey the law, each unit is on average inhibited as much as
    excited, and U+ has the spectral radius of the paper. It writes U+ as [U]+ D, with
    the signs in D; here they are in the kernel. Its readouts read excitatory units only.

    Args:
        input_size, hidden_size: I and H.
        excitatory: the fraction of excitatory units.
        alpha: dt / tau, above 0 and at most 1.
        sigma: the noise; the paper trains with 0.15.
        spectral_radius: that of U+ at first.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; of kernels, absolute values are taken.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a fraction
            or an alpha outside (0, 1], a negative sigma, a spectral radius that is not
            positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.EIRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> x, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(jnp.sign(params["recurrent_kernel"])[:, 0], x.shape, ys.shape)
        [ 0.  1.  1.  1. -1.] (2, 5) (7, 2, 5)
    """

    blocks = ("x",)

    recurrent_init: initializers.Initializer = gamma
    excitatory: float = 0.8
    alpha: float = 0.2
    sigma: float = 0.0
    spectral_radius: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_portions(self, "excitatory", "alpha")
        check_strength(self, "sigma")
        check_positive(self, "spectral_radius")

    @property
    def connections(self) -> np.ndarray:
        """What the entries of U+ may be: 1 positive, -1 negative, 0 zero, [H, H]."""
        H = self.hidden_size
        first = round(self.excitatory * H)
        signs = np.where(np.arange(H) < first, 1.0, -1.0)
        return signs[:, None] * (1 - np.eye(H))

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        excite, inhibit = self.connections > 0, self.connections < 0
        # As many times stronger as there are fewer: for each unit that is reached.
        balance = np.sum(excite, 0) / np.maximum(np.sum(inhibit, 0), 1)
        U = jnp.abs(params["recurrent_kernel"])
        U = U * jnp.asarray(excite - inhibit * balance, U.dtype)
        U = scaled_to(self.spectral_radius, U)
        return params | {"kernel": jnp.abs(params["kernel"]), "recurrent_kernel": U}

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        U = params["recurrent_kernel"]
        sign = jnp.asarray(self.connections, U.dtype)
        return params | {
            "kernel": jax.nn.relu(params["kernel"]),
            "recurrent_kernel": sign * jax.nn.relu(sign * U),
        }

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        drive, keep = super().project(params, x, keys)
        drive = self.alpha * drive
        if keys is not None and self.sigma > 0:
            xi = jax.random.normal(keys.step, drive.shape, drive.dtype)
            drive = drive + (2 * self.alpha) ** 0.5 * self.sigma * xi
        return Drive(drive, keep)

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        r = self.seen(jax.nn.relu(carry), drive)
        recurrent = r @ params["recurrent_kernel"]
        return (1 - self.alpha) * carry + self.alpha * recurrent + drive.x

    def output(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return jax.nn.relu(carry)
