"""A reservoir: a network that is drawn, and never trained."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_portions, check_positive
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params
from .spectrum import scaled_to


class EchoState(Gated[jax.Array], kw_only=True):
    """An echo state network: random units that echo the input, for a readout to read.

        h' = (1 - leak) h + leak act(x W + h U + b)

    with W = kernel [I, H], U = recurrent_kernel [H, H], b = bias [H]. None of them is
    trained: their gradients are zero, and an optimizer with weight decay is to be kept
    away from them. The carry and the output are h, zeros at first. Jaeger, "The 'echo
    state' approach to analysing and training recurrent neural networks", GMD report 148,
    2001; with a leak, Jaeger, Lukoševičius, Popovici and Siewert, "Optimization and
    applications of echo state networks with leaky-integrator neurons", 2007. The output
    is not fed back.

    `init` makes U sparse and gives it the spectral radius asked for, to about one part in
    a million, where any eigenvalue is left; a few sparse units may have none but zero.

    Args:
        input_size, hidden_size: I and H.
        spectral_radius: that of U; below 1 the state usually forgets where it began.
        connectivity: the probability that an entry of U is not zero.
        input_scaling: what `kernel_init`, U(-1, 1), is multiplied by.
        leak: above 0 and at most 1, where the state is all new.
        activation: "tanh", or the name of another function of `jax.nn`, or a function of
            a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `recurrent_init` is U(-1, 1) before scaling.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a
            connectivity or a leak outside (0, 1], a spectral radius or an input scaling
            that is not positive, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.EchoState(3, 100, spectral_radius=0.9, leak=0.3)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (100, 100) (2, 100) (7, 2, 100)
    """

    blocks = ("h",)

    kernel_init: initializers.Initializer = initializers.Uniform(-1.0, 1.0)
    recurrent_init: initializers.Initializer = initializers.Uniform(-1.0, 1.0)
    spectral_radius: float = 0.9
    connectivity: float = 0.1
    input_scaling: float = 1.0
    leak: float = 1.0
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")
        check_positive(self, "spectral_radius", "input_scaling")
        check_portions(self, "connectivity", "leak")

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        U, coin = params["recurrent_kernel"], jax.random.fold_in(key, 4)
        connected = jax.random.bernoulli(coin, self.connectivity, U.shape)
        U = jnp.where(connected, U, jnp.zeros_like(U))
        U = scaled_to(self.spectral_radius, U)
        kernel = self.input_scaling * params["kernel"]
        return params | {"kernel": kernel, "recurrent_kernel": U}

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return jax.lax.stop_gradient(params)

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        product = self.seen(carry, drive) @ params["recurrent_kernel"]
        h = activation_of(self.activation)(drive.x + product)
        return (1 - self.leak) * carry + self.leak * h
