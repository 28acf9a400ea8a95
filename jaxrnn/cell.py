"""The contract: a cell is a frozen value that names a few pure functions.

Letters used in every docstring of the package: `T` steps, `B` examples, `I` the input
size, `H` the hidden size.
"""

import abc
import dataclasses
from typing import Any, Generic, NoReturn, TypeVar

import jax
import jax.numpy as jnp

from .arguments import checks
from .arguments.arrays import native
from .arguments.dtypes import promoted
from .arguments.keys import Keys, keys_in_time, prepare_key, typed_key
from .value import Value

Params = TypeVar("Params")
Carry = TypeVar("Carry")
Drive = TypeVar("Drive")


class Cell(Value, abc.ABC, Generic[Params, Carry, Drive]):
    """A recurrent cell: what happens to one example in one time step.

        drive = project(params, x, keys)         all of the step that ignores the carry
        carry = step(params, carry, drive)       the recurrence
        y     = output(params, carry, drive)     reads the new carry

    Deriving from `Cell` declares a cell: the annotated names are its fields, and it is a
    frozen dataclass that JAX takes as static. Fields are ints, floats, strings, tuples,
    other cells and module-level functions, never arrays, so that a cell is hashable,
    equal by value and free to pass through `jax.jit`; equal cells compile once. Write
    `init`, `initial_carry` and `step`; the rest has defaults. Everything is written for
    one example and one time step: batch axes and time belong to `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class LeakySum(jaxrnn.Cell):
        ...     input_size: int
        ...     def init(self, key):
        ...         return {"leak": jnp.full(self.input_size, 0.5)}
        ...     def initial_carry(self, params):
        ...         return jnp.zeros(self.input_size)
        ...     def step(self, params, carry, drive):
        ...         return params["leak"] * carry + drive
        >>> cell = LeakySum(2)
        >>> params = cell.init(jax.random.key(0))
        >>> carry, ys = jaxrnn.unroll(cell, params, jnp.ones((3, 2)))
        >>> print(ys[:, 0])
        [1.   1.5  1.75]
    """

    # What a cell must say.

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Params:
        """Fresh parameters, a pytree of arrays, from a `jax.random.key`.

        Written in JAX, so that it can be traced: the shapes of its result are what the
        params of every call are checked against.
        """

    @abc.abstractmethod
    def initial_carry(self, params: Params) -> Carry:
        """The carry before the first step: one example, no batch axes, no time axis."""

    @abc.abstractmethod
    def step(self, params: Params, carry: Carry, drive: Drive) -> Carry:
        """The recurrence: the new carry. Deterministic, and all that the loop runs.

        Args:
            params: as `prepare` returns them.
            carry: of the structure and the shapes of `initial_carry`, before the step.
            drive: what `project` returns for this step; by default x itself.

        Returns:
            The carry after the step, in the same structure and shapes. Its dtypes are
            those at which the step comes to rest: a wider drive widens the carry.
        """

    # What a cell may say.

    def _input_shape(self) -> Any:
        """The shape of one x, `(input_size,)` by default; a pytree of shapes for a
        pytree of inputs. The axes of `xs` between time and this shape are batch axes.
        `...` for a cell that takes an x of any shape and keeps it. A subclass has it as
        a property or as a field.
        """
        if not hasattr(self, "input_size"):
            raise TypeError(
                f"{type(self).__name__} has no field `input_size`: give it one, or "
                "a field or a property `input_shape`, the shape of one x"
            )
        return (self.input_size,)  # pyright: ignore[reportAttributeAccessIssue]

    # No decorator: type checkers let a field override what has no declared type.
    input_shape = property(_input_shape)

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        """What the other functions get for params; by default the params themselves.

        Called once per `unroll`: the place for work that depends on parameters alone,
        such as a parametrisation or a cast. `key` is None in evaluation.
        """
        return params

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        """All of the step that ignores the carry; by default x itself.

        Evaluated for all steps at once, outside the loop. The place for noise: `keys` is
        `Keys(sequence, step)`, or None in evaluation.
        """
        return x

    def output(self, params: Params, carry: Carry, drive: Drive) -> Any:
        """What the cell shows, y; by default the whole of the new carry.

        Reads the carry that `step` has just made. Evaluated for all steps at once,
        outside the loop.
        """
        return carry

    def gates(self, params: Params, carry: Carry, drive: Drive) -> dict[str, jax.Array]:
        """The activations of the gates in the step from `carry`, by name; for study.

        None by default. `gate_activations` has them for every step of a run. Names are
        those of the LSTM and the GRU: "f" or "z" for a rate at which the old state is
        kept, "g" or "n" for a candidate, a tanh; `gradient_report` reads them so.
        """
        return {}

    def is_state(self, carry: Carry) -> Any:
        """Which leaves of the carry are state: True or False for each; all, by default.

        Others are only kept for the next step or for `output`, such as the product by the
        x before, or mean nothing one by one, such as an exponent apart from its mantissa.
        `Zoneout` leaves them alone, and `LearnedCarry` does not learn them.
        """
        return jax.tree.map(lambda _: True, carry)

    def sequence(self, params: Params, carry: Carry, xs: Any, run: Any) -> tuple:
        """The cell over a whole sequence: `(carry, ys)`, with `params` prepared.

        A combinator overrides this. It calls the `sequence` of its inner cells (never
        `unroll`) and passes `run` on: `run` itself to one that shares its carry, `run[i]`
        with `carry[i]` to inner cell i of one whose carry is a tuple; `run.backwards()`
        is the same in the other direction. `xs` and outputs have their axes of time and
        batch, `(T, *batch, ...)`; `run.map(function, xs, ...)` is a function of one
        example at one step, over all of them. Masked steps hold zeros. What comes back
        for a carry is to be put together just as the carry is, and not to be read: for a
        trajectory it is every carry. A cell that is no combinator is handed to `run`,
        which steps it as one whole: to `carry_gradients` its carry is then one joint
        state.
        """
        return run(self, params, carry, xs)

    # What every cell has.

    def __call__(
        self,
        params: Params,
        carry: Carry,
        x: Any,
        key: jax.Array | None = None,
        t: Any = 0,
    ) -> tuple[Carry, Any]:
        """One time step of one example: `(carry, y)`, as step t of `unroll`.

        For decoding, for the loops of reinforcement learning and, under `jax.vmap`, for a
        batch. Inputs of a wider dtype than the carry's widen it in the first call, which
        a `lax.scan` of your own refuses: start it with a carry of that dtype.

        Args:
            params: from `init`.
            carry: from `initial_carry`, or from the step before.
            x: one input, of shape `input_shape`.
            key: randomness, for cells that have any; None means evaluation.
            t: the number of the step, from 0. With the key of an `unroll` and its t, the
                noise is that of its step t. In a batch, example b of an `unroll` under
                `key` has the noise of `jax.random.split(key, batch_shape)[b]`; only what
                `prepare` draws is drawn from `key` itself, once for the whole batch.

        Raises:
            ValueError: if the shape of `params`, `carry` or `x` is not the cell's.
        """
        call = type(self).__name__
        check_cell(call, self)
        params = checks.check_params(call, self, params)
        carry = checks.check_carry(call, self, params, carry, ())
        x = native(call, "x", x)
        checks.check_contexts(call, self, carry, ())
        if checks.leading_shape(call, "x", self, x, ndim=0) != ():
            raise ValueError(
                f"{call}: x has shape {checks.shapes(x)}, expected {self.input_shape}: a "
                "call is one step of one example; use jax.vmap for a batch and "
                "jaxrnn.unroll for a sequence"
            )
        key = typed_key(call, key)
        keys = None if key is None else keys_in_time(key, jnp.asarray(t), ())
        params = self.prepare(params, prepare_key(key))
        drive = self.project(params, x, keys)
        carry = self.step(params, carry, drive)
        return carry, as_input(self.output(params, carry, drive), x)


