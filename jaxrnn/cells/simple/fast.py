"""Small networks for small machines: a weighted residual connection, and a gate on it."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_numbers, check_sizes
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params


class Fast(Gated[jax.Array], kw_only=True):
    """A cell of one W and one U, of low rank if asked for, and of two trained scalars.

    A sigmoid keeps these between 0 and 1. All gates share W and U; each has its bias.
    """

    blocks = ("h",)

    kernel_rank: int | None = None
    recurrent_rank: int | None = None

    @property
    def scalars(self) -> dict[str, float]:
        """What they start at, by name, before the sigmoid."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_rank", "recurrent_rank"):
            if getattr(self, name) is not None:
                check_sizes(self, **{name: getattr(self, name)})
        check_numbers(self, *(f"initial_{name}" for name in self.scalars))

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        of = super()._parameters()
        for name, rank in (
            ("kernel", self.kernel_rank),
            ("recurrent_kernel", self.recurrent_rank),
        ):
            if rank is not None:
                field, (rows, columns), blocks = of[name]
                of[name] = field, (rows, rank), ("rank",)
                of[f"{name}_expansion"] = field, (rank, columns), blocks
        return of

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        dtype = params["kernel"].dtype
        start = {name: jnp.asarray(value, dtype) for name, value in self.scalars.items()}
        return params | start

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "rates" in params:  # already
            return params
        rates = tuple(jax.nn.sigmoid(params[name]) for name in self.scalars)
        return params | {"rates": rates}

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        x, keep = super().project({"kernel": params["kernel"]}, x, keys)
        if self.kernel_rank is not None:
            x = x @ params["kernel_expansion"]
        x = jnp.tile(x, len(self.bias_blocks))
        return Drive(x + params["bias"] if self.use_bias else x, keep)

    def product(self, params: Params, h: jax.Array, drive: Drive) -> jax.Array:
        """h U, by one product or two."""
        z = self.seen(h, drive) @ params["recurrent_kernel"]
        if self.recurrent_rank is not None:
            z = z @ params["recurrent_kernel_expansion"]
        return z


class FastRNN(Fast, kw_only=True):
    """A simple network with a weighted residual connection.

        n  = act(x W + h U + b)
        h' = sigmoid(alpha) n + sigmoid(beta) h

    with W = kernel [I, H], U = recurrent_kernel [H, H], b = bias [H], and alpha and beta
    trained scalars, shape (). Of rank r, W and U are products of two: kernel [I, r] and
    kernel_expansion [r, H], recurrent_kernel [H, r] and recurrent_kernel_expansion
    [r, H]. The carry and the output are h, zeros at first. Kusupati, Singh, Bhatia,
    Kumar, Jain and Varma, "FastGRNN: a fast, accurate, stable and tiny kilobyte sized
    gated recurrent neural network", NeurIPS 2018, arXiv 1901.02358. It starts where the
    authors' code does, at sigmoid(alpha) = 0.05 and sigmoid(beta) = 0.95; the FastRNN of
    torchrecurrent starts the other way round, at a memory of 0.05.

    Args:
        input_size, hidden_size: I and H.
        activation: "tanh", or the name of another function of `jax.nn`, or a function of
            a module.
        kernel_rank, recurrent_rank: those of W and of U; full, if not given.
        initial_alpha, initial_beta: where the two scalars start, before the sigmoid.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size or a rank that is no positive int, a rate outside [0, 1),
            an initial scalar that is no finite number, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.FastRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["alpha"].shape, h.shape, ys.shape)
        () (2, 5) (7, 2, 5)
    """

    activation: Activation = "tanh"
    initial_alpha: float = -3.0
    initial_beta: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    @property
    def scalars(self) -> dict[str, float]:
        return {"alpha": self.initial_alpha, "beta": self.initial_beta}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        alpha, beta = self.prepare(params)["rates"]
        n = activation_of(self.activation)(drive.x + self.product(params, carry, drive))
        return alpha * n + beta * carry


class FastGRNN(Fast, kw_only=True):
    """A gated network whose gate and candidate share all of their weights.

        a  = x W + h U
        z  = sigmoid(a + b_z)                                 gate, which keeps
        n  = tanh(a + b_n)                                    candidate
        h' = (sigmoid(zeta) (1 - z) + sigmoid(nu)) n + z h

    with W = kernel [I, H], U = recurrent_kernel [H, H], bias [2H] in the order z, n, and
    zeta and nu trained scalars, shape (). Of rank r, W and U are products of two: kernel
    [I, r] and kernel_expansion [r, H], recurrent_kernel [H, r] and
    recurrent_kernel_expansion [r, H]. The carry and the output are h, zeros at first.
    Kusupati, Singh, Bhatia, Kumar, Jain and Varma, "FastGRNN: a fast, accurate, stable
    and tiny kilobyte sized gated recurrent neural network", NeurIPS 2018, arXiv
    1901.02358; the scalars start where the authors' code has them. In the FastGRNN of
    torchrecurrent z is a tanh, unless told otherwise.

    Args:
        input_size, hidden_size: I and H.
        kernel_rank, recurrent_rank: those of W and of U; full, if not given.
        initial_zeta, initial_nu: where the two scalars start, before the sigmoid.
        activation, gate_activation: that of n, in place of tanh, and of z, in place of
            sigmoid: names of functions of `jax.nn`, or functions of a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size or a rank that is no positive int, a rate outside [0, 1),
            an initial scalar that is no finite number, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.FastGRNN(3, 5, recurrent_rank=2)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, params["bias"].shape, ys.shape)
        (5, 2) (10,) (7, 2, 5)
    """

    initial_zeta: float = 1.0
    initial_nu: float = -4.0
    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation", "gate_activation")

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "z", "n"

    @property
    def scalars(self) -> dict[str, float]:
        return {"zeta": self.initial_zeta, "nu": self.initial_nu}

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"z", "n"}, each [H], of the step from `carry`."""
        z, n = jnp.split(drive.x, 2)
        product = self.product(params, carry, drive)
        act, gate = map(activation_of, (self.activation, self.gate_activation))
        return {"z": gate(z + product), "n": act(n + product)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        zeta, nu = self.prepare(params)["rates"]
        z, n = self.gates(params, carry, drive).values()
        return (zeta * (1 - z) + nu) * n + z * carry
