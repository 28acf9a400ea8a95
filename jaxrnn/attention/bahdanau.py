"""Attention before the step: the old state asks, and the step reads the answer."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys
from ..context import Context
from .attending import Attending, AttentionCarry, Memory


class BahdanauAttention(Attending):
    """A decoder that looks at its source before every step.

        a_t = softmax(score(h_(t-1), keys))      over the places of the source
        c_t = a_t memory
        h_t = cell([x_t, c_t])
        y_t = [h_t, c_t]

    h is the output of the cell inside, as it reads its carry: what an output takes from
    the drive besides, as that of `Residual`, is not in the question. h_0 is that of the
    carry before the first step. The
    carry is made by `attend(params, memory)`, which computes the keys once; it is never
    copied, whatever the number of steps. `gate_activations` has the weights under
    "attention", `(T, *batch, S)`. Params: {"cell": those of the cell, "score": those of
    the score}. Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning
    to align and translate", ICLR 2015, arXiv 1409.0473.

    Args:
        cell: reads [x, c], so that its input_size is that of x and memory_size together.
        memory_size: the numbers of one place of the source.
        score: `Additive(size)`, or `Dot()`, `General()`, or one of your own.

    Raises:
        TypeError: if `cell` is no cell of vectors, or `score` no score.
        ValueError: if `cell` has not the room for c.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell, score = jaxrnn.GRU(3 + 4, 5), jaxrnn.Additive(6)
        >>> decoder = jaxrnn.BahdanauAttention(cell, 4, score)
        >>> params = decoder.init(jax.random.key(0))
        >>> memory = jnp.ones((9, 2, 4))  # an encoder's outputs, time first
        >>> carry = decoder.attend(params, memory, lengths=jnp.array([9, 7]))
        >>> carry, ys = jaxrnn.unroll(decoder, params, jnp.ones((6, 2, 3)), carry)
        >>> print(ys.shape)
        (6, 2, 9)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell.input_shape[0] <= self.memory_size:
            raise ValueError(
                f"BahdanauAttention: {self.cell} reads {self.cell.input_shape[0]} "
                f"numbers, expected those of x and {self.memory_size} of the source"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.cell.input_shape[0] - self.memory_size,)

    def initial_carry(self, params: dict[str, Any]) -> AttentionCarry:
        cell = self.cell.initial_carry(params["cell"])
        return AttentionCarry(cell, jnp.zeros(self.memory_size), Context(None))

    def project(self, params: dict[str, Any], x: Any, keys: Keys | None = None) -> Any:
        return x, keys  # the cell inside projects when c is known

    def step(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> AttentionCarry:
        memory: Memory = carry.source.value
        read = self._asked(params, carry) @ memory.places
        inner = self._inner(params, read, drive)
        cell = self.cell.step(params["cell"], carry.cell, inner)
        return AttentionCarry(cell, read, carry.source)

    def output(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> jax.Array:
        inner = self._inner(params, carry.read, drive)
        h = self.cell.output(params["cell"], carry.cell, inner)
        return jnp.concatenate([h, carry.read])

    def gates(
        self, params: dict[str, Any], carry: AttentionCarry, drive: Any
    ) -> dict[str, jax.Array]:
        weights = self._asked(params, carry)
        inner = self._inner(params, weights @ carry.source.value.places, drive)
        gates = self.cell.gates(params["cell"], carry.cell, inner)
        return gates | {"attention": weights}

    def _asked(self, params: dict[str, Any], carry: AttentionCarry) -> jax.Array:
        # The output of the step before, of which the drive is gone; it reads the carry.
        nothing = self.cell.project(params["cell"], jnp.zeros(self.cell.input_shape))
        query = self.cell.output(params["cell"], carry.cell, nothing)
        return self.weights(params, query, carry.source.value)

    def _inner(self, params: dict[str, Any], read: jax.Array, drive: Any) -> Any:
        x, keys = drive
        return self.cell.project(params["cell"], jnp.concatenate([x, read]), keys)
