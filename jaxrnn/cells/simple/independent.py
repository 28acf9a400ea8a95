"""A network whose units see only themselves."""

from collections.abc import Sequence

import jax

from ... import initializers
from ...arguments.numbers import is_number, of_python
from ...value import Value
from ..activations import Activation, activation_of, check_activations
from ..gated import Driven, Params


class Lasting(Value):
    """Factors between 0 and 2^(1/T), whose powers over T steps stay below 2.

    With relu as the activation a gradient is then at most doubled over T steps. The paper
    holds |u| to this bound in training as well, after every update:

        u = jnp.clip(params["recurrent_scale"], -init.bound, init.bound)

    Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN)", CVPR
    2018, arXiv 1803.04831.

    Args:
        steps: T, the length of the sequences; without end, if not given: U(0, 1).

    Raises:
        ValueError: if steps is no number of at least 1.

    Example:
        >>> import jaxrnn
        >>> init = jaxrnn.cells.Lasting(steps=100)
        >>> print(round(init.bound, 4))
        1.007
        >>> cell = jaxrnn.cells.IndRNN(3, 5, recurrent_init=init)
    """

    steps: float = float("inf")

    def __post_init__(self) -> None:
        if not is_number(self.steps) or not self.steps >= 1:
            raise ValueError(
                f"cells.Lasting: steps is {self.steps!r}, expected a number of at least 1"
            )
        object.__setattr__(self, "steps", of_python(self.steps))

    @property
    def bound(self) -> float:
        """2^(1/T)."""
        return 2 ** (1 / self.steps)

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
    ) -> jax.Array:
        return jax.random.uniform(key, shape, maxval=self.bound)


class IndRNN(Driven[jax.Array], kw_only=True):
    """The independently recurrent network: each unit has a factor, and sees no other.

        h' = act(x W + u h + b)

    with W = kernel [I, H], u = recurrent_scale [H] and b = bias [H]; u h is elementwise:
    units meet in the layers above. The carry and the output are h, zeros at first. Li,
    Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN)", CVPR 2018,
    arXiv 1803.04831. The IndRNN of torchrecurrent has a tanh, unless told otherwise.

    Args:
        input_size, hidden_size: I and H.
        activation: the paper's relu, or the name of another function of `jax.nn`, or a
            function of a module.
        recurrent_init: that of u. `Lasting(T)` is the paper's for sequences of T steps.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.IndRNN(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_scale"].shape, h.shape, ys.shape)
        (5,) (2, 5) (7, 2, 5)
    """

    blocks = ("h",)

    activation: Activation = "relu"
    recurrent_init: initializers.Initializer = Lasting()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def init(self, key: jax.Array) -> Params:
        u = "recurrent_init", (self.hidden_size,), self.blocks
        return super().init(key) | self.further(key, recurrent_scale=u)

    def step(self, params: Params, carry: jax.Array, drive: jax.Array) -> jax.Array:
        act = activation_of(self.activation)
        return act(drive + params["recurrent_scale"] * carry)
