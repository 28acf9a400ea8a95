"""ONNX's LSTM with all of its attributes, for what the cells of the zoo do not have."""

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.numbers import check_flags
from ...cells.activations import Activation, activation_of, check_activations
from ...cells.gated import Drive, Params
from ...cells.lstm import LSTMCarry, Memory


class OnnxLSTM(Memory, kw_only=True):
    """Long short-term memory as ONNX's operator has it, of three activations.

        i, f = gate(x W_* + h U_* + p_* c + b_*)      input and forget gate
        g    = act(x W_g + h U_g + b_g)               candidate
        c'   = f c + i g
        o    = gate(x W_o + h U_o + p_o c' + b_o)     output gate
        h'   = o show(c')

    with blocks in the order i, f, g, o and peephole [3H] in the order i, f, o. Coupled,
    f = 1 - i, and there are no blocks f. Without peepholes there is no p. `load` makes it
    where `jaxrnn.LSTM`, `cells.PeepholeLSTM` and `cells.CoupledLSTM` are not the same.

    Args:
        input_size, hidden_size: I and H.
        activation, gate_activation, output_activation: act, gate and show.
        coupled, peepholes: see above.
        peephole_init: see `jaxrnn.initializers`.
        use_bias, kernel_init, recurrent_init, bias_init, recurrent_dropout: as
            `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an unknown
            activation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.interop.onnx import Clipped, OnnxLSTM
        >>> cell = OnnxLSTM(3, 5, activation=Clipped("tanh", 2.0), coupled=True)
        >>> params = cell.init(jax.random.key(0))
        >>> (h, c), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(params["kernel"].shape, c.shape, ys.shape)
        (3, 15) (2, 5) (7, 2, 5)
    """

    bias_init: initializers.Initializer = initializers.zeros
    activation: Activation = "tanh"
    gate_activation: Activation = "sigmoid"
    output_activation: Activation = "tanh"
    coupled: bool = False
    peepholes: bool = False
    peephole_init: initializers.Initializer = initializers.zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "coupled", "peepholes")
        fields = "activation", "gate_activation", "output_activation"
        check_activations(self, *fields)

    def __repr__(self) -> str:
        return f"interop.onnx.{super().__repr__()}"

    @property
    def blocks(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("i", "g", "o") if self.coupled else ("i", "f", "g", "o")

    def init(self, key: jax.Array) -> Params:
        params = super().init(key)
        if not self.peepholes:
            return params
        gates = tuple(gate for gate in self.blocks if gate != "g")
        shape = (len(gates) * self.hidden_size,)
        return params | self.further(key, peephole=("peephole_init", shape, gates))

    def gates(
        self, params: Params, carry: LSTMCarry, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"i", "f", "g", "o"}, each [H], of the step from `carry`."""
        z = drive.x + self.seen(carry.h, drive) @ params["recurrent_kernel"]
        sums = dict(zip(self.blocks, jnp.split(z, len(self.blocks)), strict=True))
        gate = activation_of(self.gate_activation)
        peephole = {}
        if self.peepholes:
            parts = jnp.split(params["peephole"], len(self.blocks) - 1)
            names = (name for name in self.blocks if name != "g")
            peephole = dict(zip(names, parts, strict=True))

        def of(name: str, c: jax.Array) -> jax.Array:
            seen = peephole[name] * c if name in peephole else None
            return gate(sums[name] if seen is None else sums[name] + seen)

        i = of("i", carry.c)
        f = 1 - i if self.coupled else of("f", carry.c)
        g = activation_of(self.activation)(sums["g"])
        return {"i": i, "f": f, "g": g, "o": of("o", f * carry.c + i * g)}

    def step(self, params: Params, carry: LSTMCarry, drive: Drive) -> LSTMCarry:
        gate = self.gates(params, carry, drive)
        c = gate["f"] * carry.c + gate["i"] * gate["g"]
        return LSTMCarry(h=gate["o"] * activation_of(self.output_activation)(c), c=c)
