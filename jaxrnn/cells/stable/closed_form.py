"""The closed form of the liquid network: time is in the equation, not in a solver."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from ... import initializers
from ...arguments.keys import Keys
from ...arguments.numbers import check_sizes, is_whole
from ..activations import Activation, activation_of, check_activations
from ..affine import check_x
from ..gated import Drive, Gated, Params
from .elapsed import Elapsing

MODES = "default", "no_gate", "pure"


def lecun_tanh(x: jax.Array) -> jax.Array:
    """1.7159 tanh(0.666 x), of unit variance for such inputs.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """
    return 1.7159 * jnp.tanh(0.666 * x)


class Backbone(Elapsing, Gated[jax.Array], kw_only=True):
    """A cell whose step sees x and h through layers, which end in heads of H units."""

    kernel_init: initializers.Initializer = initializers.glorot_uniform
    recurrent_init: initializers.Initializer = initializers.glorot_uniform
    backbone_units: int = 128
    backbone_layers: int = 1
    activation: Activation = lecun_tanh

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, backbone_units=self.backbone_units)
        check_activations(self, "activation")
        if not is_whole(self.backbone_layers) or self.backbone_layers < 0:
            raise ValueError(
                f"{type(self).__name__}: backbone_layers is {self.backbone_layers!r}, "
                "expected an int of at least 0"
            )
        object.__setattr__(self, "backbone_layers", int(self.backbone_layers))

    @property
    def heads(self) -> tuple[str, ...]:
        return self.blocks

    @property
    def later(self) -> list[tuple[str, str]]:
        """The kernel and the bias of every layer after the first, the heads last."""
        if not self.backbone_layers:
            return []
        names = [str(i) for i in range(2, self.backbone_layers + 1)]
        return [
            *((f"kernel_{i}", f"bias_{i}") for i in names),
            ("head_kernel", "head_bias"),
        ]

    def _parameters(self) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
        I, H, K = self.input_size, self.hidden_size, self.backbone_units
        heads = len(self.heads) * H, self.heads
        (columns, blocks), *later = [(K, ("k",))] * self.backbone_layers + [heads]
        of = {
            "kernel": ("kernel_init", (I, columns), blocks),
            "recurrent_kernel": ("recurrent_init", (H, columns), blocks),
            "bias": ("bias_init", (columns,), blocks),
        }
        for (kernel, bias), (columns, blocks) in zip(self.later, later, strict=True):
            of[kernel] = "kernel_init", (K, columns), blocks
            of[bias] = "bias_init", (columns,), blocks
        return of

    def project(self, params: Params, x: Any, keys: Keys | None = None) -> Drive:
        if not self.timed:
            return super().project(params, x, keys)
        check_x(self, x)
        untimed = dataclasses.replace(self, timed=False)
        drive = untimed.project(params, x.x, keys)
        return Drive((drive.x, x.elapsed), drive.keep)

    def of_heads(self, params: Params, carry: jax.Array, drive: Drive) -> list[jax.Array]:
        """What comes out of the heads, each [H], and the time elapsed."""
        k, elapsed = self.parts(drive.x)
        k = k + self.seen(carry, drive) @ params["recurrent_kernel"]
        for kernel, bias in self.later:
            k = activation_of(self.activation)(k) @ params[kernel]
            k = k + params[bias] if self.use_bias else k
        return [*jnp.split(k, len(self.heads)), elapsed]


class CfC(Backbone, kw_only=True):
    """The closed-form continuous-time network, which reads the time elapsed.

        k  = act(x W + h U + b)                         the backbone, and layers 2, ...:
        k  = act(k W_i + b_i)
        g, n, a, c = k V_* + v_*                        heads
        s  = sigmoid(a t + c)                           t: the time elapsed
        h' = (1 - s) tanh(g) + s tanh(n)                mode="default"
        h' = tanh(g) + s tanh(n)                        mode="no_gate"
        h' = A - A exp(-t (|w_tau| + |g|)) g            mode="pure", without n, a and c

    with K = backbone_units, W = kernel [I, K], U = recurrent_kernel [H, K], b = bias [K],
    W_i = kernel_i [K, K], b_i = bias_i [K] for i = 2, ..., backbone_layers,
    V = head_kernel [K, 4H] and v = head_bias [4H] in the order g, n, a, c; w_tau and A
    [H] in the mode "pure", at first 0 and 1, as the authors have them: |w_tau| has no
    slope at 0, so that w_tau is trained only from another start. With no layers the heads
    are of x and h themselves, and kernel is [I, 4H]. The carry and the output are h,
    zeros at first.

    Hasani, Lechner, Amini, Liebenwein, Ray, Tschaikowski, Teschl and Rus, "Closed-form
    continuous-time neural networks", Nature Machine Intelligence 4, 2022, arXiv
    2106.13898, which calls the modes CfC, CfC-noGate and Cf-S, and a f. The code of the
    paper has -a for a, and act for the tanh of g and n; this is that of the authors' ncps
    package.

    Args:
        input_size, hidden_size: I and H.
        timed: whether inputs are `jaxrnn.cells.Timed`, each with its own t.
        elapsed: t, unless `timed`.
        mode: "default", "no_gate" or "pure".
        backbone_units, backbone_layers: K, and how many layers there are; 0 for none.
        activation: act, 1.7159 tanh(0.666 x) by default: the name of a function of
            `jax.nn` or "onnx_hard_sigmoid", or a function of a module.
        kernel_init, recurrent_init: Glorot's by default; `kernel_init` makes W_i and V
            too, and `bias_init` b_i and v.
        use_bias, bias_init, recurrent_dropout: as `jaxrnn.cells.Gated` has them.

    Raises:
        ValueError: for a size that is no positive int, a rate outside [0, 1), an elapsed
            that is not positive, an unknown mode or activation, a negative
            backbone_layers.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.cells.CfC(3, 5, backbone_units=8, timed=True)
        >>> params = cell.init(jax.random.key(0))
        >>> inputs = jaxrnn.cells.Timed(jnp.ones((7, 2, 3)), jnp.full((7, 2), 0.1))
        >>> h, ys = jaxrnn.unroll(cell, params, inputs)
        >>> print(params["kernel"].shape, params["head_kernel"].shape, h.shape, ys.shape)
        (3, 8) (8, 20) (2, 5) (7, 2, 5)
    """

    blocks = "g", "n", "a", "c"

    mode: str = "default"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise ValueError(
                f'CfC: mode is {self.mode!r}, expected "default", "no_gate" or "pure"'
            )

    @property
    def heads(self) -> tuple[str, ...]:
        return ("g",) if self.mode == "pure" else self.blocks

    def init(self, key: jax.Array) -> Params:
        H, params = self.hidden_size, super().init(key)
        own = {"w_tau": jnp.zeros(H), "A": jnp.ones(H)}
        return params | own if self.mode == "pure" else params

    def gates(
        self, params: Params, carry: jax.Array, drive: Drive
    ) -> dict[str, jax.Array]:
        """The activations {"s", "g", "n"}, each [H], of the step from `carry`.

        The mode "pure" has none.
        """
        if self.mode == "pure":
            return {}
        g, n, a, c, t = self.of_heads(params, carry, drive)
        return {"s": jax.nn.sigmoid(a * t + c), "g": jnp.tanh(g), "n": jnp.tanh(n)}

    def step(self, params: Params, carry: jax.Array, drive: Drive) -> jax.Array:
        if self.mode == "pure":
            g, t = self.of_heads(params, carry, drive)
            decay = jnp.exp(-t * (jnp.abs(params["w_tau"]) + jnp.abs(g)))
            return params["A"] - params["A"] * decay * g
        s, g, n = self.gates(params, carry, drive).values()
        return (g if self.mode == "no_gate" else (1 - s) * g) + s * n
