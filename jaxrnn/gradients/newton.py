"""How Newton's method fares on a cell, and why."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..cell import Cell
from ..methods import Newton, Started
from ..methods.method import Method
from ..unrolling.call import call_of, evaluate
from ..unrolling.run import Run
from .lyapunov import lyapunov_spectrum


class NewtonReport(NamedTuple):
    """What `newton_report` found, of each cell of a combinator apart but for `exponent`.

    Attributes:
        iterations: `(*batch)`, how many affine recurrences were solved.
        residuals: `(*batch, max_iterations + 1)`, the largest |step(h_(t-1)) - h_t|, by
            1 + |h|, before each iteration and after the last; NaN where there was none.
        converged: `(*batch)`.
        exponent: `(*batch)`, the largest Lyapunov exponent of the run, for each step:
            below zero the iteration takes about log T rounds, above zero about T.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(3, 5)
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((40, 2, 3))
        >>> method = jaxrnn.Newton(max_iterations=20)
        >>> report = jaxrnn.newton_report(cell, params, xs, method=method)
        >>> print(report.iterations.shape, report.residuals.shape)
        (2,) (2, 21)
    """

    iterations: Any
    residuals: Any
    converged: Any
    exponent: jax.Array


def newton_report(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    key: jax.Array | None = None,
    method: Newton | Started = Newton(),  # noqa: B008 (a frozen value)
) -> NewtonReport:
    """How many iterations Newton's method takes on a run, and its largest exponent.

    Args:
        cell, params, xs, carry, lengths, mask, key: as in `unroll`.
        method: `Newton`, with its options, or one that is `started`.

    Returns:
        `NewtonReport(iterations, residuals, converged, exponent)`.

    Raises:
        TypeError: for another method. Else as `unroll` and `lyapunov_spectrum`.

    Example:
        >>> import jax, jaxrnn
        >>> cell = jaxrnn.GRU(3, 8)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jax.random.normal(jax.random.key(1), (200, 3))
        >>> report = jaxrnn.newton_report(cell, params, xs)
        >>> print(bool(report.converged), bool(report.iterations < 10))
        True True
        >>> print(bool(report.exponent < 0))
        True
    """
    name, newton = "newton_report", method
    if isinstance(method, Started):
        newton = method.method
    if not isinstance(newton, Newton):
        raise TypeError(f"{name}: method is {method!r}, expected Newton(...)")
    reporting: Any = _Reporting(newton)
    if isinstance(method, Started):
        reporting = Started(reporting, method.guess)
    streams = lengths, mask, None
    call = call_of(name, cell, params, xs, carry, *streams, False, key, reporting)
    found = evaluate(call, observe=_report)[0]
    found = jax.tree.map(lambda leaf: leaf[0], found)  # of the time that has none
    spectrum = lyapunov_spectrum(
        cell, params, xs, carry, k=1, lengths=lengths, mask=mask, key=key
    )
    is_found = lambda leaf: isinstance(leaf, _Found)  # noqa: E731
    parts = [
        jax.tree.map(lambda leaf, i=i: leaf[i], found, is_leaf=is_found) for i in range(3)
    ]
    iterations, residuals, converged = parts
    exponent = spectrum.exponents[..., 0]
    return NewtonReport(iterations, residuals, converged, exponent)


class _Found(NamedTuple):
    iterations: Any
    residuals: Any
    converged: Any


class _Reporting(Method):
    """`Newton`, with what it came to beside the carries that are observed."""

    newton: Newton

    def _example(
        self,
        cell: Cell,
        params: Any,
        carry: Any,
        sequence: Any,
        timed: Any,
        T: int,
        reverse: bool,
    ) -> tuple[Any, Any]:
        seen: list[Any] = []  # of the solution, which is made once

        def carries(*given: Any) -> Any:
            seen.append(self.newton.found(*given))
            return seen[-1].carries

        args = cell, params, carry, sequence, timed, T, reverse
        last, (every, ys) = self.newton._example(*args, carries)
        if not jax.tree.leaves(carry):
            return last, ((every, None), ys)
        found = _Found(*seen[0][1:]) if seen else _of_no_steps(self.newton)
        timeless = jax.tree.map(lambda leaf: leaf[None], found)
        return last, ((every, timeless), ys)


def _of_no_steps(newton: Newton) -> _Found:
    residuals = jnp.full(newton.max_iterations + 1, jnp.nan, "float32")
    return _Found(jnp.zeros((), "int32"), residuals, jnp.ones((), bool))


def _report(run: Run, cell: Cell, params: Any, first: Any, *seen: Any) -> Any:
    return seen[0][1]
