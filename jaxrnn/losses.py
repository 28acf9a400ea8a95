"""Losses of sequences of different lengths; optax, needed here alone, computes them.

Time comes first, in logits, labels and losses.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from .arguments.arrays import as_array
from .arguments.dtypes import promoted
from .arguments.numbers import is_whole
from .unrolling.streams import check_streams, valid_steps, zeroed


def cross_entropy(
    logits: Any, labels: Any, *, lengths: Any = None, mask: Any = None
) -> jax.Array:
    """The loss of every step: -log softmax(logits_t)[labels_t], in nats.

    Args:
        logits: `(T, *batch, V)`.
        labels: `(T, *batch)` integers in 0..V-1; what they hold at steps that are not
            valid, -1 too, reaches nothing.
        lengths, mask: as in `unroll`.

    Returns:
        `(T, *batch)`, zeros at the steps that are not valid: divide their sum by the
        number of those that are, as `mean_loss` does. A label that there is not is NaN.

    Raises:
        TypeError: for labels that are no integers, logits that are not floating.
        ValueError: if the shapes do not fit.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> logits, labels = jnp.zeros((3, 2, 4)), jnp.zeros((3, 2), int)
        >>> print(jaxrnn.cross_entropy(logits, labels, lengths=jnp.array([3, 1])))
        [[1.3862944 1.3862944]
         [1.3862944 0.       ]
         [1.3862944 0.       ]]
    """
    name = "cross_entropy"
    logits, labels = _checked(name, logits, labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"{name}: labels has shape {labels.shape}, expected {logits.shape[:-1]}, one "
            f"for each of the logits {logits.shape}"
        )
    valid = _valid(name, lengths, mask, labels.shape)
    logits, labels = zeroed(valid, (logits, labels))
    known = (labels >= 0) & (labels < logits.shape[-1])
    # Out of range, optax takes the loss of some other label.
    optax, safe = _optax(name), jnp.where(known, labels, 0)
    with jax.numpy_dtype_promotion("standard"):  # optax leaves it to jax
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, safe)
    return zeroed(valid, jnp.where(known, losses, jnp.nan))


def mean_loss(losses: Any, *, lengths: Any = None, mask: Any = None) -> jax.Array:
    """The mean over all valid steps of all examples, each step of the same weight.

    Args:
        losses: `(T, *batch)`, of every step.
        lengths, mask: as in `unroll`.

    Returns:
        A scalar; 0 if no step is valid. Of `cross_entropy` it is in nats a symbol: over
        ln 2 that is bits a symbol (`bits_per_symbol`), and its exponential the perplexity
        (`perplexity`).

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> losses = jnp.array([[1.0, 2.0], [3.0, 99.0]])
        >>> print(jaxrnn.mean_loss(losses, lengths=jnp.array([2, 1])))
        2.0
    """
    losses = as_array("mean_loss", "losses", losses)
    if losses.ndim == 0:
        raise ValueError("mean_loss: losses is a scalar, expected (T, *batch)")
    if losses.size == 0:
        raise ValueError(
            f"mean_loss: losses has shape {losses.shape}: there is nothing to average; "
            "time comes first"
        )
    valid = _valid("mean_loss", lengths, mask, losses.shape)
    wide = losses.astype(promoted(losses.dtype, "float32"))  # a long sum
    count = losses.size if valid is None else jnp.sum(valid, dtype=wide.dtype)
    return (jnp.sum(zeroed(valid, wide)) / jnp.maximum(count, 1)).astype(losses.dtype)


def bits_per_symbol(nats: Any) -> Any:
    """Of a mean loss in nats: nats / ln 2; of characters, bits per character.

    Example:
        >>> import math, jaxrnn
        >>> print(jaxrnn.bits_per_symbol(math.log(8)))
        3.0
    """
    return nats / math.log(2)


def perplexity(nats: Any) -> jax.Array:
    """Of a mean loss in nats: exp(nats), the size of a fair die as hard to predict.

    Example:
        >>> import math, jaxrnn
        >>> print(f"{jaxrnn.perplexity(math.log(8)):.2f}")
        8.00
    """
    return jnp.exp(nats)


def ctc_loss(
    logits: Any,
    labels: Any,
    *,
    lengths: Any = None,
    label_lengths: Any = None,
    blank: int = 0,
) -> jax.Array:
    """Connectionist temporal classification: -log p(labels), whatever their timing.

        p(labels) = sum over all paths of T symbols that give the labels, when repeated
        symbols are merged and blanks then left out, of the product of softmax(logits_t)

    Graves, Fernandez, Gomez and Schmidhuber, "Connectionist temporal classification",
    ICML 2006. `optax.ctc_loss`, with time first and lengths.

    Args:
        logits: `(T, *batch, V)`, of the labels and the blank.
        labels: `(N, *batch)` integers, none of them the blank.
        lengths: how many of the T steps are valid, `(*batch)`; by default all.
        label_lengths: how many of the N labels, `(*batch)`; by default all.
        blank: the symbol that says nothing.

    Returns:
        `(*batch)`, in nats; inf, with a gradient of zero, where no path is left: where an
        example has fewer steps than its labels need, a step for each and one more between
        two that are equal, or where a logit of -inf bars every path.

    Raises:
        As `cross_entropy`.

    Example:
        >>> import jax.numpy as jnp, jaxrnn
        >>> loss = jaxrnn.ctc_loss(jnp.zeros((2, 3)), jnp.array([1]))
        >>> print(f"{jnp.exp(-loss):.4f}")  # of nine paths, 11, 01 and 10
        0.3333
    """
    name = "ctc_loss"
    logits, labels = _checked(name, logits, labels)
    T, *batch, V = logits.shape
    if T == 0:
        raise ValueError(f"{name}: logits has shape {logits.shape}, expected a step")
    if labels.ndim == 0 or list(labels.shape[1:]) != batch:
        raise ValueError(
            f"{name}: labels has shape {labels.shape}, expected (N, *{tuple(batch)}) for "
            f"logits of the shape {logits.shape}, time first"
        )
    if not is_whole(blank) or not 0 <= blank < V:
        raise ValueError(f"{name}: blank is {blank!r}, expected one in 0..{V - 1}")
    steps = _valid(name, lengths, None, (T, *batch))
    try:
        there = _valid(name, label_lengths, None, labels.shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: of label_lengths: {error}") from error
    steps = jnp.ones((T, *batch), bool) if steps is None else steps
    there = jnp.ones(labels.shape, bool) if there is None else there
    _optax(name)
    return _ctc(logits, labels, steps, there, int(blank))


@functools.partial(jax.jit, static_argnames="blank")
def _ctc(
    logits: jax.Array, labels: jax.Array, steps: jax.Array, there: jax.Array, blank: int
) -> jax.Array:
    T, *batch, V = logits.shape
    known = (labels >= 0) & (labels < V) & (labels != blank)
    twice = there[1:] & (labels[1:] == labels[:-1])
    needed = jnp.sum(there, axis=0) + jnp.sum(twice, axis=0)
    possible = needed <= jnp.sum(steps, axis=0)

    def rows(array: jax.Array, *features: int) -> jax.Array:
        """(B, time, ...), as optax has it."""
        flat = array.reshape(array.shape[0], math.prod(batch), *features)
        return jnp.swapaxes(flat, 0, 1)

    wide = logits.astype(promoted(logits.dtype, "float32"))
    safe = jnp.where(possible[None, ..., None], zeroed(steps, wide), 0)
    barred = jnp.isneginf(safe)
    finite = jax.lax.stop_gradient(jnp.where(jnp.isfinite(safe), safe, 0))
    low, high = jnp.min(finite), jnp.max(finite)
    # No path over finite logits costs more. A barred symbol costs twice that, not all:
    # optax multiplies it by zero.
    most = T * (high - low + math.log(V)) + 1
    optax = _optax("ctc_loss")
    with jax.numpy_dtype_promotion("standard"):
        losses = optax.ctc_loss(
            rows(jnp.where(barred, low - 2 * most, safe), V),
            rows((~steps).astype(wide.dtype)),
            rows(jnp.where(there & known, labels, (blank + 1) % V)),
            rows((~there).astype(wide.dtype)),
            blank_id=blank,
            log_epsilon=-2 * most - 1e5,
        )
    losses = losses.reshape(batch).astype(logits.dtype)
    possible &= ~(losses > 1.5 * most) & ~jnp.any(jnp.all(barred, axis=-1), axis=0)
    losses = jnp.where(possible, losses, jnp.inf)
    return jnp.where(jnp.all(known | ~there, axis=0), losses, jnp.nan)


def _checked(name: str, logits: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    logits = as_array(name, "logits", logits)
    labels = as_array(name, "labels", labels)
    if logits.ndim < 2 or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"{name}: logits is {logits.dtype}{list(logits.shape)}, expected floating "
            "ones (T, *batch, V)"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name}: labels has dtype {labels.dtype}, expected integers")
    # Bytes cannot be compared with V = 256.
    return logits, labels.astype(promoted(labels.dtype, "int32"))


def _valid(
    name: str, lengths: Any, mask: Any, leading: tuple[int, ...]
) -> jax.Array | None:
    lengths, mask, _ = check_streams(name, lengths, mask, None, leading)
    return valid_steps(lengths, mask, leading[0])


def _optax(name: str) -> Any:
    try:
        import optax
    except ImportError as error:
        raise ImportError(f"jaxrnn.{name} needs optax: pip install optax") from error
    return optax
