"""The activations of ONNX's recurrent nodes, each a name or a frozen value.

`jax.nn` has most of them by name; here are those that take numbers, ONNX's alpha and
beta, and `Clipped`, the attribute clip around any of them.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...cells.activations import Activation, activation_of
from ...value import Value


class _Function(Value):
    """A function of one array, frozen: an `activation` that a cell can have."""

    def __repr__(self) -> str:
        return f"interop.onnx.{super().__repr__()}"

    def __call__(self, x: jax.Array) -> jax.Array:
        raise NotImplementedError


class Affine(_Function):
    """alpha x + beta.

    Example:
        >>> import jaxrnn, jaxrnn.interop.onnx
        >>> jaxrnn.Elman(3, 5, activation=jaxrnn.interop.onnx.Affine(0.5, 0.1))
        Elman(input_size=3, hidden_size=5, activation=interop.onnx.Affine(alpha=0.5, \
beta=0.1))
    """

    alpha: float
    beta: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.alpha * x + self.beta


class LeakyRelu(_Function):
    """x where x >= 0, else alpha x."""

    alpha: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x >= 0, x, self.alpha * x)


class ThresholdedRelu(_Function):
    """x where x > alpha, else 0."""

    alpha: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > self.alpha, x, jnp.zeros_like(x))


class ScaledTanh(_Function):
    """alpha tanh(beta x)."""

    alpha: float
    beta: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.alpha * jnp.tanh(self.beta * x)


class HardSigmoid(_Function):
    """min(1, max(0, alpha x + beta))."""

    alpha: float
    beta: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.clip(self.alpha * x + self.beta, 0, 1)


class Elu(_Function):
    """x where x >= 0, else alpha (exp(x) - 1)."""

    alpha: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.elu(x, self.alpha)


class Clipped(_Function):
    """An activation whose input is kept between -clip and clip: ONNX's attribute clip.

    Example:
        >>> import jax.numpy as jnp, jaxrnn.interop.onnx
        >>> act = jaxrnn.interop.onnx.Clipped("relu", 3.0)
        >>> print(act, act(jnp.array([-4.0, 2.0, 4.0])))
        interop.onnx.Clipped(activation='relu', clip=3.0) [0. 2. 3.]
    """

    activation: Activation
    clip: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return activation_of(self.activation)(jnp.clip(x, -self.clip, self.clip))


# By ONNX's names: those without numbers; those with, and the defaults that specification
# and onnxruntime share, None where there is none.
PLAIN = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softsign": "soft_sign",
    "Softplus": "softplus",
}
NUMBERED: dict[str, tuple[type[_Function], tuple[float | None, ...]]] = {
    "Affine": (Affine, (None, None)),
    "LeakyRelu": (LeakyRelu, (0.01,)),
    "ThresholdedRelu": (ThresholdedRelu, (None,)),
    "ScaledTanh": (ScaledTanh, (None, None)),
    "HardSigmoid": (HardSigmoid, (0.2, 0.5)),
    "Elu": (Elu, (1.0,)),
}
LABELS = "alpha", "beta"

# What `jax.nn`, or jaxrnn, has by a name.
NAMED: dict[Any, str] = {
    LeakyRelu(0.01): "leaky_relu",
    HardSigmoid(0.2, 0.5): "onnx_hard_sigmoid",
    HardSigmoid(0.16666667, 0.5): "hard_sigmoid",
    Elu(1.0): "elu",
    Affine(1.0, 0.0): "identity",
}


def decimal(value: Any) -> float:
    """The shortest decimal that is this float32: 0.2, where 0.200000003 is stored."""
    return float(str(np.float32(value)))


def activation(name: str, numbers: Sequence[Any]) -> Activation:
    """The activation of ONNX's name, which takes these numbers."""
    if name in PLAIN:
        return PLAIN[name]
    value = NUMBERED[name][0](*map(decimal, numbers))
    return NAMED.get(value, value)


def activations(
    where: str, names: Sequence[str], *numbers: Sequence[float]
) -> list[Activation]:
    """Those of a node, by its attributes activations, activation_alpha, activation_beta.

    The numbers are those of the activations that take one, in their order. A list that
    has one for every activation is refused, unless it says the same.
    """
    proper = {name.lower(): name for name in (*PLAIN, *NUMBERED)}
    unknown = [name for name in names if name.lower() not in proper]
    if unknown:
        raise ValueError(
            f"{where}: activations has {unknown[0]!r}, expected one of "
            f"{', '.join(proper.values())}"
        )
    names = [proper[name.lower()] for name in names]
    read = [_numbers(where, names, *each) for each in enumerate(numbers)]
    made = []
    for index, name in enumerate(names):
        own = [values[index] for values in read[: _takes(name)]]
        if None in own:
            label = LABELS[own.index(None)]
            raise ValueError(
                f"{where}: {name} has no {label}, for which runtimes share no default: "
                f"give the node activation_{label}"
            )
        made.append(activation(name, own))
    return made


def _takes(name: str) -> int:
    return len(NUMBERED[name][1]) if name in NUMBERED else 0


def _numbers(
    where: str, names: Sequence[str], place: int, given: Sequence[float]
) -> list[float | None]:
    """Alpha (place 0) or beta (place 1) of each activation; None where it has none."""
    takers = [index for index, name in enumerate(names) if _takes(name) > place]
    values = [
        NUMBERED[name][1][place] if index in takers else None
        for index, name in enumerate(names)
    ]
    by_place = list(values)
    for index in takers:
        by_place[index] = given[index] if len(given) == len(names) else None
    for index, value in zip(takers, given, strict=False):
        values[index] = value
    if len(given) > len(takers) and values != by_place:
        label = LABELS[place]
        raise ValueError(
            f"{where}: activation_{label} has {len(given)} values, but {len(takers)} of "
            f"the activations {', '.join(names)} take one, expected as many"
        )
    return values
