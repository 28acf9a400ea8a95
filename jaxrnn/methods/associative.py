"""All of time at once, for a step that is affine in its carry."""

from collections.abc import Callable
from typing import Any

from ..arguments.numbers import check_sizes
from ..cell import Cell
from .affine import affine_carries
from .maxima import NotAffine
from .method import Method
from .prefix import Blocks


class Associative(Method, kw_only=True):
    """A parallel prefix over time, for cells that are affine in their carry.

        h_t = A_t h_(t-1) + b_t        A_t and b_t of the input alone

    Two steps after each other are one of the same kind, A_t A_(t-1) and A_t b_(t-1) +
    b_t, so that all T carries take log2(T) rounds instead of T steps. The same holds of
    the gradient, which runs backwards: memory is that of the carries, and nothing loops
    over T. G. E. Blelloch, "Prefix sums and their applications", 1990; for recurrent
    networks Martin and Cundy, ICLR 2018, arXiv 1709.04057.

    What A_t is like is read from the step, whoever wrote it:

        the new carry is                          A_t is
        a c + b, entry by entry                   a vector
        that, of several leaves of one shape      k x k numbers for every entry
        c by a matrix, along some axes of it      a matrix along these axes, one for each
                                                  entry of the others
        max(c + a, b), entry by entry             a sum, in the algebra of maxima
        leaves that depend on others of them      one after the other

    Lengths, masks, resets, noise, and whatever `trajectory` and the functions of
    gradients need, are parts of such a step.

    On a processor `Scan` is faster: it needs a half or a third of the operations, and
    its loop costs little there. This is for accelerators and for long sequences.

    Args:
        block: the steps at the ground that are made one after the other, in T / block
            blocks beside each other: more take less memory and fewer operations, and
            longer.
        time_axis: the name of an axis of the mesh that `jax.set_mesh` has set, over which
            time is spread: each device has a piece, and learns from the others one pair
            (A, b) of each, whatever T is. T is a multiple of their number.
        largest: how many units a matrix may mix, since products of such matrices take
            the cube of that.

    Raises:
        ValueError: for a number that is not positive, or a step that is not affine in
            its carry: which operation, of what, and in which line.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.MinGRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((1000, 2, 3))
        >>> _, expected = jaxrnn.unroll(cell, params, xs)
        >>> _, ys = jaxrnn.unroll(cell, params, xs, method=jaxrnn.Associative())
        >>> print(bool(jnp.allclose(ys, expected, atol=1e-5)))
        True
    """

    block: int = 16
    largest: int = 64
    time_axis: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, block=self.block, largest=self.largest)
        if self.time_axis is not None and not isinstance(self.time_axis, str):
            raise ValueError(
                f"Associative: time_axis is {self.time_axis!r}, expected the name of an "
                "axis of a mesh, or None"
            )

    def carries(self, step: Callable[[Any, Any], Any], carry: Any, drives: Any) -> Any:
        blocks = Blocks(self.block, self.time_axis)
        return affine_carries(step, carry, drives, blocks=blocks, largest=self.largest)

    def __call__(self, cell: Cell, *args: Any, **options: Any) -> tuple[Any, Any]:
        try:
            return super().__call__(cell, *args, **options)
        except NotAffine as error:
            clips = str(error).startswith("clip_carry_gradient")
            remedy = "take Scan()" if clips else "take Newton(), or Scan()"
            raise ValueError(
                f"Associative: the step of {cell} is not affine in its carry: it has "
                f"{error}; {remedy}"
            ) from error
