"""The cells of `zoo.py` by family, and how each reads a sequence of vectors.

Not among them are those whose input is no such sequence: ConvLSTM and ConvGRU, which need
places, and Dense and Embedding, which have no memory.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

import jaxrnn
from jaxrnn import LSTM, Dense, FastSlow, Multiscale, Stack, cells

FAMILIES = {
    "LSTM": """LSTM PeepholeLSTM CoupledLSTM LayerNormLSTM MultiplicativeLSTM NAS JANET
        OriginalLSTM ResLSTM WMCLSTM MCLSTM TLSTM OrderedLSTM PhasedLSTM SLSTM""",
    "GRU": """GRU LayerNormGRU MGU MinimalRNN LiGRU LightRU UGRNN IntersectionRNN RAN MUT1
        MUT2 MUT3 SGU DSGU SGRN STAR CFN BR NBR MiRU1 MiRU2 ATR TGRU TauGRU GRUD""",
    "Elman": """Elman TRNN SCRN IndRNN RHN ClockworkRNN MultiplicativeRNN FastRNN FastGRNN
        JordanRNN""",
    "stable": """AntisymmetricRNN GatedAntisymmetricRNN CoRNN UnICORNN LEM LipschitzRNN
        ExpRNN CTRNN LTC CfC""",
    "affine": """MinGRU MinLSTM SRU QRNN LinearRNN LRU RGLRU S4D S5 MLSTM
        GatedLinearAttention DeltaNet GatedDeltaNet""",
    "dynamics": "LowRankRNN EIRNN PLRNN ShallowPLRNN EchoState",
    "scales": "FastSlow Multiscale",
}
FAMILY = {name: family for family, names in FAMILIES.items() for name in names.split()}


class Entry(NamedTuple):
    """A cell for I features and H units, and what it reads of xs (T, B, I)."""

    make: Callable[[int, int], jaxrnn.Cell]
    feed: Callable[[Any], Any]


def as_they_are(xs: Any) -> Any:
    return xs


def with_times(xs: Any) -> Any:
    times = jnp.arange(len(xs), dtype=xs.dtype)
    return cells.TimedInput(xs, jnp.broadcast_to(times[:, None], xs.shape[:2]))


def as_mass(xs: Any) -> Any:
    """The first feature is conserved; all of them steer it."""
    return cells.MassInput(xs[..., :1], xs)


def widened(make: Callable[[int, int], jaxrnn.Cell]) -> Callable[[int, int], jaxrnn.Cell]:
    """Of a cell whose x has to be of the size of h."""
    return lambda I, H: Stack((Dense(I, H), make(H, H)))


def fast_slow(I: int, H: int) -> jaxrnn.Cell:
    return FastSlow((LSTM(I, H), LSTM(H, H)), LSTM(H, H))


def multiscale(I: int, H: int) -> jaxrnn.Cell:
    return Multiscale(LSTM(I, H), period=4)


SPECIAL = {
    "PhasedLSTM": Entry(cells.PhasedLSTM, with_times),
    "GRUD": Entry(cells.GRUD, cells.missing_input),
    "MCLSTM": Entry(lambda I, H: cells.MCLSTM(1, I, H), as_mass),
    "IntersectionRNN": Entry(widened(cells.IntersectionRNN), as_they_are),
    "RGLRU": Entry(widened(cells.RGLRU), as_they_are),
    "S4D": Entry(widened(cells.S4D), as_they_are),
    "FastSlow": Entry(fast_slow, as_they_are),
    "Multiscale": Entry(multiscale, as_they_are),
}


def entry(name: str) -> Entry:
    """By the name in FAMILIES."""
    if name in SPECIAL:
        return SPECIAL[name]
    return Entry(getattr(cells, name), as_they_are)
