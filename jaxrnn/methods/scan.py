"""Step after step, in compiled loops over segments of time."""

import contextlib
import functools
import math
from typing import Any

import jax

from ..arguments.keys import Keys
from ..arguments.numbers import check_sizes
from ..arguments.varying import varying_with
from ..cell import Cell
from ..value import Value
from .jaxprs import shapes_of
from .primitives import run
from .program import Functions, Program
from .recurrence import NoGradient
from .segments import near, over_segments, within


class Scan(Value, kw_only=True):
    """`jax.lax.scan` over time, in segments; gradients are exact BPTT.

        carry_t = step(params, carry_(t-1), project(params, x_t))
        y_t     = output(params, carry_t, project(params, x_t))

    An outer loop goes over segments of time. In a segment `project` runs over all steps
    at once, then an inner loop that calls `step` alone, then `output` over all steps;
    forwards on a processor, an x W of few features stays in the loop, in one product with
    h U, where that is faster (`jaxrnn.methods.hoisting`), and outputs are made in it that
    are small beside the carry (`jaxrnn.methods.forward`). Of each segment the backward
    pass keeps the carries, with 384 units or more the values of the step's products too,
    and makes the rest again. It takes `step` apart at its
    products of carry and parameters: their values and their weights' gradients are
    products over all steps of the segment, and the loop back in time has one product by
    each recurrent kernel's transpose left. `jaxrnn.methods.bptt` and
    `jaxrnn.methods.tangent` have the equations, and `jaxrnn.methods.recurrence` says what
    a cell's step becomes.

    All of it is planned when it is compiled: what `jax.vmap` adds are batch axes of the
    same program, or models of their own, which take turns on a processor where their
    products are large; over several devices, gradients of parameters are summed up once,
    after the loops. `jaxrnn.methods.primitives` has that.

    This works for every cell, and with every transformation of JAX, forward mode, second
    derivatives and `jax.vmap` included:

        in `step`                                     what becomes of it
        h @ W, W @ h, several, one after another,     taken apart: their gradients leave
        with parameters transposed, cut or joined     the backward loop
        elementwise functions, custom derivatives     differentiated by JAX, in the loop
        convolutions, weights of other than two       differentiated by JAX, in the loop,
        axes, products in two dtypes, all that is     where the weights' gradients are
        inside of loops, of jax.checkpoint or of      summed up: right, but slower
        custom derivatives
        effects, such as jax.debug.print, and what    all as with `autodiff`
        has no gradient, such as jax.lax.while_loop   (there, gradients raise JAX's error)

    A `jax.custom_vjp` in `project` or `output` makes it all as with `autodiff` too. In
    forward mode all carries are kept as well, for the second pass, the tangent's: on long
    sequences use `remat` there.

    Args:
        unroll: steps in one iteration of the inner loop; more compile longer and may run
            faster, on accelerators above all.
        segment: steps in a segment. By default as many as make 2 MiB of drive, or of
            carries, or as much as the parameters take if that is more, so that a segment
            stays in the cache of a processor, but two at least; a divisor of T if there
            is one near. On accelerators this was not measured: try segments of a larger
            part of T there.
        remat: recompute all of a segment in the backward pass, carries too, of segments
            of about sqrt(T) steps: memory grows as sqrt(T), for one more forward pass.
        truncate: cut the gradient at the multiples of so many steps, in input order:
            truncated BPTT, in one call. Values are as without it, and so is memory. Equal
            to calls for pieces of so many steps, with `jax.lax.stop_gradient` of the
            carry between. A reversed run is cut at the same places.
        autodiff: leave the derivative of the loop to JAX, in one segment unless another
            option asks for more. Slower; for comparison.

    Raises:
        ValueError: for an int that is not positive, an option that is no bool, or if
            `segment` does not divide `truncate`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params = cell.init(jax.random.key(0))
        >>> method = jaxrnn.Scan(remat=True)
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((100, 3)), method=method)
        >>> print(ys.shape)
        (100, 5)
    """

    unroll: int = 1
    segment: int | None = None
    remat: bool = False
    truncate: int | None = None
    autodiff: bool = False

    def __post_init__(self) -> None:
        for name in ("unroll", "segment", "truncate"):
            if name == "unroll" or getattr(self, name) is not None:
                check_sizes(self, **{name: getattr(self, name)})
        for name in ("remat", "autodiff"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(
                    f"Scan: {name} is {getattr(self, name)!r}, expected True or False"
                )
        if self.segment and self.truncate and self.truncate % self.segment:
            raise ValueError(
                f"Scan: segment is {self.segment}, expected a divisor of truncate="
                f"{self.truncate}: gradients are cut between segments; leave segment "
                "out, and one that fits is chosen"
            )

    def __call__(
        self,
        cell: Cell,
        params: Any,
        carry: Any,
        xs: Any,
        keys: Keys | None,
        *,
        batch_ndim: int,
        reverse: bool,
        params_axes: Any = None,
    ) -> tuple[Any, Any]:
        """The final carry and the outputs of one cell.

        Args:
            cell: a cell that is no combinator over sequences.
            params: prepared.
            carry: leaves `(*batch, ...)`, in the dtype that `step` keeps.
            xs: leaves `(T, *batch, ...)`.
            keys: `Keys(sequence (*batch), step (T, *batch))` or None.
            batch_ndim: the number of batch axes.
            reverse: from the last step to the first, outputs in input order.
            params_axes: which of the params have batch axes, as `jax.vmap` has it.
        """
        T = jax.tree.leaves(xs)[0].shape[0]
        # The gradient of what is the same on all devices is summed over them here, once.
        every = params, carry, xs, keys
        params, carry, xs, keys = varying_with(every, every)
        sequence, step = (None, None) if keys is None else keys

        def project(params: Any, inputs: Any) -> Any:
            params, sequence = params
            x, step = inputs
            keys = None if step is None else Keys(sequence, step)
            return over_batch(cell.project)(params, x, keys)

        over_batch = functools.partial(_over_batch, batch_ndim, params_axes)
        functions = Functions(
            project=project,
            step=lambda params, *data: over_batch(cell.step)(params[0], *data),
            output=lambda params, *data: over_batch(cell.output)(params[0], *data),
            params=(params, sequence),
            reverse=reverse,
            # What `lax.scan` unrolls of is a number of steps that is known.
            unroll=self.unroll if self.segment or isinstance(T, int) else 1,
        )
        inputs = xs, step
        if not jax.tree.leaves(carry) or T == 0:
            return functions.segment(carry, inputs)
        segment, program = functions.segment, None
        if not self.autodiff:
            one = shapes_of(lambda: jax.tree.map(lambda leaf: leaf[0], inputs))
            # What each example has of its own, such as a key, is no weight.
            own = jax.tree.map(lambda _: params_axes is None, params)
            if params_axes is not None:
                own = (jax.tree.map(lambda _: True, params[0]), own[1])
            own = [*jax.tree.leaves(own), *(False for _ in jax.tree.leaves(sequence))]
            with contextlib.suppress(NoGradient):
                options: Any = dict(batch_ndim=batch_ndim, save=self.remat, weights=own)
                program = Program(functions, carry, one, **options)
        if program is not None and not self.remat:
            options = dict(segment=self.segment, truncate=self.truncate)
            return run(program, functions.params, carry, inputs, **options)
        wanted = T if isinstance(T, int) else None
        if self.remat and self.segment is None:
            if not isinstance(T, int):
                raise ValueError(
                    f"{self}: of a symbolic number of steps, {T}, there is no root: give "
                    "segment=k, and export with symbolic_shape('k*n, ...')"
                )
            wanted = math.isqrt(T)
        if self.segment is not None:
            length = self.segment
        elif self.truncate is not None:
            known = isinstance(T, int) and wanted is not None
            length = within(self.truncate, min(wanted, T) if known else wanted)
        else:
            length = near(T, wanted)
        if program is not None:
            segment = functools.partial(
                run, program, functions.params, segment=length, truncate=None
            )
        if self.remat:
            segment = jax.checkpoint(
                segment,
                prevent_cse=False,
                policy=jax.checkpoint_policies.nothing_saveable,
            )
        return over_segments(
            segment,
            carry,
            inputs,
            steps=T,
            length=length,
            reverse=reverse,
            truncate=self.truncate,
        )


def _over_batch(batch_ndim: int, axes: Any, function: Any) -> Any:
    """`function(params, a, b)` with batch axes in front of the leaves of a and b."""
    for _ in range(batch_ndim):
        function = jax.vmap(function, in_axes=(axes, 0, 0))
    return function
