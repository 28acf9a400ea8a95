"""What there is to say about the gradients of a cell, in one table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import plotting
from ..cell import Cell
from ..methods import Scan
from ..plotting.look import named
from ..unrolling.call import call_of, time_and_batch
from ..unrolling.streams import check_streams, valid_steps
from .carries import check_loss
from .gates import gate_activations, saturation, time_constants
from .horizon import memory_horizon
from .lags import StepLoss, profile_of

KEEPS = ("f", "z")  # the gates that are a rate of keeping, of an LSTM and of a GRU
CANDIDATES = ("g", "n")  # those that are a tanh


@dataclass(frozen=True)
class Fading:
    """How one leaf of the carry loses its gradient with the lag.

    Attributes:
        norms: `(lags,)`, relative to `first`: the mean over examples, each relative to
            its own first, of ||dL_t/dcarry_(t-k)||. So a lag that some examples are too
            short for is compared with the same examples at the first.
        first: the mean norm at the first lag at which it is not zero; 0 if all are.
        rate: the slope of ln norms over the lags, by least squares: nats per step; NaN
            where there are not two lags to tell it.
        horizon, hundredth: the lags at which the norm is 1/e and 1% of the first.
    """

    norms: np.ndarray
    first: float
    rate: float
    horizon: float
    hundredth: float

    @property
    def verdict(self) -> str:
        """Vanishing, exploding, or stable if all lags change it less than e-fold.

        Zero, not finite, or too few lags to tell.
        """
        if not np.isfinite(self.norms).all():
            return "not finite"
        if len(self.norms) < 2:
            return "too few lags"
        if not self.first:
            return "zero"
        if not self.norms[-1]:
            return "vanishing"  # whatever it was on the way
        if math.isnan(self.rate):
            return "too few lags"
        change = self.rate * (len(self.norms) - 1)
        if abs(change) < 1:
            return "stable"
        return "vanishing" if change < 0 else "exploding"


@dataclass(frozen=True)
class GateUse:
    """How one gate is used, over all steps and examples.

    Attributes:
        mean: of the activation.
        low, high: the mean fraction of the time for which a unit is below 0.1 (of a
            candidate "g" or "n", which is a tanh, -0.9) and above 0.9.
        time_constants: `(H,)`, in steps, of a gate "f" or "z", a rate of keeping; else
            None.
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
        >>> from jaxrnn.gradients.report import Fading
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
                "-" if math.isnan(leaf.rate) else f"x {math.exp(leaf.rate):.3f}",
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
    streams = lengths, None, None
    name, options = "gradient_report", (*streams, False, key, method)
    check_loss(name, "step_loss", step_loss)
    call = call_of(name, cell, params, xs, carry, *options)
    profile = profile_of(step_loss, call, sample_key, samples, max_lag)
    counts = np.asarray(profile.counts)
    moves = named(jax.eval_shape(cell.initial_carry, call.params))
    fading = {
        name: _fading(np.asarray(leaf, float), counts)
        for name, leaf in named(profile.norms).items()
        if jnp.issubdtype(moves[name].dtype, jnp.inexact)  # integers have no gradient
    }
    gates = gate_activations(
        cell, params, xs, carry, lengths=lengths, key=key, method=method
    )
    leading = time_and_batch(name, cell, call.xs)
    lengths, *_ = check_streams(name, lengths, None, None, leading)
    where = valid_steps(lengths, None, leading[0])
    used = {name: _use(name, leaf, where) for name, leaf in named(gates).items()}
    return GradientReport(cell, fading, used)


def _fading(norms: np.ndarray, counts: np.ndarray) -> Fading:
    counts = counts.reshape(len(norms), -1)
    norms = norms.reshape(len(norms), -1)
    if not counts.any():
        raise ValueError("gradient_report: no example has a valid step")
    # Each example by its own first: those that end early would make a step in the mean.
    firsts = np.take_along_axis(norms, np.argmax(norms > 0, axis=0)[None], axis=0)[0]
    weights = counts * ((firsts > 0) | ~np.isfinite(firsts))
    total = weights.sum(1)
    relative = np.divide(norms, firsts, out=np.zeros_like(norms), where=weights > 0)
    mean = (relative * weights).sum(1) / np.maximum(total, 1)
    mean = mean[counts.sum(1) > 0]
    there = (mean > 0) & np.isfinite(mean)
    lags = np.arange(len(mean))[there]
    rate = math.nan
    if np.isfinite(mean).all():
        if len(lags) > 1:
            rate = float(np.polyfit(lags, np.log(mean[there]), 1)[0])
        elif len(mean) > 1 and not mean[-1]:
            rate = -math.inf  # all but one are zero, or all
    horizon, hundredth = (float(memory_horizon(mean, x)) for x in (1 / math.e, 0.01))
    some = weights.max(0)
    first = float((np.nan_to_num(firsts) * some).sum() / max(some.sum(), 1))
    return Fading(mean, first, rate, horizon, hundredth)


def _use(name: str, gate: jax.Array, where: Any) -> GateUse:
    keeps = name.rpartition(".")[2] in KEEPS
    candidate = name.rpartition(".")[2] in CANDIDATES or float(gate.min()) < 0
    low = -0.9 if candidate else 0.1
    ends = saturation(gate, low=low, where=where)
    counted = np.asarray(gate, float)  # a long sum
    counted = counted if where is None else counted[np.asarray(where)]
    constants = np.asarray(time_constants(gate, where=where)) if keeps else None
    return GateUse(
        mean=float(counted.mean()),
        low=float(ends.low.mean()),
        high=float(ends.high.mean()),
        time_constants=constants,
    )


def _lag(lag: float, norms: np.ndarray) -> str:
    if math.isnan(lag) or len(norms) < 2:
        return "-"
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
