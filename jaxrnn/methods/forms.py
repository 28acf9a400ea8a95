"""The forms of a product of data by parameters: by a matrix, and by anything else.

A form is hashable and says how x and W are multiplied, for an x with any leading axes
beyond those that it has in one step, and how the two derivatives are. `spread`: examples
may lie on several devices.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.extend.core.primitives import conv_general_dilated_p, dot_general_p

from ..arguments.varying import varying_with
from .convolutions import Convolution, convolution_of
from .jaxprs import is_variable


class Matrix(NamedTuple):
    """x W, with x [..., n] and W [n, m]; precision as in `jax.lax.dot_general`."""

    precision: Any = None

    @property
    def back(self) -> "Matrix":
        """The form of dL/dx = dL/dy W^T, with what `turned` makes of W."""
        return self

    def turned(self, weight: Any) -> Any:
        return weight.T

    def multiply(self, x: Any, weight: Any, *, spread: bool = False) -> jax.Array:
        contract = ((x.ndim - 1,), (0,))
        return jax.lax.dot_general(x, weight, (contract, ((), ())), self.precision)

    def of_x(self, dy: Any, weight: Any) -> jax.Array:
        contract = ((dy.ndim - 1,), (1,))
        return jax.lax.dot_general(dy, weight, (contract, ((), ())), self.precision)

    def of_weight(self, dy: Any, x: Any, weight: Any) -> jax.Array:
        """x^T dy, the sum over the rows of all leading axes."""
        rows = tuple(range(x.ndim - 1))
        return jax.lax.dot_general(x, dy, ((rows, rows), ((), ())), self.precision)

    def depth(self, weight: Any) -> Any:
        """How many products one entry of y is the sum of."""
        return weight.shape[0]


class Bilinear(NamedTuple):
    """A product with a kernel for each head, or any convolution, as an equation has it.

    Attributes:
        primitive, params: the equation, `params` as pairs.
        side: which operand is x.
        x, weight: shapes with dtypes, in one step.
        backwards: the form is of dL/dx, by dL/dy and W, instead.
    """

    primitive: Primitive
    params: tuple[tuple[str, Any], ...]
    side: int
    x: jax.ShapeDtypeStruct
    weight: jax.ShapeDtypeStruct
    backwards: bool = False

    @property
    def back(self) -> "Bilinear":
        return self._replace(backwards=not self.backwards)

    def turned(self, weight: Any) -> Any:
        return weight

    def multiply(self, x: Any, weight: Any, *, spread: bool = False) -> jax.Array:
        one = self._of_x if self.backwards else self._product
        return _leading(lambda x: one(x, weight), self._ndim(self.backwards), x)

    def of_x(self, dy: Any, weight: Any) -> jax.Array:
        return self.back.multiply(dy, weight)

    def of_weight(self, dy: Any, x: Any, weight: Any) -> jax.Array:
        if self.backwards:
            x, dy = dy, x
        ndim = self._ndim(False)
        every = lambda weight: _leading(lambda x: self._product(x, weight), ndim, x)  # noqa: E731
        (found,) = jax.linear_transpose(every, weight)(dy)
        return found

    def depth(self, weight: Any) -> Any:
        dimensions = dict(self.params)["dimension_numbers"]
        if self.primitive is conv_general_dilated_p:
            return math.prod(weight.shape) // weight.shape[dimensions.rhs_spec[0]]
        return math.prod(self.x.shape[axis] for axis in dimensions[0][self.side])

    def _product(self, x: Any, weight: Any) -> jax.Array:
        operands, params = [x, weight], dict(self.params)
        if self.side == 1:
            operands.reverse()
        if self.primitive is dot_general_p:
            return jax.lax.dot_general(*operands, **params)
        return jax.lax.conv_general_dilated(*operands, **params)

    def _of_x(self, dy: Any, weight: Any) -> jax.Array:
        x = varying_with(dy, jnp.zeros(self.x.shape, self.x.dtype))
        (found,) = jax.linear_transpose(lambda x: self._product(x, weight), x)(dy)
        return found

    def _ndim(self, of_y: bool) -> int:
        if not of_y:
            return len(self.x.shape)
        return len(jax.eval_shape(self._product, self.x, self.weight).shape)


def _leading(function: Callable[[Any], Any], ndim: int, x: Any) -> Any:
    """The function of an x with `ndim` axes, over all axes before these."""
    for _ in range(x.ndim - ndim):
        function = jax.vmap(function)
    return function(x)


Form = Matrix | Convolution | Bilinear


def form_of(eqn: Any, of_data: set[Any]) -> tuple[Form, int] | None:
    """The form of a product by constants, and which operand is data; None: no such."""
    if eqn.primitive not in (dot_general_p, conv_general_dilated_p):
        return None
    dtypes = {variable.aval.dtype for variable in (*eqn.invars, *eqn.outvars)}
    if len(dtypes) != 1 or not jnp.issubdtype(dtypes.pop(), jnp.inexact):
        return None
    sides = [is_variable(atom) and atom in of_data for atom in eqn.invars]
    if sides[0] == sides[1] or eqn.params.get("out_sharding") is not None:
        return None
    side = sides.index(True)
    x, weight = eqn.invars[side].aval, eqn.invars[1 - side].aval
    if eqn.primitive is dot_general_p:
        contract, batch = eqn.params["dimension_numbers"]
        if not any(batch) and len(contract[0]) == 1 and weight.ndim == 2:
            return Matrix(eqn.params["precision"]), side
        if weight.ndim < 2:
            return None  # a sum of few: as cheap as what is elementwise
    elif side == 1 or eqn.params["batch_group_count"] != 1:
        return None
    elif (convolution := convolution_of(eqn, x, weight)) is not None:
        return convolution, side
    params = tuple(sorted(eqn.params.items()))
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in (x, weight)]
    return Bilinear(eqn.primitive, params, side, shapes[0], shapes[1]), side
