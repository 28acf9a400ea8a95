"""Cells of one or two equations: coupled and single gates, and peepholes."""

import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, sigmoid, sums, taps

from jaxrnn import LSTMCarry, cells


def peephole(cell, params, carry, x):
    z = sums(params, x, carry.h, "ifgo")
    p_i, p_f, p_o = np.split(params["peephole"], 3)
    i, f = sigmoid(z["i"] + p_i * carry.c), sigmoid(z["f"] + p_f * carry.c)
    c = f * carry.c + i * np.tanh(z["g"])
    o = sigmoid(z["o"] + p_o * c)
    h = o * np.tanh(c)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": np.tanh(z["g"]), "o": o}


def coupled(cell, params, carry, x):
    z = sums(params, x, carry.h, "fgo")
    f, g, o = sigmoid(z["f"]), np.tanh(z["g"]), sigmoid(z["o"])
    c = f * carry.c + (1 - f) * g
    h = o * np.tanh(c)
    return LSTMCarry(h, c), h, {"i": 1 - f, "f": f, "g": g, "o": o}


def janet(cell, params, h, x):
    z = sums(params, x, h, "fg")
    f, i, g = sigmoid(z["f"]), 1 - sigmoid(z["f"] - 1), np.tanh(z["g"])
    h = f * h + i * g
    return h, h, {"f": f, "i": i, "g": g}


def ugrnn(cell, params, h, x):
    z = sums(params, x, h, "zn")
    keep, n = sigmoid(z["z"]), np.tanh(z["n"])
    h = keep * h + (1 - keep) * n
    return h, h, {"z": keep, "n": n}


def ligru(cell, params, h, x):
    z = sums(params, x, h, "zn")
    keep, n = sigmoid(z["z"]), relu(z["n"])
    h = keep * h + (1 - keep) * n
    return h, h, {"z": keep, "n": n}


def mgu(cell, params, h, x):
    i = sigmoid(sums(params, x, h, "in")["i"])
    if cell.reset_after:
        w, b = (
            x @ params["kernel"] + params.get("bias", 0),
            params.get("recurrent_bias", 0),
        )
        u = h @ params["recurrent_kernel"]
        n = np.tanh(w[5:] + (1 - i) * (u[5:] + b))
        h = (1 - i) * h + i * n
        return h, h, {"i": i, "n": n}
    n = np.tanh(sums(params, x, i * h, "in")["n"])
    h = (1 - i) * h + i * n
    return h, h, {"i": i, "n": n}


def minimal(cell, params, h, x):
    n = np.tanh(x @ params["kernel"] + blocks(params, "bias", "n")["n"])
    z = h @ params["recurrent_kernel"] + n @ params["latent_kernel"]
    z = sigmoid(z + blocks(params, "gate_bias", "z")["z"])
    h = z * h + (1 - z) * n
    return h, h, {"z": z, "n": n}


STEPS = {
    cells.PeepholeLSTM: peephole,
    cells.CoupledLSTM: coupled,
    cells.JANET: janet,
    cells.UGRNN: ugrnn,
    cells.LiGRU: ligru,
    cells.MGU: mgu,
    cells.MinimalRNN: minimal,
}
# Products by parameters in a step, where there is not one.
TAPS = {cells.MGU: 2}


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(kind(3, 5, use_bias=use_bias), STEPS[kind])


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(kind(3, 5)) == TAPS.get(kind, 1)


@every_bias
def test_an_mgu_that_resets_after_the_product(use_bias):
    cell = cells.MGU(3, 5, reset_after=True, use_bias=use_bias)
    equals_paper(cell, mgu)
    assert taps(cell) == 1
