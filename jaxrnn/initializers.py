"""Initial parameters, gate by gate.

An initializer is called as `initializer(key, shape, gates)`: `shape` is that of the whole
parameter, whose last axis holds one block per name in `gates`, in the cell's order. Any
function of that signature will do, best at module level, where it is equal to itself;
`PerGate` and `PerKernel` lift the functions of `jax.nn.initializers`.

    >>> import jax, jaxrnn
    >>> from jaxrnn import initializers
    >>> cell = jaxrnn.LSTM(8, 32, bias_init=initializers.Chrono(t_max=100))
    >>> print(cell.init(jax.random.key(0))["bias"].shape)
    (128,)
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import jax
import jax.numpy as jnp

from .arguments.numbers import is_number
from .value import Value

Initializer = Callable[[jax.Array, tuple[int, ...], Sequence[str]], jax.Array]


class _Lifted(Value):
    """A factory of `jax.nn.initializers`, not called: what it makes is called."""

    factory: Callable[[], Any]

    def __post_init__(self) -> None:
        try:
            self.factory()
        except TypeError as error:
            raise TypeError(
                f"initializers.{type(self).__name__}: factory is {self.factory!r}, "
                "expected one like jax.nn.initializers.he_normal, not called; for other "
                "settings write a module-level function of (key, shape, gates)"
            ) from error

    def __repr__(self) -> str:
        name = getattr(self.factory, "__name__", "")
        known = getattr(jax.nn.initializers, name, None) is self.factory
        shown = f"jax.nn.initializers.{name}" if known else repr(self.factory)
        return f"initializers.{type(self).__name__}({shown})"


class PerGate(_Lifted):
    """A factory of `jax.nn.initializers`, applied to every gate's own block.

    Fan-in, fan-out and orthogonality are then those of one gate, whatever the number of
    gates that share the parameter.

    Args:
        factory: `jax.nn.initializers.he_normal` and its like, not called: what it makes
            by default is called as `initializer(key, block_shape)`. For other settings
            write a module-level function of `(key, shape, gates)`.

    Raises:
        TypeError: if `factory` makes nothing when called without arguments.

    Example:
        >>> import jax, jaxrnn
        >>> he_normal = jaxrnn.initializers.PerGate(jax.nn.initializers.he_normal)
        >>> cell = jaxrnn.GRU(8, 32, kernel_init=he_normal)
        >>> cell.init(jax.random.key(0))["kernel"].shape
        (8, 96)
    """

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
    ) -> jax.Array:
        initializer = self.factory()
        block = (*shape[:-1], shape[-1] // len(gates))
        keys = jax.random.split(key, len(gates))
        blocks = [initializer(gate_key, block) for gate_key in keys]
        return jnp.concatenate(blocks, axis=-1)


class PerKernel(_Lifted):
    """A factory of `jax.nn.initializers`, applied to all gates at once, as keras does.

    Fan-out counts the columns of all gates, and an orthogonal kernel [H, G H] has
    orthogonal rows, but no gate's block is orthogonal: its singular values lie below 1.

    Args:
        factory: as that of `PerGate`.

    Raises:
        TypeError: if `factory` makes nothing when called without arguments.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> orthogonal = jaxrnn.initializers.PerKernel(jax.nn.initializers.orthogonal)
        >>> cell = jaxrnn.GRU(8, 32, recurrent_init=orthogonal)
        >>> U = cell.init(jax.random.key(0))["recurrent_kernel"]
        >>> print(U.shape, bool(jnp.allclose(U @ U.T, jnp.eye(32), atol=1e-5)))
        (32, 96) True
    """

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
    ) -> jax.Array:
        return self.factory()(key, shape)


def zeros(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Zeros: the default bias of every cell but the LSTM."""
    return jnp.zeros(shape)


