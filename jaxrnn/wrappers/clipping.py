"""Gradients that are kept small on their way back through time."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..arguments.dtypes import promoted
from ..arguments.magnitude import relative_to
from ..arguments.numbers import is_number
from ..context import contexts, emptied, filled
from .wrapper import Wrapper, check_one_cell


class ClipCarryGradient(Wrapper):
    """A cell whose carry's gradient is clipped at every step, inside of the recursion.

        carry_t     = step(params, carry_(t-1), drive_t)             as it is
        carrybar_t <- carrybar_t min(1, max_norm / ||carrybar_t||)   on the way back

    carrybar_t is all of dL/dcarry_t of one example, what comes from y_t included, and its
    norm is that over all leaves of the carry. So no step can blow a gradient up for those
    before it, whereas clipping by global norm, as `optax.clip_by_global_norm` does, sees
    the sum over all steps, in which one exploding path has drowned the others. What comes
    out is no gradient of the loss any more. Params and carry are those of the cell. For
    the idea see Graves, "Generating sequences with recurrent neural networks", 2013,
    arXiv 1308.0850, which clips the derivative of the pre-activations.

    `gradient_norms` and the other measurements tell carrybar_t before it is clipped, so
    that each may exceed max_norm, the last step's by any amount, and a profile falls by
    the clip at its first lag.

    Forward mode sees the cell as it is: `jax.jvp`, `step_jacobians` and
    `lyapunov_spectrum` tell the growth that is clipped.

    Args:
        cell: a cell that steps, or a wrapper of one. The layers of a `Stack` are wrapped
            one by one.
        max_norm: positive.

    Raises:
        TypeError: if `cell` is no cell, or made of several.
        ValueError: if `max_norm` is not positive.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.ClipCarryGradient(jaxrnn.Elman(3, 5), max_norm=0.1)
        >>> params = cell.init(jax.random.key(0))
        >>> loss = lambda ys: jnp.sum(ys[-1] ** 2)
        >>> norms = jaxrnn.gradient_norms(loss, cell, params, jnp.ones((50, 3)))
        >>> print(bool(jnp.all(norms[:-1] < 0.2)))
        True
    """

    max_norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_cell(self)
        if not is_number(self.max_norm) or not self.max_norm > 0:
            raise ValueError(
                f"ClipCarryGradient: max_norm is {self.max_norm!r}, expected a positive "
                "number"
            )
        object.__setattr__(self, "max_norm", float(self.max_norm))

    def step(self, params: Any, carry: Any, drive: Any) -> Any:
        new = self.cell.step(params, carry, drive)
        return filled(_clipped(self.max_norm, emptied(new)), contexts(new))


# The identity, forwards and in forward mode; what it is transposed to clips.
clip_p = Primitive("clip_carry_gradient")
clip_p.multiple_results = True


def _clipped(max_norm: float, carry: Any) -> Any:
    leaves, tree = jax.tree.flatten(carry)
    moving = [
        i
        for i, leaf in enumerate(leaves)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    ]
    given = [leaves[i] for i in moving]
    ndims = tuple(map(jnp.ndim, given))
    clipped = clip_p.bind(*given, max_norm=max_norm, ndims=ndims)
    for i, leaf in zip(moving, clipped, strict=True):
        leaves[i] = leaf
    return jax.tree.unflatten(tree, leaves)


def _identity(*leaves: Any, **_: Any) -> list[Any]:
    return list(leaves)


def _jvp(primals: Any, tangents: Any, **static: Any) -> tuple[Any, Any]:
    tangents = map(ad.instantiate_zeros, tangents)
    return clip_p.bind(*primals, **static), clip_p.bind(*tangents, **static)


def _batch(leaves: Any, axes: Any, **static: Any) -> tuple[Any, Any]:
    (size, *_) = [x.shape[i] for x, i in zip(leaves, axes, strict=True) if i is not None]
    leaves = [
        jnp.broadcast_to(x, (size, *x.shape)) if i is None else jnp.moveaxis(x, i, 0)
        for x, i in zip(leaves, axes, strict=True)
    ]
    return clip_p.bind(*leaves, **static), [0] * len(leaves)


def _transpose(
    gradient: Any, *_: Any, max_norm: float, ndims: tuple[int, ...]
) -> list[Any]:
    leaves = list(map(ad.instantiate_zeros, gradient))
    # One dtype, and a wide one, for the norm of all; relative to the largest entry, so
    # that neither the squares nor the norm over- or underflow, nor its reciprocal.
    wide = promoted("float32", *(x.real.dtype for x in leaves))
    sizes = [jnp.abs(x).astype(wide) for x in leaves]
    axes = [tuple(range(x.ndim - n, x.ndim)) for x, n in zip(leaves, ndims, strict=True)]
    tops = [jnp.max(x, i, initial=0) for x, i in zip(sizes, axes, strict=True)]
    largest = functools.reduce(jnp.maximum, tops)
    unit = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1))

    def per_example(scalar: Any, n: int) -> Any:
        return scalar.reshape(scalar.shape + (1,) * n)

    squares = [
        jnp.sum(relative_to(per_example(unit, n), x) ** 2, i)
        for x, i, n in zip(sizes, axes, ndims, strict=True)
    ]
    total = functools.reduce(jnp.add, squares)
    zero = total == 0  # where sqrt has no derivative
    root = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, total)))  # norm / unit
    clips = root > relative_to(unit, max_norm)
    scale = max_norm / jnp.where(clips, root, 1)

    def clipped(x: jax.Array, n: int) -> jax.Array:
        small = relative_to(per_example(unit, n), x.astype(wide)) * per_example(scale, n)
        return jnp.where(per_example(clips, n), small.astype(x.dtype), x)

    def of_parts(x: jax.Array, n: int) -> jax.Array:
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            return jax.lax.complex(clipped(x.real, n), clipped(x.imag, n))
        return clipped(x, n)

    return [of_parts(x, n) for x, n in zip(leaves, ndims, strict=True)]


clip_p.def_impl(_identity)
clip_p.def_abstract_eval(_identity)
ad.primitive_jvps[clip_p] = _jvp
ad.primitive_transposes[clip_p] = _transpose
batching.primitive_batchers[clip_p] = _batch
mlir.register_lowering(clip_p, mlir.lower_fun(_identity))
