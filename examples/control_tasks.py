"""Two worlds in which something must be remembered: the tasks of `control.py`.

Each is a value with pure functions of one example: `start` draws a first state, `see`
says what is seen of a state, `move` answers an action with the next state, the reward,
whether the episode has ended, and what is counted as success.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Maze:
    """A T-maze: a hint at the start says where to turn at the end of a corridor.

    After Bakker, "Reinforcement learning with long short-term memory", NIPS 2001. Here
    each move leads one place on, whatever it is: an episode has `length + 1` moves, and
    the hint is seen `length` moves before the turn. The last move is the turn, left or
    right (action 0 or 1), and earns 1 if it is to the side of the hint.
    """

    length: int
    observed: ClassVar[int] = 4  # hint of either side, corridor, junction
    actions: ClassVar[int] = 2

    @property
    def limit(self) -> int:
        """The most moves of an episode."""
        return self.length + 1

    def start(self, key: jax.Array) -> Any:
        return jax.random.randint(key, (), 0, 2), jnp.array(0)

    def see(self, state: Any) -> jax.Array:
        side, place = state
        later = jnp.where(place < self.length, 2, 3)
        return jax.nn.one_hot(jnp.where(place == 0, side, later), self.observed)

    def move(self, state: Any, action: jax.Array) -> tuple:
        side, place = state
        last = place == self.length
        reward = jnp.where(last & (action == side), 1.0, 0.0)
        return (side, place + 1), reward, last, reward


@dataclass(frozen=True)
class CartPole:
    """A pole on a cart that is pushed left or right and must not fall.

    Equations and numbers of Barto, Sutton and Anderson, "Neuronlike adaptive elements
    that can solve difficult learning control problems", 1983: a failure, which costs 1,
    is a pole beyond 12 degrees or a cart beyond 2.4 m. An episode ends after `limit`
    moves too. The velocities are hidden, unless `velocities` shows them.
    """

    velocities: bool = False
    limit: int = 500
    actions: ClassVar[int] = 2

    @property
    def observed(self) -> int:
        return 4 if self.velocities else 2

    def start(self, key: jax.Array) -> Any:
        return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05), jnp.array(0)

    def see(self, state: Any) -> jax.Array:
        x, speed, angle, turning = state[0]
        shown = x / 2.4, angle / 0.21, speed / 2.4, turning / 2.4  # all about 1 at most
        return jnp.stack(shown[: self.observed])

    def move(self, state: Any, action: jax.Array) -> tuple:
        (x, speed, angle, turning), count = state
        gravity, total, pole, half, seconds = 9.8, 1.1, 0.1, 0.5, 0.02  # m/s², kg, kg, m
        push = jnp.where(action == 1, 10.0, -10.0)  # newtons
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        inertia = pole * half * turning**2 * sine
        pushed = (-push - inertia + 0.0005 * jnp.sign(speed)) / total  # track's friction
        hinge = 0.000002 * turning / (pole * half)
        moment = half * (4 / 3 - pole * cosine**2 / total)
        swing = (gravity * sine + cosine * pushed - hinge) / moment
        thrust = push + inertia - pole * half * swing * cosine
        gain = (thrust - 0.0005 * jnp.sign(speed)) / total
        change = jnp.stack([speed, gain, turning, swing])
        after, count = state[0] + seconds * change, count + 1
        fallen = (jnp.abs(after[0]) > 2.4) | (jnp.abs(after[2]) > jnp.deg2rad(12.0))
        done = fallen | (count >= self.limit)
        return (after, count), jnp.where(fallen, -1.0, 0.0), done, jnp.ones_like(x)


def step(world: Any, state: Any, action: jax.Array, key: jax.Array) -> tuple:
    """A move; after the last one of an episode the state is the first of a new one."""
    after, *answer = world.move(state, action)
    done = answer[1]
    anew = world.start(key)
    return jax.tree.map(lambda new, old: jnp.where(done, new, old), anew, after), *answer
