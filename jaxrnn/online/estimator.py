"""What an estimator of online gradients says of itself."""

import functools
from typing import Any

import jax
import numpy as np

from ..value import Value
from .blocks import Plan, advanced, gradient, planned, start
from .model import Model, Spec, model_of
from .point import Point


class Estimator(Value):
    """How the influence of the parameters on the carry is kept: one example, one step.

        M_t = dh_t / dq        g_t = dL_t/dh_t M_t + dL_t/dq

    What an estimator keeps in the place of M is a pytree; `start` makes that of a carry
    on which the past has none.
    """

    needs_key = False

    def fixed(self, model: Model, outputs: int, key: Any) -> Any:
        """What is drawn once; `outputs` is how many numbers a y has."""
        return None

    def start(self, model: Model, learned: bool, key: Any) -> Any:
        """The influence on an initial carry, which params may say (`learned`)."""
        raise NotImplementedError

    def advanced(self, model: Model, point: Point, influence: Any, key: Any) -> Any:
        """The influence after a step."""
        raise NotImplementedError

    def gradient(self, point: Point, influence: Any, signal: jax.Array) -> jax.Array:
        """signal M, [Q]: of an influence after the step."""
        raise NotImplementedError

    def since(
        self, model: Model, point: Point, influence: Any, own: Any, pulse: Any, key: Any
    ) -> tuple[Any, Any]:
        """The influence after a step, and that part of it which steps with a pulse made.

        Where the latter does not depend on the former, that is not advanced.
        """
        return influence, self.advanced(model, point.pulsed(pulse), own, key)

    def signal(self, exact: jax.Array, of_output: jax.Array, fixed: Any) -> jax.Array:
        """The learning signal [n]: by default the exact dL_t/dh_t."""
        return exact


class Kept(Estimator):
    """Some entries of the influence, with the others taken to be zero."""

    def used(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        """Where the Jacobian may be other than zero, and which of it is used."""
        raise NotImplementedError

    def rows(self, made: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Which rows are kept of an influence that a step makes in some."""
        return closure(made, used)

    local = False

    def start(self, model: Model, learned: bool, key: Any) -> Any:
        first = model.first if learned else np.full(model.n, -1)
        return start(plan_of(self, model.spec), first, model.dtype)

    def advanced(self, model: Model, point: Point, influence: Any, key: Any) -> Any:
        plan = plan_of(self, model.spec)
        if not plan.blocks:
            return influence
        J = point.carry_derivatives(plan.carry_seeds, local=self.local)
        D = point.parameter_derivatives(plan.parameter_seeds)
        return advanced(plan, influence, J, D)

    def gradient(self, point: Point, influence: Any, signal: jax.Array) -> jax.Array:
        return gradient(plan_of(self, point.model.spec), influence, signal)


def closure(rows: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The rows that some reach in any number of steps, and these."""
    while True:
        more = rows | used[:, rows].any(1)
        if (more == rows).all():
            return rows
        rows = more


@functools.lru_cache(maxsize=64)
def plan_of(estimator: Kept, spec: Spec) -> Plan:
    """Which entries an estimator keeps, for a cell and its shapes."""
    model = model_of(spec)
    immediate, _ = model.patterns(local=False)
    pattern, used = estimator.used(model)
    rows = functools.partial(estimator.rows, used=used)
    return planned(immediate, model.first, pattern, used, rows)
