"""What cells with convolutions share: places, kernels, x * W + b."""

import dataclasses
from typing import Any, ClassVar, Generic

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.dtypes import promoted
from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes, is_whole
from ...cell import Cell
from ..affine import check_x, draw
from ..gated import Carry, Params

Padding = str | tuple[tuple[int, int], ...]


class Convolutional(Cell[Params, Carry, Any], Generic[Carry]):
    """A cell of H units at each place, which see each other by a convolution.

        x * W + b    to the places of h, at once for all steps
        h * U        between them, with zeros around, in the step

    Args:
        input_shape: of one x, its places and I channels: `(28, 28, 1)`. One to three
            axes of places.
        hidden_size: H, the channels of h.
        kernel_size: of W, at every axis of places: a number or one for each.
        recurrent_kernel_size: of U; None: `kernel_size`.
        padding, strides, dilation: of x * W, as `jax.lax.conv_general_dilated` has them:
            "SAME", "VALID" or pairs of numbers. They decide how many places h has.
        recurrent_dilation: of h * U, which keeps the places.
        use_bias: False leaves b out.
        kernel_init, recurrent_init, bias_init: see `jaxrnn.initializers`.

    Raises:
        ValueError: for another number of axes, for a size that is no positive int, for
            places that the padding leaves none of.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class ConvElman(jaxrnn.cells.Convolutional[jax.Array]):
        ...     blocks = ("h",)
        ...     def step(self, params, carry, drive):
        ...         return jnp.tanh(drive + self.seen(carry, params["recurrent_kernel"]))
        >>> cell = ConvElman((8, 8, 1), 4)
        >>> params = cell.init(jax.random.key(0))
        >>> jaxrnn.unroll(cell, params, jnp.ones((7, 2, 8, 8, 1)))[1].shape
        (7, 2, 8, 8, 4)
    """

    blocks: ClassVar[tuple[str, ...]]

    input_shape: tuple[int, ...]  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    hidden_size: int
    _: dataclasses.KW_ONLY
    kernel_size: int | tuple[int, ...] = 3
    recurrent_kernel_size: int | tuple[int, ...] | None = None
    padding: Padding = "SAME"
    strides: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    recurrent_dilation: int | tuple[int, ...] = 1
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.glorot_uniform
    recurrent_init: initializers.Initializer = initializers.orthogonal
    bias_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, hidden_size=self.hidden_size)
        name, shape = type(self).__name__, self.input_shape
        whole = isinstance(shape, tuple) and all(is_whole(n) and n > 0 for n in shape)
        if not whole or not 2 <= len(shape) <= 4:
            raise ValueError(
                f"{name}: input_shape is {shape!r}, expected one to three numbers of "
                "places and the channels of x: (28, 28, 1)"
            )
        object.__setattr__(self, "input_shape", tuple(map(int, shape)))
        fields = ["kernel_size", "strides", "dilation", "recurrent_dilation"]
        if self.recurrent_kernel_size is not None:
            fields.append("recurrent_kernel_size")
        for field in fields:
            every, given = self._everywhere(field), getattr(self, field)
            value = every if isinstance(given, tuple) else every[0]
            object.__setattr__(self, field, value)
        try:
            places = self.places
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(
                f'{name}: padding is {self.padding!r}, expected "SAME", "VALID" or '
                f"{len(shape) - 1} pairs of numbers ({error})"
            ) from error
        if 0 in places:
            raise ValueError(
                f"{name}: h has the places {places}, expected one at least: kernel_size "
                f"{self.kernel_size} with padding {self.padding!r} is larger than x, "
                f"{shape[:-1]}"
            )

    def _everywhere(self, field: str) -> tuple[int, ...]:
        """A number for each axis of places."""
        value, axes = getattr(self, field), len(self.input_shape) - 1
        every = value if isinstance(value, tuple) else (value,) * axes
        if len(every) != axes or not all(is_whole(n) and n > 0 for n in every):
            raise ValueError(
                f"{type(self).__name__}: {field} is {value!r}, expected a positive int "
                f"or {axes} of them, one for each axis of places"
            )
        return tuple(map(int, every))

    @property
    def places(self) -> tuple[int, ...]:
        """Those of h."""
        shapes = self._shapes()["kernel"]
        inputs, kernel = (
            jax.ShapeDtypeStruct(s, float) for s in (self.input_shape, shapes)
        )
        return jax.eval_shape(self._of_input, inputs, kernel).shape[:-1]

    def _of_input(self, x: Any, kernel: Any) -> jax.Array:
        strides, dilation = self._everywhere("strides"), self._everywhere("dilation")
        return convolve(x, kernel, strides, self.padding, dilation)

    def seen(self, h: jax.Array, kernel: jax.Array) -> jax.Array:
        """h * U, of all blocks or of some."""
        ones = (1,) * (h.ndim - 1)
        return convolve(h, kernel, ones, "SAME", self._everywhere("recurrent_dilation"))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        columns = len(self.blocks) * self.hidden_size
        field = (
            "kernel_size"
            if self.recurrent_kernel_size is None
            else "recurrent_kernel_size"
        )
        return {
            "kernel": (*self._everywhere("kernel_size"), self.input_shape[-1], columns),
            "recurrent_kernel": (*self._everywhere(field), self.hidden_size, columns),
            "bias": (columns,),
        }

    def init(self, key: jax.Array) -> Params:
        fields = {"kernel": "kernel_init", "recurrent_kernel": "recurrent_init"}
        fields |= {"bias": "bias_init"} if self.use_bias else {}
        keys, shapes = jax.random.split(key, 3), self._shapes()
        return {
            name: draw(self, field, own, shapes[name], self.blocks)
            for own, (name, field) in zip(keys, fields.items(), strict=False)
        }

    def initial_carry(self, params: Params) -> Any:
        return jnp.zeros((*self.places, self.hidden_size), params["kernel"].dtype)

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> jax.Array:
        check_x(self, x)
        product = self._of_input(x, params["kernel"])
        if "bias" not in params:
            return product
        return product + jnp.broadcast_to(params["bias"], product.shape)


def convolve(x: Any, kernel: Any, strides: Any, padding: Any, dilation: Any) -> jax.Array:
    """x * W, with x [*places, n] and W [*size, n, m]."""
    dtype = promoted(x.dtype, kernel.dtype)
    axes = "DHW"[-(x.ndim - 1) :]
    if not isinstance(padding, str):
        padding = [tuple(pair) for pair in padding]
    numbers = f"N{axes}C", f"{axes}IO", f"N{axes}C"
    one = jax.lax.conv_general_dilated(
        x[None].astype(dtype),
        kernel.astype(dtype),
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=numbers,
    )
    return one[0]
