"""One evaluation of a cell over a sequence: what lies below every public function."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from . import checks
from .cell import Cell, Keys, as_input, keys_in_time, split_key
from .probes import Observed, Perturbed


@dataclass(frozen=True)
class Run:
    """How one sequence is evaluated: what `Cell.sequence` gets and passes on.

    `run(cell, params, carry, xs)` evaluates a cell that is no combinator and returns
    `(carry, ys)`. A combinator hands `run` to an inner cell whose carry is its own, and
    `run[i]` to inner cell i of those whose carries it holds in a tuple. What comes back
    in place of the carry is to be put together just as the carry is: `trajectory` has
    every carry there.
    """

    call: str
    method: Any
    reverse: bool
    batch_ndim: int
    keys: Keys | None
    observe: bool
    perturbation: Any

    def __getitem__(self, index: int) -> "Run":
        keys, perturbation = self.keys, self.perturbation
        return replace(
            self,
            keys=None if keys is None else keys.child(index),
            perturbation=None if perturbation is None else perturbation[index],
        )

    def __call__(self, cell: Cell, params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        name = f"the input of {type(cell).__name__}"
        checks.leading_shape(self.call, name, cell, xs, "T, *batch")
        carry = self._settled(cell, params, carry, xs)
        probed, inputs = cell, xs
        if self.perturbation is not None:
            probed, inputs = Perturbed(probed), (inputs, self.perturbation)
        if self.observe:
            probed = Observed(probed)
        carry, ys = self.method(
            probed,
            params,
            carry,
            inputs,
            self.keys,
            batch_ndim=self.batch_ndim,
            reverse=self.reverse,
        )
        if self.observe:
            carry, ys = ys
        return carry, as_input(ys, xs)

    def _settled(self, cell: Cell, params: Any, carry: Any, xs: Any) -> Any:
        """The carry in the dtype at which the step is at a fixpoint."""

        def example(leaf: Any, axes: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(jnp.shape(leaf)[axes:], jnp.result_type(leaf))

        def advance(params: Any, carry: Any, x: Any, keys: Keys | None) -> Any:
            return cell.step(params, carry, cell.project(params, x, keys))

        x = jax.tree.map(lambda leaf: example(leaf, 1 + self.batch_ndim), xs)
        keys = None
        if self.keys is not None:
            key: Any = jax.ShapeDtypeStruct((), self.keys.step.dtype)
            keys = Keys(sequence=key, step=key)
        now = jax.tree.map(lambda leaf: example(leaf, self.batch_ndim), carry)
        dtypes: list[list[Any]] = []
        while True:
            dtypes.append([leaf.dtype for leaf in jax.tree.leaves(now)])
            after = jax.eval_shape(advance, params, now, x, keys)
            same = jax.tree.structure(now) == jax.tree.structure(after)
            if not same or checks.shapes(now) != checks.shapes(after):
                raise TypeError(
                    f"{self.call}: {cell}.step turned a carry of the shapes "
                    f"{checks.shapes(now)} into {checks.shapes(after)}; initial_carry "
                    "and step must agree in structure and in shapes"
                )
            now = jax.tree.map(lambda leaf: example(leaf, 0), after)
            new = [leaf.dtype for leaf in jax.tree.leaves(now)]
            if new == dtypes[-1]:
                break
            if new in dtypes:
                raise TypeError(
                    f"{self.call}: {cell}.step changes the dtypes of its carry for ever, "
                    f"from {dtypes[-1]} to {new}; they must come to rest"
                )
        carry = jax.tree.map(lambda leaf, to: jnp.asarray(leaf, to.dtype), carry, now)
        return varying_with((params, xs, carry, self.keys, self.perturbation), carry)


def varying_with(others: Any, tree: Any) -> Any:
    """`tree`, varying over the axes of a `jax.shard_map` over which `others` vary.

    A scan refuses a carry that starts the same on all devices and then differs, and the
    gradient of what is the same on all devices is summed over them. The sum of no
    elements is zero whatever they are, and varies as they do.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return tree

    def zero_of(leaf: Any) -> jax.Array:
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return jnp.sum(jnp.ravel(leaf)[:0].astype(bool), dtype="int8")

    zero = sum(map(zero_of, jax.tree.leaves(others)))
    return jax.tree.map(lambda leaf: leaf + jnp.astype(zero, leaf.dtype), tree)


def evaluate(
    call: str,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any,
    reverse: bool,
    key: jax.Array | None,
    method: Any,
    *,
    observe: bool = False,
    perturbation: Any = None,
) -> tuple[Any, Any]:
    """What every public function calls: the arguments checked, the rest compiled.

    With `observe`, every carry takes the place of the final one, and there are no
    outputs. `perturbation`, a
    trajectory, is added to the carries between step and output.
    """
    checks.check_cell(call, cell)
    if isinstance(method, type) or not callable(method):
        raise TypeError(f"{call}: method is {method!r}, expected one like Scan()")
    if not isinstance(reverse, bool):
        raise TypeError(
            f"{call}: reverse is {reverse!r}, expected True or False: it is part of the "
            "program, so under jax.jit name it in static_argnames"
        )
    leading = checks.leading_shape(call, "xs", cell, xs, "T, *batch")
    if not leading:
        raise ValueError(
            f"{call}: xs has shape {checks.shapes(xs)}, expected a time axis before "
            f"{cell.input_shape} for {cell}; for a single step call the cell itself"
        )
    batch_shape = leading[1:]
    checks.check_params(call, cell, params)
    if carry is None:
        carry = repeat(cell.initial_carry(params), batch_shape)
    else:
        checks.check_carry(call, cell, params, carry, batch_shape)
    keys = split_key(call, key)
    return _evaluate(
        call, cell, method, reverse, observe, params, xs, carry, keys, perturbation
    )


@functools.partial(
    jax.jit, static_argnames=("call", "cell", "method", "reverse", "observe")
)
def _evaluate(
    call: str,
    cell: Cell,
    method: Any,
    reverse: bool,
    observe: bool,
    params: Any,
    xs: Any,
    carry: Any,
    split_keys: tuple[jax.Array | None, jax.Array | None],
    perturbation: Any,
) -> tuple[Any, Any]:
    T, *batch_shape = checks.leading_shape(call, "xs", cell, xs)
    prepare_key, key = split_keys
    run = Run(
        call=call,
        method=method,
        reverse=reverse,
        batch_ndim=len(batch_shape),
        keys=None
        if key is None
        else keys_in_time(key, jnp.arange(T), tuple(batch_shape)),
        observe=observe,
        perturbation=perturbation,
    )
    carry, ys = cell.sequence(cell.prepare(params, prepare_key), carry, xs, run)
    return carry, None if observe else ys


def repeat(tree: Any, batch_shape: tuple[int, ...]) -> Any:
    """Every leaf, repeated along new batch axes in front."""

    def broadcast(leaf: Any) -> jax.Array:
        return jnp.broadcast_to(leaf, batch_shape + jnp.shape(leaf))

    return jax.tree.map(broadcast, tree)
