"""The continuous-time network of neuroscience."""

import jax

from ...arguments.numbers import check_positive
from ..activations import Activation, activation_of, check_activations
from ..gated import Drive, Gated, Params

STATES = "rate", "current"


class CTRNN(Gated[jax.Array], kw_only=True):
    """The continuous-time network: leaky units with a time constant, by Euler's method.

        tau dh/dt = -h + act(x W + h U + b)         y = h          state="rate"
        tau dh/dt = -h + act(h) U + x W + b         y = act(h)     state="current"

    so that h' = (1 - a) h + a (...) with a = dt / tau. W = kernel [I, H],
    U = recurrent_kernel [H, H], b = bias [H]. The carry is h, zeros at first; the output
    y is the rates at which units fire.

    Rates as in Yang, Joglekar, Song, Newsome and Wang, "Task representations in neural
    networks trained to perform many cognitive tasks", Nature Neuroscience 22, 2019.
    Currents as in Funahashi and Nakamura, "Approximation of dynamical systems by
    continuous time recurrent neural networks", Neural Networks 6, 1993. Beer, "On the
    dynamics of small continuous-time recurrent neural networks", Adaptive Behavior 3,
    1995, has currents with b inside: tau dv/dt = -v + sigmoid(v + b) U + x W, which is
    the second equation for h = v + b.

    Args:
        input_size, hidden_size: I and H.
        tau: the time constant, such as 100 milliseconds.
        dt: the time of a step, in the units of tau, and no longer than it.
        state: what h is, "rate" or "current".
        activation: "tanh", "relu", "softplus", "sigmoid" or another function of `jax.nn`
            that keeps the shape, by name, or a function of a module.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a tau or dt
            that is not positive, a dt above tau, an unknown state or activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CTRNN(3, 5, tau=50.0, dt=10.0, activation="softplus")
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(h.shape, ys.shape)
        (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    tau: float = 100.0
    dt: float = 20.0
    state: str = "rate"
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "tau", "dt")
        if self.dt > self.tau:
            raise ValueError(
                f"CTRNN: dt is {self.dt!r} and tau is {self.tau!r}, expected a dt of at "
                "most tau"
            )
        if self.state not in STATES:
            raise ValueError(
                f'CTRNN: state is {self.state!r}, expected "rate" or "current"'
            )
        check_activations(self, "activation")

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        act, a = activation_of(self.activation), self.dt / self.tau
        if self.state == "rate":
            rates = self.seen(carry, drive)
            new = act(drive.x + rates @ params["recurrent_kernel"])
        else:
            rates = self.seen(act(carry), drive)
            new = drive.x + rates @ params["recurrent_kernel"]
        return (1 - a) * carry + a * new

    def output(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        return carry if self.state == "rate" else activation_of(self.activation)(carry)
