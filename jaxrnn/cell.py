"""The contract: a cell is a frozen value that names a few pure functions.

Letters used in every docstring of the package: `T` steps, `B` examples, `I` the input
size, `H` the hidden size.
"""

import abc
import dataclasses
import types
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from . import checks

Params = TypeVar("Params")
Carry = TypeVar("Carry")
Drive = TypeVar("Drive")


class Keys(NamedTuple):
    """The random keys that `Cell.project` gets for one example at one time step.

    Attributes:
        sequence: one key per example, the same at every step (a mask that is kept for
            the whole sequence is drawn from it).
        step: `fold_in(sequence, t)`, with t in input order.
    """

    sequence: jax.Array
    step: jax.Array

    def child(self, index: int) -> "Keys":
        """The keys of inner cell number `index`: combinators split before they use."""
        return Keys(fold_in(self.sequence, index), fold_in(self.step, index))


def fold_in(keys: jax.Array, data) -> jax.Array:
    """`jax.random.fold_in` for an array of typed keys of any shape."""
    fold = jax.random.fold_in
    for _ in range(keys.ndim):
        fold = jax.vmap(fold, in_axes=(0, None))
    return fold(keys, data)


class Cell(abc.ABC, Generic[Params, Carry, Drive]):
    """A recurrent cell: what happens to one example in one time step.

        drive = project(params, x)               all of the step that ignores the carry
        carry = step(params, carry, drive)       the recurrence
        y     = output(params, carry, drive)     reads the new carry

    A cell is declared as `@jax.tree_util.register_static @dataclass(frozen=True)`. Its
    fields are ints, floats, strings, tuples, other cells and module-level functions,
    never arrays, so that it is hashable, equal by value and free to pass through
    `jax.jit`; equal cells compile once. Write `init`, `initial_carry` and `step`; the
    rest has defaults. Everything is written for one example and one time step: batch
    axes and time belong to `unroll`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from dataclasses import dataclass
        >>> @jax.tree_util.register_static
        ... @dataclass(frozen=True)
        ... class LeakySum(jaxrnn.Cell):
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # `dataclass` writes a repr of its own unless the class itself has one.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Cell.__repr__

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        shown = [
            f"{field.name}={_expression(getattr(self, field.name))}"
            for field in fields
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    # What a cell must say.

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Params:
        """Fresh parameters, a pytree of arrays, from a `jax.random.key`."""

    @abc.abstractmethod
    def initial_carry(self, params: Params) -> Carry:
        """The carry before the first step: one example, no batch axes, no time axis."""

    @abc.abstractmethod
    def step(self, params: Params, carry: Carry, drive: Drive) -> Carry:
        """The recurrence: deterministic, the only part that is sequential in time."""

    # What a cell may say.

    @property
    def input_shape(self) -> Any:
        """The shape of one x, `(input_size,)` by default; a pytree of shapes for a
        pytree of inputs. The axes of `xs` between time and this shape are batch axes.
        """
        if not hasattr(self, "input_size"):
            raise TypeError(
                f"{type(self).__name__} has no field `input_size`: give it one, or "
                "define the property `input_shape`, the shape of one x"
            )
        return (self.input_size,)  # pyright: ignore[reportAttributeAccessIssue]

    def prepare(self, params: Params, key: jax.Array | None = None) -> Params:
        """Parameters as `project`, `step` and `output` want them: once per `unroll`."""
        return params

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        """All of the step that ignores the carry: one product over many steps."""
        return x

    def output(self, params: Params, carry: Carry, drive: Drive) -> Any:
        """What the cell shows of its NEW carry: one product over many steps."""
        return carry

    def sequence(self, params: Params, carry: Carry, xs: Any, run: Any) -> tuple:
        """The cell over a whole sequence: `(carry, ys)`, with `params` prepared.

        A combinator overrides this. It passes `run` on: `run` itself to an inner cell
        that shares its carry, `run[i]` to inner cell i of one whose carry is a tuple. A
        cell that is no combinator is handed to `run`.
        """
        return run(self, params, carry, xs)

    # What every cell has.

    def __call__(
        self, params: Params, carry: Carry, x: Any, key: jax.Array | None = None
    ) -> tuple[Carry, Any]:
        """One time step of one example: `(carry, y)`, as `unroll` over one step.

        Args:
            params: from `init`.
            carry: from `initial_carry`, or from the step before.
            x: one input, of shape `input_shape`.
            key: randomness, for cells that have any; None means evaluation.

        Raises:
            ValueError: if the shape of `params`, `carry` or `x` is not the cell's.
        """
        call = type(self).__name__
        checks.check_cell(call, self)
        checks.check_params(call, self, params)
        checks.check_carry(call, self, params, carry, ())
        if checks.leading_shape(call, "x", self, x) != ():
            raise ValueError(
                f"{call}: x has shape {checks.shapes(x)}, expected {self.input_shape}: a "
                "call is one step of one example; use jax.vmap for a batch and "
                "jaxrnn.unroll for a sequence"
            )
        prepare_key, sequence_key = split_key(call, key)
        keys = None
        if sequence_key is not None:
            keys = Keys(sequence_key, fold_in(sequence_key, 0))
        params = self.prepare(params, prepare_key)
        drive = self.project(params, x, keys)
        carry = self.step(params, carry, drive)
        return carry, as_input(self.output(params, carry, drive), x)


def split_key(
    call: str, key: jax.Array | None
) -> tuple[jax.Array | None, jax.Array | None]:
    """A user's key as `(key for prepare, key for the sequence)`, both typed."""
    if key is None:
        return None, None
    if not isinstance(key, jax.Array):
        raise TypeError(f"{call}: key is {key!r}, expected jax.random.key(seed) or None")
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    one: Any = key if typed else jax.random.wrap_key_data(key)
    if one.shape != ():
        raise ValueError(
            f"{call}: key has shape {one.shape}, expected one key: it is split into one "
            "key per example inside"
        )
    prepare_key, sequence_key = jax.random.split(one)
    return prepare_key, sequence_key


def as_input(ys: Any, xs: Any) -> Any:
    """Outputs in the dtype of floating inputs; with integer inputs, as they are."""
    dtypes = [jnp.result_type(x) for x in jax.tree.leaves(xs)]
    floats = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    if not floats:
        return ys
    dtype = jnp.result_type(*floats)

    def cast(y: jax.Array) -> jax.Array:
        return y.astype(dtype) if jnp.issubdtype(y.dtype, jnp.floating) else y

    return jax.tree.map(cast, ys)


def _expression(value: Any) -> str:
    """`value` as it is written under `from jaxrnn import *`."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_expression, value))}{',' * (len(value) == 1)})"
    if isinstance(value, types.FunctionType):
        module = value.__module__.removeprefix("jaxrnn.")
        return f"{module}.{value.__qualname__}"
    return repr(value)
