"""How a step depends on its carry: which leaves on which, linearly or not, along what.

Read from the step's jaxpr, so that a cell declares nothing. Leaves that depend on each
other are a group, and a group is looked at with all others known; from every value that
depends on it, its axes lead back to axes of the leaf:

    a c + b                        elementwise: along every axis on its own
    c - k (c^T k)                  axis 0 is mixed, axis 1 is not, and all its columns
                                   are mixed by the same matrix: it is uniform
    max(c + a, b)                  a maximum, which is a sum in another algebra
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import primitives as p
from jax.extend.source_info_util import summarize

from .jaxprs import depend, is_variable, piece
from .maxima import NotAffine, is_maximum


class Group(NamedTuple):
    """Leaves of a carry that depend on each other.

    Attributes:
        leaves: their numbers.
        kind: "none", of one that does not depend on itself, "elementwise", "mixed",
            "maximum", or "dense", where nothing is known.
        mixed: the axes of the leaf that are mixed.
        uniform: the axes along which all are mixed in the same way.
    """

    leaves: tuple[int, ...]
    kind: str
    mixed: tuple[int, ...] = ()
    uniform: tuple[int, ...] = ()


def groups_of(closed: Any, count: int, *, affine: bool) -> list[Group]:
    """The groups of the first `count` arguments, which are the results, in their order.

    Args:
        closed: the jaxpr of a step, by the leaves of its carry and its drive.
        count: how many leaves the carry has.
        affine: that the step is known to be affine; what is not understood is dense.

    Raises:
        NotAffine: if it is not known, and not seen.
    """
    carry, results = closed.jaxpr.invars[:count], closed.jaxpr.outvars
    reached = [depend(closed, [v]) for v in carry]
    uses = [
        {i for i in range(count) if is_variable(out) and out in reached[i]}
        for out in results
    ]
    below = [_closure(uses, j) for j in range(count)]
    groups, done = [], set()
    while len(done) < count:
        for j in sorted(set(range(count)) - done):
            own = {i for i in below[j] if j in below[i]} | {j}
            if below[j] - own <= done:
                groups.append(_group(closed, tuple(sorted(own)), uses, affine))
                done |= own
                break
    return groups


def _closure(uses: Sequence[set[int]], start: int) -> set[int]:
    """All leaves on which one depends, over others too."""
    found, new = set(), set(uses[start])
    while new:
        found |= new
        new = set().union(*(uses[i] for i in new)) - found
    return found


def _group(closed: Any, own: tuple[int, ...], uses: Any, affine: bool) -> Group:
    if not any(i in uses[j] for i in own for j in own):
        return Group(own, "none")
    leaves = [closed.jaxpr.invars[i] for i in own]
    for leaf in leaves:
        if not jnp.issubdtype(leaf.aval.dtype, jnp.number):
            raise NotAffine(f"a leaf of {leaf.aval.str_short()}, which is no number")
    shape = leaves[0].aval.shape
    results = [closed.jaxpr.outvars[i] for i in own]
    walk = _Walk(piece(closed, results, ()).equations, leaves, affine)
    try:
        walk()
    except NotAffine:
        if len(own) == 1 and is_maximum(closed, own[0]):
            return Group(own, "maximum")
        raise
    if any(leaf.aval.shape != shape for leaf in leaves):
        return Group(own, "dense")
    for out in results:
        walk.settle(out, len(shape))
    if not walk.mixed:
        return Group(own, "elementwise")
    if len(own) > 1:
        return Group(own, "dense")
    mixed = tuple(sorted(walk.mixed))
    uniform = set(range(len(shape))) - walk.mixed - walk.varies
    return Group(own, "mixed", mixed, tuple(sorted(uniform)))


# Linear in what they get, and along its axes.
ALONG = (
    *(p.add_p, p.sub_p, p.neg_p, p.mul_p, p.div_p, p.select_n_p, p.add_jaxvals_p),
    *(p.convert_element_type_p, p.copy_p, p.reduce_precision_p, p.name_p),
)
# Linear in what they get, whose axes they mix, or cut.
ACROSS = (
    *(p.reduce_sum_p, p.slice_p, p.concatenate_p, p.pad_p, p.rev_p, p.cumsum_p),
    *(p.dynamic_slice_p, p.gather_p, p.reshape_p, p.conv_general_dilated_p),
    *(p.dynamic_update_slice_p, p.scatter_p, p.scatter_add_p, p.reduce_window_sum_p),
)
# Of those, in which arguments: the others say where, or by how much.
LINEAR_IN = {
    **dict.fromkeys((p.dynamic_slice_p, p.gather_p, p.conv_general_dilated_p), (0,)),
    p.dynamic_update_slice_p: (0, 1),
    **dict.fromkeys((p.scatter_p, p.scatter_add_p), (0, 2)),
}

Axes = tuple[int | None, ...]


class _Walk:
    """Of every value that depends on the leaves: to which of their axes its own lead."""

    def __init__(self, equations: Any, leaves: Sequence[Any], affine: bool) -> None:
        self.equations, self.affine = equations, affine
        self.axes: dict[Any, Axes] = {v: tuple(range(v.aval.ndim)) for v in leaves}
        self.flat: dict[Any, set[int]] = {}  # of the others: the axes that repeat one
        self.mixed: set[int] = set()
        self.varies: set[int] = set()  # along which what they are multiplied by does

    def __call__(self) -> None:
        for eqn in self.equations:
            of = [is_variable(atom) and atom in self.axes for atom in eqn.invars]
            if any(of):
                for out, axes in zip(eqn.outvars, self._results(eqn, of), strict=True):
                    self.axes[out] = axes
            else:
                self._repeats(eqn)

    def settle(self, out: Any, ndim: int) -> None:
        """A result is to have the axes of the leaf, but for those that are mixed."""
        if is_variable(out) and out in self.axes:
            self._merged([self.axes[out], tuple(range(ndim))])

    def _results(self, eqn: Any, of: Sequence[bool]) -> list[Axes]:
        kind, ins, outs = eqn.primitive, eqn.invars, eqn.outvars
        given = [self.axes[atom] for atom, one in zip(ins, of, strict=True) if one]
        others = [atom for atom, one in zip(ins, of, strict=True) if not one]
        if kind in ALONG and self._linear(eqn, of):
            # What has no axes is the same for all of another.
            none = (None,) * outs[0].aval.ndim
            axes = self._merged([axes or none for axes in given])
            if kind in (p.mul_p, p.div_p):
                self._multiply(axes, others[0])
            elif kind is p.select_n_p:
                self._multiply(axes, ins[0])
            return [axes]
        if kind is p.dot_general_p and sum(of) == 1:
            return [self._product(eqn, of[0])]
        if kind is p.broadcast_in_dim_p:
            return [self._broadcast(eqn, given[0])]
        if kind is p.transpose_p:
            return [tuple(given[0][i] for i in eqn.params["permutation"])]
        if kind is p.squeeze_p:
            gone = set(eqn.params["dimensions"])
            self._mix(given[0][i] for i in gone)
            return [tuple(a for i, a in enumerate(given[0]) if i not in gone)]
        if kind is p.reduce_sum_p:
            gone = set(eqn.params["axes"])
            self._mix(given[0][i] for i in gone)
            return [tuple(a for i, a in enumerate(given[0]) if i not in gone)]
        if kind is p.reshape_p and (axes := self._reshaped(eqn, given[0])) is not None:
            return [axes]
        may = LINEAR_IN.get(kind, range(len(ins)))
        across = kind in ACROSS or kind.name == "split"
        linear = across and all(i in may for i, one in enumerate(of) if one)
        if not linear and not self.affine:
            raise NotAffine(_said(eqn, of))
        for axes in given:
            self._mix(axes)
        return [(None,) * v.aval.ndim for v in outs]

    def _linear(self, eqn: Any, of: Sequence[bool]) -> bool:
        kind, dtype = eqn.primitive, eqn.outvars[0].aval.dtype
        if kind is p.mul_p:
            return sum(of) == 1
        if kind is p.div_p:
            return not of[1] and jnp.issubdtype(dtype, jnp.inexact)
        if kind is p.convert_element_type_p:  # but for what rounds
            whole = jnp.issubdtype(eqn.invars[0].aval.dtype, jnp.integer)
            return jnp.issubdtype(dtype, jnp.number if whole else jnp.inexact)
        return not (kind is p.select_n_p and of[0])

    def _mix(self, axes: Any) -> None:
        self.mixed |= {axis for axis in axes if axis is not None}

    def _merged(self, given: Sequence[Axes]) -> Axes:
        """Of values that are added up: where they do not agree, axes are mixed."""
        merged = []
        for here in zip(*given, strict=True):
            agreed = set(here)
            if len(agreed) > 1:
                self._mix(agreed)
            own = agreed - {None}
            merged.append(own.pop() if len(own) == 1 else None)
        return tuple(merged)

    def _multiply(self, axes: Axes, atom: Any) -> None:
        flat = self._flat(atom)
        if atom.aval.ndim == len(axes):
            self.varies |= {
                axis for i, axis in enumerate(axes) if axis is not None and i not in flat
            }

    def _product(self, eqn: Any, left: bool) -> Axes:
        (contract, batch), side = eqn.params["dimension_numbers"], 0 if left else 1
        own, other = eqn.invars[side], eqn.invars[1 - side]
        axes = self.axes[own]
        self._mix(axes[i] for i in contract[side])
        flat = self._flat(other)
        for i, j in zip(batch[side], batch[1 - side], strict=True):
            if axes[i] is not None and j not in flat:
                self.varies.add(axes[i])
        free = [
            [i for i in range(atom.aval.ndim) if i not in (*contract[k], *batch[k])]
            for k, atom in enumerate(eqn.invars)
        ]
        both: list[list[int | None]] = [[None] * len(free[0]), [None] * len(free[1])]
        both[side] = [axes[i] for i in free[side]]
        return (*(axes[i] for i in batch[side]), *both[0], *both[1])

    def _broadcast(self, eqn: Any, axes: Axes) -> Axes:
        result: list[int | None] = [None] * len(eqn.params["shape"])
        for i, to in enumerate(eqn.params["broadcast_dimensions"]):
            if eqn.invars[0].aval.shape[i] == eqn.params["shape"][to]:
                result[to] = axes[i]
            else:
                self._mix([axes[i]])
        return tuple(result)

    def _reshaped(self, eqn: Any, axes: Axes) -> Axes | None:
        """Where axes of one entry come or go alone."""
        before, after = eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
        if [n for n in before if n != 1] != [n for n in after if n != 1]:
            return None
        kept = iter([a for a, n in zip(axes, before, strict=True) if n != 1])
        self._mix(a for a, n in zip(axes, before, strict=True) if n == 1)
        return tuple(None if n == 1 else next(kept) for n in after)

    def _flat(self, atom: Any) -> set[int]:
        alone = {i for i, size in enumerate(atom.aval.shape) if size == 1}
        return alone | (self.flat.get(atom, set()) if is_variable(atom) else set())

    def _repeats(self, eqn: Any) -> None:
        """Of a value that does not depend on the leaves: along which axes it is one."""
        kind, out = eqn.primitive, eqn.outvars[0]
        if kind is p.broadcast_in_dim_p:
            kept = dict(
                zip(
                    eqn.params["broadcast_dimensions"],
                    range(eqn.invars[0].aval.ndim),
                    strict=True,
                )
            )
            flat = self._flat(eqn.invars[0])
            self.flat[out] = {
                i for i in range(out.aval.ndim) if i not in kept or kept[i] in flat
            }
        elif kind is p.transpose_p:
            flat = self._flat(eqn.invars[0])
            order = eqn.params["permutation"]
            self.flat[out] = {i for i, j in enumerate(order) if j in flat}
        elif all(a.aval.shape in (out.aval.shape, ()) for a in eqn.invars):
            every = [self._flat(a) for a in eqn.invars if a.aval.ndim]
            if every and kind in (*ALONG, p.exp_p, p.logistic_p, p.tanh_p):
                self.flat[out] = set.intersection(*every)


def _said(eqn: Any, of: Sequence[bool]) -> str:
    """What an equation does with what depends on the carry, and where, for a message."""
    inner = getattr(eqn.params.get("call_jaxpr"), "eqns", ())
    named = inner[0] if len(inner) == 1 else eqn  # as jax.nn.relu is, in its derivative
    name = str(named.params.get("name", named.primitive.name))
    products = {"mul": "a product", "dot_general": "a product", "div": "a quotient"}
    every = [a.aval.str_short() for a, one in zip(eqn.invars, of, strict=True) if one]
    where = summarize(eqn.source_info)
    where = f" ({where})" if where else ""
    if name in products and len(every) > 1:
        return f"{products[name]} of {' and '.join(every)}, which depend on it{where}"
    return f"{name} of {every[0]}, which depends on it{where}"
