"""The form of a product that is a convolution, places before channels.

JAX's own rules give derivatives that XLA has no fast code for on CPU: the gradient of a
kernel as a convolution by the whole of dL/dy, and that of x with the kernel's axes
swapped. Here the first is, on CPU, a sum of matrix products, one for each entry of the
kernel, and the second a convolution as the forward one, by a kernel that is turned once,
before the loop. The gradient of a ConvLSTM of 16 channels on 32 x 32 places, kernels 3 x
3, 20 steps of 8 examples, took 4.0 to 4.4 s by JAX's rules and takes 0.22 to 0.26 (two
cores of an Intel Xeon with AVX-512, jax 0.10.2); forwards it is 0.05 to 0.07.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Convolution(NamedTuple):
    """x * W with x [..., N, *places, n], W [*size, n, m] and strides of one.

    Attributes:
        places, size: of x and of W.
        padding: pairs, which may be negative.
        dilation: of W.
        precision: as in `jax.lax.conv_general_dilated`.
    """

    places: tuple[int, ...]
    size: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    precision: Any

    @property
    def shown(self) -> tuple[int, ...]:
        """The places of y."""
        every = zip(self.places, self.padding, self._reach, strict=True)
        return tuple(n + sum(pad) - reach for n, pad, reach in every)

    @property
    def _reach(self) -> tuple[int, ...]:
        return tuple(d * (k - 1) for d, k in zip(self.dilation, self.size, strict=True))

    @property
    def back(self) -> "Convolution":
        """The form of dL/dx, by dL/dy and what `turned` makes of W."""
        every = zip(self.padding, self._reach, strict=True)
        padding = tuple((reach - low, reach - high) for (low, high), reach in every)
        return self._replace(places=self.shown, padding=padding)

    def turned(self, weight: Any) -> Any:
        axes = tuple(range(len(self.size)))
        return jnp.swapaxes(jnp.flip(weight, axes), -1, -2)

    def multiply(self, x: Any, weight: Any, *, spread: bool = False) -> jax.Array:
        # All axes before the places are one to a convolution. Examples on several devices
        # stay there if they are its first part, not time; that is to be turned for it.
        turns = x.ndim - len(self.size) - 2 if spread else 0
        x = jnp.moveaxis(x, turns, 0)
        leading = x.shape[: x.ndim - len(self.size) - 1]
        letters = "DHW"[-len(self.size) :]
        y = jax.lax.conv_general_dilated(
            x.reshape(-1, *self.places, x.shape[-1]),
            weight,
            (1,) * len(self.size),
            self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
            precision=self.precision,
        )
        return jnp.moveaxis(y.reshape(*leading, *y.shape[1:]), 0, turns)

    def of_x(self, dy: Any, weight: Any) -> jax.Array:
        return self.back.multiply(dy, self.turned(weight))

    def of_weight(self, dy: Any, x: Any, weight: Any) -> jax.Array:
        """On CPU, for each entry of W, x^T dy over the places that it brings together."""

        def transposed(x: Any, dy: Any) -> jax.Array:
            product = lambda weight: self.multiply(x, weight, spread=True)  # noqa: E731
            (found,) = jax.linear_transpose(product, weight)(dy)
            return found

        ours = self._by_entries
        return jax.lax.platform_dependent(x, dy, cpu=ours, default=transposed)

    def _by_entries(self, x: Any, dy: Any) -> jax.Array:
        zero, rows = jnp.zeros((), x.dtype), tuple(range(dy.ndim - 1))
        none = (0, 0, 0)
        others = [none] * (x.ndim - len(self.size) - 1)
        padding = [*others, *((low, high, 0) for low, high in self.padding), none]
        x = jax.lax.pad(x, zero, padding)
        found = []
        for entry in np.ndindex(*self.size):
            seen = x
            for axis, (d, e, n) in enumerate(
                zip(self.dilation, entry, self.shown, strict=True), len(others)
            ):
                seen = jax.lax.slice_in_dim(seen, d * e, d * e + n, axis=axis)
            contract = (rows, rows), ((), ())
            found.append(jax.lax.dot_general(seen, dy, contract, self.precision))
        return jnp.stack(found).reshape(*self.size, *found[0].shape)

    def depth(self, weight: Any) -> Any:
        return math.prod(weight.shape[:-1])


def convolution_of(eqn: Any, x: Any, weight: Any) -> Convolution | None:
    """The form of an equation, if its axes are in this order and its strides are one."""
    ndim, numbers = x.ndim, eqn.params["dimension_numbers"]
    places = tuple(range(1, ndim - 1))
    data = 0, ndim - 1, *places
    kernel = ndim - 1, ndim - 2, *range(ndim - 2)
    if (*numbers,) != (data, kernel, data) or not 1 <= len(places) <= 3:
        return None
    ones = (1,) * len(places)
    plain = eqn.params["window_strides"] == eqn.params["lhs_dilation"] == ones
    if not plain or eqn.params["feature_group_count"] != 1:
        return None
    form = Convolution(
        x.shape[1:-1],
        weight.shape[:-2],
        tuple(eqn.params["padding"]),
        tuple(eqn.params["rhs_dilation"]),
        eqn.params["precision"],
    )
    return form if min(form.shown) > 0 else None
