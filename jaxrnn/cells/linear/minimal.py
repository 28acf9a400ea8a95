"""Minimal gated cells: gates and candidate of x alone, and an average over time."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..activations import Activation, activation_of, check_activations
from ..gated import Driven, Params

Drive = tuple[jax.Array, jax.Array]  # what is kept of h, and what is written to it


def above_zero(x: jax.Array) -> jax.Array:
    """x + 1/2 where x is at least 0, sigmoid(x) elsewhere: above 0 everywhere.

    The candidate of the `MinGRU` and the `MinLSTM` in their authors' log-space form.
    """
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))


class Minimal(Driven[jax.Array], kw_only=True):
    """A cell whose step is h' = f h + written, both made of x alone."""

    activation: Activation = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activations(self, "activation")

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        f, written = drive
        return f * carry + written


class MinGRU(Minimal, kw_only=True):
    """The minimal GRU: one gate, which sees x alone, and a linear candidate.

        i  = sigmoid(x W_i + b_i)                   gate, which writes: the paper's z
        n  = act(x W_n + b_n)                       candidate; act is the identity
        h' = (1 - i) h + i n

    with kernel [I, 2H] and bias [2H] in the order i, n. Nothing but the last line is in
    the loop. The carry and the output are h, zeros at first. Feng, Tung, Ahmed, Bengio
    and Hajimirsadeghi, "Were RNNs all we needed?", 2024, arXiv 2410.01201.

    The paper's appendix, and minGRU-pytorch, run over time in log space, for which h has
    to stay above 0; their candidate is `activation=cells.above_zero`. Values are the same
    without logarithms, so here they are left out: nothing is divided by a product of
    gates, whatever the method. minGRU-pytorch has no biases.

    Args:
        input_size, hidden_size: I and H.
        activation: that of n: the name of a function of `jax.nn`, or a function of a
            module, such as `above_zero`.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MinGRU(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 10) (2, 5) (7, 2, 5)
    """

    blocks = "i", "n"

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        i, n = jnp.split(super().project(params, x, keys), 2)
        n = activation_of(self.activation)(n)
        return jax.nn.sigmoid(-i), jax.nn.sigmoid(i) * n

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activation {"i"} [H]."""
        return {"i": 1 - drive[0]}


class MinLSTM(Minimal, kw_only=True):
    """The minimal LSTM: two gates that share out one, and a linear candidate.

        f  = sigmoid(x W_f + b_f)                   forget gate
        i  = sigmoid(x W_i + b_i)                   input gate
        n  = act(x W_n + b_n)                       candidate; act is the identity
        h' = f / (f + i) h + i / (f + i) n

    with kernel [I, 3H] and bias [3H] in the order f, i, n. Nothing but the last line is
    in the loop. The quotients are sigmoids of a difference of logarithms, so that gates
    that are both nearly 0 do no harm. The carry and the output are h, zeros at first.
    Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs all we needed?", 2024, arXiv
    2410.01201. Their log-space form has `activation=cells.above_zero`; see `MinGRU`. A
    bias of f above 0 makes it keep more at first: `initializers.unit_forget`.

    Args:
        input_size, hidden_size: I and H.
        activation: that of n: the name of a function of `jax.nn`, or a function of a
            module, such as `above_zero`.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, an unknown activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MinLSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "f", "i", "n"

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        f, i, n = jnp.split(super().project(params, x, keys), 3)
        n = activation_of(self.activation)(n)
        ratio = jax.nn.softplus(-i) - jax.nn.softplus(-f)  # log(f / i), of the gates
        return jax.nn.sigmoid(ratio), jax.nn.sigmoid(-ratio) * n

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The shares {"f", "i"}, each [H], which sum to one."""
        return {"f": drive[0], "i": 1 - drive[0]}
