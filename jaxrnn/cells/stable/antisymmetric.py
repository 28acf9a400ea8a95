"""Steps of Euler's method on an equation that neither grows nor decays."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_positive, check_strength
from ..gated import Drive, Params
from .matrices import Made, damped, gaussian


class Antisymmetric(Made, kw_only=True):
    """A cell whose recurrent matrix is U - U^T - gamma I."""

    recurrent_init: initializers.Initializer = gaussian
    epsilon: float = 0.1
    gamma: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "epsilon")
        check_strength(self, "gamma")

    def matrix(self, kernel: jax.Array) -> jax.Array:
        return damped(kernel - kernel.T, self.gamma)


class AntisymmetricRNN(Antisymmetric, kw_only=True):
    """A residual network in time whose recurrent matrix is antisymmetric.

        A  = U - U^T - gamma I
        h' = h + epsilon tanh(x W + h A + b)

    with W = kernel [I, H], U = recurrent_kernel [H, H], b = bias [H]; A is made once in a
    run. The carry and the output are h, zeros at first. It is a step of Euler's method on
    dh/dt = tanh(x W + h A + b), whose Jacobian has imaginary eigenvalues for gamma = 0:
    nothing grows or decays. Those of the step are up to sqrt(1 + epsilon^2 |A|^2), which
    gamma is to damp. Chang, Chen, Haber and Chi, "AntisymmetricRNN: a dynamical system
    view on recurrent neural networks", ICLR 2019, arXiv 1902.09689.

    Only U - U^T is of consequence. The paper adds that U may as well be strictly upper
    triangular, which are the same matrices A by half as many numbers.

    Args:
        input_size, hidden_size: I and H.
        epsilon: the step of Euler's method.
        gamma: the damping.
        recurrent_init: N(0, 1/H) by default, as in the paper.
        use_bias, kernel_init, bias_init, recurrent_dropout: as `jaxrnn.cells.Gated` has
            them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an epsilon
            that is not positive, a negative gamma.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.AntisymmetricRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        product = self.seen(carry, drive) @ self.made(params)
        return carry + self.epsilon * jnp.tanh(drive.x + product)


class GatedAntisymmetricRNN(Antisymmetric, kw_only=True):
    """The antisymmetric network with an input gate, which shares its recurrent matrix.

        A  = U - U^T - gamma I
        i  = sigmoid(x W_i + h A + b_i)             input gate, called z in the paper
        g  = tanh(x W_g + h A + b_g)                candidate
        h' = h + epsilon i g

    with kernel [I, 2H] and bias [2H] in the order i, g, and U = recurrent_kernel [H, H];
    A is made once in a run. The carry and the output are h, zeros at first. Chang, Chen,
    Haber and Chi, "AntisymmetricRNN: a dynamical system view on recurrent neural
    networks", ICLR 2019, arXiv 1902.09689.

    Args:
        input_size, hidden_size: I and H.
        epsilon: the step of Euler's method.
        gamma: the damping.
        recurrent_init: N(0, 1/H) by default, as in the paper.
        use_bias, kernel_init, bias_init, recurrent_dropout: as `jaxrnn.cells.Gated` has
            them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an epsilon
            that is not positive, a negative gamma.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.GatedAntisymmetricRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "i", "g"

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return ("h",)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "g"}, each [H], of the step from `carry`."""
        product = self.seen(carry, drive) @ self.made(params)
        i, g = jnp.split(drive.x, 2)
        return {"i": jax.nn.sigmoid(i + product), "g": jnp.tanh(g + product)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        gate = self.gates(params, carry, drive)
        return carry + self.epsilon * gate["i"] * gate["g"]
