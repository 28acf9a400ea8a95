"""Many layers within one step, with highways around them."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_flags, check_sizes
from ..gated import Drive, Gated, Params, parted


def closed(key: jax.Array, shape: tuple[int, ...], gates: Sequence[str]) -> jax.Array:
    """Zeros, with -2 for the transform gates "t": a new network keeps what it has.

    That of Zilly et al. for words; they take -4 for characters.
    """
    zeros = jnp.zeros(shape[-1] // len(gates))
    return jnp.concatenate([zeros - 2 if gate == "t" else zeros for gate in gates])


class RHN(Gated[jax.Array], kw_only=True):
    """The recurrent highway network: a step is as many layers as depth says.

        s_0 = h
        n_l = tanh(x W_n + s_(l-1) R_nl + b_nl)         what layer l makes, l = 1 to L
        t_l = sigmoid(x W_t + s_(l-1) R_tl + b_tl)      how much of it is let in
        c_l = 1 - t_l                                   coupled=True
        c_l = sigmoid(x W_c + s_(l-1) R_cl + b_cl)      coupled=False
        s_l = t_l n_l + c_l s_(l-1)
        h'  = s_L

    where only the first layer sees x. kernel [I, G H] and bias [G H] of the first layer
    hold the blocks in the order n, t (and c): G is 2 or 3. recurrent_kernel [H, L G H]
    and, for L > 1, recurrent_bias [(L - 1) G H] have them layer by layer. The carry and
    the output are h, zeros at first. Zilly, Srivastava, Koutník and Schmidhuber,
    "Recurrent highway networks", ICML 2017, arXiv 1607.03474, which writes h_l for n_l.

    Args:
        input_size, hidden_size: I and H.
        depth: L, the recurrence depth.
        coupled: whether the carry gate c is 1 - t, as in the paper's experiments.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; the biases of t start at -2, and all layers
            have one mask of dropout.

    Raises:
        ValueError: for a size or a depth that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.RHN(3, 5, depth=4)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["recurrent_kernel"].shape, h.shape, ys.shape)
        (5, 40) (2, 5) (7, 2, 5)
    """

    bias_init: initializers.Initializer = closed
    depth: int = 3
    coupled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, depth=self.depth)
        check_flags(self, "coupled")

    @property
    def blocks(self) -> tuple[str, ...]:  # pyright: ignore
        return ("n", "t") if self.coupled else ("n", "t", "c")

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return self.blocks * self.depth

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return self.blocks * self.depth

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if self.use_bias and self.depth > 1:
            width = len(self.blocks) * self.hidden_size
            first, others = jnp.split(params["bias"], [width])
            params |= {"bias": first, "recurrent_bias": others}
        return params

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        width = len(self.blocks) * self.hidden_size
        parts = parted(params, *range(width, self.depth * width, width))
        if parts is params or "recurrent_bias" not in params:
            return parts
        biases = jnp.split(params["recurrent_bias"], self.depth - 1)
        return parts | {"recurrent_bias": tuple(biases)}

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"n_1", "t_1", "c_1", "n_2", ...}, each [H], layer by layer."""
        return {
            f"{name}_{layer}": value
            for layer, (gate, _) in enumerate(self._layers(params, carry, drive), start=1)
            for name, value in gate.items()
        }

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        *_, (_, h) = self._layers(params, carry, drive)
        return h

    def _layers(
        self, params: Params, s: jax.Array, drive: Drive
    ) -> Iterator[tuple[dict[str, jax.Array], jax.Array]]:
        """The gates of every layer, and what leaves it."""
        params = self.prepare(params)
        biases = drive.x, *params.get("recurrent_bias", (0.0,) * (self.depth - 1))
        for kernel, bias in zip(params["recurrent_kernel"], biases, strict=True):
            z = bias + self.seen(s, drive) @ kernel
            n, t, *c = jnp.split(z, len(self.blocks))
            n, t = jnp.tanh(n), jax.nn.sigmoid(t)
            c = 1 - t if self.coupled else jax.nn.sigmoid(*c)
            s = t * n + c * s
            yield {"n": n, "t": t, "c": c}, s
