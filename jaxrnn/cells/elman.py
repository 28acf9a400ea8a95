"""The simple recurrent network of Elman."""

import jax

from .activations import Activation, activation_of, check_activations
from .gated import Drive, Gated, Params


class Elman(Gated[jax.Array]):
    """The plain recurrent layer: one matrix, one nonlinearity.

        h' = act(x W + h U + b)

    with x [I], h [H], W = kernel [I, H], U = recurrent_kernel [H, H], b = bias [H]. The
    carry and the output are h, zeros at first. J. L. Elman, "Finding structure in time",
    Cognitive Science 14, 1990.

    Args:
        input_size, hidden_size: I and H.
        activation: "tanh", "relu", "identity" or another function of `jax.nn` that keeps
            the shape, by name, or a function of a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), or an
            unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5, activation="relu")
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, ys.shape)
        (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        act = activation_of(self.activation)
        return act(drive.x + self.seen(carry, drive) @ params["recurrent_kernel"])
