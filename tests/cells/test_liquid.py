"""The liquid network and its closed form, at regular and irregular times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from papers import blocks, equals_paper, sigmoid, softplus, taps
from zoo import carry_of, inputs_of, params_of

from jaxrnn import cells, unroll


def parts(cell, x):
    return x if cell.timed else (x, cell.elapsed)


def ltc(cell, params, v, x):
    x, t = parts(cell, x)
    positive = softplus if cell.softplus else (lambda a: a)
    cm, gleak = positive(params["cm"]), positive(params["gleak"])

    def currents(prefix, of):
        """S and P: over the synapses to every unit, one after another."""
        w = positive(params[f"{prefix}w"])
        opened = w * sigmoid(
            params[f"{prefix}sigma"] * (of[:, None] - params[f"{prefix}mu"])
        )
        return opened.sum(0), (opened * params[f"{prefix}erev"]).sum(0)

    sensory = currents("sensory_", x)
    for _ in range(cell.ode_unfolds):
        S, P = (a + b for a, b in zip(currents("", v), sensory, strict=True))
        # cm (v' - v) / d = gleak (vleak - v') + P - S v' - epsilon v', solved for v'
        cm_t = cm / (t / cell.ode_unfolds)
        numerator = cm_t * v + gleak * params["vleak"] + P
        v = numerator / (cm_t + gleak + S + cell.epsilon)
    return v, v, {}


def lecun(a):
    return 1.7159 * np.tanh(0.666 * a)


def cfc(cell, params, h, x):
    x, t = parts(cell, x)
    act = lecun if callable(cell.activation) else np.tanh
    H = cell.hidden_size

    def bias(name):
        return params.get(name, 0.0)

    k = np.concatenate([x, h]) @ np.concatenate(
        [params["kernel"], params["recurrent_kernel"]]
    )
    k = k + bias("bias")
    for i in range(2, cell.backbone_layers + 1):
        k = act(k) @ params[f"kernel_{i}"] + bias(f"bias_{i}")
    if cell.backbone_layers:
        k = act(k) @ params["head_kernel"] + bias("head_bias")
    if cell.mode == "pure":
        w, A = params["w_tau"], params["A"]
        rate = w * np.where(w.real > 0, 1, -1) + k * np.where(k.real > 0, 1, -1)
        h = A * (1 - np.exp(-t * rate) * k)
        return h, h, {}
    g, n = np.tanh(k[:H]), np.tanh(k[H : 2 * H])
    s = sigmoid(k[2 * H : 3 * H] * t + k[3 * H :])
    h = g + s * n - (s * g if cell.mode == "default" else 0)
    return h, h, {"s": s, "g": g, "n": n}


STEPS = {cells.LTC: ltc, cells.CfC: cfc}
SMALL = {"backbone_units": 4}
CELLS = [
    cells.LTC(3, 5, ode_unfolds=3, elapsed=0.3, epsilon=0.1),
    cells.CfC(3, 5, **SMALL),
    cells.CfC(3, 5, use_bias=False, backbone_layers=3, activation="tanh", **SMALL),
    cells.CfC(3, 5, backbone_layers=0, elapsed=0.3),
    cells.CfC(3, 5, timed=True, **SMALL),
    cells.CfC(3, 5, mode="no_gate", backbone_layers=2, **SMALL),
    cells.CfC(3, 5, mode="pure", **SMALL),
    cells.CfC(3, 5, mode="pure", backbone_layers=0, timed=True, use_bias=False),
]


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_run_is_the_papers(cell):
    equals_paper(cell, STEPS[type(cell)])


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_every_product_of_a_step_is_found(cell):
    """That by h, and one for every layer; synapses are no products."""
    is_closed = isinstance(cell, cells.CfC)
    assert taps(cell) == (1 + cell.backbone_layers if is_closed else 0)


def timed(cell, leading, seed=2):
    """Inputs at irregular times, some of them together."""
    xs, elapsed = inputs_of(cell, leading, seed)
    return cells.Timed(xs, jnp.where(elapsed > -0.3, jnp.abs(elapsed), 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [cells.LTC, cells.CfC])
def test_equal_times_are_those_of_the_field(kind):
    options = {"ode_unfolds": 2} if kind is cells.LTC else SMALL
    plain, irregular = (
        kind(3, 5, elapsed=0.7, **options),
        kind(3, 5, timed=True, **options),
    )
    params, xs = params_of(plain), inputs_of(plain, (6, 2))
    expected = unroll(plain, params, xs)[1]
    for elapsed in 0.7, 0.2:
        times = jnp.full((6, 2), elapsed)
        found = unroll(irregular, params, cells.Timed(xs, times))[1]
        apart = np.max(np.abs(found - expected))
        assert apart < 1e-12 if elapsed == 0.7 else apart > 0.01


def test_times_are_those_of_each_example_and_step():
    cell = cells.LTC(3, 5, timed=True, ode_unfolds=2)
    params, xs = params_of(cell), timed(cell, (6, 2))
    together = unroll(cell, params, xs)[1]
    for b in range(2):
        v = np.zeros(5)
        for t in range(6):
            x, elapsed = xs.x[t, b], xs.elapsed[t, b]
            if elapsed > 0:
                v, _, _ = ltc(cell, params, v, (x, elapsed))
            np.testing.assert_allclose(together[t, b], v, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_masks_and_lengths_hold_for_timed_inputs():
    cell = cells.CfC(3, 5, timed=True, **SMALL)
    params, xs = params_of(cell), timed(cell, (6, 2))
    final, _ = unroll(cell, params, xs, lengths=jnp.array([6, 2]))
    for b, n in enumerate((6, 2)):
        own = jax.tree.map(lambda a: a[:n, b], xs)  # noqa: B023
        np.testing.assert_allclose(final[b], unroll(cell, params, own)[0], rtol=1e-12)


def test_where_no_time_has_elapsed_a_neuron_stays_and_has_gradients():
    cell = cells.LTC(3, 5, timed=True, ode_unfolds=2)
    params = params_of(cell)
    v, xs = carry_of(cell, params), inputs_of(cell, (4,))._replace(elapsed=jnp.zeros(4))

    def total(params, v, xs):
        return jnp.sum(unroll(cell, params, xs, v)[0])

    np.testing.assert_allclose(unroll(cell, params, xs, v)[0], v, rtol=1e-14)
    gradients = jax.grad(total, (0, 1, 2))(params, v, xs)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))
    assert np.all(gradients[2].elapsed != 0)


def test_a_neuron_stays_within_the_potentials_that_pull_it():
    """That of its leak and those of its synapses, for any input."""
    cell = cells.LTC(3, 5, ode_unfolds=2, epsilon=0.0)
    params = jax.tree.map(lambda leaf: 3 * np.asarray(leaf), params_of(cell))
    pulls = params["vleak"][None], params["erev"], params["sensory_erev"]
    pulls = np.concatenate(pulls)
    low, high = pulls.min(0), pulls.max(0)
    xs, first = 1e4 * inputs_of(cell, (1000,)), jnp.asarray((low + high) / 2)
    ys = np.asarray(unroll(cell, params, xs, first)[1])
    assert np.all(ys >= low) and np.all(ys <= high) and np.all(np.ptp(ys, 0) > 0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        cells.LTC(3, 5, ode_unfolds=2),
        cells.CfC(3, 5, **SMALL),
        cells.CfC(3, 5, mode="pure", **SMALL),
    ],
    ids=repr,
)
def test_nothing_overflows_for_large_inputs_in_long_runs(cell):
    params = cell.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    xs = (1e4 * inputs_of(cell, (10_000,))).astype(jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def graded(given):
        return jnp.mean(unroll(cell, *given)[1] ** 2)

    for leaf in jax.tree.leaves(graded((params, xs))):
        assert leaf.dtype == jnp.float32 and np.all(np.isfinite(leaf))


@pytest.mark.slow
@pytest.mark.parametrize("softplus", [True, False])
def test_initial_values_are_those_of_the_authors(softplus):
    """In the cell: what softplus makes of its parameters is what is drawn."""
    cell = cells.LTC(30, 40, softplus=softplus)
    made = cell.prepare(cell.init(jax.random.key(0)))
    leak = made["leak"] / made["gleak"]
    ranges = [(made["cm"], 0.4, 0.6), (made["gleak"], 0, 1), (leak, -0.2, 0.2)]
    for synapses in made["synapses"], made["sensory"]:
        mu, erev = synapses.shift / synapses.slope, synapses.pull / synapses.weight
        ranges += [(synapses.weight, 0, 1), (synapses.slope, 3, 8), (mu, 0.3, 0.8)]
        np.testing.assert_allclose(np.abs(erev), 1, rtol=1e-12)
        assert 0.4 < np.mean(erev > 0) < 0.6
    for values, low, high in ranges:
        assert np.all(values > low - 1e-9) and np.all(values < high + 1e-9)
        assert np.ptp(values) > 0.8 * (high - low)


def test_blocks_are_drawn_as_such():
    """Glorot's bound is that of a head: without a backbone all are in one kernel."""
    cell = cells.CfC(30, 40, backbone_layers=0)
    kernel = np.asarray(cell.init(jax.random.key(0))["kernel"])
    bound = (6 / 70) ** 0.5
    for head in blocks({"kernel": kernel}, "kernel", "gnac").values():
        assert 0.95 * bound < np.max(np.abs(head)) <= bound


WRONG = {
    "LTC: ode_unfolds is 0": lambda: cells.LTC(3, 5, ode_unfolds=0),
    "LTC: hidden_size is 0": lambda: cells.LTC(3, 0),
    "LTC: elapsed is -1": lambda: cells.LTC(3, 5, elapsed=-1),
    "LTC: epsilon is -1": lambda: cells.LTC(3, 5, epsilon=-1),
    "CfC: elapsed is 0": lambda: cells.CfC(3, 5, elapsed=0),
    "CfC: mode is 'gate'": lambda: cells.CfC(3, 5, mode="gate"),
    "CfC: backbone_units is 0": lambda: cells.CfC(3, 5, backbone_units=0),
    "CfC: backbone_layers is -1": lambda: cells.CfC(3, 5, backbone_layers=-1),
    "CfC: activation is 'tan'": lambda: cells.CfC(3, 5, activation="tan"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_field_is_named(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
