"""A cell that reads symbols of its own."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.arrays import as_array, has_values
from ..arguments.dtypes import promoted
from ..arguments.keys import Keys, fold_in
from ..arguments.numbers import is_whole
from ..cell import Cell, check_cell
from ..unrolling.run import repeat
from ..wrappers.wrapper import Wrapper
from .samplers import Parted, Sampler, adjusted

DRAW = np.uint32(2**32 - 2)  # a number that no inner cell of a combinator has


def speak(
    cell: Cell, params: Any, carry: Any, symbol: jax.Array, keys: Keys | None
) -> tuple[Any, jax.Array]:
    """One step of one example: the new carry, and logits of the next symbol."""
    drive = cell.project(params, symbol, keys)
    carry = cell.step(params, carry, drive)
    return carry, cell.output(params, carry, drive)


def wide(logits: Any) -> Any:
    """In float32 at least: in half precision noise and probabilities have many ties."""
    dtype = promoted(logits.dtype, "float32")
    if isinstance(logits, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(logits.shape, dtype)
    return logits.astype(dtype)


def draw(sampler: Sampler, logits: jax.Array, keys: Keys | None) -> jax.Array:
    """The next symbol; without keys of a sampler that does not draw.

    -1, no symbol, where logits are NaN or leave none possible.
    """
    logits = wide(jax.lax.stop_gradient(logits))
    chances = adjusted(sampler, logits)
    if keys is None:
        drawn = jnp.argmax(chances)
    else:
        drawn = jax.random.categorical(fold_in(keys.step, DRAW), chances)
    some = (jnp.max(logits) > -jnp.inf) & (jnp.max(chances) > -jnp.inf)  # NaN is not
    return jnp.where(some, drawn, -1)


class FedCarry(NamedTuple):
    """The carry of the cell, the logits it gave and the symbol drawn from them."""

    cell: Any
    logits: jax.Array
    symbol: jax.Array


class Fed(Wrapper):
    """`cell`, which reads `symbol` or, where `own`, what it has drawn itself.

    Params are those of the cell and the traced numbers of the sampler. Inputs are
    `(symbol, own)`, outputs the logits. The loop runs all of the cell, since what it
    reads depends on what it said; no gradient goes through a drawn symbol.
    """

    sampler: Parted
    symbols: int
    dtype: str

    @property
    def input_shape(self) -> Any:
        return (), ()

    def init(self, key: jax.Array) -> Any:
        numbers = [jnp.zeros(()) for leaf in self.sampler.functions if leaf is None]
        return self.cell.init(key), numbers

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        inner, numbers = params
        return self.cell.prepare(inner, key), numbers

    def initial_carry(self, params: Any) -> FedCarry:
        logits = jnp.zeros(self.symbols, self.dtype)
        return FedCarry(self.cell.initial_carry(params[0]), logits, jnp.zeros((), int))

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return x, keys

    def step(self, params: Any, carry: FedCarry, drive: Any) -> FedCarry:
        (given, own), keys = drive
        symbol = jnp.where(own, carry.symbol.astype(given.dtype), given)
        return self.say(params, carry, symbol, keys, keys)

    def say(
        self,
        params: Any,
        carry: FedCarry,
        symbol: jax.Array,
        noise: Keys | None,
        keys: Keys | None,
    ) -> FedCarry:
        """Read a symbol, draw the next; `noise` is the cell's, `keys` the sampler's."""
        params, numbers = params
        inner, logits = speak(self.cell, params, carry.cell, symbol, noise)
        sampler = self.sampler.whole(numbers)
        drawn = draw(sampler, logits, keys).astype(carry.symbol.dtype)
        return FedCarry(inner, logits, drawn)

    def output(self, params: Any, carry: FedCarry, drive: Any) -> jax.Array:
        return carry.logits

    def gates(self, params: Any, carry: FedCarry, drive: Any) -> dict:
        return {}  # what was read is known after the step


def check_speaker(
    call: str, cell: Cell, params: Any, carry: Any, batch_shape: tuple[int, ...]
) -> tuple[Any, Any, jax.ShapeDtypeStruct]:
    """Params and carry, checked, and the logits that the cell answers to one symbol.

    Raises:
        TypeError: if it reads no symbol, or answers no logits.
    """
    check_cell(call, cell)
    if cell.input_shape != ():
        raise TypeError(
            f"{call}: {cell} reads an x of shape {cell.input_shape}, expected one that "
            "reads a symbol, an integer of shape (): put an Embedding before it, "
            "Stack((Embedding(V, F), ..., Dense(H, V)))"
        )
    params = checks.check_params(call, cell, params)
    if carry is None:
        carry = repeat(cell.initial_carry(params), batch_shape)
    carry = checks.check_carry(call, cell, params, carry, batch_shape)
    checks.check_contexts(call, cell, carry, batch_shape)
    symbol = jax.ShapeDtypeStruct((), "int32")

    def of_example(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = jnp.shape(leaf)[len(batch_shape) :]
        return jax.ShapeDtypeStruct(shape, jnp.result_type(leaf))

    def one(params: Any, carry: Any, symbol: jax.Array) -> jax.Array:
        return speak(cell, cell.prepare(params), carry, symbol, None)[1]

    logits = jax.eval_shape(one, params, jax.tree.map(of_example, carry), symbol)
    leaves = jax.tree.leaves(logits)
    one_vector = len(leaves) == 1 and leaves[0] is logits and logits.ndim == 1
    if not one_vector or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"{call}: the output of {cell} has the shapes {checks.shapes(logits)}, "
            "expected logits (V,), one number for each symbol: end with a Dense(H, V)"
        )
    return params, carry, logits


def check_known(call: str, first: Any, symbols: int) -> None:
    """Raise if a first symbol, where its value is known, is none of the model's."""
    if not has_values(first) or not first.size:
        return
    values = np.asarray(first)
    if values.min() < 0 or values.max() >= symbols:
        raise ValueError(
            f"{call}: first is {values}, expected symbols in 0..{symbols - 1}"
        )


def check_symbols(call: str, name: str, symbols: Any) -> Any:
    """As an array; raises unless they are integers."""
    symbols = as_array(call, name, symbols)
    if not jnp.issubdtype(symbols.dtype, jnp.integer):
        raise TypeError(
            f"{call}: {name} has the dtype {symbols.dtype}, expected integers, the "
            "numbers of symbols"
        )
    return symbols


def widened(symbols: Any) -> jax.Array:
    """As int32 or wider: in a narrower dtype what is drawn would wrap."""
    symbols = jnp.asarray(symbols)
    return symbols.astype(promoted(symbols.dtype, "int32"))


def check_stop(call: str, stop: Any, symbols: int) -> None:
    """Raise unless `stop` is None or a symbol."""
    if stop is not None and not (is_whole(stop) and 0 <= stop < symbols):
        raise ValueError(
            f"{call}: stop is {stop!r}, expected an int of Python in 0..{symbols - 1}"
        )
