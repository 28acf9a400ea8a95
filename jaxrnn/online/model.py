"""A step of one example as a function of real vectors: what estimators work on."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import checks
from ..arguments.dtypes import promoted
from ..arguments.keys import Keys
from ..cell import Cell
from ..context import contexts
from ..methods.jaxprs import Closed, depend, is_variable
from ..unrolling.stepping import flat
from .coordinates import Coordinates, moves
from .local import unclipped, within_units
from .patterns import reached
from .point import Point, Ready


class Spec(NamedTuple):
    """What a program depends on: a cell, and the shapes of one example.

    Trees of shapes are hashable: their structure, and the shape and dtype of each leaf.
    """

    name: str
    cell: Cell
    params: Any
    carry: Any
    x: Any
    key: Any


def spec_of(name: str, cell: Cell, params: Any, carry: Any, x: Any, key: Any) -> Spec:
    """The spec of one example; the carry in the dtype that the step keeps.

    Raises:
        TypeError: for a cell that cannot take a single step.
    """
    one: Any = None if key is None else jax.ShapeDtypeStruct((), key.dtype)
    params, carry, x = jax.tree.map(struct, (params, carry, x))
    if contexts(carry):
        raise TypeError(
            f"{name}: the carry of {cell} holds a Context, which is no state: an "
            "influence is that of parameters on a state; take carry_gradients"
        )
    carry = _settled(name, cell, params, carry, x, one)
    return Spec(name, cell, *map(_frozen, (params, carry, x, one)))


def struct(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf))


def _frozen(tree: Any) -> Any:
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def thawed(frozen: Any) -> Any:
    treedef, leaves = frozen
    return treedef.unflatten(jax.ShapeDtypeStruct(*leaf) for leaf in leaves)


def _settled(name: str, cell: Cell, params: Any, carry: Any, x: Any, key: Any) -> Any:
    def one(params: Any, carry: Any, x: Any, key: Any) -> Any:
        ready = cell.prepare(params, key)
        keys = None if key is None else Keys(key, key)
        start = cell.initial_carry(params)
        new = cell.step(ready, carry, cell.project(ready, x, keys))
        return jax.tree.map(lambda a, b: _wide(jnp.asarray(a), b), new, start)

    for _ in range(4):
        try:
            after = jax.eval_shape(one, params, carry, x, key)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from error
        if not checks.alike(carry, after):
            raise TypeError(
                f"{name}: {cell}.step turned a carry of the shapes "
                f"{checks.shapes(carry)} into {checks.shapes(after)}; initial_carry and "
                "step must agree in structure and in shapes"
            )
        if after == carry:
            return carry
        carry = after
    raise TypeError(f"{name}: {cell}.step changes the dtypes of its carry for ever")


def _wide(leaf: jax.Array, other: Any) -> jax.Array:
    dtype = jnp.result_type(other)
    return leaf if dtype == leaf.dtype else leaf.astype(promoted(leaf.dtype, dtype))


class Model:
    """The step of a spec, and what it is differentiated in.

    The parameters are the floating leaves of what `prepare` makes, and those of the
    initial carry, as far as they depend on the params: `Q` numbers. The carry is `n`.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec, self.cell = spec, spec.cell
        self.carry = thawed(spec.carry)
        self.state = Coordinates(self.carry, [*map(moves, jax.tree.leaves(self.carry))])
        args = thawed(spec.params), thawed(spec.key)
        ready = jax.eval_shape(self._ready, *args)
        given, leaves = jax.tree.leaves(args), jax.tree.leaves(ready)
        closed = jax.make_jaxpr(self._ready)(*args).jaxpr
        floats = [v for v, leaf in zip(closed.invars, given, strict=True) if moves(leaf)]
        reached = depend(Closed(closed), floats)
        chosen = [
            moves(leaf) and is_variable(v) and v in reached
            for v, leaf in zip(closed.outvars, leaves, strict=True)
        ]
        self.sources = Coordinates(ready, chosen)
        self.n, self.Q = self.state.size, self.sources.size
        # Sums over all steps: in half precision they would come to a halt.
        self.dtype = promoted(self.state.dtype, self.sources.dtype, "float32")
        self.first = self._first(ready, chosen)

    def _ready(self, params: Any, key: Any) -> Any:
        """The params as a step gets them, and the carry before the first step."""
        initial = self.cell.initial_carry(params)
        initial = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), initial, self.carry)
        return self.cell.prepare(params, key), initial

    def _first(self, ready: Any, chosen: list[bool]) -> np.ndarray:
        """Of every number of the carry the parameter that its start is, or -1."""
        before = len(jax.tree.leaves(ready[0]))
        part, at = 0, 0
        places = {}
        for place, two in zip(self.sources.places, self.sources.complex, strict=True):
            size = self.sources.sizes[part] * (1 + two)
            places[place - before] = at
            part, at = part + 1 + two, at + size
        first = np.full(self.n, -1)
        part, at = 0, 0
        for place, two in zip(self.state.places, self.state.complex, strict=True):
            size = self.state.sizes[part] * (1 + two)
            if place in places:
                first[at : at + size] = places[place] + np.arange(size)
            part, at = part + 1 + two, at + size
        return first

    def ready(self, params: Any, key: Any) -> tuple[Ready, Callable]:
        """What steps are made of, and the way back from a gradient [Q] to the params."""

        def made(params: Any) -> Any:
            tree = self._ready(params, key)
            return self.sources.parts(tree), tree

        found: Any = jax.vjp(made, params, has_aux=True)
        parts, back, (prepared, initial) = found

        def pulled(gradient: jax.Array) -> Any:
            return back(self.sources.split(gradient))[0]

        return Ready(parts, prepared, initial), pulled

    def at(self, ready: Ready, carry: Any, x: Any, keys: Any, pulse: Any = None) -> Point:
        """One step of one example, from a carry; see `Point` for the pulse."""
        return Point(self, ready, carry, x, keys, pulse)

    def outputs(self) -> int:
        """How many real numbers an output has."""

        def shown(others: Any) -> jax.Array:
            params, carry, x, keys = others
            point = self.at(Ready(self.sources.parts(params), *params), carry, x, keys)
            y = point.output(point.parts, point.ready.parts, carry)
            return flat([leaf for leaf in jax.tree.leaves(y) if moves(leaf)])

        return jax.eval_shape(shown, _others(self)).size

    def patterns(self, *, local: bool) -> tuple[np.ndarray, np.ndarray]:
        """Where the derivatives in the parameters [n, Q] and in the carry [n, n] can be
        other than zero; those in the carry within units alone, if `local`."""
        immediate, carry = _patterns(self.spec)
        return immediate, _local_pattern(self.spec) if local else carry


