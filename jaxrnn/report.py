"""What there is to say about the gradients of a cell, in one table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from . import plotting
from .cell import Cell
from .checks import time_and_batch
from .gates import gate_activations, saturation, time_constants
from .lags import StepLoss, lag_profile, memory_horizon
from .methods import Scan
from .streams import check_streams, valid_steps

STABLE = 10.0  # a change by less than this factor, over all lags, is none

KEEPS = ("f", "z")  # the gates that are a rate of keeping, of an LSTM and of a GRU


@dataclass(frozen=True)
class Fading:
    """How one leaf of the carry loses its gradient with the lag.

    Attributes:
        norms: `(lags,)`, the mean over samples and examples of ||dL_t/dcarry_(t-k)||.
        first: the norm at the first lag at which it is not zero.
        rate: the slope of ln norms over the lags, by least squares: nats per step.
        horizon, hundredth: the lags at which the norm is 1/e and 1% of the first.
    """

    norms: np.ndarray
    first: float
    rate: float
    horizon: float
    hundredth: float

    @property
    def verdict(self) -> str:
        """Vanishing, exploding, or stable if all lags change it less than 10-fold.

        Zero, or not finite, where the gradient is.
        """
        if not np.isfinite(self.norms).all():
            return "not finite"
        if not self.first:
            return "zero"
        if not self.norms[-1]:
            return "vanishing"  # whatever it was on the way
        change = self.rate * (len(self.norms) - 1)
        if abs(change) < math.log(STABLE):
            return "stable"
        return "vanishing" if change < 0 else "exploding"


@dataclass(frozen=True)
class GateUse:
    """How one gate is used, over all steps and examples.

    Attributes:
        mean: of the activation.
        low, high: the mean fraction of the time for which a unit is below 0.1 (of a tanh,
            -0.9) and above 0.9.
        time_constants: `(H,)`, in steps, of a gate that keeps; else None.
    """

    mean: float
    low: float
    high: float
    time_constants: np.ndarray | None


@dataclass(frozen=True)
class GradientReport:
    """The gradient flow of a cell, from `gradient_report`: `print` it, or `plot` it.

    Attributes:
        cell: what was measured.
        fading: by name of the carry's leaf, such as "h", "c" or "[1].h" of a stack.
        gates: by name, such as "f" or "[1].f".

    Example:
        >>> import math, numpy as np, jaxrnn
        >>> from jaxrnn.report import Fading
        >>> fading = Fading(0.5 ** np.arange(9), 1.0, -math.log(2), 1.44, 6.64)
        >>> print(jaxrnn.GradientReport(jaxrnn.Elman(2, 3), {"carry": fading}, {}))
        Elman(input_size=2, hidden_size=3)
        <BLANKLINE>
        carry   gradient  rate a step  to 1/e  to 1%  norm at first
        -----  ---------  -----------  ------  -----  -------------
        carry  vanishing      x 0.500     1.4    6.6              1
    """

    cell: Cell
    fading: Mapping[str, Fading]
    gates: Mapping[str, GateUse]

    def __str__(self) -> str:
        head = ("carry", "gradient", "rate a step", "to 1/e", "to 1%", "norm at first")
        rows = [
            (
                name,
                leaf.verdict,
                f"x {math.exp(leaf.rate):.3f}",
                _lag(leaf.horizon, leaf.norms),
                _lag(leaf.hundredth, leaf.norms),
                f"{leaf.first:.2g}",
            )
            for name, leaf in self.fading.items()
        ]
        text = f"{self.cell}\n\n{_table(head, rows)}"
        if not self.gates:
            return text
        head = ("gate", "mean", "low", "high", "remembers, steps: median", "longest")
        rows = [
            (
                name,
                f"{gate.mean:.2f}",
                f"{gate.low:.0%}",
                f"{gate.high:.0%}",
                *_memory(gate.time_constants),
            )
            for name, gate in self.gates.items()
        ]
        return f"{text}\n\n{_table(head, rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Every leaf's norms against the lag: `plotting.lag_profile`."""
        return plotting.lag_profile(
            {name: leaf.norms for name, leaf in self.fading.items()}, ax
        )


