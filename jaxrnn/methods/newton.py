"""All of time at once, for any step: Newton's method."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from ..arguments.numbers import check_sizes, is_number
from .affine import affine_carries
from .iteration import iterated
from .jaxprs import holds, trace
from .method import Method
from .prefix import Blocks

JACOBIANS = "full", "diagonal", "block"


class Found(NamedTuple):
    """What an iteration came to.

    Attributes:
        carries: leaves `(T, ...)`, NaN where it has not converged.
        iterations: how many affine recurrences were solved.
        residuals: `(max_iterations + 1,)`, the largest |step(h_(t-1)) - h_t|, by 1 + |h|,
            before each iteration and after the last; NaN where there was none.
        converged: whether the last is within the tolerance.
    """

    carries: Any
    iterations: jax.Array
    residuals: jax.Array
    converged: jax.Array


class Newton(Method, kw_only=True):
    """Newton's method on all of time, for any cell whose step has a derivative.

        h^(k+1)_t = f_t(h^k_(t-1)) + J_t (h^(k+1)_(t-1) - h^k_(t-1))

    with f_t = step(., drive_t) and its Jacobian J_t at h^k_(t-1).
    Each iteration is one affine recurrence, which is solved as `Associative` does it.
    After k iterations the first k steps are exact, and where the dynamics are stable all
    of them are after few: about log T where the largest Lyapunov exponent is negative.
    Above zero it takes as many iterations as there are steps: take `Scan` there.
    `newton_report` tells. Lim et al., ICLR 2024, arXiv 2309.12252 (DEER); Gonzalez et
    al., NeurIPS 2024, arXiv 2407.19115 (quasi-DEER and ELK), and 2025, arXiv 2508.16817,
    for the exponent.

    The gradient is that of the solution, whatever the way to it: one affine recurrence
    backwards with the exact Jacobians, in every mode and of every order.

    Args:
        jacobian: "full": J as it is, a matrix of n units unless the step is found to act
            entry by entry; n^3 operations a step and iteration. "diagonal": its diagonal
            alone, and "block": k x k numbers for each entry of the k leaves of a carry,
            such as an LSTM's (h, c). More iterations then, each of which is cheap.
        damping: how much an iteration holds on to the one before, 0 to any number, times
            its residual where that is below 1: a Levenberg-Marquardt step by a Kalman
            smoother in parallel form, for dynamics in which a full step leaves the region
            in which J holds.
        tolerance: it stops when |step(h_(t-1)) - h_t| <= tolerance (1 + |h|) everywhere;
            None: 100 times the rounding of the carry's dtype, or 4 times if it has half
            precision.
        max_iterations: it has failed after so many, and every carry of the example is
            NaN, never what it had come to.
        throw: raise an error then, too. Compiled programs raise by a callback of
            `jax.debug`: when the result is awaited, and not in an exported program.
        block: as that of `Associative`.

    Raises:
        ValueError: for an option that is none of these, a carry with a leaf that is not
            floating, or a cell in `ClipCarryGradient`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((200, 2, 3))
        >>> _, expected = jaxrnn.unroll(cell, params, xs)
        >>> _, ys = jaxrnn.unroll(cell, params, xs, method=jaxrnn.Newton())
        >>> print(bool(jnp.allclose(ys, expected, atol=1e-4)))
        True
    """

    jacobian: str = "full"
    damping: float = 0.0
    tolerance: float | None = None
    max_iterations: int = 100
    throw: bool = False
    block: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, max_iterations=self.max_iterations, block=self.block)
        if self.jacobian not in JACOBIANS:
            raise ValueError(
                f"Newton: jacobian is {self.jacobian!r}, expected one of {JACOBIANS}"
            )
        for name in ("damping", "tolerance"):
            value: Any = getattr(self, name)
            if name == "tolerance" and value is None:
                continue
            fits = is_number(value) and math.isfinite(value) and value >= 0
            if not fits or (name == "tolerance" and value == 0):
                least = "0 or more" if name == "damping" else "None or more than 0"
                raise ValueError(f"Newton: {name} is {value!r}, expected {least}")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.throw, bool):
            raise ValueError(f"Newton: throw is {self.throw!r}, expected True or False")

    def started(self, guess: Any) -> "Started":
        """The same, from a guess: a `trajectory`, that of the last training step, say."""
        return Started(self, guess)

    def carries(
        self,
        step: Callable[[Any, Any], Any],
        carry: Any,
        drives: Any,
        guess: Any = None,
    ) -> Any:
        return self.found(step, carry, drives, guess).carries

    def found(
        self,
        step: Callable[[Any, Any], Any],
        carry: Any,
        drives: Any,
        guess: Any = None,
    ) -> Found:
        """As `carries`, with how it came about."""
        first, tree = jax.tree.flatten(carry)
        rows, rows_tree = jax.tree.flatten(drives)
        wrong = [x.dtype for x in first if not jnp.issubdtype(x.dtype, jnp.floating)]
        if wrong:
            raise ValueError(
                f"Newton: the carry has a leaf of {wrong[0]}, expected floating ones: "
                "others have no derivative; take Scan()"
            )
        size = len(first)

        def flat(*leaves: Any) -> list[Any]:
            row = rows_tree.unflatten(leaves[size:])
            return jax.tree.leaves(step(tree.unflatten(leaves[:size]), row))

        closed = trace(flat, *first, *(leaf[0] for leaf in rows))
        if holds(closed.jaxpr.eqns, "clip_carry_gradient"):
            raise ValueError(
                "Newton: the step clips its gradient on the way back, as "
                "ClipCarryGradient does, expected one whose gradient is linear: that of "
                "all steps is found at once; take Scan()"
            )

        def one(consts: Any, h: Any, row: Any) -> list[Any]:
            return jaxpr_as_fun(closed.replace(consts=consts))(*h, *row)

        if guess is None:
            T = rows[0].shape[0]
            start = [jnp.broadcast_to(x, (T, *x.shape)) for x in first]
        else:
            start = jax.tree.leaves(guess)
        solve = _solution(self, one)
        h, (count, sizes, good) = solve(list(closed.consts), first, rows, start)
        return Found(tree.unflatten(h), count.astype("int32"), sizes, good > 0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Started:
    """`Newton`, and the trajectory from which it starts."""

    method: Newton = dataclasses.field(metadata={"static": True})
    guess: Any = None


def _solution(newton: Newton, one: Callable[..., list[Any]]) -> Callable[..., Any]:
    """(consts, first, rows, start) -> h, (iterations, residuals, converged).

    As a function with a derivative of its own: that of the equation which h solves.
    """

    def before(first: Any, h: Any) -> list[Any]:
        return [jnp.concatenate([a[None], b[:-1]]) for a, b in zip(first, h, strict=True)]

    def all_steps(consts: Any, h: Any, rows: Any) -> list[Any]:
        return jax.vmap(one, (None, 0, 0))(consts, h, rows)

    def residual(h: Any, f: Any) -> jax.Array:
        parts = [
            jnp.max(jnp.abs(a - b) / (1 + jnp.abs(a))) for a, b in zip(h, f, strict=True)
        ]
        return jnp.max(jnp.stack([part.astype("float32") for part in parts]))

    @jax.custom_jvp
    def solve(consts: Any, first: Any, rows: Any, start: Any) -> Any:
        tolerance = newton.tolerance
        if tolerance is None:
            tolerance = max(_rounding(leaf.dtype) for leaf in first)

        def state(h: Any, count: Any, sizes: Any) -> Any:
            f = all_steps(consts, before(first, h), rows)
            return h, f, count, sizes.at[count].set(residual(h, f))

        def good(state: Any) -> jax.Array:
            return state[3][state[2]] <= tolerance

        def unfinished(state: Any) -> jax.Array:
            return ~good(state) & (state[2] < newton.max_iterations)

        def advance(now: Any) -> Any:
            h, f, count, sizes = now
            # Held back less and less, so that the last steps are Newton's.
            held = newton.damping * jnp.minimum(jnp.nan_to_num(sizes[count], nan=1.0), 1)
            given = before(first, h), f, h
            new = iterated(newton, one, consts, first, rows, given, held)
            # Where it left the numbers, it starts again: the steps before are right.
            new = [jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x)) for x in new]
            return state(new, count + 1, sizes)

        start = [a.astype(b.dtype) for a, b in zip(start, first, strict=True)]
        none = jnp.full(newton.max_iterations + 1, jnp.nan, "float32")
        now = jax.lax.while_loop(
            unfinished, advance, state(start, jnp.zeros((), "int32"), none)
        )
        (h, _, count, sizes), fine = now, good(now)
        if newton.throw:
            jax.debug.callback(_refuse, fine, count, sizes[count], tolerance)
        # As floats, for which a tangent is made in one way everywhere.
        told = count.astype("float32"), sizes, fine.astype("float32")
        return [jnp.where(fine, x, jnp.nan) for x in h], told

    @solve.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (consts, first, rows, _), (dconsts, dfirst, drows, _) = primals, tangents
        h, told = solve(*primals)
        past = before(first, h)
        given = lambda consts, rows: all_steps(consts, past, rows)  # noqa: E731
        _, moved = jax.jvp(given, (consts, rows), (dconsts, drows))

        def linear(dh: Any, timed: Any) -> Any:
            row, past, moved = timed
            on = lambda h: one(consts, h, row)  # noqa: E731
            _, new = jax.jvp(on, (past,), (dh,))
            return [a + b for a, b in zip(new, moved, strict=True)]

        options: Any = dict(blocks=Blocks(newton.block), affine=True)
        dh = affine_carries(linear, dfirst, (rows, past, moved), **options)
        return (h, told), (dh, jax.tree.map(jnp.zeros_like, told))

    return solve


def _rounding(dtype: Any) -> float:
    """What a residual may be: 100 roundings, which of half precision are too many."""
    info = jnp.finfo(dtype)
    return float(info.eps) * (100 if info.bits > 16 else 4)


def _refuse(good: Any, count: Any, size: Any, tolerance: float) -> None:
    if not good.all():
        raise FloatingPointError(
            f"Newton: not converged after {count.max()} iterations: a residual of "
            f"{size.max():.2g}, expected {tolerance:.2g}; see newton_report, allow more "
            "max_iterations, or take Scan()"
        )
