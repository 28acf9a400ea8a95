"""A recurrence by the methods of jaxrnn, and by JAX's own scans as one writes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxrnn
from jaxrnn import GRU
from jaxrnn.cells import LRU, ComplexCarry, MinGRU

from ..cases import FORWARD, TRAINING, Case
from ..jax_program import Compiled
from .zoo import inputs

CELLS: dict[str, Any] = {"MinGRU": MinGRU, "LRU": LRU, "GRU": GRU}
METHODS: dict[str, Any] = {
    "scan": jaxrnn.Scan(),
    "associative": jaxrnn.Associative(),
    "newton": jaxrnn.Newton(),
}


def program(case: Case, how: str) -> "ParallelProgram":
    return ParallelProgram(case, how)


class ParallelProgram(Compiled):
    """All outputs; and the sum of their squares, with its gradients in params and xs."""

    def __init__(self, case: Case, how: str) -> None:
        jax.clear_caches()  # the programs of the case before
        cell = CELLS[case.cell](case.I, case.H)
        params = jax.jit(cell.init)(jax.random.key(0))

        def forward(params: Any, xs: Any) -> Any:
            if how in METHODS:
                return jaxrnn.unroll(cell, params, xs, method=METHODS[how])[1]
            return by_jax(cell, params, xs, looped if how == "plain" else joined)

        def loss(params: Any, xs: Any) -> Any:
            return jnp.sum(forward(params, xs) ** 2)

        functions = {FORWARD: forward, TRAINING: jax.value_and_grad(loss, (0, 1))}
        super().__init__(functions, (params, inputs(cell, case)))
        self._report: Any = None
        if how == "newton":
            self._report = partial(jaxrnn.newton_report, cell, method=METHODS[how])

    def compile(self, what: str) -> dict[str, Any]:
        """Of Newton's method also the iterations, and the largest exponent, of all B."""
        cost = super().compile(what)
        if self._report is None or what == TRAINING:
            return cost
        report = jax.jit(self._report)(*self._arguments)
        assert bool(report.converged.all()), "Newton's method has not converged"
        return cost | {
            "iterations": int(report.iterations.max()),
            "exponent": float(report.exponent.max()),
        }

    def results(self) -> dict[str, np.ndarray]:
        loss, (params, xs) = self.run(TRAINING)
        gradients = jax.tree.leaves_with_path({"params": params, "xs": xs})
        named = {
            f"gradient of {jax.tree_util.keystr(path)}": np.asarray(leaf)
            for path, leaf in gradients
        }
        return {"loss": np.asarray(loss)} | named


def by_jax(cell: Any, params: Any, xs: Any, carries: Callable[..., Any]) -> Any:
    """The outputs, all but the recurrence being made of all steps at once."""
    prepared = cell.prepare(params)

    def every(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.vmap(jax.vmap(partial(function, prepared)))

    first = jaxrnn.batched_carry(cell, params, xs.shape[1:2])
    drives = every(cell.project)(xs)
    return every(cell.output)(carries(cell, prepared, first, drives), drives)


def looped(cell: Any, params: Any, first: Any, drives: Any) -> Any:
    """Every carry by `jax.lax.scan`."""

    def step(carry: Any, drive: Any) -> tuple[Any, Any]:
        new = jax.vmap(partial(cell.step, params))(carry, drive)
        return new, new

    return lax.scan(step, first, drives)[1]


def joined(cell: Any, params: Any, first: Any, drives: Any) -> Any:
    """Every h' = a h + b, from h = 0 on, by `jax.lax.associative_scan`."""
    if isinstance(cell, MinGRU):
        return prefixes(*drives)
    b = lax.complex(*drives.input)
    h = prefixes(jnp.broadcast_to(lax.complex(*params["eigenvalues"]), b.shape), b)
    return ComplexCarry(h.real, h.imag)


def prefixes(a: jax.Array, b: jax.Array) -> jax.Array:
    def after(p: Any, q: Any) -> Any:
        return p[0] * q[0], q[0] * p[1] + q[1]

    return lax.associative_scan(after, (a, b))[1]
