"""A bias that is trained as the sum of two, as torch and keras have it."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.checks import shapes
from .wrapper import Wrapper


class TwoBiases(Wrapper):
    """A cell whose bias is the sum of two: one beside x W, another beside h U.

        b = bias + recurrent_bias

    The params are those of the cell, with recurrent_bias of the shape of bias. Of a
    `GRU(reset_after=True)`, whose own recurrent_bias [H] stands inside the reset, it is
    the last of the three blocks, and has the others before it.

    It computes nothing that the cell does not, but learns as torch.nn and keras' GRU do:
    the two get the same gradient, so that a step of an optimizer moves their sum by twice
    as much. For fine-tuning weights of theirs; a new one starts as the cell does, with
    zeros for the second.

    Args:
        cell: an `Elman`, `LSTM`, `GRU` or another cell whose params have a bias that is
            added to x W.

    Raises:
        TypeError: if `cell` is no cell, one without a bias, or one that has two.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.TwoBiases(jaxrnn.LSTM(3, 5))
        >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 2, 3))
        >>> print(params["bias"].shape, params["recurrent_bias"].shape)
        (20,) (20,)
        >>> loss = lambda params: jnp.sum(jaxrnn.unroll(cell, params, xs)[1])
        >>> gradient = jax.grad(loss)(params)
        >>> print(bool(jnp.all(gradient["bias"] == gradient["recurrent_bias"])))
        True
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._own()

    def _own(self) -> int:
        """How long the cell's own recurrent_bias is."""
        params = shapes(jax.eval_shape(self.cell.init, jax.random.key(0)))
        if not isinstance(params, dict) or len(params.get("bias", ())) != 1:
            raise TypeError(
                f"TwoBiases: cell is {self.cell}, without a bias of one axis, expected "
                "an Elman, LSTM, GRU or another cell with one"
            )
        own = sum(params.get("recurrent_bias", (0,)))
        if own >= sum(params["bias"]):
            raise TypeError(
                f"TwoBiases: cell is {self.cell}, whose bias is the sum of two already, "
                "expected one that has it once"
            )
        return own

    def init(self, key: jax.Array) -> Any:
        params = self.cell.init(key)
        own = params.get("recurrent_bias", params["bias"][:0])
        zeros = jnp.zeros_like(params["bias"][own.size :])
        return params | {"recurrent_bias": jnp.concatenate([zeros, own])}

    def prepare(self, params: Any, key: jax.Array | None = None) -> Any:
        return self.cell.prepare(self._folded(params), key)

    def initial_carry(self, params: Any) -> Any:
        return self.cell.initial_carry(self._folded(params))

    def _folded(self, params: Any) -> Any:
        """Params of the cell."""
        second, own = params.get("recurrent_bias"), self._own()
        if second is None or second.size == own:  # already
            return params
        cut = second.size - own
        params = {name: leaf for name, leaf in params.items() if name != "recurrent_bias"}
        if own:
            params["recurrent_bias"] = second[cut:]
        return params | {"bias": params["bias"] + jnp.pad(second[:cut], (0, own))}