@functools.lru_cache(maxsize=64)
def model_of(spec: Spec) -> Model:
    return Model(spec)


@functools.lru_cache(maxsize=64)
def _patterns(spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    model = model_of(spec)
    own = len(model.state.shapes)
    step = unclipped(functools.partial(_moved, model))
    parts = model.state.structs() + model.sources.structs()
    found = reached(step, parts, _others(model))
    joined = lambda arrays: np.concatenate([np.zeros((model.n, 0), bool), *arrays], 1)  # noqa: E731
    return joined(found[own:]), joined(found[:own])


@functools.lru_cache(maxsize=64)
def _local_pattern(spec: Spec) -> np.ndarray:
    model = model_of(spec)
    others = _others(model), model.sources.structs()

    def step(parts: Any, others: Any) -> Any:
        rest, sources = others
        local = within_units(lambda parts: _moved(model, [*parts, *sources], rest))
        return local(parts)

    found = reached(step, model.state.structs(), others)
    return np.concatenate([np.zeros((model.n, 0), bool), *found], 1)


def _moved(model: Model, parts: Any, others: Any) -> Any:
    params, carry, x, keys = others
    own = len(model.state.shapes)
    ready = Ready(parts[own:], *params)
    return model.at(ready, carry, x, keys).moved(parts[:own], parts[own:])


def _others(model: Model) -> Any:
    spec = model.spec
    key = thawed(spec.key)
    params = jax.eval_shape(model._ready, thawed(spec.params), key)
    keys = None if key is None else Keys(key, key)
    return params, model.carry, thawed(spec.x), keys
