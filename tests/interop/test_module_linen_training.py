"""A model of flax.linen with cells in it learns, and comes back from a checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
from peer import peer

from jaxrnn import LSTM

nn = peer("flax.linen")
optax = peer("optax")
train_state = peer("flax.training.train_state")
RNN = peer("jaxrnn.interop.linen").RNN


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


# Sums of digits, as a sequence that is read and one that is written.

SYMBOLS = "0123456789+="
HIDDEN, STEPS = 24, 120


class Seq2seq(nn.Module):
    """Encoder and decoder, with the answer so far as the decoder's inputs."""

    @nn.compact
    def __call__(self, question, answer):
        size = len(SYMBOLS)
        encoder = RNN(LSTM(size, HIDDEN), return_carry=True, name="encoder")
        carry, _ = encoder(question)
        ys = RNN(LSTM(size, HIDDEN), name="decoder")(answer, initial_carry=carry)
        return nn.Dense(size, param_dtype=ys.dtype)(ys)


def sums():
    pairs = [(a, b) for a in range(10) for b in range(10)]
    texts = [(f"{a}+{b}", f"={a + b:02d}") for a, b in pairs]
    numbers = [
        [[SYMBOLS.index(s) for s in t] for t in ts] for ts in zip(*texts, strict=True)
    ]
    question, answer = (jax.nn.one_hot(jnp.array(n), len(SYMBOLS)) for n in numbers)
    return question, answer[:, :-1], jnp.array(numbers[1])[:, 1:]


def test_a_model_learns_sums_and_comes_back_from_a_checkpoint(key, tmp_path, promotion):
    question, answer, target = sums()
    model = Seq2seq()
    variables = model.init(key, question, answer)
    # By name, as optax does it: no weight decay of biases.
    decayed = lambda params: jax.tree_util.tree_map_with_path(  # noqa: E731
        lambda path, _: path[-1].key != "bias", params
    )
    optimizer = optax.adamw(0.02, weight_decay=1e-4, mask=decayed)
    state = train_state.TrainState.create(
        apply_fn=model.apply, params=variables["params"], tx=optimizer
    )

    @jax.jit
    def train(state):
        def loss(params):
            logits = state.apply_fn({"params": params}, question, answer)
            each = optax.softmax_cross_entropy_with_integer_labels(logits, target)
            return jnp.mean(each)

        value, gradient = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=gradient), value

    losses = []
    for _ in range(STEPS):
        state, value = train(state)
        losses.append(float(value))
    assert losses[0] > 2.3 and losses[-1] < 0.1, losses[::10]
    logits = model.apply({"params": state.params}, question, answer)
    assert float(jnp.mean(jnp.argmax(logits, -1) == target)) > 0.98

    checkpoint = peer("orbax.checkpoint")
    with checkpoint.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", {"params": state.params, "step": state.step})
        saver.wait_until_finished()
        empty = jax.eval_shape(lambda: {"params": variables["params"], "step": 0})
        restored = saver.restore(tmp_path / "state", empty)
    assert equal(restored["params"], state.params) and int(restored["step"]) == STEPS
    again = model.apply({"params": restored["params"]}, question, answer)
    assert equal(again, logits)
