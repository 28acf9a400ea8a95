"""One evaluation of a cell over a sequence: what lies below every public function."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.dtypes import promoted
from ..arguments.keys import Keys
from ..arguments.varying import varying_with
from ..cell import Cell, as_input
from ..context import contexts, emptied, filled
from .held import holding
from .probes import Gated, Observed, Perturbed
from .streams import Streams, zeroed

# (run, cell, params, first, carries, xs) -> what is seen of one cell: of the carry before
# its first step and those after every step.
Observer = Callable[["Run", Cell, Any, Any, Any, Any], Any]


def every_carry(run: "Run", cell: Cell, params: Any, first: Any, *seen: Any) -> Any:
    """Observe the carries."""
    return seen[0]


@dataclass(frozen=True)
class Run:
    """How one sequence is evaluated: what `Cell.sequence` gets and passes on.

    `run(cell, params, carry, xs)` evaluates a cell that is no combinator and returns
    `(carry, ys)`. `Cell.sequence` says what a combinator does with it. What comes back in
    place of the carry is to be put together just as the carry is: `trajectory` has every
    carry there. Masked steps hold zeros in every sequence that is passed on.
    """

    call: str
    method: Any
    reverse: bool
    batch_ndim: int
    streams: Streams
    keys: Keys | None
    initial: Any  # what a reset returns to, of one example
    observe: Observer | None
    perturbation: Any
    guess: Any = None  # of the trajectory, for a method that starts from one

    def __getitem__(self, index: int) -> "Run":
        if not isinstance(self.initial, tuple) or not 0 <= index < len(self.initial):
            raise TypeError(
                f"{self.call}: run[{index}] of a cell whose carry is "
                f"{checks.structure(self.initial)}, expected a tuple with an entry for "
                "each inner cell; a cell that shares the carry gets run itself"
            )
        keys, perturbation, guess = self.keys, self.perturbation, self.guess
        return replace(
            self,
            keys=None if keys is None else keys.child(index),
            initial=self.initial[index],
            perturbation=None if perturbation is None else perturbation[index],
            guess=None if guess is None else guess[index],
        )

    def backwards(self) -> "Run":
        """The same run in the other direction; all sequences stay in input order."""
        return replace(self, reverse=not self.reverse)

    def map(self, function: Callable[..., Any], *sequences: Any) -> Any:
        """`function` of one example at one step, over all; zeros at masked steps."""
        for _ in range(1 + self.batch_ndim):
            function = jax.vmap(function)
        return zeroed(self.streams.valid, function(*sequences))

    def __call__(self, cell: Cell, params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        name, ndim = f"the input of {type(cell).__name__}", 1 + self.batch_ndim
        checks.leading_shape(self.call, name, cell, xs, "T, *batch", ndim)
        self._check_carry(cell, carry, xs)
        xs = zeroed(self.streams.valid, xs)  # also what a combinator made of zeros
        held, carry = contexts(carry), emptied(carry)
        cell, params, axes = holding(cell, params, held)
        carry = self._settled(cell, params, carry, xs, axes)
        gate = self.streams.backward if self.reverse else self.streams.forward
        probed, inputs, own = cell, xs, params
        if gate is not None:
            initial = jax.tree.map(
                lambda leaf, to: jnp.asarray(leaf, to.dtype), self.initial, carry
            )
            landing = self._landing(cell, params, initial, xs, axes)
            params, inputs = (params, initial, landing), (inputs, gate)
            axes = axes and (axes, None, 0)
            probed = Gated(probed)
        if self.perturbation is not None:
            probed, inputs = Perturbed(probed), (inputs, self.perturbation)
        if self.observe is not None:
            probed = Observed(probed)
        last, ys = self.method(
            probed,
            params,
            carry,
            inputs,
            self.keys,
            batch_ndim=self.batch_ndim,
            reverse=self.reverse,
            **({"params_axes": axes} if held else {}),
            **({} if self.guess is None else {"guess": self.guess}),
        )
        if self.observe is not None:
            carries, ys = ys
            last = self.observe(self, cell, own, carry, carries, xs)
        else:
            last = filled(last, held)
        return last, as_input(ys, xs)

    def _check_carry(self, cell: Cell, carry: Any, xs: Any) -> None:
        batch = jnp.shape(jax.tree.leaves(xs)[0])[1 : 1 + self.batch_ndim]
        expected = jax.eval_shape(lambda: repeat(self.initial, batch))
        if not checks.alike(emptied(carry), expected):
            raise ValueError(
                f"{self.call}: {cell} got a carry of the shapes {checks.shapes(carry)}, "
                f"expected {checks.shapes(expected)}: in `sequence`, cell i gets "
                "carry[i] with run[i]; what a cell returns for its carry is only to be "
                "returned, since a trajectory has every carry there"
            )

    def _landing(self, cell: Cell, params: Any, initial: Any, xs: Any, axes: Any) -> Any:
        """The carry after one step from the initial one, over an x of zeros.

        What `output` reads at a masked step, and drops: like any carry that it may count
        on, one that `step` has made.
        """
        if self.streams.valid is None:
            return None
        ndim = 1 + self.batch_ndim
        x = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[ndim:], leaf.dtype), xs)

        def landing(params: Any) -> Any:
            carry = cell.step(params, initial, cell.project(params, x))
            return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), carry, initial)

        if axes is not None:  # of each example, with its own context
            for _ in range(self.batch_ndim):
                landing = jax.vmap(landing, (axes,))
        return landing(params)

    def _settled(self, cell: Cell, params: Any, carry: Any, xs: Any, axes: Any) -> Any:
        """The carry in the dtype at which the step is at a fixpoint."""

        def example(leaf: Any, axes: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(jnp.shape(leaf)[axes:], jnp.result_type(leaf))

        def advance(params: Any, carry: Any, x: Any, keys: Keys | None) -> Any:
            return cell.step(params, carry, cell.project(params, x, keys))

        all_params = params
        if axes is not None:
            own, held = params
            one = jax.tree.map(lambda leaf: example(leaf, self.batch_ndim), held)
            params = own, one
        x = jax.tree.map(lambda leaf: example(leaf, 1 + self.batch_ndim), xs)
        keys = None
        if self.keys is not None:
            key: Any = jax.ShapeDtypeStruct((), self.keys.step.dtype)
            keys = Keys(sequence=key, step=key)
        now = jax.tree.map(lambda leaf: example(leaf, self.batch_ndim), carry)
        if self.streams.resets:  # the carry holds the initial one too
            now = jax.tree.map(_widened, now, self.initial)
        dtypes: list[list[Any]] = []
        while True:
            dtypes.append([leaf.dtype for leaf in jax.tree.leaves(now)])
            after = jax.eval_shape(advance, params, now, x, keys)
            if not checks.alike(now, after):
                raise TypeError(
                    f"{self.call}: {cell}.step turned a carry of the shapes "
                    f"{checks.shapes(now)} into {checks.shapes(after)}; initial_carry "
                    "and step must agree in structure and in shapes; step returns the "
                    "carry alone, and `output` makes y"
                )
            now = jax.tree.map(lambda leaf: example(leaf, 0), after)
            new = [leaf.dtype for leaf in jax.tree.leaves(now)]
            if new == dtypes[-1]:
                break
            if new in dtypes:
                raise TypeError(
                    f"{self.call}: {cell}.step changes the dtypes of its carry for ever, "
                    f"from {checks.names(dtypes[-1])} to {checks.names(new)}; cast the "
                    "new leaves to the dtypes of the old ones"
                )
        carry = jax.tree.map(lambda leaf, to: jnp.asarray(leaf, to.dtype), carry, now)
        others = all_params, xs, carry, self.keys, self.streams, self.initial
        return varying_with((*others, self.perturbation), carry)


def _widened(leaf: jax.ShapeDtypeStruct, other: Any) -> jax.ShapeDtypeStruct:
    dtype = jnp.result_type(other)
    if dtype != leaf.dtype:
        dtype = promoted(leaf.dtype, dtype)
    return jax.ShapeDtypeStruct(leaf.shape, dtype)


def repeat(tree: Any, batch_shape: tuple[int, ...]) -> Any:
    """Every leaf, repeated along new batch axes in front."""

    def broadcast(leaf: Any) -> jax.Array:
        return jnp.broadcast_to(leaf, batch_shape + jnp.shape(leaf))

    return jax.tree.map(broadcast, tree)
