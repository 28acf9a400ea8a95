"""torch on CPU: `nn.RNN`, `nn.LSTM`, `nn.GRU`, time-major; ragged sequences packed."""

import os
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .. import cases
from ..cases import FORWARD, Case

MODULES = {"elman": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
NAMES = {
    "kernel": "weight_ih",
    "recurrent_kernel": "weight_hh",
    "bias": "bias_ih",
    "recurrent_bias": "bias_hh",
}


def program(case: Case) -> "TorchProgram":
    return TorchProgram(case)


class TorchProgram:
    """What `JaxProgram` is for the libraries of JAX."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self._case = case
        self._module = MODULES[case.cell](
            case.I, case.H, num_layers=case.layers, bidirectional=case.bidirectional
        )
        self._load()
        self._xs = torch.tensor(cases.inputs(case))
        self._differentiable_xs = self._xs.clone().requires_grad_()
        lengths = cases.lengths(case)
        self._lengths = None if lengths is None else torch.tensor(lengths).long()

    def _load(self) -> None:
        weights = dict(self._module.named_parameters())
        with torch.no_grad():
            for weight in weights.values():
                weight.zero_()  # the second bias of each layer stays so
            for layer, directions in enumerate(cases.weights(self._case)):
                for direction, leaves in enumerate(directions):
                    for name, leaf in leaves.items():
                        target = weights[f"{NAMES[name]}{suffix(layer, direction)}"]
                        source = torch.tensor(leaf.T)
                        target[-len(source) :] = source  # b_hn: the last third

    def _outputs(self, xs: Any) -> Any:
        if self._lengths is None:
            return self._module(xs)[0]
        packed = pack_padded_sequence(xs, self._lengths, enforce_sorted=False)
        return pad_packed_sequence(self._module(packed)[0], total_length=self._case.T)[0]

    def compile(self, what: str) -> dict[str, Any]:
        """Nothing is compiled; the first run is the slow one."""
        start = perf_counter()
        self.run(what)
        seconds = perf_counter() - start
        return {
            "trace_seconds": 0.0,
            "lower_seconds": 0.0,
            "compile_seconds": seconds,
            "temporary_bytes": None,
        }

    def run(self, what: str) -> Any:
        if what == FORWARD:
            with torch.inference_mode():
                return self._outputs(self._xs)
        loss = self._outputs(self._differentiable_xs).square().sum()
        leaves = [*self._module.parameters(), self._differentiable_xs]
        return loss.detach(), torch.autograd.grad(loss, leaves)

    def results(self) -> dict[str, np.ndarray]:
        loss, gradients = self.run("training")
        names = [name for name, _ in self._module.named_parameters()]
        weights = dict(zip(names, gradients[:-1], strict=True))

        def gradient(name: str, layer: int, direction: int) -> np.ndarray:
            value = weights[f"{NAMES[name]}{suffix(layer, direction)}"].numpy().T
            return value[-self._case.H :] if name == "recurrent_bias" else value

        params = tuple(
            tuple(
                {name: gradient(name, layer, direction) for name in leaves}
                for direction, leaves in enumerate(directions)
            )
            for layer, directions in enumerate(cases.weights(self._case))
        )
        results = {
            "outputs": self.run(FORWARD).numpy(),
            "loss": loss.numpy(),
            "gradient of the inputs": gradients[-1].numpy(),
        }
        return results | dict(cases.named(params))


def suffix(layer: int, direction: int) -> str:
    return f"_l{layer}{'_reverse' if direction else ''}"
