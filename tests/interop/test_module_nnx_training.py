"""A model of flax.nnx with cells in it learns, and comes back from a checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
from peer import peer

from jaxrnn import GRU, Bidirectional, Dropout, Embedding, Stack

nnx = peer("flax.nnx")
optax = peer("optax")
RNN = peer("jaxrnn.interop.nnx").RNN


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


# Tags of symbols: whether a symbol stands beside one that is the same.

TAGGER = Stack((Embedding(4, 6), Bidirectional(GRU(6, 10), GRU(6, 10)), Dropout(0.1)))


class Tagger(nnx.Module):
    def __init__(self, rngs):
        self.rnn = RNN(TAGGER, rngs=rngs)
        self.readout = nnx.Linear(20, 2, rngs=rngs, param_dtype=float)

    def __call__(self, words, lengths):
        return self.readout(self.rnn(words, seq_lengths=lengths))


def sentences(seed, count):
    rng = np.random.default_rng(seed)
    words, lengths = rng.integers(0, 4, (count, 8)), rng.integers(1, 9, count)
    valid = np.arange(8) < lengths[:, None]
    same = (words[:, 1:] == words[:, :-1]) & valid[:, 1:]
    tags = np.zeros_like(words)
    tags[:, 1:] |= same
    tags[:, :-1] |= same
    return jnp.array(words), jnp.array(lengths), jnp.array(tags), jnp.array(valid)


def test_a_tagger_learns_and_comes_back_from_a_checkpoint(tmp_path, promotion):
    words, lengths, tags, valid = sentences(0, 200)
    model = Tagger(nnx.Rngs(0, dropout=1))
    optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer):
        def loss(model):
            logits = model(words, lengths)
            each = optax.softmax_cross_entropy_with_integer_labels(logits, tags)
            return jnp.mean(each, where=valid)

        value, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return value

    losses = [float(train(model, optimizer)) for _ in range(60)]
    assert losses[0] > 0.6 and losses[-1] < 0.15, losses[::6]
    model.eval()
    words, lengths, tags, valid = sentences(1, 100)
    logits = model(words, lengths)
    right = jnp.argmax(logits, -1) == tags
    assert float(jnp.mean(right, where=valid)) > 0.95

    checkpoint = peer("orbax.checkpoint")
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    with checkpoint.StandardCheckpointer() as saver:
        saver.save(tmp_path / "params", nnx.to_pure_dict(params))
        saver.wait_until_finished()
        like = nnx.state(nnx.eval_shape(lambda: Tagger(nnx.Rngs(0))), nnx.Param)
        restored = saver.restore(tmp_path / "params", nnx.to_pure_dict(like))
    nnx.replace_by_pure_dict(like, restored)
    assert equal(nnx.merge(graph, like, rest)(words, lengths), logits)
