"""Three mutations of the GRU that an evolutionary search came upon."""

from typing import Any

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ..affine import unbiased
from ..gated import Drive, Params, parted
from .writing import Writing


class Bare(Writing, kw_only=True):
    """A mutation with an x that no W multiplies: it has to be of the size of h.

    Where it is not, or where `projection` says so, x P stands for it, with P = projection
    [I, H]. The gates of which W has no columns get that x.
    """

    projection: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name, sizes = type(self).__name__, (self.input_size, self.hidden_size)
        if not isinstance(self.projection, bool | None):
            raise ValueError(
                f"{name}: projection is {self.projection!r}, expected None, True or False"
            )
        if self.projection is False and self.input_size != self.hidden_size:
            raise ValueError(
                f"{name}: input_size and hidden_size are {sizes}, expected the same ones "
                "for projection=False, where x stands bare beside h"
            )

    @property
    def bias_blocks(self) -> tuple[str, ...]:
        return "i", "r", "n"

    @property
    def bare_block(self) -> str:
        """The one that gets x itself."""
        (block,) = set(self.bias_blocks) - set(self.blocks)
        return block

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        differ = self.input_size != self.hidden_size
        if not (differ if self.projection is None else self.projection):
            return params
        shape = self.input_size, self.hidden_size
        projection = "kernel_init", shape, (self.bare_block,)
        return params | self.further(key, projection=projection)

    def bare(self, params: Params, x: Any) -> jax.Array:
        """The x, [H], that no W multiplies."""
        return x @ params["projection"] if "projection" in params else x

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        product, keep = super().project(unbiased(params), x, keys)
        terms = dict(zip(self.blocks, jnp.split(product, 2), strict=True))
        terms |= {self.bare_block: self.bare(params, x)}
        terms = tuple(terms[gate] for gate in self.bias_blocks)
        if self.use_bias:
            biases = jnp.split(params["bias"], 3)
            terms = tuple(a + b for a, b in zip(terms, biases, strict=True))
        return Drive(terms, keep)


class MUT1(Bare, kw_only=True):
    """The first mutation: a GRU whose update gate sees x alone, with a bare tanh(x).

        i  = sigmoid(x W_i + b_i)                   gate, which writes: the paper's z
        r  = sigmoid(x W_r + h U_r + b_r)           reset gate
        n  = tanh((r h) U_n + tanh(x) + b_n)        candidate
        h' = i n + (1 - i) h

    with kernel [I, 2H] in the order i, r, recurrent_kernel [H, 2H] in the order r, n, and
    bias [3H] in the order i, r, n. In the paper x has the size of h; where I is not H,
    tanh(x P) stands for tanh(x), with P = projection [I, H]. The carry and the output are
    h, zeros at first. Jozefowicz, Zaremba and Sutskever, "An empirical exploration of
    recurrent network architectures", ICML 2015. torchrecurrent has W_n for P whatever the
    sizes, and a bias within the tanh.

    Args:
        input_size, hidden_size: I and H.
        projection: True has P for equal sizes too; False refuses unequal ones.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `kernel_init` makes P too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a
            projection that is none of the three, unequal sizes where it is False.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MUT1(5, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 5)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (5, 10) (2, 5) (7, 2, 5)
        >>> jaxrnn.cells.MUT1(3, 5).init(jax.random.key(0))["projection"].shape
        (3, 5)
    """

    blocks = "i", "r"

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "r", "n"

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, self.hidden_size)

    def bare(self, params: Params, x: Any) -> jax.Array:
        return jnp.tanh(super().bare(params, x))

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        (i, r, n), keep = super().project(params, x, keys)
        return Drive((jax.nn.sigmoid(i), r, n), keep)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "r", "n"}, each [H], of the step from `carry`."""
        kernel_r, kernel_n = self.prepare(params)["recurrent_kernel"]
        i, r, n = drive.x
        h = self.seen(carry, drive)
        r = jax.nn.sigmoid(r + h @ kernel_r)
        return {"i": i, "r": r, "n": jnp.tanh((r * h) @ kernel_n + n)}


class MUT2(Bare, kw_only=True):
    """The second mutation: a GRU whose reset gate sees x as it is.

        i  = sigmoid(x W_i + h U_i + b_i)           gate, which writes: the paper's z
        r  = sigmoid(x + h U_r + b_r)               reset gate
        n  = tanh((r h) U_n + x W_n + b_n)          candidate
        h' = i n + (1 - i) h

    with kernel [I, 2H] in the order i, n, and recurrent_kernel [H, 3H] and bias [3H] in
    the order i, r, n. In the paper x has the size of h; where I is not H, x P stands for
    the bare x, with P = projection [I, H]. The carry and the output are h, zeros at
    first. Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent
    network architectures", ICML 2015. torchrecurrent has W_r for P whatever the sizes:
    it is a GRU then.

    Args:
        input_size, hidden_size: I and H.
        projection: True has P for equal sizes too; False refuses unequal ones.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them; `kernel_init` makes P too.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), a
            projection that is none of the three, unequal sizes where it is False.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MUT2(5, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 5)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (5, 10) (2, 5) (7, 2, 5)
        >>> jaxrnn.cells.MUT2(3, 5).init(jax.random.key(0))["projection"].shape
        (3, 5)
    """

    blocks = "i", "n"

    @property
    def recurrent_blocks(self) -> tuple[str, ...]:
        return "i", "r", "n"

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, 2 * self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "r", "n"}, each [H], of the step from `carry`."""
        kernel_ir, kernel_n = self.prepare(params)["recurrent_kernel"]
        drive_i, drive_r, drive_n = drive.x
        h = self.seen(carry, drive)
        product_i, product_r = jnp.split(h @ kernel_ir, 2)
        i = jax.nn.sigmoid(drive_i + product_i)
        r = jax.nn.sigmoid(drive_r + product_r)
        return {"i": i, "r": r, "n": jnp.tanh((r * h) @ kernel_n + drive_n)}


class MUT3(Writing, kw_only=True):
    """The third mutation: a GRU whose update gate sees tanh(h).

        i  = sigmoid(x W_i + tanh(h) U_i + b_i)     gate, which writes: the paper's z
        r  = sigmoid(x W_r + h U_r + b_r)           reset gate
        n  = tanh((r h) U_n + x W_n + b_n)          candidate
        h' = i n + (1 - i) h

    with blocks in the order i, r, n. The carry and the output are h, zeros at first.
    Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network
    architectures", ICML 2015.

    Args:
        input_size, hidden_size: I and H.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MUT3(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, h.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    blocks = "i", "r", "n"

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        return parted(params, self.hidden_size, 2 * self.hidden_size)

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "r", "n"}, each [H], of the step from `carry`."""
        kernel_i, kernel_r, kernel_n = self.prepare(params)["recurrent_kernel"]
        drive_i, drive_r, drive_n = jnp.split(drive.x, 3)
        h = self.seen(carry, drive)
        i = jax.nn.sigmoid(drive_i + jnp.tanh(h) @ kernel_i)
        r = jax.nn.sigmoid(drive_r + h @ kernel_r)
        return {"i": i, "r": r, "n": jnp.tanh((r * h) @ kernel_n + drive_n)}
