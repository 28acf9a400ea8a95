"""A complex state of which every number turns by itself, and its real parts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes
from ...cell import Cell
from ..affine import affine

Params = dict[str, Any]


class ComplexCarry(NamedTuple):
    """The carry of a complex state: its real and imaginary parts, of one shape.

    Two real arrays, as there are no complex numbers of half precision.
    """

    real: jax.Array
    imag: jax.Array


class ComplexDrive(NamedTuple):
    """What a step adds to the state, and what goes past it to the output."""

    input: ComplexCarry
    skip: jax.Array  # D x [H]


class Diagonal(Cell[Params, ComplexCarry, ComplexDrive]):
    """A cell with a complex state h, and h' = a h + b with a from the parameters alone.

    What derives from it makes "eigenvalues" a `ComplexCarry` in `prepare`.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def step(
        self, params: Params, carry: ComplexCarry, drive: ComplexDrive
    ) -> ComplexCarry:
        turned = times(params["eigenvalues"], carry)
        return ComplexCarry(*map(jnp.add, turned, drive.input))

    def skip(self, key: jax.Array) -> jax.Array:
        """D as it starts: N(0, 1) for each unit, or N(0, 1/I) where x is no h."""
        I, H = self.input_size, self.hidden_size
        if I == H:
            return jax.random.normal(key, (H,))
        return jax.random.normal(key, (I, H)) * I**-0.5


class Mixing(Diagonal, kw_only=True):
    """One in which every unit of x enters every number of the state.

    Prepared, the parts of B side by side are "kernel" [I, 2N], and output_kernel [2N, H]
    has 2 Re C or Re C over the same of -Im C.
    """

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> ComplexDrive:
        parts = jnp.split(affine(self, params, x), 2)
        return ComplexDrive(ComplexCarry(*parts), skipped(params["skip"], x))

    def initial_carry(self, params: Params) -> ComplexCarry:
        kernel = params["kernel"]
        zeros = jnp.zeros(kernel.shape[1] // 2, kernel.dtype)
        return ComplexCarry(zeros, zeros)

    def output(
        self, params: Params, carry: ComplexCarry, drive: ComplexDrive
    ) -> jax.Array:
        return jnp.concatenate(carry) @ params["output_kernel"] + drive.skip


def skipped(D: jax.Array, x: jax.Array) -> jax.Array:
    """D x: elementwise where the sizes are equal."""
    return x * D if D.ndim == 1 else x @ D


def times(a: ComplexCarry, b: ComplexCarry) -> ComplexCarry:
    return ComplexCarry(
        a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real
    )


def ratio(a: ComplexCarry, b: ComplexCarry) -> ComplexCarry:
    norm = b.real**2 + b.imag**2
    return times(a, ComplexCarry(b.real / norm, -b.imag / norm))


def exponential(z: ComplexCarry) -> ComplexCarry:
    size = jnp.exp(z.real)
    return ComplexCarry(size * jnp.cos(z.imag), size * jnp.sin(z.imag))


def expm1_ratio(z: ComplexCarry) -> ComplexCarry:
    """(exp(z) - 1) / z, to rounding where z is small, and 1 where it is 0."""
    zero = (z.real == 0) & (z.imag == 0)
    z = ComplexCarry(jnp.where(zero, jnp.ones_like(z.real), z.real), z.imag)
    less_one = ComplexCarry(
        jnp.expm1(z.real) * jnp.cos(z.imag) - 2 * jnp.sin(z.imag / 2) ** 2,
        jnp.exp(z.real) * jnp.sin(z.imag),
    )
    real, imag = ratio(less_one, z)
    return ComplexCarry(jnp.where(zero, jnp.ones_like(real), real), imag)
