"""Two tasks of long memory, whose sequences are drawn: the adding problem, copy memory.

Used by `remedies.py`. Adding: Hochreiter and Schmidhuber, 1997; copy memory: Arjovsky,
Shah and Bengio, 2016.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

SYMBOLS, WORD = 8, 10  # of copy memory: the alphabet, and how many are to be remembered


class Task(NamedTuple):
    """Sequences that are drawn, and what is lost on them."""

    sample: Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]  # (key, batch)
    step_losses: Callable[[jax.Array, jax.Array], jax.Array]  # (ys, targets) -> (T, B)
    loss: Callable[[jax.Array, jax.Array], jax.Array]  # what is trained, and reported
    inputs: int
    outputs: int
    guess: float  # the loss without memory


def adding(length: int) -> Task:
    """The sum of two marked numbers, one in either half, after the last of `length`."""

    def sample(key: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
        numbers, first, second = jax.random.split(key, 3)
        values = jax.random.uniform(numbers, (length, batch))
        half = length // 2
        places = jnp.stack(
            [
                jax.random.randint(first, (batch,), 0, half),
                jax.random.randint(second, (batch,), half, length),
            ]
        )
        marks = jax.nn.one_hot(places, length, axis=0).sum(1)
        return jnp.stack([values, marks], -1), (values * marks).sum(0)

    def step_losses(ys: jax.Array, targets: jax.Array) -> jax.Array:
        return (ys[..., 0] - targets) ** 2

    def loss(ys: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.mean(step_losses(ys, targets)[-1])

    return Task(sample, step_losses, loss, inputs=2, outputs=1, guess=1 / 6)


def copy(length: int) -> Task:
    """Ten symbols, to be said again after `length` blanks."""
    T, delimiter = length + 2 * WORD, SYMBOLS + 1

    def sample(key: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
        word = jax.random.randint(key, (WORD, batch), 1, SYMBOLS + 1)
        blank = jnp.zeros((T, batch), int)
        xs = blank.at[:WORD].set(word).at[-WORD - 1].set(delimiter)
        return jax.nn.one_hot(xs, delimiter + 1), blank.at[-WORD:].set(word)

    def step_losses(ys: jax.Array, targets: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(ys, targets)

    def loss(ys: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.mean(step_losses(ys, targets))

    guess = WORD * math.log(SYMBOLS) / T
    return Task(sample, step_losses, loss, SYMBOLS + 2, SYMBOLS + 1, guess)
