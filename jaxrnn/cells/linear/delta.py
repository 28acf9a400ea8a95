"""Fast weights that are corrected, not added up: the delta rule."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..gated import Params
from .linear_attention import Associating, normalized


def unit(x: jax.Array) -> jax.Array:
    """x / |x| along the last axis, of any size; zeros stay zeros."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    x = x / jnp.where(largest > 0, largest, 1)  # so that no square is out of range
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.where(square > 0, square, 1))


def rms_norm(x: jax.Array, epsilon: float) -> jax.Array:
    """x in units of the root of its mean square over the last axis."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon)


class DeltaDrive(NamedTuple):
    """What the step and the output of a cell of the delta rule get."""

    k: jax.Array  # [heads, K]
    seen: jax.Array  # [heads, K]: k times what is erased
    written: jax.Array  # [heads, D]: beta v
    q: jax.Array  # [heads, K]
    beta: jax.Array  # [heads]
    decay: jax.Array | None = None  # [heads]
    r: jax.Array | None = None  # [H]: the output gate


class Delta(Associating, kw_only=True):
    """A cell of the delta rule: what is stored under a key moves to the new value.

    S' = S + (written - S seen) k^T, with `written` and `seen` made of x alone.
    """

    use_bias: bool = False
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        of = super()._parameters()
        of["beta_kernel"] = "kernel_init", (self.input_size, self.heads), ("i",)
        return of | {"bias": ("bias_init", (self.heads,), ("i",))}

    def initial_carry(self, params: Params) -> jax.Array:
        shape = self.heads, self.value_units, self.key_units
        return jnp.zeros(shape, params["kernel"].dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> DeltaDrive:
        act = activation_of(self.activation)
        q, k = map(unit, map(act, self.queries_and_keys(params, x)))
        v = self.by_head(act(x @ params["kernel"][:, : self.hidden_size]))
        beta = x @ params["beta_kernel"]
        beta = jax.nn.sigmoid(beta + params["bias"] if self.use_bias else beta)
        return DeltaDrive(k, beta[:, None] * k, beta[:, None] * v, q, beta)

    def gates(
        self, params: Params, carry: jax.Array, drive: DeltaDrive
    ) -> dict[str, jax.Array]:
        """The rate {"i"} [heads] at which a value is written: beta."""
        return {"i": drive.beta}

    def step(self, params: Params, carry: jax.Array, drive: DeltaDrive) -> jax.Array:
        stored = jnp.einsum("hdk,hk->hd", carry, drive.seen)
        return carry + jnp.einsum("hd,hk->hdk", drive.written - stored, drive.k)

    def output(self, params: Params, carry: jax.Array, drive: DeltaDrive) -> jax.Array:
        read = jnp.einsum("hdk,hk->hd", carry, drive.q)
        o = params["gain"] * normalized(rms_norm, read, self.epsilon).reshape(-1)
        return (o if drive.r is None else drive.r * o) @ params["output_kernel"]


class DeltaNet(Delta, kw_only=True):
    """DeltaNet: a head stores values under keys, and a new value replaces the old one.

        q, k = unit(act(x W_q)), unit(act(x W_k))   query and key of a head [K]
        v    = act(x W_v)                           value [D]
        beta = sigmoid(x W_beta)                    one number a head
        S'   = S (I - beta k k^T) + beta v k^T      memory [D, K]
        o    = RMS(S' q)                            of each head by itself
        y    = o W_o                                o of all heads side by side

    with unit(z) = z / |z|, act = swish and D = H / heads; key_kernel [I, 2 heads K] in
    the order q, k, kernel [I, H] for v, beta_kernel [I, heads], output_kernel [H, H]; the
    norm has gain [H]. The step is one of gradient descent, of rate beta, on
    |S k - v|^2 / 2; with beta = 1 what is read under k is v. The carry is S [heads, D,
    K], zeros at first; the output is y.

    Yang, Wang, Zhang, Shen and Kim, "Parallelizing linear transformers with the delta
    rule over sequence length", NeurIPS 2024, arXiv 2406.06484, after Schlag, Irie and
    Schmidhuber, "Linear transformers are secretly fast weight programmers", ICML 2021,
    arXiv 2102.11174. There keys and queries are positive features that sum to one, and o
    is not normalised. The short convolutions over time between W and act, which the first
    recommend, are left out: a cell below in a `Stack` may show the last inputs.

    Args:
        input_size, hidden_size: I and H.
        heads: how many, of D = H / heads values each. The paper has heads of 128.
        key_size: K, of one head; D, if not given.
        activation: act: the name of a function of `jax.nn`, or a function of a module.
        epsilon: added to the mean square in RMS.
        gain_init: that of the norm's gain, ones.
        kernel_init: of all kernels; use_bias, bias_init: of a bias [heads] in beta, which
            the paper has not.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that is no multiple
            of heads, an unknown activation, an epsilon that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.DeltaNet(3, 8, heads=2)
        >>> params = cell.init(jax.random.key(0))
        >>> S, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 5, 3)))
        >>> print(params["key_kernel"].shape, S.shape, ys.shape)
        (3, 16) (5, 2, 4, 4) (7, 5, 8)
    """

    blocks = ("v",)


def rates(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """log U(0, 16), no less than 2^-10: the default rates of a `GatedDeltaNet`.

    Those of the authors' code, where Mamba-2 has log U(1, 16).
    """
    return jnp.log(jax.random.uniform(key, shape, minval=2.0**-10, maxval=16.0))


def short_times(
    key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]
) -> jax.Array:
    """Biases at which softplus(b) is log-uniform between 0.001 and 0.1, as in Mamba."""
    low, high = math.log(0.001), math.log(0.1)
    time = jnp.exp(jax.random.uniform(key, shape, minval=low, maxval=high))
    return time + jnp.log(-jnp.expm1(-time))


class GatedDeltaNet(Delta, kw_only=True):
    """Gated DeltaNet: the delta rule, and a gate by which a whole head forgets.

        q, k = unit(act(x W_q)), unit(act(x W_k))   query and key of a head [K]
        v    = act(x W_v)                           value [D]
        beta = sigmoid(x W_beta)                    one number a head
        a    = exp(-exp(A) softplus(x W_a + b_a))   one number a head, near 1 at first
        S'   = a S (I - beta k k^T) + beta v k^T    memory [D, K]
        o    = RMS(S' q)                            of each head by itself
        r    = swish(x W_r)                         output gate [H]
        y    = (r o) W_o                            o of all heads side by side

    with unit(z) = z / |z|, act = swish and D = H / heads; key_kernel [I, 2 heads K] in
    the order q, k, kernel [I, 2H] in the order v, r, beta_kernel and decay_kernel [I,
    heads] for W_beta and W_a, decay_rate [heads] for A, decay_bias [heads], output_kernel
    [H, H]; the norm has gain [H]. The carry is S [heads, D, K], zeros at first; the
    output is y. Yang, Kautz and Hatamizadeh, "Gated delta networks: improving Mamba2 with
    delta rule", ICLR 2025, arXiv 2412.06464. The short convolutions over time are left
    out, as in `DeltaNet`.

    Args:
        input_size, hidden_size: I and H.
        heads: how many, of D = H / heads values each.
        key_size: K, of one head; half of D, if not given.
        decay_init: of A, log U(0, 16).
        decay_bias_init: of b_a, at which softplus(b_a) is log-uniform in (0.001, 0.1).
        activation, epsilon, gain_init, kernel_init, use_bias, bias_init: as `DeltaNet`
            has them.

    Raises:
        ValueError: for a size that is no positive int, a hidden_size that is no multiple
            of heads, an unknown activation, an epsilon that is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.GatedDeltaNet(3, 8, heads=2)
        >>> params = cell.init(jax.random.key(0))
        >>> S, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 5, 3)))
        >>> print(params["key_kernel"].shape, S.shape, ys.shape)
        (3, 8) (5, 2, 4, 2) (7, 5, 8)
    """

    blocks = "v", "r"

    decay_init: initializers.Initializer = rates
    decay_bias_init: initializers.Initializer = short_times

    @property
    def key_units(self) -> int:
        return self.key_size or max(1, self.value_units // 2)

    def init(self, key: jax.Array) -> Params:
        kernel = "kernel_init", (self.input_size, self.heads), ("f",)
        return super().init(key) | self.further(
            jax.random.fold_in(key, 4),
            decay_kernel=kernel,
            decay_rate=("decay_init", (self.heads,), ("f",)),
            decay_bias=("decay_bias_init", (self.heads,), ("f",)),
        )

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> DeltaDrive:
        drive = super().project(params, x, keys)
        time = jax.nn.softplus(x @ params["decay_kernel"] + params["decay_bias"])
        a = jnp.exp(-jnp.exp(params["decay_rate"]) * time)
        r = jax.nn.silu(x @ params["kernel"][:, self.hidden_size :])
        return drive._replace(seen=a[:, None] * drive.seen, decay=a, r=r)

    def gates(
        self, params: Params, carry: jax.Array, drive: DeltaDrive
    ) -> dict[str, jax.Array]:
        """The rates {"i", "f"}, each [heads]: beta, and a, at which S is kept."""
        return super().gates(params, carry, drive) | {"f": drive.decay}  # pyright: ignore

    def step(self, params: Params, carry: jax.Array, drive: DeltaDrive) -> jax.Array:
        stored = jnp.einsum("hdk,hk->hd", carry, drive.seen)
        written = jnp.einsum("hd,hk->hdk", drive.written - stored, drive.k)
        return drive.decay[:, None, None] * carry + written  # pyright: ignore
