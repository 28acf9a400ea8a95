"""Losses over sequences of different lengths, against sums in Python."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer import peer

from jaxrnn import bits_per_symbol, cross_entropy, ctc_loss, mean_loss, perplexity

T, B, V = 5, 4, 3
RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(T, B, V)))
LABELS = jnp.asarray(RNG.integers(0, V, (T, B)))
LENGTHS = jnp.array([5, 3, 1, 0])
P = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


@pytest.mark.slow
def test_cross_entropy_counts_the_valid_steps_alone():
    labels = LABELS.at[4, 1].set(-1)  # padding
    logits = LOGITS.at[3, 1].set(jnp.nan)
    actual = cross_entropy(logits, labels, lengths=LENGTHS)
    for t, b in itertools.product(range(T), range(B)):
        expected = -np.log(P[t, b, LABELS[t, b]]) if t < LENGTHS[b] else 0
        np.testing.assert_allclose(actual[t, b], expected, rtol=1e-12)
    mask = jnp.arange(T)[:, None] < LENGTHS[None]
    np.testing.assert_array_equal(cross_entropy(logits, labels, mask=mask), actual)
    mean = mean_loss(actual, lengths=LENGTHS)
    np.testing.assert_allclose(mean, actual.sum() / 9, rtol=1e-12)
    gradient = jax.grad(lambda x: cross_entropy(x, labels, lengths=LENGTHS).sum())
    found = gradient(logits)
    expected = np.where(mask[..., None], P - np.eye(V)[LABELS], 0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_label_that_there_is_not_is_nan_where_it_counts():
    labels = LABELS.at[1, 0].set(V).at[2, 1].set(-1)
    actual = cross_entropy(LOGITS, labels)
    np.testing.assert_array_equal(np.argwhere(np.isnan(actual)), [[1, 0], [2, 1]])


def test_means_without_steps_and_without_lengths():
    values = jnp.arange(6.0).reshape(3, 2)
    assert mean_loss(values) == 2.5
    assert mean_loss(values + jnp.nan, lengths=jnp.array([0, 0])) == 0


def test_bits_and_perplexity_of_a_fair_die():
    losses = cross_entropy(jnp.zeros((T, 8)), jnp.arange(T))
    assert float(bits_per_symbol(mean_loss(losses))) == pytest.approx(3)
    assert float(perplexity(mean_loss(losses))) == pytest.approx(8)


def collapsed(path, blank):
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    return [symbol for symbol in merged if symbol != blank]


@pytest.mark.parametrize("blank", [2, 0])
def test_ctc_is_the_sum_over_all_paths(blank):
    one, two = [symbol for symbol in range(V) if symbol != blank]
    targets = [[one, one], [two], [one], []]
    labels = np.full((3, B), 9)
    for b, target in enumerate(targets):
        labels[: len(target), b] = target
    lengths = jnp.array([4, 3, 4, 2])
    label_lengths = jnp.array([2, 1, 1, 0])

    def losses(logits):
        return ctc_loss(
            logits,
            jnp.asarray(labels),
            lengths=lengths,
            label_lengths=label_lengths,
            blank=blank,
        )

    def all_paths(logits):
        p, sums = jax.nn.softmax(logits), []
        for b, target in enumerate(targets):
            paths = itertools.product(range(V), repeat=int(lengths[b]))
            every = [
                math.prod([p[t, b, symbol] for t, symbol in enumerate(path)])
                for path in paths
                if collapsed(path, blank) == target
            ]
            sums.append(-jnp.log(sum(every)))
        return jnp.stack(sums)

    np.testing.assert_allclose(losses(LOGITS), all_paths(LOGITS), rtol=1e-9)
    actual = jax.grad(lambda x: losses(x).sum())(LOGITS)
    expected = jax.grad(lambda x: all_paths(x).sum())(LOGITS)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_labels_that_do_not_fit_are_impossible():
    """Two equal labels need three steps: 1 0 1."""
    labels = jnp.array([[1, 1, 1], [1, 2, 0]])
    loss = ctc_loss(LOGITS[:, :3], labels, lengths=jnp.array([2, 2, 2]))
    assert loss[0] == jnp.inf and jnp.isfinite(loss[1])
    assert jnp.isnan(loss[2])  # a blank among the labels
    total = lambda x: jnp.where(jnp.isfinite(ctc_loss(x, labels)), 1.0, 0.0).sum()  # noqa: E731
    assert jnp.all(jnp.isfinite(jax.grad(total)(LOGITS[:, :3])))


def test_ctc_where_symbols_are_barred_is_that_of_torch():
    """A symbol that is masked out, a label and the blank impossible at one step each."""
    torch = peer("torch")
    logits = np.array(LOGITS)
    logits[:, 0, 1] = logits[1, 1, 2] = logits[2, 2, 0] = -np.inf
    logits[0, 3] = -np.inf  # of this example no path is left
    labels = np.array([[2, 2, 1, 1], [0, 1, 2, 2]])
    label_lengths, lengths = np.array([1, 2, 2, 2]), np.array([5, 5, 4, 5])

    @jax.jit
    def losses(logits):
        streams = {"lengths": lengths, "label_lengths": label_lengths}
        return ctc_loss(logits, labels, **streams)

    sizes = torch.tensor(lengths), torch.tensor(label_lengths)
    expected = torch.nn.functional.ctc_loss(
        torch.tensor(logits).log_softmax(-1),
        torch.tensor(labels.T),
        *sizes,
        reduction="none",
    )
    actual, back = jax.vjp(losses, jnp.asarray(logits))
    np.testing.assert_allclose(actual[:3], expected[:3], rtol=1e-9)
    assert actual[3] == jnp.inf
    # A bar of 200 nats is one in float64. (torch has NaN in the gradient.)
    found, almost = back(jnp.ones(B))[0], jnp.maximum(logits, -200)
    gradient = jax.grad(lambda x: losses(x)[:3].sum())(almost)
    np.testing.assert_allclose(found[:, :3], gradient[:, :3], atol=1e-12)
    assert (found[:, 3] == 0).all()


def test_ctc_without_a_path_is_infinite():
    """The only path of the label 1 in one step is barred; a NaN stays one."""
    logits = jnp.array([[[0.0, -jnp.inf], [0.0, 800.0], [jnp.nan, 0.0]]])
    loss = ctc_loss(logits, jnp.ones((1, 3), int))
    np.testing.assert_allclose(loss, [jnp.inf, 0, jnp.nan])


def test_the_loss_of_a_barred_label_is_infinite_and_its_gradient_finite():
    logits = jnp.array([[-jnp.inf, 0.0, 0.0]])
    losses, back = jax.vjp(lambda x: cross_entropy(x, jnp.array([0])), logits)
    assert losses == jnp.inf and jnp.isfinite(back(jnp.ones(1))[0]).all()
    np.testing.assert_allclose(
        cross_entropy(logits, jnp.array([1])), [math.log(2)], rtol=1e-12
    )


@pytest.mark.slow
def test_any_batch_axes():
    np.testing.assert_allclose(
        ctc_loss(LOGITS.reshape(T, 2, 2, V), jnp.ones((1, 2, 2), int)),
        ctc_loss(LOGITS, jnp.ones((1, B), int)).reshape(2, 2),
    )
    one = ctc_loss(LOGITS[:, 0], jnp.ones(1, int))
    np.testing.assert_allclose(one, ctc_loss(LOGITS, jnp.ones((1, B), int))[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cross_entropy(LOGITS, LABELS[1:]), ValueError, "labels has shape"),
        (
            lambda: cross_entropy(LOGITS, LABELS.astype(float)),
            TypeError,
            "labels has dtype",
        ),
        (lambda: cross_entropy(LABELS, LABELS), TypeError, "logits is int"),
        (
            lambda: cross_entropy(LOGITS, LABELS, lengths=jnp.array([6, 1, 1, 1])),
            ValueError,
            "cross_entropy: lengths has the entry 6",
        ),
        (lambda: ctc_loss(LOGITS, LABELS.T), ValueError, "time first"),
        (lambda: ctc_loss(LOGITS, LABELS, blank=V), ValueError, "blank is 3"),
        (lambda: mean_loss(LOGITS[:0]), ValueError, "nothing to average"),
        (lambda: mean_loss(LOGITS[..., 0], lengths=3), ValueError, "mean_loss: lengths"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_bytes_are_labels_of_256_symbols():
    labels = jnp.array([3, 255], "uint8")
    losses = cross_entropy(jnp.zeros((2, 256)), labels)
    np.testing.assert_allclose(losses, np.full(2, math.log(256)))
    assert jnp.isfinite(ctc_loss(jnp.zeros((3, 256)), labels))


def test_the_mean_of_many_halves():
    assert mean_loss(jnp.full((200, 256), 5, "float16")) == 5
