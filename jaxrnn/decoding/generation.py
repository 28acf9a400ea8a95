"""A network that speaks: what it says, it reads."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..arguments.keys import Keys, typed_key
from ..arguments.numbers import check_count
from ..cell import Cell
from ..context import contexts, emptied, filled
from ..methods import Scan
from ..unrolling.call import Call, evaluate
from ..unrolling.run import repeat
from ..wrappers.wrapper import Wrapper
from .fed import (
    Fed,
    FedCarry,
    check_known,
    check_speaker,
    check_stop,
    check_symbols,
    wide,
    widened,
)
from .samplers import Sampler, check_sampler, parted


class Generated(NamedTuple):
    """What was said.

    Attributes:
        symbols: `(length, *batch)`, after the stop symbol nothing but it; -1, which is
            none, where logits are NaN or leave no symbol possible.
        lengths: `(*batch)`, how many symbols, the stop symbol among them.
        log_probs: `(length, *batch)`, of each symbol by the model, in nats, whatever the
            sampler; 0 after the end. Their sum is that of the sequence.
        carry: after the last symbol was chosen, and before it is read.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> said = jaxrnn.Generated(jnp.array([4, 2]), jnp.array(2), jnp.zeros(2), ())
        >>> print(said.symbols)
        [4 2]
    """

    symbols: jax.Array
    lengths: jax.Array
    log_probs: jax.Array
    carry: Any


def generate(
    cell: Cell,
    params: Any,
    carry: Any,
    first: Any,
    sampler: Sampler,
    length: int,
    key: jax.Array | None = None,
    *,
    stop: int | None = None,
) -> Generated:
    """Let a network speak: every symbol is drawn from its answer to the one before.

        carry_t, logits_t = cell(params, carry_(t-1), symbol_(t-1))
        symbol_t ~ softmax(sampler(logits_t))            symbol_0 = first, t = 1..length

    One compiled scan, once for equal arguments' shapes. To go on from a text, run it
    first: `carry, _ = unroll(cell, params, text[:-1])`, then `first=text[-1]`; to go on
    from what was generated without `stop`, its `carry` and the last of its `symbols`. The
    model is in evaluation: the key is the sampler's.

    Args:
        cell: one that reads a symbol and answers logits, such as
            `Stack((Embedding(V, F), LSTM(F, H), Dense(H, V)))`.
        params: from `cell.init(key)`.
        carry: batch axes first; None for the initial one.
        first: the symbol to begin with, `(*batch)` integers; not among those returned.
        sampler: `Greedy()`, `Temperature(t)`, `TopK(k)`, `Nucleus(p)`, or several in a
            tuple, applied one after the other; any function of logits.
        length: how many symbols, at most.
        key: randomness; needed unless the sampler is `Greedy()`. Example b of a batch
            draws what it would alone, with `jax.random.split(key, batch_shape)[b]`.
        stop: the symbol that ends a sequence.

    Returns:
        `Generated(symbols, lengths, log_probs, carry)`.

    Raises:
        TypeError: if the cell reads no symbol or answers no logits; for a first symbol
            that is no integer, a sampler that is no function.
        ValueError: for a length that is no positive int, a stop symbol that the model
            does not know, a sampler that draws without a key. Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack(
        ...     (jaxrnn.Embedding(7, 3), jaxrnn.GRU(3, 5), jaxrnn.Dense(5, 7))
        ... )
        >>> params = cell.init(jax.random.key(0))
        >>> sampler = jaxrnn.Temperature(0.8), jaxrnn.TopK(3)
        >>> first = jnp.array([1, 2])
        >>> said = jaxrnn.generate(
        ...     cell, params, None, first, sampler, 6, jax.random.key(1)
        ... )
        >>> print(said.symbols.shape, said.lengths)
        (6, 2) [6 6]
    """
    name = "generate"
    first = check_symbols(name, "first", first)
    check_sampler(name, sampler, key)
    length = check_count(name, "length", length)
    params, carry, logits = check_speaker(name, cell, params, carry, first.shape)
    check_stop(name, stop, logits.shape[0])
    check_known(name, first, logits.shape[0])
    program, numbers = parted(sampler)
    fed = Fed(cell, program, logits.size, logits.dtype.name)
    static = _Speaking(fed, None if stop is None else int(stop)), length
    given = (params, numbers), carry, widened(first), typed_key(name, key)
    return _generate(*static, *given)


@partial(jax.jit, static_argnames=("speaking", "length"))
def _generate(
    speaking: "_Speaking",
    length: int,
    params: Any,
    carry: Any,
    first: jax.Array,
    key: jax.Array | None,
) -> Generated:
    batch = first.shape
    rest = repeat(speaking.initial_carry(params), batch)
    start = rest._replace(fed=rest.fed._replace(cell=carry, symbol=first))
    streams = None, None, None
    steps = jnp.zeros((length, *first.shape), int)
    call = Call("generate", speaking, params, steps, start, *streams, False, key, Scan())
    final, (symbols, log_probs, done) = evaluate(call)
    before = jnp.concatenate([jnp.zeros_like(done[:1]), done[:-1]])
    return Generated(symbols, jnp.sum(~before, axis=0), log_probs, final.fed.cell)


class _Said(NamedTuple):
    fed: FedCarry
    log_prob: jax.Array
    done: jax.Array


class _Speaking(Wrapper):
    """`cell`, fed with all that it says, in evaluation; inputs only count the steps."""

    cell: Fed
    stop: int | None

    @property
    def input_shape(self) -> Any:
        return ()

    def initial_carry(self, params: Any) -> _Said:
        fed = self.cell.initial_carry(params)
        log_prob = jnp.zeros((), wide(fed.logits).dtype)
        return _Said(fed, log_prob, jnp.zeros((), bool))

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        return self.cell.prepare(params)

    def project(self, params: Any, x: Any, keys: Keys | None = None) -> Any:
        return keys

    def step(self, params: Any, carry: _Said, drive: Any) -> _Said:
        fed = self.cell.say(params, carry.fed, carry.fed.symbol, None, drive)
        log_prob = jax.nn.log_softmax(wide(fed.logits))[fed.symbol]
        log_prob = jnp.where(fed.symbol < 0, jnp.nan, log_prob)
        if self.stop is None:
            return _Said(fed, log_prob, carry.done)
        new = _Said(fed, log_prob, fed.symbol == self.stop)
        stop = jnp.full_like(fed.symbol, self.stop)
        kept = _Said(
            carry.fed._replace(symbol=stop), jnp.zeros_like(log_prob), carry.done
        )
        chosen = jax.tree.map(
            lambda a, b: jnp.where(carry.done, a, b), emptied(kept), emptied(new)
        )
        return filled(chosen, contexts(carry))

    def output(self, params: Any, carry: _Said, drive: Any) -> tuple:
        return carry.fed.symbol, carry.log_prob, carry.done

    def gates(self, params: Any, carry: _Said, drive: Any) -> dict:
        return {}
