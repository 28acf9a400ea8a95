"""torchrecurrent: a layer of a cell, whose loop over time is Python's."""

import os
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torchrecurrent

from ..cases import Case

# By our names, which write an acronym in capitals at the beginning.
CELLS = {
    name[0].upper() + name[1:]: name
    for name in dir(torchrecurrent)
    if f"{name}Cell" in dir(torchrecurrent) and name != "MCLSTM"  # another cell
}


def names() -> list[str]:
    return list(CELLS)


def program(case: Case) -> "TorchRecurrent":
    return TorchRecurrent(case)


class TorchRecurrent:
    """What `ZooProgram` is for ours; its own initial weights."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        self._layer = getattr(torchrecurrent, CELLS[case.cell])(case.I, case.H)
        random = np.random.default_rng(1)
        xs = random.standard_normal((case.T, case.B, case.I), np.float32)
        self._xs = torch.tensor(xs, requires_grad=True)

    def compile(self, what: str) -> dict[str, Any]:
        """Nothing is compiled; the first run is the slow one."""
        start = perf_counter()
        self.run(what)
        return {"compile_seconds": perf_counter() - start, "temporary_bytes": None}

    def run(self, what: str) -> Any:
        loss = self._layer(self._xs)[0].square().sum()
        # Of some cells a parameter has no part in the outputs.
        leaves = [*self._layer.parameters(), self._xs]
        return loss.detach(), torch.autograd.grad(loss, leaves, allow_unused=True)
