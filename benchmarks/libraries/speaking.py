"""jaxrnn speaks: `generate`, `beam_search`, and a decoder with attention."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn

from ..cases import FORWARD, Case
from ..jax_program import Compiled
from ..speaker import MEMORY, SYMBOLS, WIDTH, first_symbols, speaker


def program(case: Case, how: str) -> Compiled:
    I, H, V = case.I, case.H, SYMBOLS
    arrays = jax.tree.map(jnp.asarray, speaker(case))
    embedding, first = jaxrnn.Embedding(V, I), jnp.asarray(first_symbols(case))
    params: Any = (
        {"embedding": arrays["embedding"]},
        *arrays["layers"],
        {"kernel": arrays["kernel"], "bias": arrays["bias"]},
    )
    model = jaxrnn.Stack(
        (embedding, jaxrnn.LSTM(I, H), jaxrnn.LSTM(H, H), jaxrnn.Dense(H, V))
    )

    def generate(params: Any, first: Any) -> Any:
        said = jaxrnn.generate(model, params, None, first, jaxrnn.Greedy(), case.T)
        return said.symbols

    def search(params: Any, first: Any) -> Any:
        return jaxrnn.beam_search(model, params, None, first, WIDTH, case.T).symbols

    attention = jaxrnn.BahdanauAttention(jaxrnn.LSTM(I + H, H), H, jaxrnn.Additive(H))
    reader = jaxrnn.Stack((embedding, attention, jaxrnn.Dense(2 * H, V)))

    def attend(params: Any, first: Any) -> Any:
        memory = params["memory"]
        carry = (), attention.attend(params["reader"][1], memory), ()
        greedy = jaxrnn.Greedy()
        asked = params["reader"], carry, first, greedy, case.T
        return jaxrnn.generate(reader, *asked).symbols

    if how == "attention":
        keys = jax.random.split(jax.random.key(0))
        memory = jax.random.normal(keys[0], (MEMORY, case.B, H))
        params = {"reader": reader.init(keys[1]), "memory": memory}
    function = {"generate": generate, "beam": search, "attention": attend}[how]
    return Spoken({FORWARD: function}, (params, first))


class Spoken(Compiled):
    """What is said is the result."""

    def results(self) -> dict[str, np.ndarray]:
        return {"symbols": np.asarray(self.run(FORWARD))}
