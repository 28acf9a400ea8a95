"""`compare.assert_parity` for lengths, masks and resets, all of one compiled program."""

import functools

import compare
import jax
from zoo import inputs_of, random_like

from jaxrnn import LSTMCarry, batched_carry, unroll

STEPS, BATCH = 7, 4
# All as long as the arrays; ties, and none so long; sorted; unsorted, with single steps.
LENGTHS = {
    "full": (7, 7, 7, 7),
    "ties": (5, 3, 5, 3),
    "decreasing": (7, 5, 4, 2),
    "unsorted": (1, 6, 1, 3),
}


def is_lstm_state(node):
    return isinstance(node, LSTMCarry)


def map_lstm_states(function, carry, *rest):
    """`function` of the LSTMs' states in `carry`; other states are those of the last."""

    def of_state(*states):
        return function(*states) if is_lstm_state(states[0]) else states[-1]

    return jax.tree.map(of_state, carry, *rest, is_leaf=is_lstm_state)


@functools.cache
def unrolled(cell, reverse):
    """One function for equal cells, so that `evaluate` compiles them once."""
    return functools.partial(unroll, cell, reverse=reverse)


@functools.partial(jax.jit, static_argnames="run")
def evaluate(run, weights, xs, carry, loss_weights, streams):
    """`compare.evaluate` of `run(weights, xs, carry, **streams)`."""
    run = functools.partial(run, **streams)
    return compare.evaluate.__wrapped__(run, weights, xs, carry, loss_weights)


class Comparison:
    """A cell of ours and a peer. To be kept: one is compiled once for all streams.

    Args:
        cell: ours.
        to_params: our params as a differentiable function of the peer's weights.
        weights: the peer's weights, a pytree.
        run: the peer, `run(weights, xs, carry, **streams)` with our `(carry, ys)`.
        evaluate_peer: what differentiates `run`, for a peer that JAX cannot.
        reverse: ours runs backwards.
    """

    def __init__(
        self, cell, to_params, weights, run, evaluate_peer=evaluate, reverse=False
    ):
        self.ours, self.run = unrolled(cell, reverse), run
        self.evaluate_peer = evaluate_peer
        self.weights = weights
        self.params, self.pull_back = jax.vjp(to_params, weights)
        self.xs = inputs_of(cell, (STEPS, BATCH))
        self.carry = random_like(batched_carry(cell, self.params, (BATCH,)), seed=1)
        outcome = jax.eval_shape(self.ours, self.params, self.xs, self.carry)
        self.loss_weights = random_like(outcome, seed=2)

    def assert_parity(self, xs=None, peer_streams=None, **streams):
        """Compare final carries, outputs and the gradients of a loss of all of them.

        Args:
            xs: inputs in place of random ones.
            peer_streams: the peer's streams, if they are not ours.
            streams: ours, as `unroll` takes them.

        Returns:
            Our `(outcome, gradients)`, as `evaluate` gives them: the gradients are those
            in the peer's weights, in the inputs and in the carry that is given.
        """
        inputs = self.xs if xs is None else xs, self.carry, self.loss_weights
        outcome, gradients = evaluate(self.ours, self.params, *inputs, streams)
        ours = outcome, (*self.pull_back(gradients[0]), *gradients[1:])
        if peer_streams is None:
            peer_streams = streams
        theirs = self.evaluate_peer(self.run, self.weights, *inputs, peer_streams)
        compare.assert_same(ours, theirs)
        return ours
