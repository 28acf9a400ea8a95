"""The verb: a cell, lifted over a sequence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import checks
from .arguments.arrays import flags
from .arguments.dtypes import promoted
from .arguments.numbers import is_whole
from .cell import Cell, check_cell
from .context import contexts, emptied, filled
from .methods import Scan
from .unrolling.call import call_of, evaluate
from .unrolling.run import every_carry, repeat


def unroll(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> tuple[Any, Any]:
    """Run a cell over a sequence: the final carry and all outputs.

        carry_t, y_t = cell(params, carry_(t-1), x_t)        t = 1..T

    Time comes first: batch-first inputs are not detected, swap their axes before.
    Compiled once for equal cells and equal shapes, also outside `jax.jit`. Everything is
    differentiable in every way that JAX knows; gradients are exact, through all T steps.

    Args:
        cell: any `Cell`.
        params: from `cell.init(key)`.
        xs: inputs `(T, *batch, *cell.input_shape)`, time first, any number of batch axes
            including none. T = 0 gives the carry back, and no outputs.
        carry: the carry before the first step, batch axes first, as `batched_carry`
            makes it; None means `cell.initial_carry(params)` for every example.
        lengths: the number of valid steps of each example, `(*batch)` integers in 0..T;
            what follows is padding. Values under `jax.jit` cannot raise: they are clipped
            to 0..T.
        mask: which steps are valid, `(T, *batch)` booleans in any pattern; instead of
            lengths. Numbers that are 0 or 1 stand for booleans, here and in resets; of
            traced ones all but 0 is true.
        resets: `(T, *batch)` booleans, True where a new sequence begins: nothing passes
            between step t and the one before it. Forwards, the carry becomes
            `cell.initial_carry(params)`, never the carry given, before x_t is read; in
            reverse, before x_(t-1) is. See `resets_from_segments`, `resets_from_done`.
        reverse: run from the last step to the first, each example from its own last valid
            step. Outputs stay in input order.
        key: randomness, for cells that have any; None means evaluation.
        method: how the recurrence is evaluated and differentiated: `Scan()`.

    Returns:
        `(carry, ys)`: the carry after the last valid step, batch axes first, and the
        outputs `(T, *batch, *output_shape)`. Outputs have the dtype of floating inputs;
        with integer inputs that of the step, which is the parameters' unless a wider
        carry is given. The carry has the dtype that the step keeps: bfloat16 inputs with
        float32 parameters have a float32 carry.

    A step that is not valid keeps the carry and has zeros for its output. What its input
    holds reaches nothing, NaN and gradients included: the cell sees zeros there, at which
    it should be finite and differentiable. An example without valid steps returns the
    carry that it was given.

    A reset lies between a step and the one before it, whatever the direction. Two valid
    steps s < t that follow each other share a carry unless there is a reset in s+1..t;
    the carry given reaches the first valid step t unless there is one in 0..t, and in
    reverse the last valid step t unless there is one in t+1..T-1. A reset at a masked
    step therefore acts at the next valid one, and never changes the final carry; with no
    valid step behind it in this call it is over, so give it to the next call again.

    Raises:
        TypeError: for a cell that is no frozen value, a step that does not keep the
            structure of its carry, a key that is none, lengths that are no integers, or
            what is no array of JAX or NumPy.
        ValueError: if the shapes of `params`, `xs` or `carry` are not the cell's, those
            of `lengths`, `mask` or `resets` not those of `xs`, if lengths are outside
            0..T, a mask or resets hold other numbers than 0 and 1, or if both lengths and
            mask are given.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(input_size=3, hidden_size=5)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((10, 4, 3)))
        >>> print(carry.shape, ys.shape)
        (4, 5) (10, 4, 5)
    """
    streams = lengths, mask, resets
    return evaluate(
        call_of("unroll", cell, params, xs, carry, *streams, reverse, key, method)
    )


def trajectory(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008
) -> Any:
    """Every carry of a run: the carry's pytree with leaves `(T, *batch, ...)`.

        trajectory_t = carry_t, the carry that leaves step t, t in input order

    Arguments and errors are those of `unroll`. For a `Stack` the result is a tuple, one
    entry a cell. The carry that leaves a masked step is the one that came.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> h, c = jaxrnn.trajectory(cell, params, jnp.ones((10, 4, 3)))
        >>> print(h.shape, c.shape)
        (10, 4, 5) (10, 4, 5)
    """
    streams = lengths, mask, resets
    call = call_of("trajectory", cell, params, xs, carry, *streams, reverse, key, method)
    return evaluate(call, observe=every_carry)[0]


def batched_carry(
    cell: Cell, params: Any, batch_shape: tuple[int, ...], *, dtype: Any = None
) -> Any:
    """The initial carry for a batch: `cell.initial_carry(params)`, repeated.

    Args:
        cell: any `Cell`.
        params: from `cell.init(key)`.
        batch_shape: the batch axes; an int stands for one axis.
        dtype: of the floating leaves, such as "float32"; by default what the cell gives.
            For a loop of your own whose inputs are wider: they would widen the carry.
            Complex leaves have its precision.

    Returns:
        The carry's pytree with leaves `(*batch_shape, ...)`.

    Raises:
        ValueError: for a batch shape that is none.
        TypeError: for a dtype that is not floating.

    Example:
        >>> import jax, jaxrnn
        >>> cell = jaxrnn.LSTM(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> carry = jaxrnn.batched_carry(cell, params, (4,), dtype="bfloat16")
        >>> print(carry.c.shape, carry.c.dtype)
        (4, 5) bfloat16
    """
    name = "batched_carry"
    check_cell(name, cell)
    params = checks.check_params(name, cell, params)
    sizes = np.atleast_1d(np.asarray(batch_shape, object)).tolist()
    if not all(is_whole(size) and size >= 0 for size in sizes):
        raise ValueError(
            f"{name}: batch_shape is {batch_shape!r}, expected a tuple of sizes"
        )
    carry = repeat(cell.initial_carry(params), tuple(map(int, sizes)))
    if dtype is None:
        return carry
    if not jnp.issubdtype(jnp.dtype(dtype), jnp.floating):
        raise TypeError(f"{name}: dtype is {dtype!r}, expected a floating one")

    def cast(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return leaf.astype(promoted(dtype, "complex64"))
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(dtype) if floating else leaf

    return jax.tree.map(cast, carry)


def reset_carry(cell: Cell, params: Any, carry: Any, done: Any) -> Any:
    """The carry of the examples whose episode ended, back at the initial one.

        carry = cell.initial_carry(params) where done, else carry

    For rollouts, between two steps of an environment; over a whole sequence give
    `resets_from_done(done)` to `unroll`. A `Context` stays as it is.

    Args:
        cell: any `Cell`.
        params: from `cell.init(key)`.
        carry: batch axes first.
        done: `(*batch)`, booleans, or numbers that are 0 or 1.

    Returns:
        The carry, in its shapes and dtypes.

    Raises:
        ValueError: if the carry has not the batch axes of `done`, or an entry of `done`
            is something else.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 2)
        >>> params, carry = cell.init(jax.random.key(0)), jnp.ones((3, 2))
        >>> print(jaxrnn.reset_carry(cell, params, carry, jnp.array([0, 1, 0])))
        [[1. 1.]
         [0. 0.]
         [1. 1.]]
    """
    name = "reset_carry"
    check_cell(name, cell)
    params = checks.check_params(name, cell, params)
    done = flags(name, "done", done, "whether the last step ended an episode")
    carry = checks.check_carry(name, cell, params, carry, done.shape)
    checks.check_contexts(name, cell, carry, done.shape)

    def chosen(leaf: jax.Array, initial: Any) -> jax.Array:
        initial = jnp.asarray(initial, leaf.dtype)
        where = done.reshape(done.shape + (1,) * initial.ndim)
        return jnp.where(where, jnp.broadcast_to(initial, leaf.shape), leaf)

    initial = emptied(cell.initial_carry(params))
    kept = jax.tree.map(chosen, emptied(carry), initial)
    return filled(kept, contexts(carry))
