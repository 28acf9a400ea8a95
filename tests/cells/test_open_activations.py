"""Cells whose papers leave a function open: others than the one by default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import params_of, random_like

from jaxrnn import cells, unroll

relu = lambda x: np.maximum(x, 0)  # noqa: E731
steep = lambda x: np.clip(x, -1, 1)  # noqa: E731
hard = lambda x: np.clip(x / 6 + 0.5, 0, 1)  # noqa: E731
sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731


def one_gate(act):
    def step(p, h, x):
        z, n = np.split(x @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"], 2)
        return sigmoid(z) * h + (1 - sigmoid(z)) * act(n)

    return step, lambda h: h


def fast_gated(p, h, x):
    a = x @ p["kernel"] + h @ p["recurrent_kernel"]
    z, n = (a + b for b in np.split(p["bias"], 2))
    zeta, nu = sigmoid(p["zeta"]), sigmoid(p["nu"])
    return (zeta * (1 - hard(z)) + nu) * relu(n) + hard(z) * h


def low_rank(p, h, x):
    overlaps = relu(h) @ p["right_vectors"] / len(h)
    return 0.8 * h + 0.2 * (overlaps @ p["left_vectors"] + x @ p["kernel"] + p["bias"])


def lipschitz(p, h, x):
    def stable(M):
        return 0.25 * (M + M.T) + 0.75 * (M - M.T) - 0.001 * np.eye(len(M))

    A, V = map(stable, np.split(np.asarray(p["recurrent_kernel"]), 2, 1))
    return h + 0.03 * (h @ A + steep(x @ p["kernel"] + h @ V + p["bias"]))


CASES = {
    "ugrnn": (cells.UGRNN(3, 4, activation="relu"), *one_gate(relu)),
    "ligru": (cells.LiGRU(3, 4, activation="hard_tanh"), *one_gate(steep)),
    "fast_gated": (
        cells.FastGRNN(3, 4, activation="relu", gate_activation="hard_sigmoid"),
        fast_gated,
        lambda h: h,
    ),
    "low_rank": (cells.LowRankRNN(3, 4, activation="relu"), low_rank, relu),
    "lipschitz": (
        cells.LipschitzRNN(3, 4, activation="hard_tanh"),
        lipschitz,
        lambda h: h,
    ),
}


@pytest.mark.parametrize(("cell", "step", "shown"), CASES.values(), ids=CASES)
def test_it_is_the_function_that_is_named(cell, step, shown):
    params = params_of(cell)
    xs = np.asarray(random_like(jnp.zeros((5, 3)), seed=2))
    h, expected = np.zeros(4), []
    for x in xs:
        h = step(jax.tree.map(np.asarray, params), h, x)
        expected.append(shown(h))
    _, ys = unroll(cell, params, jnp.asarray(xs))
    np.testing.assert_allclose(ys, np.stack(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", [case[0] for case in CASES.values()], ids=CASES)
def test_what_is_no_function_is_refused(cell):
    kind = type(cell)
    with pytest.raises(ValueError, match=rf"{kind.__name__}: activation is 'tan'"):
        kind(3, 4, activation="tan")
