"""What is made of timings: medians and minima, ratios, geometric means.

A ratio is the other's time over jaxrnn's: above 1, jaxrnn is faster.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .libraries import CONTROL, LIBRARIES, OURS, PEERS

STATISTICS = {"median": statistics.median, "minimum": min}
JAX_PEERS = tuple(name for name in PEERS if LIBRARIES[name].uses_jax)


@dataclass(frozen=True)
class Ratios:
    """One point of the grid, by one statistic; None where there is nobody to compare."""

    best_jax_peer: str | None
    best_jax: float | None
    torch: float | None
    control: float | None  # jaxrnn in a second process: 1 but for noise


def ratios(seconds: Mapping[str, Sequence[float]], statistic: str) -> Ratios:
    """Of the seconds of every run of each library at one point."""
    times = {name: STATISTICS[statistic](runs) for name, runs in seconds.items()}
    peers = [name for name in JAX_PEERS if name in times]
    best = min(peers, key=times.__getitem__, default=None)

    def over_ours(name: str | None) -> float | None:
        return times[name] / times[OURS] if name in times else None

    return Ratios(best, over_ours(best), over_ours("torch"), over_ours(CONTROL))


def median_and_minimum(
    seconds: Mapping[str, Sequence[float]], name: str, base: str = OURS
) -> tuple[float, float]:
    """One library's ratio to jaxrnn, of medians and of minima."""
    median, minimum = (
        statistic(seconds[name]) / statistic(seconds[base])
        for statistic in STATISTICS.values()
    )
    return median, minimum


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None if none is."""
    logarithms = [math.log(value) for value in values if value is not None]
    if not logarithms:
        return None
    return math.exp(math.fsum(logarithms) / len(logarithms))


def spread(runs: Sequence[float]) -> float:
    """The interquartile range over the median."""
    if len(runs) < 2:
        return 0.0
    first, middle, third = statistics.quantiles(runs, n=4, method="inclusive")
    return (third - first) / middle
