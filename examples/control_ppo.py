"""Proximal policy optimisation with a cell that remembers: the learning of `control.py`.

The actor takes single steps, `cell(params, carry, x)`; the learner runs the same cell
over all that the actor has seen, `unroll(..., resets=...)`, from the carry that the actor
began with. PPO: Schulman et al., "Proximal policy optimization algorithms", arXiv
1707.06347; advantages: Schulman et al., arXiv 1506.02438.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from control_tasks import step

import jaxrnn
from jaxrnn import GRU, LSTM, Activation, Dense, Elman, Stack, cells

CELLS: dict[str, Any] = {"Elman": Elman, "GRU": GRU, "LSTM": LSTM, "LRU": cells.LRU}
EPOCHS, CLIP, ENTROPY = 4, 0.2, 0.01  # EPOCHS: how often a rollout is learned from
EPISODES = 256  # to judge a policy by
DISCOUNT, TRACE, LEARNING_RATE = 0.99, 0.95, 3e-3
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LEARNING_RATE))


def model_of(name: str, world: Any, H: int) -> Stack:
    """A cell, or a layer without memory, and two layers above it. The last has a number
    for each action, its logit, and one more: the return that is expected from here on."""
    if name in CELLS:
        bottom = (CELLS[name](world.observed, H),)
    else:
        bottom = Dense(world.observed, H), Activation("tanh")
    return Stack((*bottom, Dense(H, H), Activation("tanh"), Dense(H, world.actions + 1)))


def begun(model, world, params, key, count: int) -> tuple:
    """First states and carries of so many worlds."""
    state = jax.vmap(world.start)(jax.random.split(key, count))
    return state, jaxrnn.batched_carry(model, params, (count,))


def play(model, world, params, start, keys, greedy: bool = False) -> tuple:
    """The actor: so many moves as there are keys, in many worlds beside each other."""

    def act(now, key):
        state, carry = now
        draw, anew = jax.random.split(key)
        x = jax.vmap(world.see)(state)
        carry, y = jax.vmap(model, (None, 0, 0))(params, carry, x)
        logits = jax.nn.log_softmax(y[:, :-1])
        action = logits.argmax(-1) if greedy else jax.random.categorical(draw, logits)
        seen = dict(x=x, action=action, odds=logits, value=y[:, -1])
        every = jax.random.split(anew, len(action))
        moved = jax.vmap(partial(step, world))(state, action, every)
        state, seen["reward"], seen["done"], seen["score"] = moved
        return (state, jaxrnn.reset_carry(model, params, carry, seen["done"])), seen

    return jax.lax.scan(act, start, keys)


def advantages_of(seen: dict, last: jax.Array) -> jax.Array:
    """How much better than expected it went, from each move to the episode's end."""
    goes_on = DISCOUNT * jnp.where(seen["done"], 0.0, 1.0)
    expected = jnp.concatenate([seen["value"][1:], last[None]])
    surprise = seen["reward"] + goes_on * expected - seen["value"]

    def back(later, row):
        advantage = row[0] + TRACE * row[1] * later
        return advantage, advantage

    return jax.lax.scan(back, jnp.zeros_like(last), (surprise, goes_on), reverse=True)[1]


def chosen(odds: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(odds, action[..., None], -1)[..., 0]


def loss_of(params, model, carry, seen, advantage) -> jax.Array:
    """The learner's: the whole trajectory, from the carry that the actor began with."""
    resets = jaxrnn.resets_from_done(seen["done"])
    _, ys = jaxrnn.unroll(model, params, seen["x"], carry, resets=resets)
    odds = jax.nn.log_softmax(ys[..., :-1])
    ratio = jnp.exp(chosen(odds, seen["action"]) - chosen(seen["odds"], seen["action"]))
    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    gain = jnp.minimum(ratio * scaled, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * scaled)
    error = (ys[..., -1] - seen["value"] - advantage) ** 2
    entropy = -jnp.sum(jnp.exp(odds) * odds, axis=-1)
    return jnp.mean(0.5 * error - gain - ENTROPY * entropy)


@partial(jax.jit, static_argnums=(0, 1, 2))
def train(model, world, moves: int, learner, keys) -> tuple:
    """An update for each key: play, then learn from it a few times."""

    def update(learner, key):
        params, moments, start = learner
        now, seen = play(model, world, params, start, jax.random.split(key, moves))
        x = jax.vmap(world.see)(now[0])
        last = jax.vmap(model, (None, 0, 0))(params, now[1], x)[1][:, -1]
        advantage = advantages_of(seen, last)

        def epoch(learned, _):
            gradient = jax.grad(loss_of)(learned[0], model, start[1], seen, advantage)
            updates, moments = OPTIMIZER.update(gradient, learned[1])
            return (optax.apply_updates(learned[0], updates), moments), None

        (params, moments), _ = jax.lax.scan(epoch, (params, moments), length=EPOCHS)
        return (params, moments, now), (seen["score"].sum(), seen["done"].sum())

    learner, (scores, ends) = jax.lax.scan(update, learner, keys)
    return learner, scores.sum() / jnp.maximum(ends.sum(), 1)


@partial(jax.jit, static_argnums=(0, 1))
def judged(model, world, params, key) -> jax.Array:
    """The mean score of whole episodes, each action the most probable one."""
    first, later = jax.random.split(key)
    start = begun(model, world, params, first, EPISODES)
    keys = jax.random.split(later, world.limit)
    _, seen = play(model, world, params, start, keys, greedy=True)
    ended = jnp.cumsum(seen["done"], axis=0) - seen["done"] > 0  # the first of each only
    return jnp.where(ended, 0.0, seen["score"]).sum(0).mean()
