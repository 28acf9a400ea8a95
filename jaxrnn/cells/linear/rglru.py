"""The real-gated linear recurrent unit of Griffin."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_numbers, check_positive, check_sizes
from ..affine import check_x
from ..gated import Driven, Params


class RGLRUDrive(NamedTuple):
    """h' = a h + b."""

    a: jax.Array
    b: jax.Array


class RGLRU(Driven[jax.Array], kw_only=True):
    """The real-gated linear recurrent unit: how long a unit remembers is for x to say.

        r  = sigmoid(x W_r + b_r)                   recurrence gate
        i  = sigmoid(x W_i + b_i)                   input gate
        a  = sigmoid(decay)^(c r)
        h' = a h + sqrt(1 - a^2) (i x)

    with decay [H], bias [2H] in the order r, i, and kernel [heads, D, 2D] with D = H /
    heads, in the same order for each head, which gates its own units of x alone. As x
    goes into h unit by unit, I is H. The carry and the output are h, zeros at first. At
    first sigmoid(decay)^c is uniform between a_min and a_max. De et al., "Griffin: mixing
    gated linear recurrences with local attention for efficient language models", 2024,
    arXiv 2402.19427, whose models have 16 heads, and a linear layer and a convolution
    over time in front.

    recurrentgemma has i x for the first h', without the root; draws sigmoid(decay) itself
    from a_min to a_max, its square uniform; and bounds the derivative of the root by
    1000. Here that is exact, and finite for every r: 0 where a is 1 to rounding.

    Args:
        input_size, hidden_size: I and H, equal.
        heads: how many blocks the kernel has, of H / heads units each.
        c: the power of the recurrence gate.
        a_min, a_max: between which a is at first, where r is 1.
        use_bias, kernel_init, bias_init: as `jaxrnn.cells.Driven` has them.

    Raises:
        ValueError: for a size that is no positive int, sizes that differ, a hidden_size
            that is no multiple of heads, a c that is not positive, bounds that are not in
            0 < a_min < a_max < 1.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack((jaxrnn.Dense(3, 6), jaxrnn.cells.RGLRU(6, 6, heads=2)))
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params[1]["kernel"].shape, carry[1].shape, ys.shape)
        (2, 3, 6) (2, 6) (7, 2, 6)
    """

    blocks = "r", "i"

    heads: int = 1
    c: float = 8.0
    a_min: float = 0.9
    a_max: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, heads=self.heads)
        check_positive(self, "c")
        check_numbers(self, "a_min", "a_max")
        if self.input_size != self.hidden_size:
            raise ValueError(
                f"RGLRU: input_size is {self.input_size} and hidden_size "
                f"{self.hidden_size}, expected equal ones, as x goes into h unit by "
                f"unit: put a Dense({self.input_size}, {self.hidden_size}) before it in "
                "a Stack"
            )
        if self.hidden_size % self.heads:
            raise ValueError(
                f"RGLRU: heads is {self.heads}, expected a divisor of hidden_size, "
                f"{self.hidden_size}"
            )
        if not 0 < self.a_min < self.a_max < 1:
            raise ValueError(
                f"RGLRU: a_min is {self.a_min!r} and a_max {self.a_max!r}, expected "
                "0 < a_min < a_max < 1"
            )

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        shape = self.hidden_size // self.heads, 2 * self.hidden_size
        kernel = "kernel_init", shape, self.heads * self.blocks  # the heads side by side
        return super()._parameters() | {"kernel": kernel}

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        kernel = params["kernel"]
        kernel = kernel.reshape(len(kernel), self.heads, -1).transpose(1, 0, 2)
        own, shape = jax.random.fold_in(key, 3), (self.hidden_size,)
        a = jax.random.uniform(own, shape, minval=self.a_min, maxval=self.a_max)
        log_a = jnp.log(a) / self.c
        return params | {"kernel": kernel, "decay": log_a - jnp.log(-jnp.expm1(log_a))}

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        if "rate" in params:  # already
            return params
        return params | {"rate": self.c * jax.nn.softplus(-params["decay"])}

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> RGLRUDrive:
        check_x(self, x)
        by_head = x.reshape(self.heads, -1)
        sums = jnp.einsum("hd,hdk->hk", by_head, params["kernel"])
        r, i = (part.reshape(-1) for part in jnp.split(sums, 2, axis=1))
        if "bias" in params:
            r, i = map(jnp.add, (r, i), jnp.split(params["bias"], 2))
        log_a = -params["rate"] * jax.nn.sigmoid(r)
        new = -jnp.expm1(2 * log_a)
        some = new > 0  # where not, the root has no derivative, and what is above it has
        root = jnp.sqrt(jnp.where(some, new, jnp.ones_like(new)))
        root = jnp.where(some, root, jnp.zeros_like(root))
        return RGLRUDrive(jnp.exp(log_a), root * (jax.nn.sigmoid(i) * x))

    def gates(
        self, params: Params, carry: jax.Array, drive: RGLRUDrive
    ) -> dict[str, jax.Array]:
        """What is kept, {"f": a} [H]."""
        return {"f": drive.a}

    def step(self, params: Params, carry: jax.Array, drive: RGLRUDrive) -> jax.Array:
        return drive.a * carry + drive.b
