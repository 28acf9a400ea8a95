"""Piecewise linear networks, for the reconstruction of dynamical systems."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ... import initializers
from ...arguments.numbers import check_flags, check_sizes
from ..gated import Drive, Driven, Gated, Params
from .spectrum import spectral_radius


def autoregressive(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """The diagonal of K / rho(K), K = R^T R / H + 1 with entries of R from N(0, 1).

    Talathi and Vartak, "Improving performance of recurrent neural network with relu
    nonlinearity", 2015, arXiv 1511.03771.
    """
    (H,) = shape
    R = jax.random.normal(key, (H, H))
    K = R.T @ R / H + jnp.eye(H)
    return jnp.diagonal(K) / spectral_radius(K)


def small_normal(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """N(0, 0.01^2) for every entry."""
    return 0.01 * jax.random.normal(key, shape)


class PLRNN(Gated[jax.Array], kw_only=True):
    """The piecewise linear network: linear but for a relu that couples its units.

        z' = A z + relu(z) W + x C + h

    with A diagonal, decay [H], and W = recurrent_kernel [H, H] without a diagonal: that
    of the kernel is not used. C = kernel [I, H], h = bias [H]. The carry and the output
    are z, zeros at first. Durstewitz, "A state space approach for piecewise-linear
    recurrent neural networks for identifying computational dynamics from neural
    measurements", PLOS Computational Biology 13, 2017, arXiv 1612.07846, with thresholds
    in the relu, which a shift of z turns into h.

    Args:
        input_size, hidden_size: I and H.
        decay_init: that of A: see `jaxrnn.initializers`.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; A starts at the diagonal of a random positive
            matrix of spectral radius 1, and W near zero.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.PLRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> z, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["decay"].shape, z.shape, ys.shape)
        (5,) (2, 5) (7, 2, 5)
    """

    blocks = ("z",)

    kernel_init: initializers.Initializer = initializers.glorot_uniform
    recurrent_init: initializers.Initializer = small_normal
    decay_init: initializers.Initializer = autoregressive

    def init(self, key: jax.Array) -> Params:
        decay = "decay_init", (self.hidden_size,), self.blocks
        return super().init(key) | self.further(key, decay=decay)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        W, own = params["recurrent_kernel"], np.eye(self.hidden_size, dtype=bool)
        return params | {"recurrent_kernel": jnp.where(own, jnp.zeros_like(W), W)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        coupling = self.seen(jax.nn.relu(carry), drive) @ params["recurrent_kernel"]
        return params["decay"] * carry + coupling + drive.x


class ShallowPLRNN(Driven[jax.Array], kw_only=True):
    """The shallow PLRNN: a linear decay, and a perceptron of one hidden layer beside it.

        z' = A z + relu(z W2 + h2) W1 + h1 + x C                       clipped=False
        z' = A z + (relu(z W2 + h2) - relu(z W2)) W1 + h1 + x C        clipped=True

    with A diagonal, decay [H], W2 = inner_kernel [H, L], h2 = inner_bias [L], W1 =
    outer_kernel [L, H], C = kernel [I, H], h1 = bias [H]. The clipped form stays bounded
    if all |A| < 1. The carry and the output are z, zeros at first. Hess, Monfared,
    Brenner and Durstewitz, "Generalized teacher forcing for learning chaotic dynamics",
    ICML 2023, arXiv 2306.04406, which writes M for H.

    Args:
        input_size, hidden_size: I and H.
        layer_size: L; the paper has 50 for the Lorenz system, where H = 3.
        clipped: as above. h2 is drawn by `inner_init` then: from zeros nothing is learnt.
        decay_init, inner_init, outer_init: those of A, W2 and W1.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them; `bias_init`
            makes h1 and h2.

    Raises:
        ValueError: for a size that is no positive int, and for the clipped form without
            biases, of which nothing would be left.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.ShallowPLRNN(3, 5, layer_size=20)
        >>> params = cell.init(jax.random.key(0))
        >>> z, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["outer_kernel"].shape, z.shape, ys.shape)
        (20, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("z",)

    kernel_init: initializers.Initializer = initializers.glorot_uniform
    layer_size: int = 50
    clipped: bool = False
    decay_init: initializers.Initializer = autoregressive
    inner_init: initializers.Initializer = initializers.row_uniform
    outer_init: initializers.Initializer = initializers.row_uniform

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, layer_size=self.layer_size)
        check_flags(self, "clipped")
        if self.clipped and not self.use_bias:
            raise ValueError(
                "ShallowPLRNN: use_bias is False with clipped=True, expected True: "
                "without h2, relu(z W2 + h2) - relu(z W2) is zero"
            )

    def init(self, key: jax.Array) -> Params:
        H, L = self.hidden_size, self.layer_size
        inner_bias = "inner_init" if self.clipped else "bias_init"
        return super().init(key) | self.further(
            key,
            decay=("decay_init", (H,), self.blocks),
            inner_kernel=("inner_init", (H, L), ("inner",)),
            inner_bias=(inner_bias, (L,), ("inner",)),
            outer_kernel=("outer_init", (L, H), self.blocks),
        )

    def step(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        a = carry @ params["inner_kernel"]
        inner = jax.nn.relu(a + params["inner_bias"] if self.use_bias else a)
        inner = inner - jax.nn.relu(a) if self.clipped else inner
        return params["decay"] * carry + inner @ params["outer_kernel"] + drive
