"""Attention after the step: the new state asks, and the output reads the answer."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from ..arguments.numbers import check_sizes
from ..context import Context
from ..initializers import glorot_uniform
from .attending import Attending, AttentionCarry, answer


class LuongAttention(Attending):
    """A decoder that looks at its source after every step.

        h_t = cell(x_t), or with input_feeding cell([x_t, y_(t-1)]), y_0 = 0
        a_t = softmax(score(h_t, keys))          over the places of the source
        c_t = a_t memory
        y_t = tanh([c_t, h_t] W)

    Without input feeding the loop runs the cell alone, and attention is computed for a
    segment of steps at once (see `Scan`); with `Additive`, whose hidden layer is as large
    as the source at every step of the segment, choose a short one. The carry is made by
    `attend(params, memory)`, which computes the keys once; it is never copied, whatever
    the number of steps. `gate_activations` has the weights under "attention",
    `(T, *batch, S)`. Params: {"cell": those of the cell, "score": those of the score,
    "kernel": W [memory_size + H, O]}. Luong, Pham and Manning, "Effective approaches to
    attention-based neural machine translation", EMNLP 2015, arXiv 1508.04025.

    Args:
        cell: reads x, or [x, y].
        memory_size: the numbers of one place of the source.
        score: `Dot()`, `General()`, `Additive(size)`, or one of your own.
        output_size: O.
        input_feeding: whether the cell reads y of the step before.

    Raises:
        TypeError: if `cell` is no cell of vectors, or `score` no score.
        ValueError: if `cell` has not the room for y.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> decoder = jaxrnn.LuongAttention(jaxrnn.LSTM(3, 5), 4, jaxrnn.General(), 8)
        >>> params = decoder.init(jax.random.key(0))
        >>> memory = jnp.ones((9, 2, 4))  # an encoder's outputs, time first
        >>> carry = decoder.attend(params, memory, lengths=jnp.array([9, 7]))
        >>> carry, ys = jaxrnn.unroll(decoder, params, jnp.ones((6, 2, 3)), carry)
        >>> print(ys.shape)
        (6, 2, 8)
    """

    output_size: int
    input_feeding: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, output_size=self.output_size)
        if self.input_feeding and self.cell.input_shape[0] <= self.output_size:
            raise ValueError(
                f"LuongAttention: {self.cell} reads {self.cell.input_shape[0]} numbers, "
                f"expected those of x and {self.output_size} of the output before"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        fed = self.output_size if self.input_feeding else 0
        return (self.cell.input_shape[0] - fed,)

    def init(self, key: jax.Array) -> dict[str, Any]:
        base, of_kernel = jax.random.split(key)
        shape = self.memory_size + answer(self.cell).size, self.output_size
        return super().init(base) | {"kernel": glorot_uniform(of_kernel, shape, ("y",))}

    def initial_carry(self, params: dict[str, Any]) -> AttentionCarry:
        read = jnp.zeros(self.output_size) if self.input_feeding else ()
        return AttentionCarry(
            self.cell.initial_carry(params["cell"]), read, Context(None)
        )

    def project(self, params: dict[str, Any], x: Any, keys: Keys | None = None) -> Any:
        if self.input_feeding:
            return x, keys  # the cell inside projects when y is known
        return self.cell.project(params["cell"], x, keys)

    def step(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> AttentionCarry:
        inner = self._inner(params, carry.read, drive)
        cell = self.cell.step(params["cell"], carry.cell, inner)
        new = AttentionCarry(cell, (), carry.source)
        if self.input_feeding:
            new = new._replace(read=self._answered(params, new, inner))
        return new

    def output(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> jax.Array:
        if self.input_feeding:
            return carry.read
        return self._answered(params, carry, drive)

    def gates(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> dict[str, jax.Array]:
        inner = self._inner(params, carry.read, drive)
        gates = self.cell.gates(params["cell"], carry.cell, inner)
        cell = self.cell.step(params["cell"], carry.cell, inner)
        _, weights = self._asked(params, carry._replace(cell=cell), inner)
        return gates | {"attention": weights}

    def _inner(self, params: dict[str, Any], read: Any, drive: Any) -> Any:
        if not self.input_feeding:
            return drive
        x, keys = drive
        return self.cell.project(params["cell"], jnp.concatenate([x, read]), keys)

    def _asked(
        self, params: dict[str, Any], carry: AttentionCarry, inner: Any
    ) -> tuple[jax.Array, jax.Array]:
        h = self.cell.output(params["cell"], carry.cell, inner)
        return h, self.weights(params, h, carry.source.value)

    def _answered(
        self, params: dict[str, Any], carry: AttentionCarry, inner: Any
    ) -> jax.Array:
        h, weights = self._asked(params, carry, inner)
        read = weights @ carry.source.value.places
        return jnp.tanh(jnp.concatenate([read, h]) @ params["kernel"])
