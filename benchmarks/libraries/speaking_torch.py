"""torch speaks: `nn.LSTM`, a step at a time in a loop of Python."""

import os
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ..cases import Case
from ..speaker import first_symbols, speaker
from .torch import NAMES


def program(case: Case) -> "Speaker":
    return Speaker(case)


class Speaker:
    """What `Compiled` is for the libraries of JAX."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        arrays, self._case = speaker(case), case
        self._embedding = torch.tensor(arrays["embedding"])
        self._kernel = torch.tensor(arrays["kernel"])
        self._bias = torch.tensor(arrays["bias"])
        self._lstm = torch.nn.LSTM(case.I, case.H, num_layers=case.layers)
        named = dict(self._lstm.named_parameters())
        with torch.no_grad():
            for weight in named.values():
                weight.zero_()
            for layer, leaves in enumerate(arrays["layers"]):
                for name, leaf in leaves.items():
                    named[f"{NAMES[name]}_l{layer}"].copy_(torch.tensor(leaf.T))
        self._first = torch.tensor(first_symbols(case)).long()

    def compile(self, what: str) -> dict[str, Any]:
        """Nothing is compiled; the first run is the slow one."""
        start = perf_counter()
        self.run(what)
        return {"compile_seconds": perf_counter() - start, "temporary_bytes": None}

    def run(self, what: str) -> Any:
        said, symbols, state = [], self._first, None
        with torch.inference_mode():
            for _ in range(self._case.T):
                x, state = self._lstm(self._embedding[symbols][None], state)
                symbols = (x[0] @ self._kernel + self._bias).argmax(-1)
                said.append(symbols)
            return torch.stack(said)

    def results(self) -> dict[str, np.ndarray]:
        return {"symbols": self.run("").numpy()}