def ones(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Ones: where scales start."""
    return jnp.ones(shape)


def orthogonal(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """A random orthogonal matrix for every gate: the default recurrent kernel.

    All singular values of a gate's block are 1, so that the linear part of a step
    neither shrinks nor stretches the gradient. Saxe, McClelland and Ganguli, "Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks",
    ICLR 2014, arXiv 1312.6120.
    """
    return PerGate(_orthogonal_alone)(key, shape, gates)


def _orthogonal_alone() -> Callable[[jax.Array, tuple[int, ...]], jax.Array]:
    """JAX's, which `jax.vmap` runs for one key after the other.

    Batched decompositions that a compiled program runs side by side on CPU can occupy all
    of XLA's threads and wait there, for ever, for a free one.
    """

    def initializer(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        draw = lambda key: jax.nn.initializers.orthogonal()(key, shape)  # noqa: E731
        return jax.custom_batching.sequential_vmap(draw)(key)

    return initializer


def lecun_normal(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """Truncated normal of variance 1/rows for every gate: the default input kernel.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """
    return PerGate(jax.nn.initializers.lecun_normal)(key, shape, gates)


def glorot_uniform(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """U(-a, a) with a = sqrt(6 / (rows + columns of one gate's block)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """
    return PerGate(jax.nn.initializers.glorot_uniform)(key, shape, gates)


def uniform(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """U(-a, a) with a = 1 / sqrt(columns of one gate), for kernels and biases alike.

    The columns of a gate are the hidden_size: what torch.nn draws for RNN, LSTM and GRU.
    A square block has spectral radius near
    1/sqrt(3) = 0.58, so a plain tanh network starts with fading gradients. LeCun, Bottou,
    Orr and Müller, "Efficient BackProp", 1998, for the scale.
    """
    bound = (shape[-1] // len(gates)) ** -0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def row_uniform(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """U(-a, a) with a = 1 / sqrt(rows): what torch.nn draws for a Linear layer."""
    bound = shape[0] ** -0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Uniform(Value):
    """U(low, high) for every entry.

    Args:
        low, high: the ends.

    Raises:
        ValueError: unless both are finite numbers, and low is below high.

    Example:
        >>> import jax, jaxrnn
        >>> small = jaxrnn.initializers.Uniform(-0.1, 0.1)
        >>> bias = jaxrnn.GRU(3, 5, bias_init=small).init(jax.random.key(0))["bias"]
        >>> print(bias.shape, bool((abs(bias) <= 0.1).all()))
        (15,) True
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        ends = self.low, self.high
        if not all(map(is_number, ends)) or not -inf < self.low < self.high < inf:
            raise ValueError(
                f"initializers.Uniform: low is {self.low!r} and high is {self.high!r}, "
                "expected finite numbers, low below high"
            )
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
    ) -> jax.Array:
        return jax.random.uniform(key, shape, minval=self.low, maxval=self.high)

    def __repr__(self) -> str:
        return f"initializers.Uniform({self.low}, {self.high})"


def identity(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """The identity for every gate of a square recurrent kernel (the IRNN, with relu).

    Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified
    linear units", 2015, arXiv 1504.00941.

    Raises:
        ValueError: if a gate's block is not square.
    """
    rows, columns = shape[0], shape[-1] // len(gates)
    if len(shape) != 2 or rows != columns:
        raise ValueError(
            f"initializers.identity: a gate's block has shape {(*shape[:-1], columns)}, "
            "expected a square one: use it as recurrent_init"
        )
    return jnp.tile(jnp.eye(rows), len(gates))


def unit_forget(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """Zeros, with ones for the forget gate "f": the default bias of the LSTM.

    The one is stored in the bias; nothing is added at run time. Gers, Schmidhuber and
    Cummins, "Learning to forget", 2000; Jozefowicz, Zaremba and Sutskever, "An empirical
    exploration of recurrent network architectures", ICML 2015.

    Raises:
        ValueError: if no gate is called "f".
    """
    if "f" not in gates:
        raise ValueError(
            f"initializers.unit_forget: the gates are {tuple(gates)}, expected one "
            'called "f"'
        )
    block = (shape[-1] // len(gates),)
    return jnp.concatenate([(jnp.ones if g == "f" else jnp.zeros)(block) for g in gates])


class Chrono(Value):
    """Biases for memories of up to `t_max` steps, spread log-uniformly over the units.

        b_f = log U(1, t_max - 1)    b_i = -b_f    zeros elsewhere

    A forget gate at sigmoid(b_f) keeps a unit for about exp(b_f) steps. For a GRU, whose
    h' = (1 - z) n + z h, the gate that keeps is z: b_z takes the place of b_f, and 1 - z
    that of the input gate. It is for cells with such a gate, and for those whose gate i
    writes what it lets go, h' = (1 - i) h + i n, and so keeps 1 - i: MGU, LightRU, STAR,
    SGU, TauGRU and the MUTs. Where nothing forgets, as in `cells.OriginalLSTM` and
    `cells.GatedAntisymmetricRNN`, there is nothing to set. Tallec and Ollivier, "Can
    recurrent neural networks warp time?", ICLR 2018, arXiv 1804.11188.

    Args:
        t_max: the longest dependency expected, in steps; more than 2.

    Raises:
        ValueError: if t_max <= 2, or if no gate is called "f" or "z", nor "i" in a cell
            without the "g" or "o" of an LSTM.

    Example:
        >>> import jax, jaxrnn
        >>> chrono = jaxrnn.initializers.Chrono(t_max=50)
        >>> bias = chrono(jax.random.key(0), (8,), ("i", "f", "g", "o"))
        >>> print(bool((bias[0:2] == -bias[2:4]).all()), bool((bias[2:4] <= 3.9).all()))
        True True
    """

    t_max: float

    def __post_init__(self) -> None:
        if not self.t_max > 2:
            raise ValueError(f"initializers.Chrono: t_max is {self.t_max}, expected > 2")

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
    ) -> jax.Array:
        there = set(gates)
        if not there & {"f", "z"} and ("i" not in there or there & {"g", "o"}):
            raise ValueError(
                f"initializers.Chrono: the gates are {tuple(gates)}, expected one called "
                '"f" or "z", or an "i" that writes what it lets go, with no "g" or "o"'
            )
        block = (shape[-1] // len(gates),)
        keep = jnp.log(jax.random.uniform(key, block, minval=1.0, maxval=self.t_max - 1))
        blocks = {"f": keep, "z": keep, "i": -keep}
        return jnp.concatenate([blocks.get(gate, jnp.zeros_like(keep)) for gate in gates])

    def __repr__(self) -> str:
        return f"initializers.Chrono(t_max={self.t_max})"


def unit_rows(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """N(0, 1/columns): rows of unit length on average, the default of `Embedding`."""
    return jax.random.normal(key, shape) * shape[-1] ** -0.5
