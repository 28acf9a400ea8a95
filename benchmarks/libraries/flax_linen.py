"""flax.linen: `nn.RNN` time-major, and `nn.Bidirectional`."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ..cases import Case, Params
from ..jax_program import JaxProgram

CELLS = {"elman": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n")}


def program(case: Case) -> JaxProgram:
    def rnn() -> nn.RNN:
        return nn.RNN(CELLS[case.cell](case.H), time_major=True)

    def layer() -> nn.Module:
        return nn.Bidirectional(rnn(), rnn(), time_major=True) if both else rnn()

    both = case.bidirectional
    layers = [layer() for _ in range(case.layers)]

    def run(weights: Any, xs: Any, lengths: Any) -> Any:
        ys: Any = xs
        for module, variables in zip(layers, weights, strict=True):
            ys = module.apply(variables, ys, seq_lengths=lengths)
        if lengths is None:
            return ys
        # Outputs after the end are the cell's answer to padding.
        valid = jnp.arange(case.T)[:, None] < lengths
        return jnp.where(valid[..., None], ys, 0.0)

    def to_weights(params: Params) -> Any:
        converted = [
            [{"cell": gates_of(case, leaves)} for leaves in directions]
            for directions in params
        ]
        if both:
            pairs = [
                dict(zip(("forward_rnn", "backward_rnn"), rnns, strict=True))
                for rnns in converted
            ]
            return [{"params": pair} for pair in pairs]
        return [{"params": rnns[0]} for rnns in converted]

    return JaxProgram(case, run, to_weights)


def gates_of(case: Case, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Biases: of the LSTM on the recurrent side, of the others on the input side."""
    kernel, recurrent = params["kernel"], params["recurrent_kernel"]
    if case.cell == "elman":
        return {
            "i": {"kernel": kernel, "bias": params["bias"]},
            "h": {"kernel": recurrent},
        }
    names = GATES[case.cell]
    blocks = zip(
        names,
        *(
            jnp.split(leaf, len(names), axis=-1)
            for leaf in (kernel, recurrent, params["bias"])
        ),
        strict=True,
    )
    gates = {}
    for name, W, U, b in blocks:
        gates[f"i{name}"], gates[f"h{name}"] = {"kernel": W}, {"kernel": U}
        gates[f"{'h' if case.cell == 'lstm' else 'i'}{name}"]["bias"] = b
    if case.cell == "gru":
        gates["hn"]["bias"] = params["recurrent_bias"]
    return gates