def as_input(ys: Any, xs: Any) -> Any:
    """Outputs in the dtype of floating inputs; with integer inputs, as they are."""
    dtypes = [jnp.result_type(x) for x in jax.tree.leaves(xs)]
    floats = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    if not floats:
        return ys
    dtype = promoted(*floats)

    def cast(y: jax.Array) -> jax.Array:
        return y.astype(dtype) if jnp.issubdtype(y.dtype, jnp.floating) else y

    return jax.tree.map(cast, ys)


def check_cell(call: str, cell: Any) -> None:
    """Raise unless `cell` is a cell, and can be hashed."""
    if isinstance(cell, type):
        raise TypeError(
            f"{call}: cell is the class {cell.__name__}, expected an instance of it: "
            f"{cell.__name__}(...)"
        )
    if not isinstance(cell, Cell):
        raise TypeError(
            f"{call}: cell is of type {type(cell).__name__}, expected a jaxrnn.Cell"
        )
    name = type(cell).__name__
    own_sequence = type(cell).sequence is not Cell.sequence
    if own_sequence and type(cell).prepare is Cell.prepare and _holds_cells(cell):
        raise TypeError(
            f"{call}: {name} defines sequence but not prepare, so that the cells inside "
            "it would never be prepared; derive it from jaxrnn.Combinator or "
            "jaxrnn.Wrapper, which do that"
        )
    try:
        hash(cell)
    except TypeError as error:
        raise TypeError(
            f"{call}: {name} cannot be hashed ({error}); the fields of a cell are "
            "numbers, strings, tuples, cells and module-level functions, and arrays "
            "belong in its params"
        ) from error


def _holds_cells(cell: Cell) -> bool:
    values = (getattr(cell, field.name) for field in dataclasses.fields(cell))  # pyright: ignore
    return any(isinstance(leaf, Cell) for value in values for leaf in _entries(value))


def _entries(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def refuse_single_step(cell: Cell) -> NoReturn:
    """Raise for a cell that says what it does to a sequence, but not to a step."""
    raise TypeError(
        f"{cell} cannot take a single step, being defined over whole sequences: run it "
        "with unroll, and around it use only combinators that define `sequence`, such as "
        "Stack and Residual"
    )
