"""Networks whose dynamics are those of a few directions."""

from collections.abc import Sequence

import jax

from ... import initializers
from ...arguments.numbers import check_portions, check_sizes, check_strength
from ..activations import Activation, activation_of, check_activations
from ..gated import Driven, Params


def standard_normal(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """N(0, 1) for every entry."""
    return jax.random.normal(key, shape)


class LowRankRNN(Driven[jax.Array], kw_only=True):
    """A network of rates whose connectivity is of low rank, and random beside it.

        J  = m n^T / H + g chi                                  connectivity
        x' = (1 - alpha) x + alpha (J tanh(x) + u W + b)        u: the input
        r  = tanh(x')                                           rates

    an Euler step alpha = dt / tau of tau dx/dt = -x + J tanh(x) + I. m = left_vectors
    [R, H], n = right_vectors [H, R], W = kernel [I, H], b = bias [H]; with g > 0 there is
    random_kernel [H, H], the transpose of chi, which is drawn from N(0, 1/H) and never
    trained: its gradients are zero. The carry is x, zeros at first; the output is r,
    which the paper's readouts read. Mastrogiuseppe and Ostojic, "Linking connectivity,
    dynamics, and computations in low-rank recurrent neural networks", Neuron 99, 2018,
    arXiv 1711.09672.

    Args:
        input_size, hidden_size: I and H.
        rank: R.
        alpha: dt / tau, above 0 and at most 1.
        g: the strength of the random part; 0 leaves it out.
        activation: of the rates, in place of tanh: the name of a function of `jax.nn`, or
            a function of a module.
        left_init, right_init: see `jaxrnn.initializers`; N(0, 1), the vectors then being
            nearly orthogonal to each other.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size or a rank that is no positive int, an alpha outside (0, 1],
            a g that is negative or no number, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LowRankRNN(3, 5, rank=2)
        >>> params = cell.init(jax.random.key(0))
        >>> x, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["right_vectors"].shape, x.shape, ys.shape)
        (5, 2) (2, 5) (7, 2, 5)
    """

    blocks = ("x",)

    rank: int = 1
    alpha: float = 0.2
    g: float = 0.0
    activation: Activation = "tanh"
    left_init: initializers.Initializer = standard_normal
    right_init: initializers.Initializer = standard_normal

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, rank=self.rank)
        check_portions(self, "alpha")
        check_strength(self, "g")
        check_activations(self, "activation")

    def init(self, key: jax.Array) -> Params:
        H, R = self.hidden_size, self.rank
        params = super().init(key) | self.further(
            key,
            left_vectors=("left_init", (R, H), self.blocks),
            right_vectors=("right_init", (H, R), ("rank",)),
        )
        if self.g == 0:
            return params
        chi = jax.random.normal(jax.random.fold_in(key, 4), (H, H)) * H**-0.5
        return params | {"random_kernel": chi}

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if self.g == 0:
            return params
        chi = jax.lax.stop_gradient(params["random_kernel"])
        return params | {"random_kernel": chi}

    def step(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        r = activation_of(self.activation)(carry)
        overlaps = r @ params["right_vectors"] / self.hidden_size
        current = drive + overlaps @ params["left_vectors"]
        if self.g > 0:
            current = current + self.g * (r @ params["random_kernel"])
        return (1 - self.alpha) * carry + self.alpha * current

    def output(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        return activation_of(self.activation)(carry)
