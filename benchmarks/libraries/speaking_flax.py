"""flax.linen speaks: its cells in a `jax.lax.scan` of the user's."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ..cases import FORWARD, Case
from ..speaker import SYMBOLS, first_symbols, speaker
from .flax_linen import gates_of
from .speaking import Spoken


def program(case: Case) -> Spoken:
    arrays = jax.tree.map(jnp.asarray, speaker(case))
    embed, dense = nn.Embed(SYMBOLS, case.I), nn.Dense(SYMBOLS)
    cells = [nn.OptimizedLSTMCell(case.H) for _ in arrays["layers"]]
    params = {
        "embed": {"embedding": arrays["embedding"]},
        "cells": [gates_of(case, layer) for layer in arrays["layers"]],
        "dense": {"kernel": arrays["kernel"], "bias": arrays["bias"]},
    }

    def generate(params: Any, first: Any) -> Any:
        def step(state: Any, _: None) -> Any:
            carries, symbols = state
            x: Any = embed.apply({"params": params["embed"]}, symbols)
            new = []
            for cell, weights, carry in zip(cells, params["cells"], carries, strict=True):
                carry, x = cell.apply({"params": weights}, carry, x)  # pyright: ignore
                new.append(carry)
            logits: Any = dense.apply({"params": params["dense"]}, x)
            symbols = jnp.argmax(logits, -1).astype(symbols.dtype)
            return (new, symbols), symbols

        zeros = jnp.zeros((case.B, case.H))
        start = [(zeros, zeros) for _ in cells], first
        return jax.lax.scan(step, start, None, case.T)[1]

    return Spoken({FORWARD: generate}, (params, jnp.asarray(first_symbols(case))))
