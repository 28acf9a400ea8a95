"""A linear part and a Lipschitz one, whose matrices are stable by their make."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_numbers, check_positive, check_strength
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Params
from .matrices import Made, damped, gaussian

SOLVERS = "euler", "midpoint"


class LipschitzRNN(Made, kw_only=True):
    """The Lipschitz network: a linear recurrence plus a tanh, in steps of Euler's method.

        A  = (1 - beta)(M + M^T) + beta (M - M^T) - gamma I
        V  = (1 - beta)(N + N^T) + beta (N - N^T) - gamma I
        f(h) = h A + tanh(x W + h V + b)
        h' = h + epsilon f(h)                           solver="euler"
        h' = h + epsilon f(h + epsilon f(h) / 2)        solver="midpoint", of order two

    with W = kernel [I, H], b = bias [H], and M, N = recurrent_kernel [H, 2H] in the order
    a, v; both matrices are made once in a run. The carry and the output are h, zeros at
    first. With beta = 1 they are antisymmetric up to the damping, with beta = 1/2 they
    are M - gamma I and N - gamma I. Erichson, Azencot, Queiruga, Hodgkinson and Mahoney,
    "Lipschitz recurrent neural networks", ICLR 2021, arXiv 2006.12070, where V is called
    W and each matrix may have a beta and a gamma of its own.

    Args:
        input_size, hidden_size: I and H.
        beta: the weight of the antisymmetric part, from 0 to 1; 1/2 to 1 in the paper.
        gamma: the damping.
        epsilon: the time step.
        activation: in place of tanh: the name of a function of `jax.nn`, or a function of
            a module; stable for those with slopes between 0 and 1.
        solver: "euler", or "midpoint" for twice the products.
        recurrent_init: N(0, 1/H) by default; the authors tune its deviation.
        use_bias, kernel_init, bias_init, recurrent_dropout: as `jaxrnn.cells.Gated` has
            them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a beta
            outside [0, 1], a negative gamma, an epsilon that is not positive, an unknown
            solver or activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LipschitzRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 10) (2, 5) (7, 2, 5)
    """

    blocks = ("v",)

    recurrent_init: initializers.Initializer = gaussian
    beta: float = 0.75
    gamma: float = 0.001
    epsilon: float = 0.03
    activation: Activation = "tanh"
    solver: str = "euler"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "beta")
        if not 0 <= self.beta <= 1:
            raise ValueError(
                f"LipschitzRNN: beta is {self.beta!r}, expected a number between 0 and 1"
            )
        check_strength(self, "gamma")
        check_positive(self, "epsilon")
        check_activations(self, "activation")
        if self.solver not in SOLVERS:
            raise ValueError(
                f'LipschitzRNN: solver is {self.solver!r}, expected "euler" or "midpoint"'
            )

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "a", "v"

    def matrix(self, kernel: jax.Array) -> jax.Array:
        def stable(M: jax.Array) -> jax.Array:
            # (1 - beta)(M + M^T) + beta (M - M^T)
            return damped(M + (1 - 2 * self.beta) * M.T, self.gamma)

        return jnp.concatenate([stable(M) for M in jnp.split(kernel, 2, 1)], axis=1)

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        matrices = self.made(params)

        def f(h: jax.Array) -> jax.Array:
            linear, v = jnp.split(self.seen(h, drive) @ matrices, 2)
            return linear + activation_of(self.activation)(drive.x + v)

        h = carry
        if self.solver == "midpoint":
            h = h + self.epsilon / 2 * f(h)
        return carry + self.epsilon * f(h)
