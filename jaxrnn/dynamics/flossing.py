"""Exponents as a term of a loss: directions that neither fade nor explode."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments.numbers import is_number
from ..cell import Cell
from ..gradients import lyapunov_spectrum
from ..methods import Scan


def lyapunov_penalty(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Any = None,
    k: int = 1,
    *,
    target: float = 0.0,
    lengths: Any = None,
    mask: Any = None,
    key: jax.Array | None = None,
    warmup: float = 0.0,
    every: int = 1,
    method: Any = Scan(),  # noqa: B008 (a frozen value)
) -> jax.Array:
    """How far the largest exponents are from a target, to be added to a loss.

        penalty = mean over examples of (1/k) sum_i (lambda_i - target)^2      i = 1..k

    with the exponents lambda_i of `lyapunov_spectrum`, differentiated through steps and
    QR. With a target of 0 the first k directions neither fade nor explode, so that a
    gradient finds k ways back through time; trained on this alone for some hundred steps
    before the task, or along with it. Engelken, "Gradient flossing: improving gradient
    descent through dynamic control of Jacobians", NeurIPS 2023, arXiv 2312.17306.

    Args:
        cell, params, xs, carry, lengths, mask, key, method: as in `unroll`. Random inputs
            and a random carry do.
        k: how many exponents, the largest ones: few, as the others will follow the task.
            None of them may be lost, -inf in the spectrum, as some of a singular kernel
            are: there the penalty is inf, which tells so.
        target: in nats per step.
        warmup: as in `lyapunov_spectrum`; 0, since from the first step on gradients
            travel.
        every: steps between two QR decompositions. Each costs O(n k^2), as do its
            derivatives, so that more is faster, while exponents differ by less than the
            dtype can tell.

    Returns:
        A scalar, in the dtype of the exponents. Its gradient costs some three times its
        value, and memory for k tangents of every step.

    Raises:
        ValueError: if `target` is no finite number. Else as `lyapunov_spectrum`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Elman(1, 2, activation="identity")
        >>> params = cell.init(jax.random.key(0))
        >>> params |= {"recurrent_kernel": jnp.diag(jnp.array([0.5, 0.1]))}
        >>> value = jaxrnn.lyapunov_penalty(cell, params, jnp.zeros((200, 1)))
        >>> print(round(float(value), 2), round(float(jnp.log(0.5) ** 2), 2))
        0.48 0.48
    """
    if not is_number(target) or not -jnp.inf < target < jnp.inf:
        raise ValueError(
            f"lyapunov_penalty: target is {target!r}, expected a finite number"
        )
    options = {"lengths": lengths, "mask": mask, "key": key, "method": method}
    spectrum = lyapunov_spectrum(
        cell, params, xs, carry, k, warmup=warmup, every=every, **options
    )
    return jnp.mean((spectrum.exponents - float(target)) ** 2)
