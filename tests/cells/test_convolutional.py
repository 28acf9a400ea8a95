"""Cells whose products are convolutions, in one to three dimensions."""

import numpy as np
import pytest
from marks import by_default
from papers import blocks, equals_paper, sigmoid, taps

from jaxrnn import LSTMCarry, cells, initializers


def convolve(x, kernel, padding, strides=1, dilation=1):
    """x * W entry by entry, with zeros around; `padding` in pairs."""
    sizes, places = kernel.shape[:-2], x.shape[:-1]
    x = np.pad(x, (*padding, (0, 0)))
    reach = [dilation * (size - 1) + 1 for size in sizes]
    shape = [
        (n + sum(pad) - r) // strides + 1
        for n, pad, r in zip(places, padding, reach, strict=True)
    ]
    y = np.zeros((*shape, kernel.shape[-1]), np.result_type(x, kernel))
    for place in np.ndindex(*shape):
        for offset in np.ndindex(*sizes):
            at = tuple(
                strides * p + dilation * o for p, o in zip(place, offset, strict=True)
            )
            y[place] += x[at] @ kernel[offset]
    return y


def same(sizes, dilation=1):
    """As XLA pads, the odd one behind."""
    total = [dilation * (size - 1) for size in sizes]
    return [(n // 2, n - n // 2) for n in total]


def sums(cell, params, x, h, gates, given=None):
    """x * W + h * U + b of every gate."""
    strides, dilation = cell.strides, cell.dilation
    padding = cell.padding
    if padding == "SAME":
        padding = same(params["kernel"].shape[:-2], dilation)
    elif padding == "VALID":
        padding = [(0, 0)] * (x.ndim - 1)
    of_x = convolve(x, params["kernel"], padding, strides, dilation)
    U = params["recurrent_kernel"]
    of_h = convolve(
        h, U, same(U.shape[:-2], cell.recurrent_dilation), 1, cell.recurrent_dilation
    )
    b = blocks(params, "bias", gates)
    z = dict(zip(gates, np.split(of_x + of_h, len(gates), axis=-1), strict=True))
    return {gate: z[gate] + b[gate] for gate in gates}


def conv_lstm(cell, params, carry, x):
    z = sums(cell, params, x, carry.h, "ifgo")
    p = blocks(params, "peephole", "ifo")
    i, f = sigmoid(z["i"] + p["i"] * carry.c), sigmoid(z["f"] + p["f"] * carry.c)
    g = np.tanh(z["g"])
    c = f * carry.c + i * g
    o = sigmoid(z["o"] + p["o"] * c)
    h = o * np.tanh(c)
    return LSTMCarry(h, c), h, {"i": i, "f": f, "g": g, "o": o}


def conv_gru(cell, params, h, x):
    z = sums(cell, params, x, h, "rzn")
    r, keep = sigmoid(z["r"]), sigmoid(z["z"])
    n = np.tanh(sums(cell, params, x, r * h, "rzn")["n"])
    h = (1 - keep) * n + keep * h
    return h, h, {"r": r, "z": keep, "n": n}


STEPS = {cells.ConvLSTM: conv_lstm, cells.ConvGRU: conv_gru}
OPTIONS = {
    "line": ((4, 2), {}),
    "plane": ((3, 4, 2), {"use_bias": False, "kernel_size": (2, 3), "padding": "VALID"}),
    "space": ((2, 3, 2, 1), {"recurrent_kernel_size": 2}),
    "padded": (
        (4, 5, 1),
        {
            "padding": ((1, 0), (2, 1)),
            "dilation": 2,
            "recurrent_dilation": 2,
            "strides": 2,
        },
    ),
}


@pytest.mark.parametrize("options", by_default(OPTIONS, "plane", "padded"))
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, options):
    shape, fields = OPTIONS[options]
    equals_paper(kind(shape, 3, **fields), STEPS[kind])


def test_peepholes_are_the_papers():
    cell = cells.ConvLSTM((4, 2), 3, peephole_init=initializers.zeros)
    equals_paper(cell, conv_lstm)


@pytest.mark.parametrize(("kind", "count"), [(cells.ConvLSTM, 1), (cells.ConvGRU, 2)])
def test_every_product_of_a_step_is_found(kind, count):
    assert taps(kind((4, 4, 2), 3)) == count


def test_numbers_of_numpy_are_those_of_python():
    size = np.int64(3)
    cell = cells.ConvGRU((np.int64(4), 2), size, kernel_size=size, strides=(size,))
    assert repr(cell) == (
        "cells.ConvGRU(input_shape=(4, 2), hidden_size=3, strides=(3,))"
    )


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((3,), {}, "input_shape is (3,), expected one to three numbers of places"),
        ((3, 0), {}, "input_shape is (3, 0), expected one to three"),
        ((3, 2), {"kernel_size": (3, 3)}, "kernel_size is (3, 3), expected a positive"),
        ((3, 2), {"strides": 0}, "strides is 0, expected a positive int or 1 of them"),
        ((3, 2), {"padding": "FULL"}, 'padding is \'FULL\', expected "SAME", "VALID"'),
        (
            (3, 2),
            {"kernel_size": 5, "padding": "VALID"},
            "h has the places (0,), expected one at least: kernel_size 5 with padding",
        ),
    ],
)
def test_errors(shape, options, message):
    with pytest.raises(ValueError) as error:
        cells.ConvLSTM(shape, 3, **options)
    assert str(error.value).startswith("ConvLSTM: ") and message in str(error.value)
