"""Cells without gates, or nearly so, against their papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, every_bias, relu, sigmoid, softmax, sums, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import Zoneout, cells, trajectory, unroll
from jaxrnn.arguments.keys import keys_in_time


def scrn(cell, params, carry, x):
    a = cell.alpha
    s = (1 - a) * (x @ params["context_embedding"]) + a * carry.s
    z = sums(params, x, carry.h, "h")["h"]
    h = sigmoid(z + s @ params["context_kernel"])
    U, V = np.split(params["output_kernel"], [cell.hidden_size])
    y = h @ U + s @ V + blocks(params, "output_bias", "y")["y"]
    y = {"identity": lambda y: y, "softmax": softmax}[cell.activation](y)
    return cells.SCRNCarry(h, s), y, {}


def independent(cell, params, h, x):
    act = {"relu": relu, "tanh": np.tanh}[cell.activation]
    bias = blocks(params, "bias", "h")["h"]
    h = act(x @ params["kernel"] + np.diag(params["recurrent_scale"]) @ h + bias)
    return h, h, {}


def highway(cell, params, s, x):
    names = "nt" if cell.coupled else "ntc"
    G, H, zero = len(names), cell.hidden_size, np.zeros(0)
    bias = np.concatenate([params.get("bias", zero), params.get("recurrent_bias", zero)])
    R = params["recurrent_kernel"].reshape(H, cell.depth, G, H)
    b = bias.reshape(cell.depth, G, H) if cell.use_bias else np.zeros((cell.depth, G, H))
    W, gates = params["kernel"].reshape(-1, G, H), {}
    for layer in range(cell.depth):
        z = np.einsum("i,igh->gh", s, R[:, layer]) + b[layer]
        z = z + np.einsum("i,igh->gh", x, W) if layer == 0 else z
        n, t = np.tanh(z[0]), sigmoid(z[1])
        c = 1 - t if cell.coupled else sigmoid(z[2])
        s = n * t + s * c
        gates |= {f"n_{layer + 1}": n, f"t_{layer + 1}": t, f"c_{layer + 1}": c}
    return s, s, gates


def clockwork(cell, params, carry, x):
    h, t = carry.h, int(np.real(carry.t))
    size = cell.hidden_size // len(cell.periods)
    W, U = params["kernel"], params["recurrent_kernel"]
    modules = []
    for m, period in enumerate(cell.periods):
        own = slice(m * size, (m + 1) * size)
        z = x @ W[:, own] + h[m * size :] @ U[m * size :, own]
        z = z + params["bias"][own] if cell.use_bias else z
        modules.append(np.tanh(z) if t % period == 0 else h[own])
    h = np.concatenate(modules)
    return carry._replace(h=h, t=(t + 1) % np.lcm.reduce(cell.periods)), h, {}


def of_rank(params, name):
    kernel, expansion = params[name], f"{name}_expansion"
    return kernel @ params[expansion] if expansion in params else kernel


def fast(cell, params, h, x):
    z = x @ of_rank(params, "kernel") + h @ of_rank(params, "recurrent_kernel")
    n = np.tanh(z + blocks(params, "bias", "h")["h"])
    h = sigmoid(params["alpha"]) * n + sigmoid(params["beta"]) * h
    return h, h, {}


def fast_gated(cell, params, h, x):
    a = x @ of_rank(params, "kernel") + h @ of_rank(params, "recurrent_kernel")
    b = blocks(params, "bias", "zn")
    z, n = sigmoid(a + b["z"]), np.tanh(a + b["n"])
    h = sigmoid(params["zeta"]) * (1 - z) * n + sigmoid(params["nu"]) * n + z * h
    return h, h, {"z": z, "n": n}


def jordan(cell, params, carry, x):
    h = np.tanh(sums(params, x, carry.s, "h")["h"])
    y = h @ params["output_kernel"] + blocks(params, "output_bias", "y")["y"]
    y = {"identity": lambda y: y, "sigmoid": sigmoid}[cell.output_activation](y)
    return cells.JordanCarry(cell.decay * carry.s + y, y), y, {}


STEPS = {
    cells.SCRN: scrn,
    cells.IndRNN: independent,
    cells.RHN: highway,
    cells.ClockworkRNN: clockwork,
    cells.FastRNN: fast,
    cells.FastGRNN: fast_gated,
    cells.JordanRNN: jordan,
}
# Products by parameters in a step, where there is not one.
TAPS = {cells.SCRN: 2, cells.IndRNN: 0, cells.RHN: 3, cells.JordanRNN: 2}
OF_FIVE = {cells.ClockworkRNN: {"periods": (1, 2, 3, 4, 6)}}
OPTIONS = [
    (cells.SCRN, {"context_size": 2, "output_size": 4, "activation": "softmax"}, 2),
    (cells.SCRN, {"alpha": 0.0}, 2),
    (cells.IndRNN, {"activation": "tanh"}, 0),
    (cells.RHN, {"depth": 1, "use_bias": False}, 1),
    (cells.RHN, {"depth": 2, "coupled": False}, 2),
    (cells.RHN, {"depth": 2, "coupled": False, "use_bias": False}, 2),
    (cells.ClockworkRNN, {"periods": (2,)}, 1),
    (cells.FastRNN, {"kernel_rank": 2, "recurrent_rank": 3}, 2),
    (cells.FastGRNN, {"kernel_rank": 2}, 1),
    (cells.FastGRNN, {"recurrent_rank": 2, "use_bias": False}, 2),
    (cells.JordanRNN, {"output_size": 4, "decay": 0.3}, 2),
    (cells.JordanRNN, {"output_activation": "sigmoid"}, 2),
]


def made(kind, **options):
    return kind(3, 5, **OF_FIVE.get(kind, {}) | options)


@every_bias
@pytest.mark.parametrize("kind", STEPS)
def test_a_run_is_the_papers(kind, use_bias):
    equals_paper(made(kind, use_bias=use_bias), STEPS[kind])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options", "products"), OPTIONS)
def test_options_are_the_papers(kind, options, products):
    cell = made(kind, **options)
    equals_paper(cell, STEPS[kind])
    assert taps(cell) == products


@pytest.mark.parametrize("kind", STEPS)
def test_every_product_of_a_step_is_found(kind):
    assert taps(made(kind)) == TAPS.get(kind, 1)


def test_a_long_run_of_clockworks_is_the_papers():
    """Beyond the step at which the clock starts anew, and from within its round."""
    cell = cells.ClockworkRNN(3, 4, periods=(2, 3))
    params, xs = params_of(cell), inputs_of(cell, (20,))
    first, ys = unroll(cell, params, xs)
    carry, t = cell.initial_carry(params), 0
    expected = []
    for x in np.asarray(xs):
        carry, y, _ = clockwork(cell, jax.tree.map(np.asarray, params), carry, x)
        expected.append(y)
        t += 1
    np.testing.assert_allclose(ys, expected, rtol=1e-12)
    assert first.t.dtype == jnp.int32 and int(first.t) == 20 % 6
    half = unroll(cell, params, xs[:9])[0]
    np.testing.assert_array_equal(unroll(cell, params, xs[9:], half)[1], ys[9:])


def test_a_clockwork_at_rest_keeps_its_module_for_the_period():
    cell = cells.ClockworkRNN(3, 4, periods=(1, 4))
    params, xs = params_of(cell), inputs_of(cell, (8,))
    slow = np.asarray(trajectory(cell, params, xs).h)[:, 2:]
    assert (slow[:4] == slow[0]).all() and (slow[4:] == slow[4]).all()
    assert (slow[0] != slow[4]).all()


def test_no_gradient_reaches_what_a_faster_module_would_send_to_a_slower_one():
    cell = cells.ClockworkRNN(3, 4, periods=(1, 2))
    params, xs = params_of(cell), inputs_of(cell, (6,))
    loss = lambda params: jnp.sum(unroll(cell, params, xs)[1] ** 2)  # noqa: E731
    gradient = jax.grad(loss)(params)["recurrent_kernel"]
    assert (gradient[:2, 2:] == 0).all()
    assert (gradient[:2, :2] != 0).all() and (gradient[2:] != 0).all()


def test_zoneout_leaves_alone_what_is_no_state():
    cell = cells.JordanRNN(3, 5, output_size=4, decay=0.3)
    params = params_of(cell)
    carry, x = carry_of(cell, params), inputs_of(cell, ())
    plain, _ = cell(params, carry, x)
    zoned, y = Zoneout(cell, 0.25)(params, carry, x)
    np.testing.assert_array_equal(zoned.y, plain.y)
    np.testing.assert_array_equal(y, plain.y)
    np.testing.assert_allclose(zoned.s, 0.25 * carry.s + 0.75 * plain.s, rtol=1e-15)


@pytest.mark.parametrize(("steps", "bound"), [(4, 2**0.25), (float("inf"), 1)])
def test_factors_of_independent_units_double_at_most(steps, bound):
    init = cells.Lasting(steps)
    cell = cells.IndRNN(3, 4000, recurrent_init=init)
    u = cell.init(jax.random.key(0))["recurrent_scale"]
    assert init.bound == pytest.approx(bound, rel=1e-15)
    assert u.min() >= 0 and 0.99 * bound < u.max() <= bound
    assert abs(u.mean() - bound / 2) < 0.02


def test_a_new_highway_keeps_most_of_what_it_has():
    params = cells.RHN(3, 5, coupled=False).init(jax.random.key(0))
    layer = np.repeat([0, -2, 0], 5)
    np.testing.assert_array_equal(params["bias"], layer)
    np.testing.assert_array_equal(params["recurrent_bias"], np.tile(layer, 2))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 3])
def test_all_layers_of_a_highway_have_one_mask(depth):
    """A unit that is hidden is hidden from each: rows of zeros do the same."""
    cell = cells.RHN(3, 5, depth=depth, recurrent_dropout=0.5)
    params, xs, key = params_of(cell), inputs_of(cell, (4,)), jax.random.key(3)
    keep = cell.project(params, xs[0], keys_in_time(key, jnp.asarray(0), ())).keep
    assert keep is not None and 0 < keep.sum() < 5
    rows = jnp.where(keep, 2.0, 0.0)[:, None]
    masked = params | {"recurrent_kernel": rows * params["recurrent_kernel"]}
    np.testing.assert_allclose(
        unroll(cell, params, xs, key=key)[1], unroll(cell, masked, xs)[1], rtol=1e-12
    )


def test_scalars_of_fast_networks_start_where_their_authors_have_them():
    key = jax.random.key(0)
    simple, gated = cells.FastRNN(3, 5).init(key), cells.FastGRNN(3, 5).init(key)
    assert (simple["alpha"], simple["beta"]) == (-3, 3)
    assert (gated["zeta"], gated["nu"]) == (1, -4)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (cells.SCRN, {"alpha": 1.0}, "SCRN: alpha is 1.0"),
        (cells.SCRN, {"context_size": 0}, "SCRN: context_size is 0"),
        (cells.RHN, {"depth": 0}, "RHN: depth is 0"),
        (cells.ClockworkRNN, {"periods": (2, 1)}, "ClockworkRNN: periods is "),
        (cells.ClockworkRNN, {"periods": (1, 1.5)}, "ClockworkRNN: periods is "),
        (cells.ClockworkRNN, {"periods": ()}, "ClockworkRNN: periods is "),
        (cells.ClockworkRNN, {"periods": (2**16, 2**16 + 1)}, "below 2"),
        (cells.ClockworkRNN, {"periods": (1, 2)}, "expected a multiple of 2"),
        (cells.FastRNN, {"kernel_rank": 0}, "FastRNN: kernel_rank is 0"),
        (cells.FastRNN, {"initial_alpha": "a"}, "FastRNN: initial_alpha is 'a'"),
        (cells.FastGRNN, {"initial_nu": None}, "FastGRNN: initial_nu is None"),
        (cells.JordanRNN, {"decay": 1}, "JordanRNN: decay is 1"),
        (cells.JordanRNN, {"output_size": 2.5}, "JordanRNN: output_size is 2.5"),
        (cells.IndRNN, {"activation": "no"}, "IndRNN: activation is 'no'"),
    ],
)
def test_errors_name_the_field(kind, options, message):
    with pytest.raises(ValueError, match=message):
        made(kind, **options)


@pytest.mark.parametrize("steps", [0, 1e-4, -1, float("nan"), "3", True])
def test_a_sequence_without_steps_has_no_bound(steps):
    with pytest.raises(ValueError, match=r"^cells.Lasting: steps is .*of at least 1"):
        cells.Lasting(steps)


def test_steps_of_numpy_are_pythons():
    assert cells.Lasting(np.float64(7.5)) == cells.Lasting(7.5)
    assert repr(cells.Lasting(np.int32(7))) == "cells.Lasting(steps=7)"
    assert cells.Lasting(1).bound == 2
