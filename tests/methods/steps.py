"""What a step may hold: cells of users, for `Scan` to take apart."""

from typing import Any

import jax
import jax.numpy as jnp
from zoo import random_like

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Elman,
    LSTMCarry,
    Stack,
    Zoneout,
)


class Written(Cell):
    """What a user writes: columns, slices, x W in the step, weights joined, peepholes."""

    input_size: int = 3
    hidden_size: int = 4

    def init(self, key):
        I, H = self.input_size, self.hidden_size
        shapes = {"W": (I, 2 * H), "U": (2 * H, H), "b": (2 * H,), "p": (H,), "V": (H, H)}
        return random_like({k: jnp.zeros(v) for k, v in shapes.items()}, seed=5)

    def initial_carry(self, params):
        H = self.hidden_size
        return {"h": jnp.zeros(H), "c": jnp.zeros(H), "steps": jnp.zeros((), int)}

    def step(self, params, carry, drive):
        H = self.hidden_size
        z = drive @ params["W"] + params["U"] @ carry["h"] + params["b"]
        keep = jax.nn.sigmoid(z[:H] + params["p"] * carry["c"])
        new = jax.nn.relu(z[H:]) @ params["V"]
        c = keep * carry["c"] + (1 - keep) * jnp.tanh(new)
        h = c / jnp.sqrt(1 + c @ c) * jnp.cos(carry["steps"].astype(c.dtype))
        return {"h": h, "c": c, "steps": carry["steps"] + 1}

    def output(self, params, carry, drive):
        return params["V"] @ carry["h"]


class Convolution(Cell):
    """No product that can be taken apart, and inputs of two axes."""

    input_shape: Any = (5, 2)

    def init(self, key):
        return random_like({"k": jnp.zeros((3, 2, 2)), "w": jnp.zeros((2, 2))}, seed=6)

    def initial_carry(self, params):
        return jnp.zeros((5, 2))

    def project(self, params, x, keys=None):
        return x @ params["w"]

    def step(self, params, carry, drive):
        dimensions = ("NWC", "WIO", "NWC")
        carry = jax.lax.conv_general_dilated(
            carry[None], params["k"], (1,), "SAME", dimension_numbers=dimensions
        )[0]
        return jnp.tanh(carry + drive)


@jax.custom_vjp
def _halved(x):
    return x


_halved.defvjp(lambda x: (x, None), lambda _, ct: (ct / 2,))


class HalfGradient(Elman):
    """A derivative that only reverse mode knows."""

    def step(self, params, carry, drive):
        return super().step(params, _halved(carry), drive)


class HalfInputGradient(Elman):
    """The same before the loop."""

    def project(self, params, x, keys=None):
        return super().project(params, _halved(x), keys)


class HalfOutputGradient(Elman):
    """The same after the loop."""

    def output(self, params, carry, drive):
        return _halved(carry) * 3


class Walk(Elman):
    """A key in the carry: of a walk that draws as it goes, and shows all of its carry."""

    def initial_carry(self, params):
        return super().initial_carry(params), jax.random.key(3)

    def step(self, params, carry, drive):
        h, key = carry
        key, own = jax.random.split(key)
        noise = 0.1 * jax.random.normal(own, h.shape, h.dtype)
        return super().step(params, h, drive) + noise, key

    def output(self, params, carry, drive):
        return carry[0] * 2


class Idle(Elman):
    """Products that nothing uses, or an integer alone, and one that is used twice."""

    def initial_carry(self, params):
        return super().initial_carry(params), jnp.zeros((), int)

    def step(self, params, carry, drive):
        (h, count), U = carry, params["recurrent_kernel"]
        (jnp.sin(h) @ U).sum()
        count = count + jnp.argmax(jnp.cos(h) @ U)
        z = h @ U
        return jnp.tanh(z + drive.x) * jnp.cos(z), count


class Delay(Elman):
    """A carry whose parts are the drive, another part, the product alone, and a sum."""

    def initial_carry(self, params):
        return 4 * (super().initial_carry(params),)

    def step(self, params, carry, drive):
        _, b, z, h = carry
        return drive.x, h, h @ params["recurrent_kernel"], jnp.sin(b) + z + drive.x

    def output(self, params, carry, drive):
        return carry[0] + carry[3] * params["bias"]


class Inner(Elman):
    """A loop in the step, linear in what is given to it."""

    def step(self, params, carry, drive):
        z = jnp.tanh(carry @ params["recurrent_kernel"]) + drive.x
        add = lambda s, u: 2 * (s / 2 + u,)  # noqa: E731
        return jax.lax.scan(add, jnp.zeros((), z.dtype), z)[1]


class Counting(Elman):
    """A product of integers, which what follows reads; a scalar from `prepare`."""

    def prepare(self, params, key=None):
        return {**params, "gain": 0.5}

    def initial_carry(self, params):
        return super().initial_carry(params), jnp.eye(3, dtype=int)[0]

    def step(self, params, carry, drive):
        h, state = carry
        gain = params["gain"] * (1 + state[0]).astype(h.dtype)
        h = super().step(params, h, drive) * gain
        return h, state @ jnp.eye(3, dtype=int)[jnp.array([1, 2, 0])]

    def output(self, params, carry, drive):
        return carry[0]


CELLS = {
    "elman": Elman(3, 4),
    "linear": Elman(3, 4, "identity"),
    "lstm": LSTM(3, 4),
    "gru": GRU(3, 4),
    "gru_reset_before": GRU(3, 4, reset_after=False),
    "zoneout": Zoneout(LSTM(3, 4), LSTMCarry(h=0.1, c=0.5)),
    "written": Written(),
    "convolution": Convolution(),
    "half_gradient": HalfGradient(3, 4),
    "half_input_gradient": HalfInputGradient(3, 4),
    "idle": Idle(3, 4),
    "delay": Delay(3, 4),
    "inner": Inner(3, 4),
    "counting": Counting(3, 4),
    "deep": Stack((GRU(3, 3), Bidirectional(LSTM(3, 2), Elman(3, 4)))),
}


class Halving(Elman):
    """Its number of iterations depends on what is computed."""

    def step(self, params, carry, drive):
        h = super().step(params, carry, drive)
        return jax.lax.while_loop(lambda h: h @ h > 0.5, lambda h: h / 2, h)


class Talking(Elman):
    def step(self, params, carry, drive):
        jax.debug.print("step {}", carry[0])
        return super().step(params, carry, drive)
