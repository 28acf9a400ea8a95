"""The liquid time-constant network: neurons and synapses, by a solver of their own."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_flags, check_sizes, check_strength
from ..affine import check_x
from ..gated import Params
from .elapsed import Elapsing

POSITIVE = "cm", "gleak", "w", "sensory_w"
NEURONS, SYNAPSES = ("cm", "gleak", "vleak"), ("w", "sigma", "mu", "erev")
# Of the initial parameters, as the authors' code has them.
RANGES = {
    "cm": (0.4, 0.6),
    "gleak": (0.001, 1.0),
    "vleak": (-0.2, 0.2),
    "w": (0.001, 1.0),
    "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
}


def drawn(
    key: jax.Array, name: str, shape: tuple[int, ...], *, softplus: bool
) -> jax.Array:
    """From its range, or what softplus takes to it; for the erev, -1 or 1."""
    kind = name.removeprefix("sensory_")
    if kind == "erev":
        return jax.random.rademacher(key, shape, float)
    low, high = RANGES[kind]
    value = jax.random.uniform(key, shape, minval=low, maxval=high)
    return jnp.log(jnp.expm1(value)) if softplus and name in POSITIVE else value


class Synapses(NamedTuple):
    """All synapses from n units, or inputs, to H units; each [n, H].

    Of a presynaptic v, a synapse is open by sigmoid(slope v - shift).
    """

    slope: jax.Array
    shift: jax.Array
    weight: jax.Array
    pull: jax.Array  # the weight times the potential that it pulls to

    @classmethod
    def of(cls, params: Params, prefix: str) -> "Synapses":
        w, sigma, mu, erev = (params[prefix + name] for name in SYNAPSES)
        return cls(sigma, sigma * mu, w, w * erev)

    def sums(self, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Of the open synapses of every unit: how they pull, and their weights; [H]."""
        opened = jax.nn.sigmoid(v[:, None] * self.slope - self.shift)
        return jnp.sum(opened * self.pull, axis=0), jnp.sum(opened * self.weight, axis=0)


class LTC(Elapsing, kw_only=True):
    """The liquid time-constant network: leaky neurons with synapses that open by voltage.

        cm dv/dt = gleak (vleak - v) + sum over all synapses to the unit of
                   w sigmoid(sigma (u - mu)) (erev - v)

    where u is the potential of the unit that it comes from, or an input. A step takes t,
    the time elapsed, in n = ode_unfolds steps of d = t / n, each of them by the paper's
    fused solver, with S the sum of w sigmoid(...), and P that of erev w sigmoid(...):

        v <- (cm v + d (gleak vleak + P)) / (cm + d (gleak + S + epsilon))

    which is a mean of v, vleak and the erev, so that v never leaves their range. Synapses
    of inputs are summed for all steps at once, those of units in each of the n steps.

    With cm, gleak, vleak [H]; w, sigma, mu, erev [H, H], and sensory_w, sensory_sigma,
    sensory_mu, sensory_erev [I, H] those of inputs; from rows to columns. The carry and
    the output are v, zeros at first. Hasani, Lechner, Amini, Rus and Grosu, "Liquid
    time-constant networks", AAAI 2021, arXiv 2006.04439. The ncps package scales and
    shifts inputs and outputs too, by a number for each, and wires units sparsely.

    Args:
        input_size, hidden_size: I and H.
        timed: whether inputs are `jaxrnn.cells.Timed`, each with its own t.
        elapsed: t, unless `timed`.
        ode_unfolds: n.
        softplus: whether w, sensory_w, cm and gleak are the softplus of their parameters,
            and so are positive. Otherwise they are the parameters, which an optimiser is
            to keep from being negative, as ncps does unless told otherwise.
        epsilon: what keeps the denominator from zero.

    Raises:
        ValueError: for a size or an ode_unfolds that is no positive int, an elapsed that
            is not positive, a negative epsilon.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.LTC(3, 5, timed=True)
        >>> params = cell.init(jax.random.key(0))
        >>> inputs = jaxrnn.cells.Timed(jnp.ones((7, 2, 3)), jnp.full((7, 2), 0.1))
        >>> v, ys = jaxrnn.unroll(cell, params, inputs)
        >>> print(params["w"].shape, params["sensory_w"].shape, v.shape, ys.shape)
        (5, 5) (3, 5) (2, 5) (7, 2, 5)
    """

    ode_unfolds: int = 6
    softplus: bool = True
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(
            self,
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            ode_unfolds=self.ode_unfolds,
        )
        check_flags(self, "softplus")
        check_strength(self, "epsilon")

    def init(self, key: jax.Array) -> Params:
        H, I = self.hidden_size, self.input_size
        shapes: dict[str, tuple[int, ...]] = {name: (H,) for name in NEURONS}
        for prefix, rows in ("", H), ("sensory_", I):
            shapes |= {prefix + name: (rows, H) for name in SYNAPSES}
        keys = jax.random.split(key, len(shapes))
        return {
            name: drawn(key, name, shape, softplus=self.softplus)
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def initial_carry(self, params: Params) -> jax.Array:
        return jnp.zeros(self.hidden_size, params["cm"].dtype)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "synapses" in params:  # already
            return params
        if self.softplus:
            params = params | {name: jax.nn.softplus(params[name]) for name in POSITIVE}
        return {
            "cm": params["cm"],
            "gleak": params["gleak"],
            "leak": params["gleak"] * params["vleak"],
            "synapses": Synapses.of(params, ""),
            "sensory": Synapses.of(params, "sensory_"),
        }

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Any:
        check_x(self, x)
        x, elapsed = self.parts(x)
        pull, weight = params["sensory"].sums(x)
        sums = params["leak"] + pull, params["gleak"] + weight + self.epsilon
        return (sums, elapsed) if self.timed else sums

    def step(self, params: Params, carry: jax.Array, drive: Any) -> jax.Array:
        (outer_pull, outer_weight), elapsed = self.parts(drive)
        v, d = carry, elapsed / self.ode_unfolds
        for _ in range(self.ode_unfolds):
            pull, weight = params["synapses"].sums(v)
            v = params["cm"] * v + d * (outer_pull + pull)
            v = v / (params["cm"] + d * (outer_weight + weight))
        return v
