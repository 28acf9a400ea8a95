"""A language model that speaks: its sizes and weights, the same in every process."""

from typing import Any

import numpy as np

from .cases import Case, weights

SYMBOLS = 96
WIDTH = 4  # beginnings that beam search keeps
MEMORY = 32  # steps of the source that attention reads


def speaker(case: Case) -> dict[str, Any]:
    """Arrays: `embedding`, `layers` (a dict of each LSTM), `kernel` and `bias` of logits.

    The embedding has I features. Logits are large, so that the most probable symbol is
    the same however a sum is rounded.
    """
    random = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    return {
        "embedding": normal(SYMBOLS, case.I),
        "layers": [directions[0] for directions in weights(case)],
        "kernel": normal(case.H, SYMBOLS),
        "bias": normal(SYMBOLS),
    }


def first_symbols(case: Case) -> np.ndarray:
    return (np.arange(case.B) % SYMBOLS).astype(np.int32)
