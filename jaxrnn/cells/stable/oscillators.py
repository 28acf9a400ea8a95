"""Networks of oscillators: a position and a velocity for each unit."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_flags, check_positive, check_strength
from ..gated import Drive, Driven, Gated, Params


class YZCarry(NamedTuple):
    """The carry of two states, y [H], which is shown, and z [H]."""

    y: jax.Array
    z: jax.Array


class YZ(Driven[YZCarry], kw_only=True):
    """A cell that carries y and z, and shows y."""

    def initial_carry(self, params: Params) -> YZCarry:
        zeros = jnp.zeros(self.hidden_size, params["kernel"].dtype)
        return YZCarry(zeros, zeros)

    def output(self, params: Params, carry: YZCarry, drive: Drive) -> jax.Array:
        return carry.y


def leaky_uniform(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """He's for a rectifier of slope 8: the default kernel of the UnICORNN.

    U(-a, a) with a = sqrt(6 / (1 + 8^2) / rows).
    """
    bound = (6 / 65 / shape[0]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class CoRNN(YZ, Gated[YZCarry], kw_only=True):
    """The coupled oscillatory network: driven and damped oscillators, coupled by a tanh.

        a  = tanh(x W + y U_y + z U_z + b)
        z' = z + dt (a - gamma y - epsilon z)               implicit=False
        z' = (z + dt (a - gamma y)) / (1 + dt epsilon)      implicit=True
        y' = y + dt z'

    with W = kernel [I, H], U_y over U_z = recurrent_kernel [2H, H], b = bias [H]. The
    carry is `YZCarry(y, z)`, positions and velocities, zeros at first; the output is y.
    Rusch and Mishra, "Coupled oscillatory recurrent neural network (coRNN)", ICLR 2021,
    arXiv 2010.00951. There the damping may be of the old z or of the new one: the
    authors' code takes the old, and their bounds are for the new. From zeros,

        gamma |y|^2 + |z|^2 <= (number of steps) dt H / epsilon    for dt gamma <= epsilon

    whatever the parameters and inputs are, which is theirs for gamma = epsilon = 1.

    Args:
        input_size, hidden_size: I and H.
        dt: the time step.
        gamma: the force that pulls y back, the square of the frequencies.
        epsilon: the damping.
        implicit: whether the damping is of the new z.
        kernel_init, recurrent_init: U(-a, a) with a = 1 / sqrt(rows) by default.
        use_bias, bias_init, recurrent_dropout: as `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a dt that
            is not positive, a negative gamma or epsilon.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CoRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (y, z), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, z.shape, ys.shape)
        (10, 5) (2, 5) (7, 2, 5)
    """

    blocks = ("a",)

    kernel_init: initializers.Initializer = initializers.row_uniform
    recurrent_init: initializers.Initializer = initializers.row_uniform
    dt: float = 0.1
    gamma: float = 1.0
    epsilon: float = 1.0
    implicit: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "dt")
        check_strength(self, "gamma", "epsilon")
        check_flags(self, "implicit")

    @property
    def state_size(self) -> int:
        return 2 * self.hidden_size

    def step(self, params: Params, carry: YZCarry, drive: Drive) -> YZCarry:
        y, z = carry
        both = self.seen(jnp.concatenate([y, z]), drive)
        a = jnp.tanh(drive.x + both @ params["recurrent_kernel"])
        force = a - self.gamma * y
        if self.implicit:
            z = (z + self.dt * force) / (1 + self.dt * self.epsilon)
        else:
            z = z + self.dt * (force - self.epsilon * z)
        return YZCarry(y + self.dt * z, z)


class UnICORNN(YZ, kw_only=True):
    """The undamped independent oscillatory network: no unit sees another's state.

        d  = dt sigmoid(c)                                  a time step for each unit
        z' = z - d (tanh(x W + w y + b) + alpha y)
        y' = y + d z'

    with W = kernel [I, H], w = recurrent_scale [H], b = bias [H], c = control [H]. The
    carry is `YZCarry(y, z)`, positions and velocities, zeros at first; the output is y.
    It is the symplectic Euler method on a Hamiltonian system: a step keeps areas in the
    plane of every unit's y and z, and can be undone. Units meet in the W of the next
    layer: use it in a `Stack`. Rusch and Mishra, "UnICORNN: a recurrent model for
    learning very long time dependencies", ICML 2021, arXiv 2103.05487.

    Args:
        input_size, hidden_size: I and H.
        dt: the longest time step.
        alpha: the force that pulls y back.
        kernel_init: U(-a, a) with a = sqrt(6 / 65 / I) by default.
        recurrent_init: that of w; U(0, 1) by default.
        control_init: that of c; U(-0.1, 0.1) by default. These three are as in the paper.
        use_bias, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, a dt that is not positive, a
            negative alpha.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.UnICORNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> (y, z), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["control"].shape, z.shape, ys.shape)
        (5,) (2, 5) (7, 2, 5)
    """

    blocks = ("a",)

    kernel_init: initializers.Initializer = leaky_uniform
    recurrent_init: initializers.Initializer = initializers.Uniform(0.0, 1.0)
    control_init: initializers.Initializer = initializers.Uniform(-0.1, 0.1)
    dt: float = 0.1
    alpha: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "dt")
        check_strength(self, "alpha")

    def init(self, key: jax.Array) -> Params:
        H = (self.hidden_size,)
        return super().init(key) | self.further(
            key,
            recurrent_scale=("recurrent_init", H, ("a",)),
            control=("control_init", H, ("a",)),
        )

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "time_step" in params:  # already
            return params
        return params | {"time_step": self.dt * jax.nn.sigmoid(params["control"])}

    def step(self, params: Params, carry: YZCarry, drive: jax.Array) -> YZCarry:
        y, z = carry
        d = self.prepare(params)["time_step"]
        a = jnp.tanh(drive + params["recurrent_scale"] * y)
        z = z - d * (a + self.alpha * y)
        return YZCarry(y + d * z, z)