def gradient_report(
    step_loss: StepLoss,
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    *,
    sample_key: jax.Array,
    samples: int = 16,
    max_lag: int | None = None,
    lengths: Any = None,
    key: jax.Array | None = None,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> GradientReport:
    """Measure how gradients fade in a cell, and how its gates are used.

        rate = slope of ln E||dL_t/dcarry_(t-k)|| over k        nats per step

    The measurements are those of `lag_profile`, `memory_horizon`, `gate_activations`,
    `saturation` and `time_constants`, averaged over the batch. Not for `jax.jit`: the
    report holds numbers.

    Args:
        As `lag_profile`.

    Returns:
        A `GradientReport`: `print(report)` is a table that says of each leaf of the carry
        whether its gradient is vanishing, stable or exploding, `report.plot()` a figure.

    Raises:
        As `lag_profile`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.GRU(3, 8)
        >>> params = cell.init(jax.random.key(0))
        >>> xs = jax.random.normal(jax.random.key(1), (80, 4, 3))
        >>> report = jaxrnn.gradient_report(
        ...     lambda ys: jnp.sum(ys**2, -1), cell, params, xs,
        ...     sample_key=jax.random.key(2),
        ... )
        >>> print(report.fading["carry"].verdict)
        vanishing
    """
    profile = lag_profile(
        step_loss,
        cell,
        params,
        xs,
        carry,
        sample_key=sample_key,
        samples=samples,
        max_lag=max_lag,
        lengths=lengths,
        key=key,
        method=method,
    )
    counts = np.asarray(profile.counts)
    fading = {
        name: _fading(np.asarray(leaf, float), counts)
        for name, leaf in _named(profile.norms).items()
    }
    gates = gate_activations(
        cell, params, xs, carry, lengths=lengths, key=key, method=method
    )
    leading = time_and_batch("gradient_report", cell, xs)
    lengths, *_ = check_streams("gradient_report", lengths, None, None, leading)
    where = valid_steps(lengths, None, leading[0])
    used = {name: _use(name, leaf, where) for name, leaf in _named(gates).items()}
    return GradientReport(cell, fading, used)


def _named(tree: Any) -> dict[str, Any]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    names = {}
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        name = name.replace("['", ".").replace("']", "").removeprefix(".")
        names[name or "carry"] = leaf
    return names


def _fading(norms: np.ndarray, counts: np.ndarray) -> Fading:
    weights = counts.reshape(len(norms), -1)
    total = weights.sum(1)
    if not total.any():
        raise ValueError("gradient_report: no example has a valid step")
    mean = (norms.reshape(len(norms), -1) * weights).sum(1) / np.maximum(total, 1)
    mean = mean[total > 0]
    there = (mean > 0) & np.isfinite(mean)
    lags = np.arange(len(mean))[there]
    rate = 0.0
    if len(lags) > 1:
        rate = float(np.polyfit(lags, np.log(mean[there]), 1)[0])
    elif not mean[-1]:
        rate = -math.inf  # all but one are zero, or all
    horizon, hundredth = (float(memory_horizon(mean, x)) for x in (1 / math.e, 0.01))
    first = float(mean[lags[0]]) if len(lags) else 0.0
    return Fading(mean, first, rate, horizon, hundredth)


def _use(name: str, gate: jax.Array, where: Any) -> GateUse:
    keeps = name.rpartition(".")[2] in KEEPS
    low = -0.9 if float(gate.min()) < 0 else 0.1
    ends = saturation(gate, low=low, where=where)
    counted = np.asarray(gate) if where is None else np.asarray(gate)[np.asarray(where)]
    constants = np.asarray(time_constants(gate, where=where)) if keeps else None
    return GateUse(
        mean=float(counted.mean()),
        low=float(ends.low.mean()),
        high=float(ends.high.mean()),
        time_constants=constants,
    )


def _lag(lag: float, norms: np.ndarray) -> str:
    return f"> {len(norms) - 1}" if math.isinf(lag) else f"{lag:.1f}"


def _memory(constants: np.ndarray | None) -> tuple[str, str]:
    if constants is None:
        return "-", "-"
    return f"{np.median(constants):.1f}", f"{np.max(constants):.1f}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, tuple("-" * width for width in widths), *rows]
    ]
    return "\n".join(lines)
