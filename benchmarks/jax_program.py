"""A JAX library's program for a case: compiled ahead of time, then only run."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import cases
from .cases import FORWARD, TRAINING, Case, Params


class Compiled:
    """Functions of the same arguments, each compiled before it runs.

    Args:
        functions: by name, `FORWARD` and `TRAINING`.
        arguments: on the device already.
    """

    def __init__(self, functions: dict[str, Callable], arguments: tuple) -> None:
        self._functions, self._arguments = functions, arguments
        self._compiled: dict[str, Callable] = {}

    def compile(self, what: str) -> dict[str, Any]:
        """Seconds to trace, lower and compile, and the bytes of temporaries."""
        start = perf_counter()
        traced = jax.jit(self._functions[what]).trace(*self._arguments)
        after_trace = perf_counter()
        lowered = traced.lower()
        after_lower = perf_counter()
        compiled = lowered.compile()
        end = perf_counter()
        self._compiled[what] = compiled
        memory: Any = compiled.memory_analysis()
        return {
            "trace_seconds": after_trace - start,
            "lower_seconds": after_lower - after_trace,
            "compile_seconds": end - after_lower,
            "temporary_bytes": memory.temp_size_in_bytes,
        }

    def run(self, what: str) -> Any:
        """One run, waited for."""
        return jax.block_until_ready(self._compiled[what](*self._arguments))

    def results(self) -> dict[str, np.ndarray]:
        """What can be compared with jaxrnn's."""
        return {}


class JaxProgram(Compiled):
    """The outputs of a case, and a loss with its gradients in weights and inputs.

    The loss is the sum of the squares of all outputs. Weights travel as a flat list: the
    flattening of a library's own containers, in Python, is no part of the timings.

    Args:
        case: what to compute.
        run: `run(weights, xs, lengths)` is the outputs, with zeros after each length.
        to_weights: jaxrnn's params to the library's weights, linear but for constants;
            gradients come back through its transpose.
        time_axis: 1 if the library reads and writes batch-major sequences, which it then
            is given, and whose transposition nobody is charged for.
        lacks: parameters of jaxrnn that the library does not have.
    """

    def __init__(
        self,
        case: Case,
        run: Callable[[Any, Any, Any], Any],
        to_weights: Callable[[Params], Any],
        time_axis: int = 0,
        lacks: Sequence[str] = (),
    ) -> None:
        jax.clear_caches()  # the programs of the case before
        params = jax.tree.map(jnp.asarray, cases.weights(case))
        weights = jax.jit(to_weights)(params)
        leaves, self._structure = jax.tree.flatten(weights)
        self._params, self._to_weights = params, to_weights
        xs = jnp.asarray(np.swapaxes(cases.inputs(case), 0, time_axis))
        lengths = cases.lengths(case)
        lengths = None if lengths is None else jnp.asarray(lengths)
        self._run, self._time_axis, self._lacks = run, time_axis, lacks
        training = jax.value_and_grad(self.loss, argnums=(0, 1))
        functions = {FORWARD: self._forward, TRAINING: training}
        super().__init__(functions, (leaves, xs, lengths))
        self.leaves, self.xs = leaves, xs

    def _forward(self, leaves: list, xs: Any, lengths: Any) -> Any:
        return self._run(jax.tree.unflatten(self._structure, leaves), xs, lengths)

    def loss(self, leaves: list, xs: Any, lengths: Any = None) -> Any:
        return jnp.sum(self._forward(leaves, xs, lengths) ** 2)

    def _pull_back(self, gradients: Any) -> Params:
        """Gradients in the library's weights to those in jaxrnn's params."""

        def pulled(params: Params, gradients: Any) -> Any:
            return jax.vjp(self._to_weights, params)[1](gradients)[0]

        return jax.jit(pulled)(self._params, gradients)

    def results(self) -> dict[str, np.ndarray]:
        """Outputs, loss and gradients, in jaxrnn's layout."""
        ys = self.run(FORWARD)
        loss, (leaves, xs) = self.run(TRAINING)
        params = self._pull_back(jax.tree.unflatten(self._structure, leaves))
        results = {
            "outputs": np.swapaxes(ys, 0, self._time_axis),
            "loss": np.asarray(loss),
            "gradient of the inputs": np.swapaxes(xs, 0, self._time_axis),
        }
        results |= {name: np.asarray(leaf) for name, leaf in cases.named(params)}
        return {
            name: value
            for name, value in results.items()
            if not any(f" {lacking}," in name for lacking in self._lacks)
        }
