"""What a method is, and what one of your own starts from."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import alike, shapes
from ..arguments.keys import Keys
from ..arguments.varying import varying_with
from ..cell import Cell
from ..value import Value


class Method(Value):
    """How carry_t = step(carry_(t-1), drive_t) is evaluated: `carries`, and nothing else.

        drive_t = project(params, x_t)              for all t, before
        carry_t = step(carry_(t-1), drive_t)        what `carries` gives, for all t
        y_t     = output(params, carry_t, drive_t)  for all t, after

    One that derives from it defines `carries` for one example; batch axes, `jax.vmap`,
    direction and noise are taken care of. Lengths, masks, resets and what `trajectory`
    and the functions of gradients need are a part of the step that it gets: it looks at
    nothing but the step. Gradients are those of what it computes.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> class Doubling(jaxrnn.Method):
        ...     '''For h' = step(0) + a h: every h, in log2(T) rounds.'''
        ...     def carries(self, step, carry, drives):
        ...         b = jax.vmap(lambda u: step(jnp.zeros_like(carry), u))(drives)
        ...         a = jax.vmap(lambda u: step(jnp.ones_like(carry), u))(drives) - b
        ...         join = lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1])
        ...         a, b = jax.lax.associative_scan(join, (a, b))
        ...         return a * carry + b
        >>> cell = jaxrnn.cells.MinGRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((50, 2, 3))
        >>> lengths = jnp.array([50, 7])
        >>> _, expected = jaxrnn.unroll(cell, params, xs, lengths=lengths)
        >>> _, ys = jaxrnn.unroll(cell, params, xs, lengths=lengths, method=Doubling())
        >>> print(bool(jnp.allclose(ys, expected, atol=1e-6)))
        True
    """

    def carries(self, step: Callable[[Any, Any], Any], carry: Any, drives: Any) -> Any:
        """Every carry: leaves `(T, ...)`, of the step that is made first to the last.

        Args:
            step: `step(carry, drive) -> carry`, of one example at one step, pure.
            carry: the one before the first step.
            drives: leaves `(T, ...)`, in the order in which the steps are made.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: a method defines carries(step, carry, drives)"
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
        guess: Any = None,
    ) -> tuple[Any, Any]:
        """The final carry and the outputs of one cell: what `unroll` calls.

        Args:
            cell: a cell that is no combinator over sequences.
            params: prepared.
            carry: leaves `(*batch, ...)`, in the dtype that `step` keeps.
            xs: leaves `(T, *batch, ...)`.
            keys: `Keys(sequence (*batch), step (T, *batch))` or None.
            batch_ndim: the number of batch axes.
            reverse: from the last step to the first, outputs in input order.
            params_axes: which of the params have batch axes, as `jax.vmap` has it.
            guess: of every carry, for a method that starts from one: it is handed to
                `carries`.
        """
        every = params, carry, xs, keys
        params, carry, xs, keys = varying_with(every, every)
        T = jax.tree.leaves(xs)[0].shape[0]
        sequence, step = (None, None) if keys is None else keys

        def one(params: Any, carry: Any, sequence: Any, *timed: Any) -> Any:
            return self._example(cell, params, carry, sequence, timed, T, reverse)

        for _ in range(batch_ndim):
            one = jax.vmap(one, (params_axes, 0, 0, 1, 1, 1), (0, 1))
        return one(params, carry, sequence, xs, step, guess)

    def _example(
        self,
        cell: Cell,
        params: Any,
        carry: Any,
        sequence: Any,
        timed: Any,
        T: int,
        reverse: bool,
        carries: Callable[..., Any] | None = None,
    ) -> tuple[Any, Any]:
        """Of one example; `carries` in the place of the method's own, if it is given."""
        xs, keys, guess = timed
        drives, step, output = problem(cell, params, xs, sequence, keys, T)
        every = jax.tree.map(lambda leaf: jnp.zeros((T, *leaf.shape), leaf.dtype), carry)
        if jax.tree.leaves(carry) and T > 0:
            expected = jax.eval_shape(lambda: every)
            given = (drives,) if guess is None else (drives, guess)
            given = backwards(given) if reverse else given
            every = (carries or self.carries)(step, carry, *given)
            if not alike(every, expected):
                raise TypeError(
                    f"{self}.carries gave the shapes {shapes(every)}, expected "
                    f"{shapes(expected)}: the carry after each of the {T} steps"
                )
            every = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), every, expected)
            carry = jax.tree.map(lambda leaf: leaf[-1], every)
        every = backwards(every) if reverse else every
        return carry, jax.vmap(output, axis_size=T)(every, drives)


def problem(
    cell: Cell, params: Any, xs: Any, sequence: Any, keys: Any, T: int
) -> tuple[Any, Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """The drives of one example, its step and its output."""

    def project(x: Any, key: Any) -> Any:
        return cell.project(params, x, None if key is None else Keys(sequence, key))

    def step(carry: Any, drive: Any) -> Any:
        new = cell.step(params, carry, drive)
        return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), new, carry)

    def output(carry: Any, drive: Any) -> Any:
        return cell.output(params, carry, drive)

    return jax.vmap(project, axis_size=T)(xs, keys), step, output


def backwards(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)
