"""What decoders with attention have in common: a source, and how it is read."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.arrays import as_array
from ..arguments.checks import check_carry, check_params, shapes
from ..arguments.numbers import check_sizes
from ..cell import Cell
from ..context import Context
from ..unrolling.run import repeat
from ..unrolling.streams import check_streams, valid_steps
from ..wrappers.wrapper import Wrapper


class Memory(NamedTuple):
    """A source: its places, their keys, and which of them there are."""

    places: jax.Array  # (S, memory_size)
    keys: jax.Array  # (S, ...), of the score
    valid: jax.Array  # (S,)


class AttentionCarry(NamedTuple):
    """The carry of a decoder with attention.

    Attributes:
        cell: that of the cell inside.
        read: what was made of the source at the last step, or () where nobody asks.
        source: a `Context` with the `Memory` that is attended to.
    """

    cell: Any
    read: Any
    source: Context


class Attending(Wrapper):
    """A cell that attends to a source: the base of both kinds."""

    memory_size: int
    score: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, memory_size=self.memory_size)
        name = type(self).__name__
        for function in ("init", "keys", "__call__"):
            if isinstance(self.score, type) or not hasattr(self.score, function):
                raise TypeError(
                    f"{name}: score is {self.score!r}, expected one such as "
                    "Additive(64), Dot() or General()"
                )
        shape = self.cell.input_shape
        if shape is ... or len(shape) != 1 or not isinstance(shape[0], int):
            raise TypeError(
                f"{name}: {self.cell} reads an x of shape {shape}, expected a vector"
            )
        query = answer(self.cell)
        if getattr(query, "ndim", 0) != 1:
            raise TypeError(
                f"{name}: {self.cell} answers {shapes(query)}, expected a vector"
            )

    def init(self, key: jax.Array) -> dict[str, Any]:
        of_cell, of_score = jax.random.split(key)
        query_size = answer(self.cell).size
        return {
            "cell": self.cell.init(of_cell),
            "score": self.score.init(of_score, query_size, self.memory_size),
        }

    def prepare(
        self, params: dict[str, Any], key: jax.Array | None = None
    ) -> dict[str, Any]:
        return params | {"cell": self.cell.prepare(params["cell"], key)}

    def is_state(self, carry: AttentionCarry) -> AttentionCarry:
        every = Cell.is_state(self, carry)
        return every._replace(cell=self.cell.is_state(carry.cell))

    def attend(
        self,
        params: dict[str, Any],
        memory: Any,
        *,
        lengths: Any = None,
        mask: Any = None,
        carry: Any = None,
    ) -> AttentionCarry:
        """The carry with which a decoder begins on a source.

        The keys of the source are computed here, once.

        Args:
            params: from `init`.
            memory: the source, `(S, *batch, memory_size)`, time first: the outputs of an
                encoder, say. What padding holds reaches nothing.
            lengths, mask: which places there are, as in `unroll`. Of a source without any
                zeros are read.
            carry: that of the cell inside, batch axes first, such as the final carry of
                an encoder; by default its initial one. For one that is learned, put
                `LearnedCarry` around the cell inside.

        Raises:
            ValueError: if a shape is not that of the cell.
        """
        name = f"{type(self).__name__}.attend"
        params = check_params(name, self, params)
        memory = as_array(name, "memory", memory)
        if memory.ndim < 2 or memory.shape[-1] != self.memory_size:
            raise ValueError(
                f"{name}: memory has shape {memory.shape}, expected (S, *batch, "
                f"{self.memory_size}), time first"
            )
        *leading, _ = memory.shape
        batch = tuple(leading[1:])
        lengths, mask, _ = check_streams(name, lengths, mask, None, tuple(leading))
        valid = valid_steps(lengths, mask, leading[0])
        if valid is None:
            valid = jnp.ones(leading, bool)
        places = jnp.where(valid[..., None], memory, jnp.zeros((), memory.dtype))
        places, valid = jnp.moveaxis(places, 0, -2), jnp.moveaxis(valid, 0, -1)
        keys = lambda places: self.score.keys(params["score"], places)  # noqa: E731
        for _ in batch:
            keys = jax.vmap(keys)
        initial = self.initial_carry(params)
        if carry is None:
            carry = repeat(initial.cell, batch)
        else:
            carry = check_carry(name, self.cell, params["cell"], carry, batch)
        source = Context(Memory(places, keys(places), valid))
        return AttentionCarry(carry, repeat(initial.read, batch), source)

    def weights(self, params: dict[str, Any], query: Any, memory: Memory) -> jax.Array:
        """How much of each place is read, `(S,)`: 1 in all, or 0 of an empty source."""
        scores = self.score(params["score"], query, memory.keys)
        least = jnp.finfo(scores.dtype).min
        weights = jax.nn.softmax(jnp.where(memory.valid, scores, least))
        return jnp.where(memory.valid, weights, jnp.zeros((), weights.dtype))


def answer(cell: Cell) -> Any:
    """The shape and dtype of a cell's output."""

    def one() -> Any:
        params = cell.init(jax.random.key(0))
        x = jnp.zeros(cell.input_shape)
        carry, ready = cell.initial_carry(params), cell.prepare(params)
        return cell.output(ready, carry, cell.project(ready, x))

    return jax.eval_shape(one)
