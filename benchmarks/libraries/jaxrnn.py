"""jaxrnn: `unroll(cell, params, xs)`, nothing chosen but, if asked for, the method."""

from typing import Any

import jaxrnn

from ..cases import Case, Params
from ..jax_program import JaxProgram
from ..methods import METHODS

CELLS = {
    "elman": jaxrnn.Elman,
    "lstm": jaxrnn.LSTM,
    "gru": jaxrnn.GRU,
    "gru_before": lambda I, H: jaxrnn.GRU(I, H, reset_after=False),
}


def program(case: Case, method: str | None = None) -> JaxProgram:
    """The case, by default arguments or by one of `METHODS`."""
    cell = cell_of(case)
    options = {} if method is None else {"method": METHODS[method]}

    def run(params: Any, xs: Any, lengths: Any) -> Any:
        return jaxrnn.unroll(cell, params, xs, lengths=lengths, **options)[1]

    def to_weights(params: Params) -> Any:
        layers = [both if case.bidirectional else both[0] for both in params]
        return tuple(layers) if case.layers > 1 else layers[0]

    return JaxProgram(case, run, to_weights)


def cell_of(case: Case) -> jaxrnn.Cell:
    """One cell, or a stack of them, in one direction or two."""
    new = CELLS[case.cell]

    def layer(inputs: int) -> jaxrnn.Cell:
        if case.bidirectional:
            return jaxrnn.Bidirectional(new(inputs, case.H), new(inputs, case.H))
        return new(inputs, case.H)

    width = 2 * case.H if case.bidirectional else case.H
    cells = [layer(case.I)] + [layer(width) for _ in range(case.layers - 1)]
    return jaxrnn.Stack(tuple(cells)) if case.layers > 1 else cells[0]
