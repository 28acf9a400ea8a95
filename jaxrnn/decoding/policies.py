"""Who says what a decoder reads in training: the teacher, or it itself."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..arguments.keys import Keys, fold_in, keys_in_time, typed_key
from ..cell import Cell, check_cell
from ..methods import Scan
from ..unrolling.call import Call, evaluate, time_and_batch
from ..value import Value
from .fed import Fed, FedCarry, check_speaker, check_symbols, widened
from .samplers import Greedy, Sampler, Temperature, check_sampler, parted

COIN = np.uint32(2**32 - 3)  # as `fed.DRAW`


class TeacherForcing(Value):
    """The teacher's symbols throughout: `decode` is `unroll` then, and as fast.

    Williams and Zipser, "A learning algorithm for continually running fully recurrent
    neural networks", Neural Computation 1, 1989.

    Example:
        >>> import jaxrnn
        >>> print(jaxrnn.TeacherForcing())
        TeacherForcing()
    """


class FreeRunning(Value):
    """The network's own symbols; the first alone is the teacher's.

    Args:
        sampler: how they are drawn.

    Example:
        >>> import jaxrnn
        >>> print(jaxrnn.FreeRunning())
        FreeRunning()
    """

    sampler: Sampler = Greedy()

    def own(self, keys: Keys | None, shape: tuple[int, ...]) -> jax.Array:
        """Where the network's own symbol is read, `(T, *batch)`."""
        return jnp.ones(shape, bool)


@partial(
    jax.tree_util.register_dataclass, data_fields=["teacher"], meta_fields=["sampler"]
)
@dataclass(frozen=True)
class ScheduledSampling:
    """The teacher's symbol with a probability, else the network's own; the first given.

    One coin for each step and example, drawn outside of the loop. For a schedule give a
    number that depends on the training step: `ScheduledSampling(schedule(step))` with,
    say, `schedule = optax.linear_schedule(1.0, 0.0, 10_000)`; it may be traced. Bengio,
    Vinyals, Jaitly and Shazeer, "Scheduled sampling for sequence prediction with
    recurrent neural networks", NeurIPS 2015, arXiv 1506.03099.

    Args:
        teacher: the probability of the teacher's symbol, a scalar in [0, 1].
        sampler: how the network's own are drawn.

    Example:
        >>> import jaxrnn
        >>> print(jaxrnn.ScheduledSampling(0.75))
        ScheduledSampling(teacher=0.75, sampler=Temperature(temperature=1.0))
    """

    teacher: Any
    sampler: Sampler = Temperature(1.0)  # noqa: RUF009 (a frozen value)

    def own(self, keys: Keys | None, shape: tuple[int, ...]) -> jax.Array:
        """Where the network's own symbol is read, `(T, *batch)`."""
        assert keys is not None
        toss = lambda key: jax.random.bernoulli(key, 1 - jnp.asarray(self.teacher, float))  # noqa: E731
        for _ in shape:
            toss = jax.vmap(toss)
        return toss(fold_in(keys.step, COIN))


def decode(
    cell: Cell,
    params: Any,
    symbols: Any,
    carry: Any = None,
    *,
    policy: Any = TeacherForcing(),  # noqa: B008
    lengths: Any = None,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> tuple[Any, jax.Array]:
    """Run a decoder over what a teacher says, or over what it says itself.

        carry_t, logits_t = cell(params, carry_(t-1), x_t)
        x_t = symbols_t, or where the policy says so the symbol drawn from logits_(t-1)

    With `TeacherForcing` it is `unroll`. Gradients are exact for the symbols that were
    read; none goes through a drawn symbol.

    Args:
        cell: one that reads a symbol and answers logits, such as
            `Stack((Embedding(V, F), LSTM(F, H), Dense(H, V)))`.
        symbols: the teacher's, `(T, *batch)` integers: what is to be said, one step
            later; x_0 is always the first of them.
        params, carry, lengths, method: as in `unroll`.
        policy: `TeacherForcing()`, `FreeRunning(sampler)`, `ScheduledSampling(teacher)`.
        key: randomness, of the policy and of cells that have any. The cells draw what
            they draw in `unroll` with this key.

    Returns:
        `(carry, logits)`, logits `(T, *batch, V)`, zeros after each length.

    Raises:
        TypeError: if the cell reads no symbol or answers no logits; for symbols that are
            no integers, a policy that is none.
        ValueError: for a policy that draws, without a key; a probability outside [0, 1].
            Else as `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack(
        ...     (jaxrnn.Embedding(7, 3), jaxrnn.GRU(3, 5), jaxrnn.Dense(5, 7))
        ... )
        >>> params = cell.init(jax.random.key(0))
        >>> symbols = jnp.zeros((9, 2), int)
        >>> policy = jaxrnn.ScheduledSampling(0.5)
        >>> _, logits = jaxrnn.decode(
        ...     cell, params, symbols, policy=policy, key=jax.random.key(1)
        ... )
        >>> print(logits.shape)
        (9, 2, 7)
    """
    name = "decode"
    symbols = widened(check_symbols(name, "symbols", symbols))
    check_cell(name, cell)
    leading = T, *axes = time_and_batch(name, cell, symbols)
    batch = tuple(axes)
    params, carry, logits = check_speaker(name, cell, params, carry, batch)
    streams = lengths, None, None
    call = Call(name, cell, params, symbols, carry, *streams, False, key, method)
    if isinstance(policy, TeacherForcing):
        return evaluate(call)
    if isinstance(policy, type) or not hasattr(policy, "own"):
        raise TypeError(
            f"{name}: policy is {policy!r}, expected TeacherForcing(), FreeRunning() or "
            "ScheduledSampling(teacher)"
        )
    if key is None and isinstance(policy, ScheduledSampling):
        raise ValueError(f"{name}: key is None, but {policy!r} draws: give one")
    check_sampler(name, policy.sampler, key)
    _check_teacher(name, policy)
    sampler, numbers = parted(policy.sampler)
    fed = Fed(cell, sampler, logits.size, logits.dtype.name)
    zeros = jnp.zeros((*batch, *logits.shape), logits.dtype)
    start = FedCarry(carry, zeros, jnp.zeros(batch, int))
    key = typed_key(name, key)
    keys = None
    if key is not None:
        keys = keys_in_time(key, jnp.arange(T), batch)
    own = policy.own(keys, leading)
    own = own & (jnp.arange(T) > 0).reshape(-1, *(1 for _ in batch))
    inputs = {"params": (params, numbers), "xs": (symbols, own), "carry": start}
    final, ys = evaluate(call._replace(cell=fed, **inputs))
    return final.cell, ys


def _check_teacher(name: str, policy: Any) -> None:
    teacher = getattr(policy, "teacher", 0.0)
    if callable(teacher):
        raise TypeError(
            f"{name}: teacher is a function, expected a probability: call the schedule "
            "with the number of the training step"
        )
    if jnp.shape(teacher) != ():
        raise ValueError(
            f"{name}: teacher has shape {jnp.shape(teacher)}, expected one probability"
        )
    if not isinstance(teacher, Tracer) and not 0 <= float(teacher) <= 1:
        raise ValueError(
            f"{name}: teacher is {teacher}, expected a probability in [0, 1]"
        )
